/* What Lua is asked while a call is under way, and what it answers. */
#include "base/duration.h"
#include "binding/exchange_methods.h"
#include "binding/objects.h"
#include "binding/pair_list.h"
#include "binding/result_object.h"

static const char *const question_names[] = {
    [NEAP_ASK_FAILURE] = "failure",
    [NEAP_ASK_REFRESH] = "refresh",
    [NEAP_ASK_WHEN] = "when",
    [NEAP_ASK_BACKOFF] = "backoff",
};

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
    neap_set_text(L, "method", exchange->request.method);
    neap_set_seconds(L, "elapsed", elapsed_ns);
    if (judged->outcome.kind != NEAP_KIND_NONE) {
        neap_push_call_error(L, exchange, &judged->outcome, false);
        lua_setfield(L, -2, "error");
        neap_set_text(L, "kind", neap_kind_name(judged->outcome.kind));
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

/* set_header(name, value): a text or a number; false where it could not be sent safely. */
static int exchange_set_header(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    size_t name_bytes, value_bytes;
    const char *name = luaL_checklstring(L, 2, &name_bytes);
    char number[NEAP_NUMBER_BYTES];
    if (lua_type(L, 3) == LUA_TNUMBER) {
        if (!neap_write_number(L, 3, number))
            return 0;
        lua_pushstring(L, number);
        lua_replace(L, 3);
    }
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

const luaL_Reg neap_exchange_questions[] = {
    {"question", exchange_question},      {"answer_when", answer_when},
    {"answer_failure", answer_failure},   {"answer_backoff", answer_backoff},
    {"set_header", exchange_set_header},  {"answer_refresh", answer_refresh},
    {"answer_fallback", answer_fallback}, {NULL, NULL},
};
