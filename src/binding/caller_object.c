/* Callers: functions that make a call in one step, or where others go on meanwhile in two, for
 * clients that need nothing of Lua. What the face's driver does step by step costs more than all of
 * the pipeline. */
#include <string.h>

#include "binding/caller.h"
#include "binding/exchange_methods.h"
#include "binding/request_reader.h"

/* They are the same functions for all clients: LuaJIT would hold those of a client that is gone in
 * what it compiled. Behind the client some are told where they are. */
enum {
    METHOD = NEAP_CALLER_METHOD,
    PATH = NEAP_CALLER_PATH,
    REQUEST = NEAP_CALLER_REQUEST,
    CLIENT = NEAP_CALLER_CLIENT,
    EXTRAS = NEAP_CALLER_EXTRAS,
    OBJECT = NEAP_CALLER_OBJECT,
    WHERE = CLIENT + 1
};

static void lay_out(lua_State *L)
{
    lua_settop(L, CLIENT);
    lua_pushnil(L); /* extras */
}

/* With the client's list in place of what it keeps: it has neither body nor key. */
static struct neap_exchange_object *push_object(lua_State *L)
{
    struct neap_exchange_object *object = neap_push_exchange(L);
    neap_lua_get_user_table(L, CLIENT);
    neap_lua_set_user_table(L, -2);
    return object;
}

struct neap_exchange_object *neap_caller_new_object(lua_State *L)
{
    lay_out(L);
    return push_object(L);
}

/* Nobody else has it meanwhile: a finalizer may make a call of its own. */
struct neap_exchange_object *neap_caller_take_object(lua_State *L)
{
    lay_out(L);
    neap_lua_get_user_table(L, CLIENT);
    luaL_checktype(L, -1, LUA_TTABLE);
    int count = (int)lua_rawlen(L, -1);
    if (count == 0) {
        lua_pop(L, 1);
        return push_object(L);
    }
    lua_rawgeti(L, -1, count);
    lua_pushnil(L);
    lua_rawseti(L, -3, count);
    lua_remove(L, -2);
    return lua_touserdata(L, -1);
}

void neap_caller_empty_object(lua_State *L, int client, int index,
                              struct neap_exchange_object *object)
{
    neap_empty_exchange_object(object);
    if (!object->keeps)
        return;
    neap_lua_get_user_table(L, client);
    neap_lua_set_user_table(L, index);
    object->keeps = false;
}

/* The object at `index` is the next call's. */
static void give_back_object(lua_State *L, int client, int index)
{
    neap_lua_get_user_table(L, client);
    int count = (int)lua_rawlen(L, -1);
    if (count < NEAP_SPARE_EXCHANGES_MAX) {
        lua_pushvalue(L, index);
        lua_rawseti(L, -2, count + 1);
    }
    lua_pop(L, 1);
}

static enum neap_result_kind push_result(lua_State *L, int client, int index,
                                         struct neap_exchange_object *object)
{
    enum neap_result_kind kind = neap_push_outcome(L, object->exchange);
    neap_caller_empty_object(L, client, index, object);
    give_back_object(L, client, index);
    return kind;
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

/* Is there nothing that the face has to complain about, or to encode? */
static bool is_plain_request(lua_State *L)
{
    if (!lua_isnil(L, PATH) && lua_type(L, PATH) != LUA_TSTRING)
        return false;
    if (lua_isnil(L, REQUEST))
        return true;
    if (!lua_istable(L, REQUEST))
        return false;
    lua_getfield(L, REQUEST, "json");
    bool has_json = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return !has_json;
}

bool neap_caller_may_call(lua_State *L, const struct neap_client *client)
{
    return client->watched == 0 && !neap_engine_is_inherited(client->engine) && is_plain_request(L);
}

/* The client, where a call of it may be made here; NULL where the face has to drive it. */
static struct neap_client *ready_client(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, CLIENT);
    return neap_caller_may_call(L, client) ? client : NULL;
}

bool neap_caller_prepare(lua_State *L, struct neap_client *client,
                         struct neap_exchange_object *object, int keeper)
{
    struct neap_draft draft;
    struct neap_request_source source = {
        .request = REQUEST, .method = lua_tostring(L, METHOD), .extras = EXTRAS};
    source.path = lua_tolstring(L, PATH, &source.path_bytes);
    if (!neap_read_request(L, &source, client, object, keeper, &draft))
        return false;
    neap_take_draft(L, object, client, &draft);
    return true;
}

void neap_caller_run(lua_State *L, struct neap_exchange *exchange)
{
    neap_exchange_begin(exchange, false);
    if (!neap_exchange_run(exchange))
        luaL_error(L, "the call waits for something that cannot happen any more");
    if (exchange->attention != NEAP_ATTENTION_DONE)
        luaL_error(L, "neap: a call that needs nothing of Lua has a question");
}

/* call(face's client, method, path, request, client): true and the response; true, nil, err; or
 * true, nil, nil and what is wrong with the request. Nothing where the call has to be driven by the
 * face. */
static int call(lua_State *L)
{
    lua_settop(L, CLIENT);
    struct neap_client *client = ready_client(L);
    if (!client)
        return 0;
    struct neap_exchange_object *object = neap_caller_take_object(L);
    if (!neap_caller_prepare(L, client, object, NEAP_NOT_KEPT))
        return answer(L, 3);
    neap_caller_run(L, object->exchange);
    bool is_error = push_result(L, CLIENT, OBJECT, object) == NEAP_RESULT_ERROR;
    return answer(L, is_error ? 2 : 1);
}

/* An object that is used again keeps its waiter's number, which nobody waits for any more: tables
 * by numbers that come again do not grow. */
static void name_waiter(struct neap_exchange_object *object)
{
    struct neap_waiter *waiter = &object->exchange->waiter;
    if (object->waiter_id == 0)
        object->waiter_id = waiter->id;
    waiter->id = object->waiter_id;
}

/* Does the coroutine at `index` run, and could it yield? */
static bool can_yield(lua_State *L, int index)
{
    return lua_tothread(L, index) == L && neap_lua_is_yieldable(L);
}

/* Begins the call for which the arguments are there. NULL where something is wrong with the
 * request, and false and what it is are on the stack. */
static struct neap_exchange *begin(lua_State *L, struct neap_client *client, struct neap_tie *tie)
{
    struct neap_exchange_object *object = neap_caller_take_object(L);
    if (!neap_caller_prepare(L, client, object, NEAP_KEPT_BY(OBJECT))) {
        lua_pushboolean(L, false);
        lua_insert(L, -2);
        return NULL;
    }
    name_waiter(object);
    if (tie)
        neap_exchange_tie(object->exchange, tie);
    if (object->exchange->given_up)
        luaL_error(L, "the request for which this call is made has ended");
    neap_exchange_begin(object->exchange, false);
    return object->exchange;
}

/* Pushes the exchange, and while it is not done the number of its waiter. */
static int push_begun(lua_State *L, const struct neap_exchange *exchange)
{
    lua_pushvalue(L, OBJECT);
    if (exchange->attention != NEAP_ATTENTION_NONE)
        return 1;
    lua_pushinteger(L, (lua_Integer)exchange->waiter.id);
    return 2;
}

/* start(face's client, method, path, request, client, co): an exchange that is under way in that
 * coroutine, and while it is not done the number of its waiter; or false and what is wrong with the
 * request. Nothing where the call has to be driven by the face. */
static int start(lua_State *L)
{
    struct neap_client *client = ready_client(L);
    if (!client || !can_yield(L, WHERE))
        return 0;
    const struct neap_exchange *exchange = begin(L, client, NULL);
    return exchange ? push_begun(L, exchange) : 2;
}

/* park(face's client, method, path, request, client, whom): the same on a loop that is not neap's,
 * where the call is given up when that request of the host ends; behind the number stands what
 * engine:due() says. */
static int park(lua_State *L)
{
    struct neap_client *client = ready_client(L);
    if (!client || !neap_lua_is_yieldable(L))
        return 0;
    const struct neap_exchange *exchange = begin(L, client, neap_tie_of_request(L, WHERE));
    int pushed = exchange ? push_begun(L, exchange) : 2;
    return exchange && pushed > 1 ? pushed + neap_push_due(L, client->engine) : pushed;
}

/* finish(client, exchange): true and the response; or true, nil and err. Nothing where the call is
 * not done: the face has to drive it from now on. */
static int finish(lua_State *L)
{
    neap_check_client(L, 1);
    struct neap_exchange *exchange = neap_check_exchange(L, 2);
    neap_waiter_forget(&exchange->waiter, exchange->client->engine);
    if (exchange->attention != NEAP_ATTENTION_DONE)
        return 0;
    bool is_error = push_result(L, 1, 2, neap_exchange_object(L, 2)) == NEAP_RESULT_ERROR;
    return answer(L, is_error ? 2 : 1);
}

/* may_call(client): makes it one for the functions below. Only where calls ask no function and have
 * no fallback and no cache. */
static int may_call(lua_State *L)
{
    neap_check_client(L, 1);
    lua_settop(L, 1);
    lua_createtable(L, 1, 0);
    neap_lua_set_user_table(L, 1);
    return 0;
}

void neap_binding_add_callers(lua_State *L)
{
    static const luaL_Reg functions[] = {{"may_call", may_call}, {"call", call}, {NULL, NULL}};
    static const luaL_Reg in_tasks[] = {
        {"start_call", start}, {"park_call", park}, {"finish_call", finish}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    if (neap_lua_knows_yieldable())
        luaL_setfuncs(L, in_tasks, 0);
}
