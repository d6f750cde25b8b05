/* What a board has counted, as the tables of client:stats(). */
#ifndef NEAP_BINDING_STATS_TABLES_H
#define NEAP_BINDING_STATS_TABLES_H

#include "binding/compat.h"
#include "client/cells.h"
#include "metrics/alerts.h"

/* Pushes a table with all that stands on the board. */
void neap_binding_push_board(lua_State *L, const struct neap_board *board, int64_t now_ns);

/* What counters alone have: sets, in the table on top of the stack, a table by name for each of
 * failed, errors, retries, timeouts, rejections, fallbacks, cache and transitions. */
void neap_binding_set_counts(lua_State *L, const struct neap_counters *counters);

/* Pushes { count, mean, p50, p90, p95, p99, max }. */
void neap_binding_push_latency(lua_State *L, const struct neap_histogram *histogram);

/* Pushes { alert, since, value } of one that fires. */
void neap_binding_push_firing(lua_State *L, enum neap_alert alert, int64_t since_ns, double value);

#endif
