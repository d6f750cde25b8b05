/* What a call came to, for Lua: the response, the error, the trace. */
#ifndef NEAP_BINDING_RESULT_OBJECT_H
#define NEAP_BINDING_RESULT_OBJECT_H

#include "binding/objects.h"

/* Pushes a table of the face's response class about exchange->response: status, ok, body, and what
 * the other fields, headers and trace are made from when they are asked for. With `whole` it has
 * them all now. */
void neap_push_response(lua_State *L, struct neap_exchange *exchange, bool whole);

/* Pushes the same table without a response, for an answer that a fallback gave. */
void neap_push_bare_result(lua_State *L, struct neap_exchange *exchange);

/* Pushes a table of the face's error class about an outcome of the exchange. */
void neap_push_call_error(lua_State *L, struct neap_exchange *exchange,
                          const struct neap_outcome *outcome, bool with_trace);

/* The same about what a call of a guarded function came to that has no exchange, with its trace and
 * the value at `cause`; `now_ns` is the moment at which it ended. */
void neap_push_error_of_call(lua_State *L, const struct neap_call *call, int64_t now_ns, int cause);

/* Pushes so many entries as a list of tables. */
void neap_push_trace(lua_State *L, const struct neap_trace_entry *entry, uint32_t count);

/* Pushes the fields of one entry as a table. */
void neap_push_trace_entry(lua_State *L, const struct neap_trace_entry *entry);

#endif
