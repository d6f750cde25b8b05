#include "binding/result_object.h"

#include <ctype.h>
#include <string.h>

#include "base/duration.h"
#include "binding/error_object.h"
#include "client/exchange_cache.h"
#include "pipeline/classify.h"

#define RESULT_NAME "neap.result"
#define HEADERS_NAME "neap.headers"

/* Headers of more bytes keep their letter case; nobody sends such a name in earnest. */
#define NAME_BYTES 128

/* Where the registry keeps the metatable of the face's response class. */
static const char response_class;

struct result {
    struct neap_response *response;
    struct neap_trace trace;
};

static int result_collect(lua_State *L)
{
    struct result *result = luaL_checkudata(L, 1, RESULT_NAME);
    neap_response_free(result->response);
    result->response = NULL;
    neap_trace_deinit(&result->trace);
    return 0;
}

static void push_lower(lua_State *L, const char *name, size_t bytes)
{
    char lower[NAME_BYTES];
    if (bytes > sizeof lower) {
        lua_pushlstring(L, name, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lua_pushlstring(L, lower, bytes);
}

/* __index of a headers table, reached where the name is not there as it is written. */
static int headers_index(lua_State *L)
{
    size_t bytes;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tolstring(L, 2, &bytes);
    push_lower(L, name, bytes);
    lua_rawget(L, 1);
    return 1;
}

/* Adds a value under its name to the table on top: a second one makes a list of both. */
static void add_header(lua_State *L, const char *name, size_t name_bytes, const char *value,
                       size_t value_bytes)
{
    push_lower(L, name, name_bytes);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, value, value_bytes);
        lua_rawset(L, -3);
        return;
    }
    if (!lua_istable(L, -1)) {
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    lua_pushlstring(L, value, value_bytes);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_rawset(L, -3);
}

void neap_push_headers(lua_State *L, const struct neap_response *response)
{
    lua_createtable(L, 0, (int)response->header_count);
    luaL_setmetatable(L, HEADERS_NAME);
    for (uint32_t i = 0; i < response->header_count; i++) {
        const struct neap_header_span *span = &response->header[i];
        add_header(L, response->head.data + span->name_at, span->name_bytes,
                   response->head.data + span->value_at, span->value_bytes);
    }
}

void neap_push_request_headers(lua_State *L, const struct neap_request *request)
{
    lua_createtable(L, 0, (int)request->header_count);
    luaL_setmetatable(L, HEADERS_NAME);
    for (size_t i = 0; i < request->header_count; i++)
        add_header(L, request->headers[i].name, strlen(request->headers[i].name),
                   request->headers[i].value, strlen(request->headers[i].value));
}

void neap_push_trace_entry(lua_State *L, const struct neap_trace_entry *entry)
{
    lua_createtable(L, 0, 6);
    neap_set_seconds(L, "at", entry->at_ns);
    neap_set_seconds(L, "elapsed", entry->elapsed_ns);
    neap_set_text(L, "kind", neap_trace_kind_name(entry->kind));
    neap_set_text(L, "error", neap_kind_name(entry->error));
    neap_set_text(L, "phase", neap_phase_name(entry->phase));
    neap_set_text(L, "reason", entry->reason);
    if (entry->chaos) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, "chaos");
    }
    if (entry->not_enforced) {
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "enforced");
    }
    if (entry->status > 0) {
        lua_pushinteger(L, entry->status);
        lua_setfield(L, -2, "status");
    }
}

void neap_push_trace(lua_State *L, const struct neap_trace *trace)
{
    lua_createtable(L, (int)trace->count, 0);
    for (uint32_t i = 0; i < trace->count; i++) {
        neap_push_trace_entry(L, &trace->entry[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* The trace's inline entries move with it. */
static void move_trace(struct neap_trace *from, struct neap_trace *to)
{
    *to = *from;
    if (from->entry == from->inlined)
        to->entry = to->inlined;
    neap_trace_init(from, from->alloc);
}

/* Pushes the userdata that a response table makes its headers and trace from. */
static struct result *push_result(lua_State *L, struct neap_exchange *exchange)
{
    struct result *result = neap_lua_new_userdata(L, sizeof *result);
    result->response = NULL;
    neap_trace_init(&result->trace, exchange->client->alloc);
    luaL_setmetatable(L, RESULT_NAME);
    move_trace(&exchange->call.trace, &result->trace);
    return result;
}

/* The fields that every answer has. */
static void push_common(lua_State *L, struct neap_exchange *exchange, int fields)
{
    const struct neap_call *call = &exchange->call;
    int64_t now_ns = neap_loop_now(exchange->client->engine->loop);
    lua_createtable(L, 0, fields);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &response_class);
    lua_setmetatable(L, -2);
    lua_pushinteger(L, (lua_Integer)call->attempts);
    lua_setfield(L, -2, "attempts");
    neap_set_seconds(L, "elapsed", neap_time_since(now_ns, call->began_ns));
}

void neap_push_bare_result(lua_State *L, struct neap_exchange *exchange)
{
    push_common(L, exchange, 10);
    push_result(L, exchange);
    lua_setfield(L, -2, "_result");
}

static void set_version(lua_State *L, int version)
{
    if (version == 0)
        return;
    lua_pushnumber(L, version / 10.0);
    lua_setfield(L, -2, "http_version");
}

static void set_response_fields(lua_State *L, const struct neap_response *response)
{
    lua_pushinteger(L, response->status);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, response->status >= 200 && response->status < 400);
    lua_setfield(L, -2, "ok");
    lua_pushlstring(L, response->body.bytes > 0 ? response->body.data : "", response->body.bytes);
    lua_setfield(L, -2, "body");
    neap_set_text(L, "reason", response->reason);
    set_version(L, response->http_version);
}

/* An answer that was stored is degraded where it is stale. */
static void set_source(lua_State *L, const struct neap_exchange *exchange)
{
    const struct neap_result *result = &exchange->call.result;
    bool is_stored = result->kind == NEAP_RESULT_STORED;
    enum neap_source source = is_stored ? result->source : NEAP_SOURCE_NETWORK;
    neap_set_text(L, "source", neap_source_name(source));
    lua_pushboolean(L, source == NEAP_SOURCE_STALE);
    lua_setfield(L, -2, "degraded");
    if (is_stored)
        neap_set_seconds(L, "age", neap_exchange_answer_age(exchange));
}

/* Lua has the body; the head is what may be asked for. While others still want the body of the same
 * response, this one's head becomes a copy. */
static enum neap_status take_head(struct neap_exchange *exchange, struct result *result)
{
    struct neap_response *response = exchange->response;
    if (response->others > 0) {
        enum neap_status status = neap_response_copy_head(response, &result->response);
        if (status != NEAP_OK)
            return status;
        neap_response_free(response);
    } else {
        neap_buffer_deinit(&response->body);
        result->response = response;
    }
    exchange->response = NULL;
    return NEAP_OK;
}

void neap_push_response(lua_State *L, struct neap_exchange *exchange, bool whole)
{
    struct neap_response *response = exchange->response;
    const struct neap_call *call = &exchange->call;
    int64_t retry_after_ns = call->state == NEAP_CALL_ASKING ? call->judged.hint.retry_after_ns
                                                             : call->result.retry_after_ns;
    push_common(L, exchange, 15);
    set_response_fields(L, response);
    set_source(L, exchange);
    neap_set_text(L, "url", response->url ? response->url : exchange->url.text);
    if (retry_after_ns >= 0)
        neap_set_seconds(L, "retry_after", retry_after_ns);
    if (whole) {
        neap_push_headers(L, response);
        lua_setfield(L, -2, "headers");
        neap_push_trace(L, &exchange->call.trace);
        lua_setfield(L, -2, "trace");
        return;
    }
    if (take_head(exchange, push_result(L, exchange)) != NEAP_OK)
        neap_raise_memory(L);
    lua_setfield(L, -2, "_result");
}

void neap_push_call_error(lua_State *L, struct neap_exchange *exchange,
                          const struct neap_outcome *outcome, bool with_trace)
{
    const struct neap_call *call = &exchange->call;
    int64_t now_ns = neap_loop_now(exchange->client->engine->loop);
    neap_binding_push_error(
        L, &(struct neap_error_view){
               .kind = outcome->kind,
               .phase = outcome->phase,
               .message = outcome->message,
               .retryable = neap_classify_is_retryable(outcome, exchange->replayable),
               .attempts = call->attempts,
               .elapsed_ns = neap_time_since(now_ns, call->began_ns),
               .retry_after_ns = call->result.retry_after_ns,
               .status = outcome->status,
           });
    if (!with_trace)
        return;
    neap_push_trace(L, &call->trace);
    lua_setfield(L, -2, "trace");
}

/* headers(result), trace(result): tables, made anew at each call. */
static int result_headers(lua_State *L)
{
    const struct result *result = luaL_checkudata(L, 1, RESULT_NAME);
    if (!result->response)
        return 0;
    neap_push_headers(L, result->response);
    return 1;
}

static int result_trace(lua_State *L)
{
    const struct result *result = luaL_checkudata(L, 1, RESULT_NAME);
    neap_push_trace(L, &result->trace);
    return 1;
}

/* headers_table(pairs): a copy of a Lua table of headers that finds its keys in any letter case. */
static int headers_table(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_newtable(L);
    luaL_setmetatable(L, HEADERS_NAME);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        size_t bytes;
        if (lua_type(L, -2) != LUA_TSTRING)
            return luaL_error(L, "headers: expected names as keys, got a %s", luaL_typename(L, -2));
        const char *name = lua_tolstring(L, -2, &bytes);
        push_lower(L, name, bytes);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    return 1;
}

/* is_failing_status(status): does the chain of fallbacks run for such a response? */
static int is_failing_status(lua_State *L)
{
    struct neap_outcome outcome = {.status = (int)luaL_checkinteger(L, 1)};
    lua_pushboolean(L, neap_classify_is_failure(&outcome));
    return 1;
}

/* is_harmless_header(name): may it go to somebody whom the caller has not named? */
static int is_harmless_header(lua_State *L)
{
    lua_pushboolean(L, neap_header_is_harmless(luaL_checkstring(L, 1)));
    return 1;
}

static int set_response_class(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &response_class);
    return 0;
}

void neap_binding_add_result(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"headers", result_headers},
        {"trace", result_trace},
        {NULL, NULL},
    };
    neap_new_metatable(L, RESULT_NAME, methods, result_collect);
    luaL_newmetatable(L, HEADERS_NAME);
    lua_pushcfunction(L, headers_index);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
    lua_pushcfunction(L, headers_table);
    lua_setfield(L, -2, "headers_table");
    lua_pushcfunction(L, is_failing_status);
    lua_setfield(L, -2, "is_failing_status");
    lua_pushcfunction(L, is_harmless_header);
    lua_setfield(L, -2, "is_harmless_header");
    lua_pushcfunction(L, set_response_class);
    lua_setfield(L, -2, "set_response_class");
}
