#include "binding/guarded_object.h"

#include <string.h>

#include "base/duration.h"
#include "binding/result_object.h"
#include "pipeline/classify.h"

#define GUARDED_NAME "neap.guarded"
#define KEEPER_NAME "neap.guarded_keeper"

struct guarded_object {
    struct neap_guarded *guarded;
};

static int guarded_collect(lua_State *L)
{
    struct guarded_object *object = luaL_checkudata(L, 1, GUARDED_NAME);
    neap_guarded_free(object->guarded);
    object->guarded = NULL;
    return 0;
}

struct neap_guarded *neap_push_guarded(lua_State *L, struct neap_client *client)
{
    struct guarded_object *object = neap_lua_new_userdata(L, sizeof *object);
    object->guarded = NULL;
    luaL_setmetatable(L, GUARDED_NAME);
    if (neap_guarded_new(client, &object->guarded) != NEAP_OK)
        neap_raise_memory(L);
    return object->guarded;
}

static int keeper_collect(lua_State *L)
{
    struct neap_guarded_keeper *keeper = luaL_checkudata(L, 1, KEEPER_NAME);
    struct neap_guarded_call *call = keeper->call;
    keeper->call = NULL;
    if (!call)
        return 0;
    call->keeper = NULL;
    neap_guarded_give_up(call);
    neap_guarded_spare(call);
    return 0;
}

/* tie(request): the call is given up when that request of the host ends. */
static int keeper_tie(lua_State *L)
{
    const struct neap_guarded_keeper *keeper = luaL_checkudata(L, 1, KEEPER_NAME);
    struct neap_tie *tie = keeper->call ? neap_tie_of_request(L, 2) : NULL;
    if (tie)
        neap_guarded_tie(keeper->call, tie);
    return 0;
}

struct neap_guarded_keeper *neap_push_keeper(lua_State *L)
{
    struct neap_guarded_keeper *keeper = neap_lua_new_userdata(L, sizeof *keeper);
    keeper->call = NULL;
    luaL_setmetatable(L, KEEPER_NAME);
    return keeper;
}

void neap_push_guarded_refusal(lua_State *L, int parts, const struct neap_guarded *guarded)
{
    const struct neap_guarded_refusal refusal = neap_guarded_refusal(guarded);
    neap_binding_push_refusal(L, parts, neap_breaker_refusal(refusal.state), refusal.at_ns,
                              refusal.retry_after_ns);
}

static bool is_message(const struct neap_outcome *outcome, const char *text, size_t bytes)
{
    return strlen(outcome->message) == bytes && memcmp(outcome->message, text, bytes) == 0;
}

bool neap_view_guarded_failure(lua_State *L, const struct neap_guarded_call *call, int text,
                               struct neap_failure_view *view)
{
    const struct neap_outcome *outcome = &call->call.result.outcome;
    const struct neap_trace *trace = &call->call.trace;
    size_t bytes = 0;
    const char *words = lua_type(L, text) == LUA_TSTRING ? lua_tolstring(L, text, &bytes) : NULL;
    if (outcome->kind != NEAP_KIND_ERROR || call->call.result.retry_after_ns >= 0 ||
        trace->count > NEAP_TRACE_INLINE || !words || !is_message(outcome, words, bytes))
        return false;
    view->attempts = call->call.attempts;
    view->retryable = neap_classify_is_retryable(outcome, call->call.setup.replayable);
    view->at_ns = neap_guarded_now(call);
    view->elapsed_ns = neap_time_since(view->at_ns, call->call.began_ns);
    view->entry_count = trace->count;
    memcpy(view->entry, trace->entry, trace->count * sizeof *trace->entry);
    return true;
}

/* error_of(call, cause), protected. */
static int error_of(lua_State *L)
{
    const struct neap_guarded_call *call = lua_touserdata(L, 1);
    neap_push_error_of_call(L, &call->call, neap_guarded_now(call), 2);
    return 1;
}

bool neap_push_guarded_error_safely(lua_State *L, struct neap_guarded_call *call, int cause)
{
    neap_lua_push_kept(L, error_of);
    lua_pushlightuserdata(L, call);
    lua_pushvalue(L, cause);
    return lua_pcall(L, 2, 1, 0) == LUA_OK;
}

/* hand_over(call), protected: what it needs may be refused for want of memory. */
static int hand_over(lua_State *L)
{
    struct neap_guarded_call *call = lua_touserdata(L, 1);
    struct neap_exchange_object *object = neap_push_exchange(L);
    lua_createtable(L, 0, 1);
    neap_lua_set_user_table(L, -2);
    if (neap_guarded_hand_over(call, &object->exchange) != NEAP_OK)
        return neap_raise_memory(L);
    return 1;
}

bool neap_push_handed_over(lua_State *L, struct neap_guarded_call *call)
{
    neap_lua_push_kept(L, hand_over);
    lua_pushlightuserdata(L, call);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        return true;
    neap_guarded_give_up(call);
    return false;
}

void neap_check_guarded_call(lua_State *L, const struct neap_guarded_call *call)
{
    if (call->state == NEAP_GUARDED_OVER)
        luaL_error(L, "the call has ended");
}

static void give_up_keeper(lua_State *L)
{
    const struct neap_guarded_keeper *keeper = luaL_testudata(L, -1, KEEPER_NAME);
    if (keeper && keeper->call)
        neap_guarded_give_up(keeper->call);
}

/* The keepers on the stack of a coroutine that does not run, the innermost first. */
static void give_up_keepers(lua_State *L, lua_State *coroutine)
{
    lua_Debug frame;
    if (!lua_checkstack(coroutine, 1))
        return;
    for (int level = 0; lua_getstack(coroutine, level, &frame); level++)
        for (int slot = 1; lua_getlocal(coroutine, &frame, slot); slot++) {
            lua_xmove(coroutine, L, 1);
            give_up_keeper(L);
            lua_pop(L, 1);
        }
}

/* give_up_calls(engine, coroutine): what stands in that coroutine will not go on. */
static int give_up_calls(lua_State *L)
{
    struct neap_engine *engine = neap_check_engine(L, 1);
    luaL_checktype(L, 2, LUA_TTHREAD);
    neap_guarded_abandon(engine, lua_tothread(L, 2));
    if (!NEAP_LUA_CONTINUES)
        give_up_keepers(L, lua_tothread(L, 2));
    return 0;
}

void neap_binding_add_guarded(lua_State *L)
{
    static const luaL_Reg keeper_methods[] = {{"tie", keeper_tie}, {NULL, NULL}};
    neap_add_collected(L, GUARDED_NAME, guarded_collect);
    neap_new_metatable(L, KEEPER_NAME, keeper_methods, keeper_collect);
    lua_pop(L, 1);
    lua_pushcfunction(L, give_up_calls);
    lua_setfield(L, -2, "give_up_calls");
    neap_lua_keep(L, error_of);
    neap_lua_keep(L, hand_over);
    neap_binding_add_guarded_call(L);
    neap_binding_add_guarded_steps(L);
    neap_binding_add_guarded_ffi(L);
}
