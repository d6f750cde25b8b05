/* The error of the contract as a Lua table.
 *
 * The class is Lua's (lua/neap/error.lua), which leaves its metatable here, once in each Lua state;
 * the binding makes the tables. */
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

/* What a function answers that the world has failed: nil and an error with that message. */
int neap_binding_refuse(lua_State *L, enum neap_kind kind, const char *message);

/* Adds `set_error_metatable(table)` to the table on top of the stack. */
void neap_binding_add_errors(lua_State *L);

#endif
