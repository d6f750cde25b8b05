/* The guarded function for Lua: what the versions of Lua have in common.
 *
 * guarded_call.c makes one C function of it. Where C code cannot be yielded across, that serves
 * callers that cannot yield; for others guarded_steps.c gives the face steps to make one of, and
 * guarded_ffi.c such that LuaJIT compiles. */
#ifndef NEAP_BINDING_GUARDED_OBJECT_H
#define NEAP_BINDING_GUARDED_OBJECT_H

#include <stdbool.h>

#include "binding/error_object.h"
#include "binding/objects.h"
#include "client/guarded.h"

/* Holds a call whose coroutine may be dropped, and gives it up then. */
struct neap_guarded_keeper {
    struct neap_guarded_call *call; /* NULL: none */
};

/* Pushes the object that holds what is shared by the calls of a function of that client. */
struct neap_guarded *neap_push_guarded(lua_State *L, struct neap_client *client);

/* Pushes a keeper without a call. */
struct neap_guarded_keeper *neap_push_keeper(lua_State *L);

/* What an error is made from by neap_binding_push_failure, with the text at `text` for its message:
 * then the call can be let go before memory is asked for. False where it takes more than that. */
bool neap_view_guarded_failure(lua_State *L, const struct neap_guarded_call *call, int text,
                               struct neap_failure_view *view);

/* Pushes the error that a call which is over came to, with the cause at `cause`. Without memory
 * pushes what failed and answers false: the call is the caller's to let go before that is raised.
 */
bool neap_push_guarded_error_safely(lua_State *L, struct neap_guarded_call *call, int cause);

/* Pushes the error of the call that was REFUSED last; `parts` as for neap_binding_push_refusal. */
void neap_push_guarded_refusal(lua_State *L, int parts, const struct neap_guarded *guarded);

/* Pushes the exchange that goes on with the call. Where that fails, pushes what failed and answers
 * false: the call is given up, and is the caller's to let go before that is raised. */
bool neap_push_handed_over(lua_State *L, struct neap_guarded_call *call);

/* Raises unless the function's result makes a difference still. */
void neap_check_guarded_call(lua_State *L, const struct neap_guarded_call *call);

/* Adds its metatables, and to the table on top of the stack what this version of Lua has. */
void neap_binding_add_guarded(lua_State *L);
void neap_binding_add_guarded_call(lua_State *L);
void neap_binding_add_guarded_steps(lua_State *L);
void neap_binding_add_guarded_ffi(lua_State *L);

#endif
