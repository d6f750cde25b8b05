/* What the userdata of the stand-alone policies have in common.
 *
 * Each holds the policy, the env and, where the policy has any, its state, which is private or, by
 * a name, in shared memory. Constructors answer nil and a message for a mistake of the user's, or
 * where shared memory has no room; methods raise for one, and answer nil and an error of the
 * contract where the policy refuses. */
#ifndef NEAP_BINDING_POLICY_OBJECTS_H
#define NEAP_BINDING_POLICY_OBJECTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/kind.h"
#include "binding/compat.h"
#include "binding/policy_env.h"
#include "binding/policy_options.h"
#include "client/standalone.h"

struct neap_object_class {
    const char *name; /* "neap.breaker"; of the metatable in the registry */
    const luaL_Reg *methods;
    lua_CFunction to_string;
    lua_CFunction collect; /* NULL: nothing is to be freed */
};

/* Makes the metatable. */
void neap_object_add_class(lua_State *L, const struct neap_object_class *object_class);

/* Pops the user table and pushes a zeroed userdata that has it and the class's metatable. */
void *neap_object_new(lua_State *L, size_t bytes, const char *class_name);

/* What a constructor answers for a mistake: nil and the message on top of the stack. */
int neap_object_misuse(lua_State *L);

/* What a constructor of (policy, env, engine) ends with, its object on top of the stack: opens the
 * state in the object, whose policy is there already. It is shared where it has a name, the engine
 * (nil: none) shares, and time is the machine's: a clock of the user's means nothing to others. */
int neap_object_open_state(lua_State *L, struct neap_standalone *state, enum neap_cell_kind kind,
                           const struct neap_policy_name *name, const struct neap_env *env,
                           const void *policy);

/* The state, to be asked for before each use: a forked child goes on with the same, and raises
 * where the region has no room for it. */
void *neap_object_state(lua_State *L, struct neap_standalone *state, const void *policy);

void neap_object_close_state(struct neap_standalone *state, const void *policy);

/* What a method answers where the policy refuses: nil and an error. `until_ns` is when asking again
 * makes sense, NEAP_NEVER where nobody knows. */
int neap_object_refuse(lua_State *L, enum neap_kind kind, const char *message, int64_t until_ns,
                       int64_t now_ns);

/* Pushes an integer below 2^53: a Lua integer where there are any. */
void neap_object_push_integer(lua_State *L, int64_t integer);

/* The permit at `index`; raises for what is no integral number. */
int64_t neap_object_check_permit(lua_State *L, int index);

/* The integral number >= 1 at `index`; raises for anything else. */
uint64_t neap_object_check_count(lua_State *L, int index);

/* Each adds its metatables, and its constructors to the table on top of the stack. */
void neap_object_add_breaker(lua_State *L);
void neap_object_add_limiters(lua_State *L);
void neap_object_add_backoff(lua_State *L);

#endif
