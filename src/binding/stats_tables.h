/* What a board has counted, as the tables of client:stats(). */
#ifndef NEAP_BINDING_STATS_TABLES_H
#define NEAP_BINDING_STATS_TABLES_H

#include "binding/compat.h"
#include "client/cells.h"
#include "metrics/alerts.h"

/* Pushes a table with all that stands on the board. */
void neap_binding_push_board(lua_State *L, const struct neap_board *board, int64_t now_ns);

/* Pushes { alert, since, value } of one that fires. */
void neap_binding_push_firing(lua_State *L, enum neap_alert alert, int64_t since_ns, double value);

#endif
