/* What a simulation has seen, for Lua. */
#ifndef NEAP_BINDING_SIMULATION_RECORD_H
#define NEAP_BINDING_SIMULATION_RECORD_H

#include "binding/compat.h"
#include "simulation/simulation.h"

/* Pushes a table: calls, attempts, served, refused, unfinished, answers and errors by name,
 * latency, attempt_latency, retries, rejections and transitions by name, and slots: width in
 * seconds, and lists as long as there are slots: calls, attempts, refused, served, in_flight,
 * backlog, p50, p99, open, half_open, answers and errors by name. */
void neap_push_simulation_record(lua_State *L, const struct neap_simulation *simulation);

#endif
