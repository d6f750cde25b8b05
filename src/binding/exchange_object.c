/* One call for Lua: the face drives it from question to question, see client/exchange.h. */
#include "base/duration.h"
#include "binding/objects.h"
#include "binding/request_reader.h"
#include "binding/result_object.h"
#include "platform/memory.h"

#include <stdio.h>
#include <string.h>

#define EXCHANGE_NAME "neap.exchange"

static const char *const attention_names[] = {
    [NEAP_ATTENTION_ATTEMPT] = "attempt",   [NEAP_ATTENTION_ASK] = "ask",
    [NEAP_ATTENTION_FALLBACK] = "fallback", [NEAP_ATTENTION_NOTICE] = "notice",
    [NEAP_ATTENTION_DONE] = "done",
};

static const char *const question_names[] = {
    [NEAP_ASK_FAILURE] = "failure",
    [NEAP_ASK_REFRESH] = "refresh",
    [NEAP_ASK_WHEN] = "when",
    [NEAP_ASK_BACKOFF] = "backoff",
};

struct neap_exchange_object *neap_exchange_object(lua_State *L, int index)
{
    return luaL_checkudata(L, index, EXCHANGE_NAME);
}

struct neap_exchange *neap_check_exchange(lua_State *L, int index)
{
    struct neap_exchange_object *object = neap_exchange_object(L, index);
    luaL_argcheck(L, object->exchange, index, "the call has ended");
    return object->exchange;
}

static struct neap_exchange_object *push_exchange(lua_State *L)
{
    struct neap_exchange_object *object = neap_lua_new_userdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    neap_buffer_init(&object->scratch, neap_platform_alloc());
    luaL_setmetatable(L, EXCHANGE_NAME);
    return object;
}

static int exchange_free(lua_State *L)
{
    struct neap_exchange_object *object = neap_exchange_object(L, 1);
    struct neap_exchange *exchange = object->exchange;
    object->exchange = NULL;
    neap_exchange_free(exchange);
    if (object->url.alloc)
        neap_url_deinit(&object->url);
    memset(&object->url, 0, sizeof object->url);
    neap_buffer_deinit(&object->scratch);
    return 0;
}

/* The table on top keeps what the exchange does not copy, and its client. */
static void keep(lua_State *L, int object_index, int keeper, int client_index)
{
    lua_pushvalue(L, client_index);
    lua_setfield(L, keeper, "client");
    lua_pushvalue(L, keeper);
    neap_lua_set_user_table(L, object_index);
}

/* exchange(client, method, path, request, extras): a call that has not begun, or nil and what is
 * wrong with the request. */
static int exchange_new(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    struct neap_draft draft;
    lua_settop(L, 5);
    struct neap_request_source source = {
        .request = 4, .method = lua_tostring(L, 2), .path = lua_tostring(L, 3), .extras = 5};
    struct neap_exchange_object *object = push_exchange(L);
    lua_newtable(L);
    if (!neap_read_request(L, &source, client, object, 7, &draft)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    draft.url = object->url;
    memset(&object->url, 0, sizeof object->url);
    if (neap_exchange_new(client, &draft, &object->exchange) != NEAP_OK)
        return neap_raise_memory(L);
    neap_buffer_deinit(&object->scratch);
    keep(L, 6, 7, 1);
    lua_settop(L, 6);
    return 1;
}

/* function_exchange(client, breaker_key): a call whose attempts are calls of a Lua function. */
static int exchange_new_function(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    struct neap_draft draft = {
        .method = "", .deadline_ns = NEAP_NEVER, .timeout = client->policy.pipeline.timeout};
    lua_settop(L, 2);
    draft.breaker_key = lua_tolstring(L, 2, &draft.breaker_key_bytes);
    struct neap_exchange_object *object = push_exchange(L);
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

static int exchange_begin(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    neap_exchange_begin(exchange);
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

static int exchange_cancel(lua_State *L)
{
    neap_exchange_cancel(neap_check_exchange(L, 1));
    return 0;
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

static void set_field_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* question(): its name, the number of the retry that a backoff is for, and the outcome. */
static int exchange_question(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    const struct neap_attempt *judged = &exchange->call.judged;
    int64_t elapsed_ns = neap_time_since(judged->ended_ns, judged->started_ns);
    lua_pushstring(L, question_names[exchange->effect.question]);
    lua_pushinteger(L, (lua_Integer)exchange->effect.retry);
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, (lua_Integer)judged->number);
    lua_setfield(L, -2, "attempt");
    set_field_text(L, "method", exchange->request.method);
    lua_pushnumber(L, neap_seconds_from_ns(elapsed_ns));
    lua_setfield(L, -2, "elapsed");
    if (judged->outcome.kind != NEAP_KIND_NONE) {
        neap_push_call_error(L, exchange, &judged->outcome, false);
        lua_setfield(L, -2, "error");
        set_field_text(L, "kind", neap_kind_name(judged->outcome.kind));
        return 3;
    }
    lua_pushinteger(L, judged->outcome.status);
    lua_setfield(L, -2, "status");
    if (exchange->response) {
        neap_push_response(L, exchange, true);
        lua_setfield(L, -2, "response");
    }
    return 3;
}

static int answer_when(lua_State *L)
{
    struct neap_answer answer = {0};
    if (!lua_isnoneornil(L, 2))
        answer.when = lua_toboolean(L, 2) ? NEAP_OPINION_YES : NEAP_OPINION_NO;
    neap_exchange_answer(neap_check_exchange(L, 1), &answer);
    return 0;
}

static int answer_failure(lua_State *L)
{
    static const char *const verdicts[] = {"success", "failure", "ignore", NULL};
    struct neap_answer answer = {.has_verdict = !lua_isnoneornil(L, 2)};
    if (answer.has_verdict)
        answer.verdict = (enum neap_verdict)luaL_checkoption(L, 2, NULL, verdicts);
    neap_exchange_answer(neap_check_exchange(L, 1), &answer);
    return 0;
}

static int answer_backoff(lua_State *L)
{
    struct neap_answer answer = {.delay_s = luaL_checknumber(L, 2)};
    neap_exchange_answer(neap_check_exchange(L, 1), &answer);
    return 0;
}

/* set_header(name, value): false where it could not be sent safely. */
static int exchange_set_header(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    size_t name_bytes, value_bytes;
    const char *name = luaL_checklstring(L, 2, &name_bytes);
    const char *value = luaL_checklstring(L, 3, &value_bytes);
    bool safe = neap_header_is_safe(name, name_bytes, value, value_bytes);
    if (safe && neap_exchange_set_header(exchange, name, value) != NEAP_OK)
        return neap_raise_memory(L);
    lua_pushboolean(L, safe);
    return 1;
}

static int answer_refresh(lua_State *L)
{
    struct neap_answer answer = {.refreshed = lua_toboolean(L, 2)};
    neap_exchange_answer(neap_check_exchange(L, 1), &answer);
    return 0;
}

/* The index of the fallback to run, from 1. */
static int exchange_fallback(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_check_exchange(L, 1)->effect.fallback + 1);
    return 1;
}

/* answer_fallback(source, answered, ok, status, error kind) */
static int answer_fallback(lua_State *L)
{
    static const char *const sources[] = {"network", "cache",    "stale", "service",
                                          "default", "function", "queue", NULL};
    struct neap_answer answer = {
        .source = (enum neap_source)luaL_checkoption(L, 2, NULL, sources),
        .answered = lua_toboolean(L, 3),
        .ok = lua_toboolean(L, 4),
        .status = (int)luaL_optnumber(L, 5, 0),
        .error = neap_kind_from_name(luaL_optstring(L, 6, "")),
    };
    neap_exchange_answer(neap_check_exchange(L, 1), &answer);
    return 0;
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

/* finish(): "response", res · "value" · "error", err · "fallback", a table for the answer. The call
 * is over and its memory free afterwards. */
static int exchange_finish(lua_State *L)
{
    static const char *const names[] = {
        [NEAP_RESULT_RESPONSE] = "response",
        [NEAP_RESULT_ERROR] = "error",
        [NEAP_RESULT_FALLBACK] = "fallback",
    };
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    const struct neap_result *result = &exchange->call.result;
    lua_pushstring(L, names[result->kind]);
    switch (result->kind) {
    case NEAP_RESULT_RESPONSE:
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
    exchange_free(L);
    return 2;
}

static void push_done(lua_State *L, const struct neap_notice *notice)
{
    neap_push_trace_entry(L, &notice->entry);
    lua_pushnil(L);
    lua_setfield(L, -2, "kind");
    lua_pushboolean(L, notice->ok);
    lua_setfield(L, -2, "ok");
    if (notice->entry.error == NEAP_KIND_NONE)
        set_field_text(L, "source", neap_source_name(notice->source));
}

static void push_entry(lua_State *L, const struct neap_notice *notice)
{
    if (notice->kind == NEAP_NOTICE_BREAKER)
        lua_newtable(L);
    else if (notice->kind == NEAP_NOTICE_DONE)
        push_done(L, notice);
    else
        neap_push_trace_entry(L, &notice->entry);
}

static void push_notice(lua_State *L, const struct neap_notice *notice)
{
    static const char *const names[NEAP_NOTICE_COUNT] = {
        [NEAP_NOTICE_ATTEMPT] = "attempt",   [NEAP_NOTICE_RETRY] = "retry",
        [NEAP_NOTICE_REJECT] = "reject",     [NEAP_NOTICE_BREAKER] = "breaker",
        [NEAP_NOTICE_FALLBACK] = "fallback", [NEAP_NOTICE_DONE] = "done",
    };
    push_entry(L, notice);
    set_field_text(L, "event", names[notice->kind]);
    lua_pushnumber(L, neap_seconds_from_ns(notice->at_ns));
    lua_setfield(L, -2, "at");
    lua_pushinteger(L, (lua_Integer)notice->attempt);
    lua_setfield(L, -2, notice->kind == NEAP_NOTICE_ATTEMPT ? "attempt" : "attempts");
    if (notice->kind == NEAP_NOTICE_RETRY) {
        lua_pushnumber(L, notice->delay_s);
        lua_setfield(L, -2, "delay");
    }
    if (notice->kind == NEAP_NOTICE_BREAKER) {
        set_field_text(L, "from", neap_breaker_state_name(notice->breaker.from));
        set_field_text(L, "to", neap_breaker_state_name(notice->breaker.to));
        lua_pushboolean(L, notice->breaker.would_open);
        lua_setfield(L, -2, "would_open");
    }
}

/* notices(): a list of what listeners are to be told. */
static int exchange_notices(lua_State *L)
{
    const struct neap_call *call = &neap_check_exchange(L, 1)->call;
    lua_createtable(L, (int)call->notice_count, 0);
    for (uint32_t i = 0; i < call->notice_count; i++) {
        push_notice(L, &call->notice[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int exchange_resume(lua_State *L)
{
    neap_exchange_resume(neap_check_exchange(L, 1));
    return 0;
}

/* sent(): the request of the attempt that attention is about. */
static int exchange_sent(lua_State *L)
{
    const struct neap_exchange *exchange = neap_check_exchange(L, 1);
    const struct neap_request *request = &exchange->request;
    lua_createtable(L, 0, 12);
    set_field_text(L, "method", request->method);
    set_field_text(L, "url", exchange->url.text);
    set_field_text(L, "path", exchange->url.path);
    set_field_text(L, "query", exchange->url.query);
    set_field_text(L, "client", exchange->client->policy.name);
    neap_push_request_headers(L, request);
    lua_setfield(L, -2, "headers");
    lua_pushinteger(L, (lua_Integer)exchange->effect.attempt);
    lua_setfield(L, -2, "attempt");
    lua_pushinteger(L, (lua_Integer)exchange->waiter.id);
    lua_setfield(L, -2, "call");
    lua_pushnumber(L, neap_seconds_from_ns(neap_loop_now(exchange->client->engine->loop)));
    lua_setfield(L, -2, "at");
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

/* deliver(ok, message): what a wrapped function came to. */
static int exchange_deliver(lua_State *L)
{
    struct neap_outcome outcome = {0};
    if (!lua_toboolean(L, 2)) {
        outcome.kind = NEAP_KIND_ERROR;
        set_message(&outcome, luaL_optstring(L, 3, "the function failed"));
    }
    neap_exchange_deliver(neap_check_exchange(L, 1), &outcome, NULL);
    return 0;
}

static int64_t after_of(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? -1 : neap_ns_from_seconds(luaL_checknumber(L, index));
}

static int reply(lua_State *L, struct neap_exchange *exchange, int64_t after_ns,
                 const struct neap_outcome *outcome, struct neap_response *response)
{
    if (neap_exchange_reply(exchange, after_ns, outcome, response) != NEAP_OK)
        return neap_raise_memory(L);
    return 0;
}

/* reply_error(after, kind, phase, unsent, certificate, message) */
static int exchange_reply_error(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    struct neap_outcome outcome = {
        .kind = neap_kind_from_name(luaL_checkstring(L, 3)),
        .phase = neap_phase_from_name(luaL_optstring(L, 4, "")),
        .unsent = lua_toboolean(L, 5),
        .certificate = lua_toboolean(L, 6),
    };
    set_message(&outcome, luaL_checkstring(L, 7));
    return reply(L, exchange, after_of(L, 2), &outcome, NULL);
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
    const char *body = lua_tolstring(L, 5, &body_bytes);
    enum neap_status status = neap_buffer_append(&response->body, body, body_bytes);
    response->status = (int)lua_tonumber(L, 3);
    response->http_version = 11;
    lua_pushnil(L);
    while (status == NEAP_OK && lua_next(L, 4)) {
        status = add_scripted_header(L, response);
        lua_pop(L, 1);
    }
    return status;
}

/* reply(after, status, headers, body): the kit has checked that names and values are strings. */
static int exchange_reply(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    struct neap_outcome outcome = {.status = (int)luaL_checknumber(L, 3)};
    struct neap_response *response;
    luaL_checktype(L, 4, LUA_TTABLE);
    luaL_checktype(L, 5, LUA_TSTRING);
    int64_t after_ns = after_of(L, 2);
    if (neap_response_new(exchange->client->alloc, &response) != NEAP_OK)
        return neap_raise_memory(L);
    if (fill_response(L, response) != NEAP_OK) {
        neap_response_free(response);
        return neap_raise_memory(L);
    }
    return reply(L, exchange, after_ns < 0 ? 0 : after_ns, &outcome, response);
}

void neap_binding_add_exchange(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"id", exchange_id},
        {"begin", exchange_begin},
        {"attention", exchange_attention},
        {"run", exchange_run},
        {"cancel", exchange_cancel},
        {"free", exchange_free},
        {"idempotency_key", exchange_key},
        {"deadline", exchange_deadline},
        {"question", exchange_question},
        {"answer_when", answer_when},
        {"answer_failure", answer_failure},
        {"answer_backoff", answer_backoff},
        {"set_header", exchange_set_header},
        {"answer_refresh", answer_refresh},
        {"fallback", exchange_fallback},
        {"answer_fallback", answer_fallback},
        {"failure", exchange_failure},
        {"finish", exchange_finish},
        {"notices", exchange_notices},
        {"resume", exchange_resume},
        {"sent", exchange_sent},
        {"deliver", exchange_deliver},
        {"reply", exchange_reply},
        {"reply_error", exchange_reply_error},
        {NULL, NULL},
    };
    neap_new_metatable(L, EXCHANGE_NAME, methods, exchange_free);
    lua_pop(L, 1);
    lua_pushcfunction(L, exchange_new);
    lua_setfield(L, -2, "exchange");
    lua_pushcfunction(L, exchange_new_function);
    lua_setfield(L, -2, "function_exchange");
}
