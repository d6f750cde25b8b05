/* The traces of errors, until somebody asks: most are never asked for, and the tables of one would
 * cost more than the rest of its error. A table finds them by the error, which it does not hold. */
#ifndef NEAP_BINDING_ERROR_TRACE_H
#define NEAP_BINDING_ERROR_TRACE_H

#include <stdint.h>

#include "binding/compat.h"
#include "pipeline/trace.h"

/* Pushes that table. */
void neap_push_error_traces(lua_State *L);

/* Keeps a copy of the entries for the error on top of the stack; `traces` is where that table is.
 */
void neap_keep_error_trace(lua_State *L, int traces, const struct neap_trace_entry *entry,
                           uint32_t count);

/* Adds `error_trace(err)` to the table on top of the stack: the list that is kept for this error;
 * nil where there is none, or where it has been given already. */
void neap_binding_add_error_traces(lua_State *L);

#endif
