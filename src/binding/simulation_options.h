/* The keys of a simulation, with their ranges and defaults. */
#ifndef NEAP_BINDING_SIMULATION_OPTIONS_H
#define NEAP_BINDING_SIMULATION_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "binding/compat.h"
#include "client/policy.h"
#include "simulation/simulation.h"

struct neap_simulation_options {
    uint32_t clients, seed, resources;
    double rate; /* calls a second of each client */
    int arrival; /* enum neap_arrival */
    int method;  /* index into the names of the methods */
    bool shared, replayable;
    int64_t duration_ns, slot_ns; /* slot_ns 0: of its own choice */
    struct neap_server_model server;
};

/* Reads the table (or nil) at `index`, `simulation` in messages. True with the stack as it was, or
 * false with the message pushed. */
NEAP_MUST_CHECK bool neap_read_simulation_options(lua_State *L, int index,
                                                  struct neap_simulation_options *options);

/* What a simulation of that policy is set up with, but for what functions say. */
void neap_simulation_options_apply(const struct neap_simulation_options *options,
                                   const struct neap_client_policy *policy,
                                   struct neap_simulation_setup *setup);

/* Pushes a table with the keys as they were read or are by default; a capacity without limit is
 * left out. */
void neap_push_simulation_options(lua_State *L, const struct neap_simulation_options *options);

#endif
