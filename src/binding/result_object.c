#include "binding/result_object.h"

#include <string.h>

#include "base/duration.h"
#include "binding/error_object.h"
#include "binding/error_trace.h"
#include "binding/headers_table.h"
#include "client/exchange_cache.h"
#include "pipeline/classify.h"

static const char result_name[] = "neap.result";

/* Where the registry keeps the metatable of the face's response class. */
static const char response_class;

/* What a response table makes the rest of its fields from, in one block of Lua's own: nothing is
 * left to be released when it is collected. */
struct result {
    uint32_t entry_count, header_count;
    uint32_t head_bytes, url_bytes, reason_bytes; /* 0: none */
    uint32_t attempts;
    int64_t elapsed_ns;
    int64_t retry_after_ns, age_ns; /* below 0: none */
    int http_version;
    enum neap_source source;
    bool is_response, is_filled;
    struct neap_trace_entry entry[]; /* then struct neap_header_span[header_count], then the head,
                                        the URL and the reason */
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

static char *copy(char *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
    return to + bytes;
}

/* Pushes it with what it has of trace and response, which may be NULL, and a URL. */
static struct result *push_result(lua_State *L, const struct neap_trace *trace,
                                  const struct neap_response *response, const char *url)
{
    const struct neap_response *from = response ? response : &no_response;
    size_t entry_bytes = trace->count * sizeof *trace->entry;
    size_t header_bytes = from->header_count * sizeof *from->header;
    const char *address = url ? url : "";
    size_t url_bytes = strlen(address);
    struct result *result =
        neap_lua_new_userdata(L, sizeof *result + entry_bytes + header_bytes + from->head.bytes +
                                     url_bytes + from->reason.bytes);
    *result = (struct result){.entry_count = trace->count,
                              .header_count = from->header_count,
                              .head_bytes = (uint32_t)from->head.bytes,
                              .url_bytes = (uint32_t)url_bytes,
                              .reason_bytes = (uint32_t)from->reason.bytes,
                              .http_version = from->http_version,
                              .is_response = response != NULL};
    char *end = copy((char *)result->entry, trace->entry, entry_bytes);
    end = copy(end, from->header, header_bytes);
    end = copy(end, from->head.data, from->head.bytes);
    end = copy(end, address, url_bytes);
    copy(end, from->reason.data, from->reason.bytes);
    neap_set_class(L, result_name);
    return result;
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

void neap_push_trace(lua_State *L, const struct neap_trace_entry *entry, uint32_t count)
{
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        neap_push_trace_entry(L, &entry[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* Pushes a table of the face's class. */
static void push_class(lua_State *L, int fields)
{
    lua_createtable(L, 0, fields);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &response_class);
    lua_setmetatable(L, -2);
}

static int64_t elapsed_of(const struct neap_exchange *exchange)
{
    return neap_time_since(neap_loop_now(exchange->client->engine->loop), exchange->call.began_ns);
}

void neap_push_bare_result(lua_State *L, struct neap_exchange *exchange)
{
    push_class(L, 10);
    neap_set_count(L, "attempts", exchange->call.attempts);
    neap_set_seconds(L, "elapsed", elapsed_of(exchange));
    push_result(L, &exchange->call.trace, NULL, NULL);
    lua_setfield(L, -2, "_result");
}

static int64_t retry_after_of(const struct neap_call *call)
{
    return call->state == NEAP_CALL_ASKING ? call->judged.hint.retry_after_ns
                                           : call->result.retry_after_ns;
}

/* Pushes what the rest of a response's fields are made from. */
static void push_rest(lua_State *L, struct neap_exchange *exchange)
{
    const struct neap_response *response = exchange->response;
    const struct neap_call *call = &exchange->call;
    bool is_stored = call->result.kind == NEAP_RESULT_STORED;
    struct result *result =
        push_result(L, &call->trace, response, response->url ? response->url : exchange->url.text);
    result->attempts = call->attempts;
    result->elapsed_ns = elapsed_of(exchange);
    result->retry_after_ns = retry_after_of(call);
    result->age_ns = is_stored ? neap_exchange_answer_age(exchange) : -1;
    result->source = is_stored ? call->result.source : NEAP_SOURCE_NETWORK;
}

static void set_first_fields(lua_State *L, const struct neap_response *response)
{
    lua_pushinteger(L, response->status);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, response->status >= 200 && response->status < 400);
    lua_setfield(L, -2, "ok");
    lua_pushlstring(L, response->body.bytes > 0 ? response->body.data : "", response->body.bytes);
    lua_setfield(L, -2, "body");
}

static void fill_text(lua_State *L, int table, const char *name, const char *text, size_t bytes)
{
    if (bytes == 0)
        return;
    lua_pushlstring(L, text, bytes);
    neap_set_missing(L, table, name);
}

static void fill_seconds(lua_State *L, int table, const char *name, int64_t ns)
{
    if (ns < 0)
        return;
    lua_pushnumber(L, neap_seconds_from_ns(ns));
    neap_set_missing(L, table, name);
}

/* An answer that was stored is degraded where it is stale. */
static void fill(lua_State *L, struct result *result, int table)
{
    const char *url = head_of(result) + result->head_bytes;
    const char *source = neap_source_name(result->source);
    lua_pushinteger(L, (lua_Integer)result->attempts);
    neap_set_missing(L, table, "attempts");
    lua_pushboolean(L, result->source == NEAP_SOURCE_STALE);
    neap_set_missing(L, table, "degraded");
    fill_text(L, table, "source", source, strlen(source));
    fill_text(L, table, "url", url, result->url_bytes);
    fill_text(L, table, "reason", url + result->url_bytes, result->reason_bytes);
    fill_seconds(L, table, "elapsed", result->elapsed_ns);
    fill_seconds(L, table, "age", result->age_ns);
    fill_seconds(L, table, "retry_after", result->retry_after_ns);
    if (result->http_version == 0)
        return;
    lua_pushnumber(L, result->http_version / 10.0);
    neap_set_missing(L, table, "http_version");
}

static void push_headers_of(lua_State *L, struct result *result)
{
    neap_push_headers(L, &(struct neap_header_block){.header = headers_of(result),
                                                     .count = result->header_count,
                                                     .bytes = head_of(result)});
}

/* The rest of the fields of the table below what they are made from, which is popped. */
static void fill_wholly(lua_State *L)
{
    struct result *result = lua_touserdata(L, -1);
    int table = lua_gettop(L) - 1;
    fill(L, result, table);
    push_headers_of(L, result);
    lua_setfield(L, table, "headers");
    neap_push_trace(L, result->entry, result->entry_count);
    lua_setfield(L, table, "trace");
    lua_pop(L, 1);
}

void neap_push_response(lua_State *L, struct neap_exchange *exchange, bool whole)
{
    push_class(L, whole ? 15 : 4);
    set_first_fields(L, exchange->response);
    push_rest(L, exchange);
    if (whole)
        fill_wholly(L);
    else
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

/* Of the error on top. */
static void keep_trace(lua_State *L, const struct neap_trace *trace)
{
    neap_push_error_traces(L);
    lua_insert(L, -2);
    neap_keep_error_trace(L, -2, trace->entry, trace->count);
    lua_remove(L, -2);
}

void neap_push_error_of_call(lua_State *L, const struct neap_call *call, int64_t now_ns, int cause)
{
    const struct neap_error_view view = view_of(call, &call->result.outcome, now_ns);
    cause = lua_absindex(L, cause);
    neap_binding_push_error(L, &view);
    neap_set_seconds(L, "at", now_ns);
    lua_pushvalue(L, cause);
    lua_setfield(L, -2, "cause");
    keep_trace(L, &call->trace);
}

void neap_push_call_error(lua_State *L, struct neap_exchange *exchange,
                          const struct neap_outcome *outcome, bool with_trace)
{
    const struct neap_call *call = &exchange->call;
    int64_t now_ns = neap_loop_now(exchange->client->engine->loop);
    const struct neap_error_view view = view_of(call, outcome, now_ns);
    neap_binding_push_error(L, &view);
    neap_set_seconds(L, "at", now_ns);
    if (with_trace)
        keep_trace(L, &call->trace);
}

/* headers(result), trace(result): tables, made anew at each call. */
static int result_headers(lua_State *L)
{
    struct result *result = neap_check_object(L, 1, result_name);
    if (!result->is_response)
        return 0;
    push_headers_of(L, result);
    return 1;
}

/* fill(result, res): the other fields of a response, where they are not there; the first time. */
static int result_fill(lua_State *L)
{
    struct result *result = neap_check_object(L, 1, result_name);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    if (result->is_response && !result->is_filled)
        fill(L, result, 2);
    result->is_filled = true;
    return 0;
}

static int result_trace(lua_State *L)
{
    const struct result *result = neap_check_object(L, 1, result_name);
    neap_push_trace(L, result->entry, result->entry_count);
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
        {"fill", result_fill},
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
}
