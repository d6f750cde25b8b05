/* The error of the contract as a Lua table.
 *
 * The class is Lua's (lua/neap/error.lua), which leaves its metatable here, once in each Lua state,
 * and two functions that make the tables of guarded functions' errors: a constructor of Lua's is
 * several times faster than the C API, and such a call has little else to do. Other errors the
 * binding makes. */
#ifndef NEAP_BINDING_ERROR_OBJECT_H
#define NEAP_BINDING_ERROR_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/kind.h"
#include "binding/compat.h"
#include "pipeline/trace.h"

struct neap_error_view {
    enum neap_kind kind;   /* not NEAP_KIND_NONE */
    enum neap_phase phase; /* NEAP_PHASE_NONE: the field is nil */
    const char *message;   /* for people; copied */
    bool retryable;
    uint32_t attempts;
    int64_t elapsed_ns;
    int64_t retry_after_ns; /* below zero or NEAP_NEVER: nobody knows, the field is nil */
    int status;             /* 0: the field is nil */
};

/* Pushes the error. `cause` and `trace` are the caller's to set, by lua_setfield. Raises without
 * memory only. */
void neap_binding_push_error(lua_State *L, const struct neap_error_view *view);

/* What errors of guarded functions are made of, for so many upvalues of the C function that makes
 * them; `parts` is which of its upvalues the first one is. */
#define NEAP_ERROR_PARTS 4
void neap_binding_push_error_parts(lua_State *L);

/* Pushes the error of a call that the circuit breaker has refused at `at_ns`; `retry_after_ns` as
 * above. Its trace is made of that when somebody asks. */
void neap_binding_push_refusal(lua_State *L, int parts, const char *why, int64_t at_ns,
                               int64_t retry_after_ns);

/* How a guarded function has failed that needed no states: kind `error`. */
struct neap_failure_view {
    uint32_t attempts;
    bool retryable;
    int64_t at_ns, elapsed_ns;
    uint32_t entry_count;
    struct neap_trace_entry entry[NEAP_TRACE_INLINE];
};

/* Pushes the error of that, with the text at `message` and the value at `cause`, and keeps its
 * trace. */
void neap_binding_push_failure(lua_State *L, int parts, const struct neap_failure_view *view,
                               int message, int cause);

/* What a function answers that the world has failed: nil and an error with that message. */
int neap_binding_refuse(lua_State *L, enum neap_kind kind, const char *message);

/* Adds to the table on top of the stack `error_trace` and `set_error_class(metatable, refusal,
 * failure)`; refusal(why, at, retry_after) and failure(message, retryable, attempts, elapsed, at,
 * cause) answer with the table, which is given its metatable here. */
void neap_binding_add_errors(lua_State *L);

#endif
