/* What listeners are told about a call. */
#include "base/duration.h"
#include "binding/exchange_methods.h"
#include "binding/objects.h"
#include "binding/result_object.h"

static void push_done(lua_State *L, const struct neap_notice *notice)
{
    neap_push_trace_entry(L, &notice->entry);
    lua_pushnil(L);
    lua_setfield(L, -2, "kind");
    lua_pushboolean(L, notice->ok);
    lua_setfield(L, -2, "ok");
    if (notice->entry.error == NEAP_KIND_NONE)
        neap_set_text(L, "source", neap_source_name(notice->source));
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

/* Which of a client's breakers it is, where it has one for each key. */
static void set_breaker_key(lua_State *L, const struct neap_exchange *exchange)
{
    const struct neap_text *key = &exchange->breaker_key;
    if (!exchange->breaker || !key->text)
        return;
    lua_pushlstring(L, key->text, key->bytes);
    lua_setfield(L, -2, "key");
}

static void push_notice(lua_State *L, const struct neap_exchange *exchange,
                        const struct neap_notice *notice)
{
    static const char *const names[NEAP_NOTICE_COUNT] = {
        [NEAP_NOTICE_ATTEMPT] = "attempt",   [NEAP_NOTICE_RETRY] = "retry",
        [NEAP_NOTICE_REJECT] = "reject",     [NEAP_NOTICE_BREAKER] = "breaker",
        [NEAP_NOTICE_FALLBACK] = "fallback", [NEAP_NOTICE_DONE] = "done",
    };
    push_entry(L, notice);
    neap_set_text(L, "event", names[notice->kind]);
    neap_set_seconds(L, "at", notice->at_ns);
    lua_pushinteger(L, (lua_Integer)notice->attempt);
    lua_setfield(L, -2, notice->kind == NEAP_NOTICE_ATTEMPT ? "attempt" : "attempts");
    if (notice->kind == NEAP_NOTICE_RETRY) {
        lua_pushnumber(L, notice->delay_s);
        lua_setfield(L, -2, "delay");
    }
    if (notice->kind == NEAP_NOTICE_BREAKER) {
        neap_set_text(L, "from", neap_breaker_state_name(notice->breaker.from));
        neap_set_text(L, "to", neap_breaker_state_name(notice->breaker.to));
        lua_pushboolean(L, notice->breaker.would_open);
        lua_setfield(L, -2, "would_open");
        set_breaker_key(L, exchange);
    }
}

/* notices(): a list of what listeners are to be told. */
static int exchange_notices(lua_State *L)
{
    const struct neap_exchange *exchange = neap_check_exchange(L, 1);
    const struct neap_call *call = &exchange->call;
    lua_createtable(L, (int)call->notice_count, 0);
    for (uint32_t i = 0; i < call->notice_count; i++) {
        push_notice(L, exchange, &call->notice[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int exchange_resume(lua_State *L)
{
    neap_exchange_resume(neap_check_exchange(L, 1));
    return 0;
}

const luaL_Reg neap_exchange_notices[] = {
    {"notices", exchange_notices},
    {"resume", exchange_resume},
    {NULL, NULL},
};
