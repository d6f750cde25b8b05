/* Callers: functions that make a whole call at once, for clients that need nothing of Lua on a host
 * that blocks. What the face's driver does step by step costs more than all of the pipeline. */
#include <string.h>

#include "binding/exchange_methods.h"
#include "binding/objects.h"
#include "binding/request_reader.h"

/* Upvalues of a caller. The object is the one of its last call, emptied, or nil. */
#define CLIENT lua_upvalueindex(1)
#define SPARE lua_upvalueindex(2)

/* Where a caller keeps things on its stack. */
enum { METHOD = 1, PATH, REQUEST, EXTRAS, OBJECT, ARGUMENTS = EXTRAS };

/* Nobody else has it meanwhile: a finalizer may make a call of its own. */
static struct neap_exchange_object *take_object(lua_State *L)
{
    struct neap_exchange_object *object = lua_touserdata(L, SPARE);
    if (!object)
        return neap_push_exchange(L);
    lua_pushvalue(L, SPARE);
    lua_pushnil(L);
    lua_replace(L, SPARE);
    return object;
}

static void give_back_object(lua_State *L, struct neap_exchange_object *object)
{
    neap_empty_exchange_object(object);
    lua_pushvalue(L, OBJECT);
    lua_replace(L, SPARE);
}

/* Returns true, what is on top in the last of so many places, and nil in those before. */
static int answer(lua_State *L, int places)
{
    lua_pushboolean(L, true);
    for (int i = 1; i < places; i++)
        lua_pushnil(L);
    lua_pushvalue(L, -1 - places);
    return 1 + places;
}

/* What a request was read from stays on the stack until the call is over: nothing is kept. */
static bool prepare(lua_State *L, struct neap_client *client, struct neap_exchange_object *object)
{
    struct neap_draft draft;
    struct neap_request_source source = {
        .request = REQUEST, .method = lua_tostring(L, METHOD), .extras = EXTRAS};
    source.path = lua_tolstring(L, PATH, &source.path_bytes);
    if (!neap_read_request(L, &source, client, object, NEAP_NOT_KEPT, &draft))
        return false;
    neap_take_draft(L, object, client, &draft);
    return true;
}

static void carry_out(lua_State *L, struct neap_exchange *exchange)
{
    neap_exchange_begin(exchange, false);
    if (!neap_exchange_run(exchange))
        luaL_error(L, "the call waits for something that cannot happen any more");
    if (exchange->attention != NEAP_ATTENTION_DONE)
        luaL_error(L, "neap: a call that needs nothing of Lua has a question");
}

/* caller(method, path, request, extras): true and the response; true, nil, err; or true, nil, nil
 * and what is wrong with the request. Nothing where the call has to be driven by the face. */
static int call(lua_State *L)
{
    const struct neap_client_object *owner = lua_touserdata(L, CLIENT);
    struct neap_client *client = owner->client;
    if (!client || client->watched != 0 || neap_engine_is_inherited(client->engine))
        return 0;
    lua_settop(L, ARGUMENTS);
    struct neap_exchange_object *object = take_object(L);
    if (!prepare(L, client, object))
        return answer(L, 3);
    carry_out(L, object->exchange);
    bool is_error = neap_push_outcome(L, object->exchange) == NEAP_RESULT_ERROR;
    give_back_object(L, object);
    return answer(L, is_error ? 2 : 1);
}

/* caller(client): only for one whose calls ask no function and have no fallback and no cache. */
static int new_caller(lua_State *L)
{
    neap_check_client(L, 1);
    lua_settop(L, 1);
    lua_pushnil(L);
    lua_pushcclosure(L, call, 2);
    return 1;
}

void neap_binding_add_callers(lua_State *L)
{
    lua_pushcfunction(L, new_caller);
    lua_setfield(L, -2, "caller");
}
