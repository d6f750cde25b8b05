/* What is common to the functions that make a call, for clients that need nothing of Lua, from the
 * request to the result: core.call and its like (caller_object.c), and the client's methods where C
 * can be yielded across (caller_methods.c).
 *
 * Each has the same places on its stack. What the request was read from stays on it until the call
 * is over. */
#ifndef NEAP_BINDING_CALLER_H
#define NEAP_BINDING_CALLER_H

#include "binding/objects.h"

/* The face's client is only held. The client's user table is a list of objects of calls that are
 * over, emptied: of no more than the engine keeps the memory of. */
enum {
    NEAP_CALLER_FACE = 1,
    NEAP_CALLER_METHOD,
    NEAP_CALLER_PATH,
    NEAP_CALLER_REQUEST,
    NEAP_CALLER_CLIENT,
    NEAP_CALLER_EXTRAS,
    NEAP_CALLER_OBJECT
};

/* May a call of the client be made here, with the request that is there? Else the face has to drive
 * it. */
bool neap_caller_may_call(lua_State *L, const struct neap_client *client);

/* Cuts the stack behind the client and pushes what else stands there, an object of a call that is
 * over or a new one. */
struct neap_exchange_object *neap_caller_take_object(lua_State *L);

/* The same with a new one. */
struct neap_exchange_object *neap_caller_new_object(lua_State *L);

/* Makes what a call needs of the request that is there, in the object. False where something is
 * wrong with the request, and what that is is pushed. `keeper` as for neap_keep_for_call. */
bool neap_caller_prepare(lua_State *L, struct neap_client *client,
                         struct neap_exchange_object *object, int keeper);

/* Begins the call and blocks until it is done. */
void neap_caller_run(lua_State *L, struct neap_exchange *exchange);

/* Empties the object at `index`, of a call of the client at that index, for another call. */
void neap_caller_empty_object(lua_State *L, int client, int index,
                              struct neap_exchange_object *object);

#endif
