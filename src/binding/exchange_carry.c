/* Attempts that Lua carries out: scripted replies of the testing kit, and wrapped functions. */
#include "base/duration.h"
#include "binding/exchange_methods.h"
#include "binding/headers_table.h"
#include "binding/objects.h"
#include "binding/result_object.h"

/* sent(): the request of the attempt that attention is about. */
static int exchange_sent(lua_State *L)
{
    const struct neap_exchange *exchange = neap_check_exchange(L, 1);
    const struct neap_request *request = &exchange->request;
    lua_createtable(L, 0, 12);
    neap_set_text(L, "method", request->method);
    neap_set_text(L, "url", exchange->url.text);
    neap_set_text(L, "path", exchange->url.path);
    neap_set_text(L, "query", exchange->url.query);
    neap_set_text(L, "client", exchange->client->policy.name);
    neap_push_request_headers(L, request);
    lua_setfield(L, -2, "headers");
    lua_pushinteger(L, (lua_Integer)exchange->effect.attempt);
    lua_setfield(L, -2, "attempt");
    lua_pushinteger(L, (lua_Integer)exchange->waiter.id);
    lua_setfield(L, -2, "call");
    neap_set_seconds(L, "at", neap_loop_now(exchange->client->engine->loop));
    if (request->body) {
        lua_pushlstring(L, request->body, request->body_bytes);
        lua_setfield(L, -2, "body");
    }
    return 1;
}

static void set_message(struct neap_outcome *outcome, const char *message)
{
    snprintf(outcome->message, sizeof outcome->message, "%s", message);
}

/* attempt(): the number of the attempt to carry out. */
static int exchange_attempt(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_check_exchange(L, 1)->effect.attempt);
    return 1;
}

static uint32_t attempt_of(lua_State *L)
{
    return (uint32_t)luaL_checknumber(L, 2);
}

/* deliver(attempt, ok, message): what a wrapped function came to. */
static int exchange_deliver(lua_State *L)
{
    struct neap_outcome outcome = {0};
    if (!lua_toboolean(L, 3)) {
        outcome.kind = NEAP_KIND_ERROR;
        set_message(&outcome, luaL_optstring(L, 4, "the function failed"));
    }
    neap_exchange_deliver(neap_check_exchange(L, 1), attempt_of(L), &outcome, NULL);
    return 0;
}

static int64_t after_of(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? -1 : neap_ns_from_seconds(luaL_checknumber(L, index));
}

static int reply(lua_State *L, struct neap_exchange *exchange, int64_t after_ns,
                 const struct neap_outcome *outcome, struct neap_response *response)
{
    if (neap_exchange_reply(exchange, attempt_of(L), after_ns, outcome, response) != NEAP_OK)
        return neap_raise_memory(L);
    return 0;
}

/* reply_error(attempt, after, kind, phase, unsent, certificate, message) */
static int exchange_reply_error(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    struct neap_outcome outcome = {
        .kind = neap_kind_from_name(luaL_checkstring(L, 4)),
        .phase = neap_phase_from_name(luaL_optstring(L, 5, "")),
        .unsent = lua_toboolean(L, 6),
        .certificate = lua_toboolean(L, 7),
    };
    set_message(&outcome, luaL_checkstring(L, 8));
    return reply(L, exchange, after_of(L, 3), &outcome, NULL);
}

/* Adds the header at the top two slots, which are left. A list is one header for each value. */
static enum neap_status add_scripted_header(lua_State *L, struct neap_response *response)
{
    size_t name_bytes, value_bytes;
    const char *name = lua_tolstring(L, -2, &name_bytes);
    enum neap_status status = NEAP_OK;
    if (!lua_istable(L, -1)) {
        const char *value = lua_tolstring(L, -1, &value_bytes);
        return neap_response_add_header(response, name, name_bytes, value, value_bytes);
    }
    for (size_t i = 1; i <= lua_rawlen(L, -1) && status == NEAP_OK; i++) {
        lua_rawgeti(L, -1, (int)i);
        const char *value = lua_tolstring(L, -1, &value_bytes);
        status = neap_response_add_header(response, name, name_bytes, value, value_bytes);
        lua_pop(L, 1);
    }
    return status;
}

static enum neap_status fill_response(lua_State *L, struct neap_response *response)
{
    size_t body_bytes;
    const char *body = lua_tolstring(L, 6, &body_bytes);
    enum neap_status status = neap_buffer_append(&response->body, body, body_bytes);
    response->status = (int)lua_tonumber(L, 4);
    response->http_version = 11;
    lua_pushnil(L);
    while (status == NEAP_OK && lua_next(L, 5)) {
        status = add_scripted_header(L, response);
        lua_pop(L, 1);
    }
    return status;
}

/* reply(attempt, after, status, headers, body): the kit has checked that names and values are
 * strings. */
static int exchange_reply(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    struct neap_outcome outcome = {.status = (int)luaL_checknumber(L, 4)};
    struct neap_response *response;
    luaL_checktype(L, 5, LUA_TTABLE);
    luaL_checktype(L, 6, LUA_TSTRING);
    int64_t after_ns = after_of(L, 3);
    if (neap_response_new(exchange->client->alloc, &response) != NEAP_OK)
        return neap_raise_memory(L);
    if (fill_response(L, response) != NEAP_OK) {
        neap_response_free(response);
        return neap_raise_memory(L);
    }
    return reply(L, exchange, after_ns < 0 ? 0 : after_ns, &outcome, response);
}

const luaL_Reg neap_exchange_carry[] = {
    {"attempt", exchange_attempt},         {"sent", exchange_sent},
    {"deliver", exchange_deliver},         {"reply", exchange_reply},
    {"reply_error", exchange_reply_error}, {NULL, NULL},
};
