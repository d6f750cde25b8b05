/* One call for Lua: the face drives it from question to question, see client/exchange.h. */
#include "base/duration.h"
#include "binding/exchange_methods.h"
#include "binding/objects.h"
#include "binding/request_reader.h"
#include "binding/result_object.h"
#include "platform/memory.h"

#include <stdio.h>
#include <string.h>

static const char exchange_name[] = "neap.exchange";

static const char *const attention_names[] = {
    [NEAP_ATTENTION_ATTEMPT] = "attempt",   [NEAP_ATTENTION_ASK] = "ask",
    [NEAP_ATTENTION_FALLBACK] = "fallback", [NEAP_ATTENTION_NOTICE] = "notice",
    [NEAP_ATTENTION_TRACE] = "trace",       [NEAP_ATTENTION_DONE] = "done",
};

struct neap_exchange_object *neap_exchange_object(lua_State *L, int index)
{
    return neap_check_object(L, index, exchange_name);
}

struct neap_exchange *neap_check_exchange(lua_State *L, int index)
{
    struct neap_exchange_object *object = neap_exchange_object(L, index);
    luaL_argcheck(L, object->exchange && !object->exchange->given_up, index, "the call has ended");
    return object->exchange;
}

struct neap_exchange_object *neap_push_exchange(lua_State *L)
{
    struct neap_exchange_object *object = neap_lua_new_userdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    neap_buffer_init(&object->scratch, neap_platform_alloc());
    neap_set_class(L, exchange_name);
    return object;
}

void neap_empty_exchange_object(struct neap_exchange_object *object)
{
    struct neap_exchange *exchange = object->exchange;
    object->exchange = NULL;
    neap_exchange_free(exchange);
    neap_url_deinit(&object->url);
    neap_buffer_deinit(&object->scratch);
}

static int exchange_free(lua_State *L)
{
    neap_empty_exchange_object(neap_exchange_object(L, 1));
    return 0;
}

void neap_take_draft(lua_State *L, struct neap_exchange_object *object, struct neap_client *client,
                     struct neap_draft *draft)
{
    draft->url = object->url;
    memset(&object->url, 0, sizeof object->url);
    if (neap_exchange_new(client, draft, &object->exchange) != NEAP_OK)
        neap_raise_memory(L);
    neap_buffer_deinit(&object->scratch);
}

/* The user table that is the object's alone. */
static void push_own_table(lua_State *L, int object_index)
{
    struct neap_exchange_object *object = lua_touserdata(L, object_index);
    if (object->keeps) {
        neap_lua_get_user_table(L, object_index);
        return;
    }
    lua_newtable(L);
    lua_pushvalue(L, -1);
    neap_lua_set_user_table(L, object_index);
    object->keeps = true;
}

void neap_keep_for_call(lua_State *L, int keeper, const char *name, int index)
{
    if (keeper == NEAP_NOT_KEPT)
        return;
    if (keeper > 0)
        lua_pushvalue(L, keeper);
    else
        push_own_table(L, -keeper);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* The table on top keeps what the exchange does not copy, and its client. */
static void keep(lua_State *L, int object_index, int keeper, int client_index)
{
    lua_pushvalue(L, client_index);
    lua_setfield(L, keeper, "client");
    lua_pushvalue(L, keeper);
    neap_lua_set_user_table(L, object_index);
}

/* A client that was made before a fork goes on in the child, unless calls were under way. */
static int refuse_inherited(lua_State *L, enum neap_status status)
{
    lua_pushnil(L);
    lua_pushfstring(L, "client: %s", neap_binding_adoption_failure(status));
    return 2;
}

/* exchange(client, method, path, request, extras): a call that has not begun, or nil and what is
 * wrong with the request. */
static int exchange_new(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    struct neap_draft draft;
    lua_settop(L, 5);
    struct neap_request_source source = {.request = 4, .method = lua_tostring(L, 2), .extras = 5};
    source.path = lua_tolstring(L, 3, &source.path_bytes);
    enum neap_status status = neap_binding_adopt(client->engine);
    if (status != NEAP_OK)
        return refuse_inherited(L, status);
    struct neap_exchange_object *object = neap_push_exchange(L);
    lua_newtable(L);
    if (!neap_read_request(L, &source, client, object, 7, &draft)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    neap_take_draft(L, object, client, &draft);
    keep(L, 6, 7, 1);
    lua_settop(L, 6);
    return 1;
}

/* function_exchange(client, breaker_key): a call whose attempts are calls of a Lua function; or nil
 * and why there can be none. */
static int exchange_new_function(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    enum neap_status status = neap_binding_adopt(client->engine);
    if (status != NEAP_OK)
        return refuse_inherited(L, status);
    struct neap_draft draft = {
        .method = "", .deadline_ns = NEAP_NEVER, .timeout = client->policy.pipeline.timeout};
    lua_settop(L, 2);
    draft.breaker_key = lua_tolstring(L, 2, &draft.breaker_key_bytes);
    struct neap_exchange_object *object = neap_push_exchange(L);
    if (neap_exchange_new(client, &draft, &object->exchange) != NEAP_OK)
        return neap_raise_memory(L);
    lua_newtable(L);
    keep(L, 3, 4, 1);
    lua_settop(L, 3);
    return 1;
}

static int push_attention(lua_State *L, const struct neap_exchange *exchange)
{
    lua_pushstring(L, attention_names[exchange->attention]);
    return 1;
}

static int exchange_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_check_exchange(L, 1)->waiter.id);
    return 1;
}

/* begin(may_follow): may it wait for another call that is alike? */
static int exchange_begin(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    neap_exchange_begin(exchange, lua_toboolean(L, 2));
    return push_attention(L, exchange);
}

/* The name of what Lua has to do next, or nil while the call waits for something else. */
static int exchange_attention(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    neap_waiter_forget(&exchange->waiter, exchange->client->engine);
    return push_attention(L, exchange);
}

/* Blocks until there is attention. */
static int exchange_run(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    if (!neap_exchange_run(exchange))
        return luaL_error(L, "the call waits for something that cannot happen any more");
    return push_attention(L, exchange);
}

/* Seconds until the call will do something by itself; nil where it waits for somebody else. */
static int exchange_wait(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    return neap_push_wait(L, exchange->client->engine->loop, neap_exchange_next_wakeup(exchange));
}

/* tie(request): the call is given up when that request of the host ends. */
static int exchange_tie(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    struct neap_tie *tie = neap_tie_of_request(L, 2);
    if (tie)
        neap_exchange_tie(exchange, tie);
    return 0;
}

/* refuse(): the host cannot wait here; the call ends with kind `phase`. */
static int exchange_refuse(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    neap_exchange_refuse(exchange);
    return push_attention(L, exchange);
}

/* The key that every attempt carries, without quotes; nil where there is none or where it stands
 * among the caller's own headers. */
static int exchange_key(lua_State *L)
{
    neap_check_exchange(L, 1);
    neap_lua_get_user_table(L, 1);
    lua_pushliteral(L, "idempotency_key");
    lua_rawget(L, -2);
    return 1;
}

/* The moment of the deadline in seconds, or nil. */
static int exchange_deadline(lua_State *L)
{
    int64_t deadline_ns = neap_check_exchange(L, 1)->call.deadline_ns;
    if (deadline_ns == NEAP_NEVER)
        return 0;
    lua_pushnumber(L, neap_seconds_from_ns(deadline_ns));
    return 1;
}

/* The index of the fallback to run, from 1. */
static int exchange_fallback(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_check_exchange(L, 1)->effect.fallback + 1);
    return 1;
}

/* failure(): what the attempts came to, while fallbacks are tried: nil and err, or nil and nil and
 * the response. */
static int exchange_failure(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    lua_pushnil(L);
    if (exchange->call.result.kind == NEAP_RESULT_ERROR) {
        neap_push_call_error(L, exchange, &exchange->call.result.outcome, true);
        return 2;
    }
    lua_pushnil(L);
    if (!exchange->response)
        return 2;
    neap_push_response(L, exchange, true);
    return 3;
}

enum neap_result_kind neap_push_outcome(lua_State *L, struct neap_exchange *exchange)
{
    const struct neap_result *result = &exchange->call.result;
    switch (result->kind) {
    case NEAP_RESULT_RESPONSE:
    case NEAP_RESULT_STORED:
        if (exchange->response)
            neap_push_response(L, exchange, false);
        else
            lua_pushnil(L);
        break;
    case NEAP_RESULT_ERROR:
        neap_push_call_error(L, exchange, &result->outcome, true);
        break;
    case NEAP_RESULT_FALLBACK:
        neap_push_bare_result(L, exchange);
        break;
    }
    return result->kind;
}

/* finish(): "response", res · "value" · "error", err · "fallback", a table for the answer. The call
 * is over and its memory free afterwards. */
static int exchange_finish(lua_State *L)
{
    static const char *const names[] = {
        [NEAP_RESULT_RESPONSE] = "response",
        [NEAP_RESULT_ERROR] = "error",
        [NEAP_RESULT_FALLBACK] = "fallback",
        [NEAP_RESULT_STORED] = "response",
    };
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    lua_pushstring(L, names[exchange->call.result.kind]);
    neap_push_outcome(L, exchange);
    exchange_free(L);
    return 2;
}

void neap_binding_add_exchange(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"id", exchange_id},
        {"begin", exchange_begin},
        {"attention", exchange_attention},
        {"run", exchange_run},
        {"free", exchange_free},
        {"wait", exchange_wait},
        {"tie", exchange_tie},
        {"refuse", exchange_refuse},
        {"idempotency_key", exchange_key},
        {"deadline", exchange_deadline},
        {"fallback", exchange_fallback},
        {"failure", exchange_failure},
        {"finish", exchange_finish},
        {NULL, NULL},
    };
    neap_new_metatable(L, exchange_name, methods, exchange_free);
    lua_getfield(L, -1, "__index");
    luaL_setfuncs(L, neap_exchange_questions, 0);
    luaL_setfuncs(L, neap_exchange_notices, 0);
    luaL_setfuncs(L, neap_exchange_carry, 0);
    luaL_setfuncs(L, neap_exchange_caching, 0);
    lua_pop(L, 1);
    lua_pop(L, 1);
    lua_pushcfunction(L, exchange_new);
    lua_setfield(L, -2, "exchange");
    lua_pushcfunction(L, exchange_new_function);
    lua_setfield(L, -2, "function_exchange");
}
