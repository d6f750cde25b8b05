#include "binding/result_object.h"

#include <string.h>

#include "base/duration.h"
#include "binding/error_object.h"
#include "binding/headers_table.h"
#include "client/exchange_cache.h"
#include "pipeline/classify.h"

static const char result_name[] = "neap.result";

/* Where the registry keeps the metatable of the face's response class, and what errors make their
 * traces from until somebody asks: by the error, which it does not hold. */
static const char response_class, error_traces;

/* What a response table makes its headers and trace from, in one block of Lua's own: nothing is
 * left to be released when it is collected. */
struct result {
    uint32_t entry_count, header_count;
    bool has_head;
    struct neap_trace_entry entry[]; /* then struct neap_header_span[header_count], then the head */
};

static const struct neap_response no_response;

static struct neap_header_span *headers_of(struct result *result)
{
    return (struct neap_header_span *)&result->entry[result->entry_count];
}

static char *head_of(struct result *result)
{
    return (char *)&headers_of(result)[result->header_count];
}

static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
}

/* Pushes it, without its metatable; `response` may be NULL. */
static void push_block(lua_State *L, const struct neap_trace *trace,
                       const struct neap_response *response)
{
    const struct neap_response *from = response ? response : &no_response;
    size_t entry_bytes = trace->count * sizeof *trace->entry;
    size_t header_bytes = from->header_count * sizeof *from->header;
    struct result *result =
        neap_lua_new_userdata(L, sizeof *result + entry_bytes + header_bytes + from->head.bytes);
    result->entry_count = trace->count;
    result->header_count = from->header_count;
    result->has_head = response != NULL;
    copy(result->entry, trace->entry, entry_bytes);
    copy(headers_of(result), from->header, header_bytes);
    copy(head_of(result), from->head.data, from->head.bytes);
}

static void push_result(lua_State *L, const struct neap_trace *trace,
                        const struct neap_response *response)
{
    push_block(L, trace, response);
    neap_set_class(L, result_name);
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

static void push_entries(lua_State *L, const struct neap_trace_entry *entry, uint32_t count)
{
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        neap_push_trace_entry(L, &entry[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

void neap_push_trace(lua_State *L, const struct neap_trace *trace)
{
    push_entries(L, trace->entry, trace->count);
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
    push_result(L, &exchange->call.trace, NULL);
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
    neap_set_text(L, "reason", response->reason.data);
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

static void push_headers_of(lua_State *L, const struct neap_response *response)
{
    neap_push_headers(L, &(struct neap_header_block){.header = response->header,
                                                     .count = response->header_count,
                                                     .bytes = response->head.data});
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
        push_headers_of(L, response);
        lua_setfield(L, -2, "headers");
        neap_push_trace(L, &exchange->call.trace);
        lua_setfield(L, -2, "trace");
        return;
    }
    push_result(L, &exchange->call.trace, response);
    lua_setfield(L, -2, "_result");
}

static struct neap_error_view view_of(const struct neap_call *call,
                                      const struct neap_outcome *outcome, int64_t now_ns)
{
    return (struct neap_error_view){
        .kind = outcome->kind,
        .phase = outcome->phase,
        .message = outcome->message,
        .retryable = neap_classify_is_retryable(outcome, call->setup.replayable),
        .attempts = call->attempts,
        .elapsed_ns = neap_time_since(now_ns, call->began_ns),
        .retry_after_ns = call->result.retry_after_ns,
        .status = outcome->status,
    };
}

/* Of the error on top. Most are never asked for their trace, and its tables would cost more than
 * the rest of the error. */
static void keep_error_trace(lua_State *L, const struct neap_trace *trace)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &error_traces);
    lua_pushvalue(L, -2);
    push_block(L, trace, NULL);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void neap_push_error_of_call(lua_State *L, const struct neap_call *call, int64_t now_ns, int cause)
{
    const struct neap_error_view view = view_of(call, &call->result.outcome, now_ns);
    neap_binding_push_failure(L, &view, now_ns, cause);
    keep_error_trace(L, &call->trace);
}

void neap_push_call_error(lua_State *L, struct neap_exchange *exchange,
                          const struct neap_outcome *outcome, bool with_trace)
{
    const struct neap_call *call = &exchange->call;
    int64_t now_ns = neap_loop_now(exchange->client->engine->loop);
    const struct neap_error_view view = view_of(call, outcome, now_ns);
    neap_binding_push_error(L, &view);
    neap_set_seconds(L, "at", now_ns);
    if (!with_trace)
        return;
    keep_error_trace(L, &call->trace);
}

/* error_trace(err): the list that the core has for this error; nil where it has none, or has given
 * it already. */
static int error_trace(lua_State *L)
{
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &error_traces);
    lua_pushvalue(L, 1);
    lua_rawget(L, 2);
    const struct result *result = lua_touserdata(L, 3);
    if (!result)
        return 0;
    push_entries(L, result->entry, result->entry_count);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    lua_rawset(L, 2);
    return 1;
}

/* headers(result), trace(result): tables, made anew at each call. */
static int result_headers(lua_State *L)
{
    struct result *result = neap_check_object(L, 1, result_name);
    if (!result->has_head)
        return 0;
    neap_push_headers(L, &(struct neap_header_block){.header = headers_of(result),
                                                     .count = result->header_count,
                                                     .bytes = head_of(result)});
    return 1;
}

static int result_trace(lua_State *L)
{
    const struct result *result = neap_check_object(L, 1, result_name);
    push_entries(L, result->entry, result->entry_count);
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

static void add_error_traces(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &error_traces);
    lua_pushcfunction(L, error_trace);
    lua_setfield(L, -2, "error_trace");
}

void neap_binding_add_result(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"headers", result_headers},
        {"trace", result_trace},
        {NULL, NULL},
    };
    neap_new_metatable(L, result_name, methods, NULL);
    lua_pop(L, 1);
    lua_pushcfunction(L, is_failing_status);
    lua_setfield(L, -2, "is_failing_status");
    lua_pushcfunction(L, is_harmless_header);
    lua_setfield(L, -2, "is_harmless_header");
    lua_pushcfunction(L, set_response_class);
    lua_setfield(L, -2, "set_response_class");
    add_error_traces(L);
}
