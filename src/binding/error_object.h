/* The error of the contract as a Lua table.
 *
 * The class is Lua's (lua/neap/error.lua), which leaves its metatable here, once in each Lua state,
 * and two functions that make errors of guarded functions: a constructor of Lua's is several times
 * faster than the C API, and such a call has little else to do. Other errors the binding makes. */
#ifndef NEAP_BINDING_ERROR_OBJECT_H
#define NEAP_BINDING_ERROR_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/kind.h"
#include "binding/compat.h"

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

/* Pushes the error of a call that the circuit breaker has refused at `at_ns`; `retry_after_ns` as
 * above. Its trace is made of that when somebody asks. */
void neap_binding_push_refusal(lua_State *L, const char *why, int64_t at_ns,
                               int64_t retry_after_ns);

/* Pushes the error of a guarded function that ended at `at_ns`, with the value at `cause`; `phase`
 * and `status` have no meaning there. */
void neap_binding_push_failure(lua_State *L, const struct neap_error_view *view, int64_t at_ns,
                               int cause);

/* What a function answers that the world has failed: nil and an error with that message. */
int neap_binding_refuse(lua_State *L, enum neap_kind kind, const char *message);

/* Adds `set_error_class(metatable, refusal, failure)` to the table on top of the stack;
 * refusal(why, at, retry_after) and failure(kind, message, retryable, attempts, elapsed, at,
 * retry_after, cause) answer with the error. */
void neap_binding_add_errors(lua_State *L);

#endif
