/* What listeners are told about a call, and `trace` before each of its attempts. */
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "binding/exchange_methods.h"
#include "binding/objects.h"
#include "binding/result_object.h"

/* Both clocks of a moment: a field of seconds of neap.now(), and one of seconds since 1970. */
static void set_moment(lua_State *L, const struct neap_exchange *exchange, const char *name,
                       const char *wall_name, int64_t at_ns)
{
    const struct neap_loop *loop = exchange->client->engine->loop;
    int64_t age_ns = neap_time_since(neap_loop_now(loop), at_ns);
    neap_set_seconds(L, name, at_ns);
    neap_set_seconds(L, wall_name, neap_loop_wall(loop) - age_ns);
}

static void push_done(lua_State *L, const struct neap_exchange *exchange,
                      const struct neap_notice *notice)
{
    neap_push_trace_entry(L, &notice->entry);
    lua_pushnil(L);
    lua_setfield(L, -2, "kind");
    lua_pushboolean(L, notice->ok);
    lua_setfield(L, -2, "ok");
    if (notice->entry.error == NEAP_KIND_NONE)
        neap_set_text(L, "source", neap_source_name(notice->source));
    lua_pushboolean(L, exchange->call.coalesced);
    lua_setfield(L, -2, "coalesced");
    neap_push_trace(L, exchange->call.trace.entry, exchange->call.trace.count);
    lua_setfield(L, -2, "trace");
}

static void push_entry(lua_State *L, const struct neap_exchange *exchange,
                       const struct neap_notice *notice)
{
    if (notice->kind == NEAP_NOTICE_BREAKER)
        lua_newtable(L);
    else if (notice->kind == NEAP_NOTICE_DONE)
        push_done(L, exchange, notice);
    else
        neap_push_trace_entry(L, &notice->entry);
}

/* Of what has lasted, when it began. */
static void set_beginning(lua_State *L, const struct neap_exchange *exchange,
                          const struct neap_notice *notice)
{
    bool lasted = notice->kind == NEAP_NOTICE_ATTEMPT || notice->kind == NEAP_NOTICE_FALLBACK ||
                  notice->kind == NEAP_NOTICE_DONE;
    if (lasted)
        set_moment(L, exchange, "began", "began_time", notice->at_ns - notice->entry.elapsed_ns);
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
    push_entry(L, exchange, notice);
    neap_set_text(L, "event", names[notice->kind]);
    set_moment(L, exchange, "at", "time", notice->at_ns);
    set_beginning(L, exchange, notice);
    neap_set_text(L, "traceparent",
                  neap_header_find(exchange->header, exchange->header_count, "traceparent"));
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
        push_notice(L, exchange, &call->setup.notice[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static void set_url(lua_State *L, const struct neap_url *url)
{
    const char *address = strstr(url->origin, "://") + 3;
    const char *port = strrchr(address, ':');
    bool is_bracketed = address[0] == '[';
    lua_pushlstring(L, url->text, strcspn(url->text, "?"));
    lua_setfield(L, -2, "url");
    lua_pushlstring(L, address + is_bracketed, (size_t)(port - address) - 2 * is_bracketed);
    lua_setfield(L, -2, "host");
    lua_pushinteger(L, strtol(port + 1, NULL, 10));
    lua_setfield(L, -2, "port");
}

/* about(): what each event of the call says: its number, and of a request method, URL and server.
 * Nothing of it is secret: the URL has neither its query nor, ever, a password. */
static int exchange_about(lua_State *L)
{
    const struct neap_exchange *exchange = neap_check_exchange(L, 1);
    lua_createtable(L, 0, 8);
    lua_pushinteger(L, (lua_Integer)exchange->waiter.id);
    lua_setfield(L, -2, "call");
    neap_set_text(L, "client", exchange->client->policy.name);
    if (!exchange->url.text)
        return 1;
    neap_set_text(L, "method", exchange->request.method);
    set_url(L, &exchange->url);
    return 1;
}

/* attempt_ahead(): the number of the attempt that is about to be sent, and the moment by both
 * clocks. */
static int exchange_attempt_ahead(lua_State *L)
{
    const struct neap_exchange *exchange = neap_check_exchange(L, 1);
    const struct neap_loop *loop = exchange->client->engine->loop;
    lua_pushinteger(L, (lua_Integer)exchange->effect.attempt);
    lua_pushnumber(L, neap_seconds_from_ns(neap_loop_now(loop)));
    lua_pushnumber(L, neap_seconds_from_ns(neap_loop_wall(loop)));
    return 3;
}

/* has_header(name): will the next attempt carry it? */
static int exchange_has_header(lua_State *L)
{
    const struct neap_exchange *exchange = neap_check_exchange(L, 1);
    const char *name = luaL_checkstring(L, 2);
    lua_pushboolean(L, neap_header_find(exchange->header, exchange->header_count, name) != NULL);
    return 1;
}

static int exchange_drop_header(lua_State *L)
{
    neap_exchange_drop_header(neap_check_exchange(L, 1), luaL_checkstring(L, 2));
    return 0;
}

static int exchange_resume(lua_State *L)
{
    neap_exchange_resume(neap_check_exchange(L, 1));
    return 0;
}

const luaL_Reg neap_exchange_notices[] = {
    {"about", exchange_about},
    {"attempt_ahead", exchange_attempt_ahead},
    {"has_header", exchange_has_header},
    {"drop_header", exchange_drop_header},
    {"notices", exchange_notices},
    {"resume", exchange_resume},
    {NULL, NULL},
};
