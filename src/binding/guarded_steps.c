/* The guarded function where C code cannot be yielded across (LuaJIT, PUC's 5.1 and 5.2): the face
 * calls the Lua function, and one of these before and after it. Nobody but lua/neap/wrap.lua has
 * them, so a keeper is not looked at twice. */
#include "binding/guarded_object.h"
#include "client/guarded_way.h"

/* What each step has: the second is a table that holds a keeper at rest, the last the first part of
 * errors. */
enum { GUARDED = 1, AT_REST, ERROR, UPVALUES = AT_REST + NEAP_ERROR_PARTS };

static struct neap_guarded *guarded_of(lua_State *L)
{
    struct neap_guarded **guarded = lua_touserdata(L, lua_upvalueindex(GUARDED));
    return *guarded;
}

static struct neap_guarded_keeper *push_keeper(lua_State *L)
{
    lua_rawgeti(L, lua_upvalueindex(AT_REST), 1);
    struct neap_guarded_keeper *keeper = lua_touserdata(L, -1);
    if (!keeper) {
        lua_pop(L, 1);
        return neap_push_keeper(L);
    }
    lua_pushnil(L);
    lua_rawseti(L, lua_upvalueindex(AT_REST), 1);
    return keeper;
}

/* The keeper at `index` is at rest again. */
static void let_go(lua_State *L, int index)
{
    struct neap_guarded_keeper *keeper = lua_touserdata(L, index);
    struct neap_guarded_call *call = keeper->call;
    keeper->call = NULL;
    neap_guarded_spare(call);
    lua_pushvalue(L, index);
    lua_rawseti(L, lua_upvalueindex(AT_REST), 1);
}

static struct neap_guarded_call *call_of(lua_State *L, int index)
{
    struct neap_guarded_keeper *keeper = lua_touserdata(L, index);
    luaL_argcheck(L, keeper && keeper->call, index, "the call has ended");
    return keeper->call;
}

static int end_with_error(lua_State *L, int keeper, int text, int cause)
{
    struct neap_guarded_call *call = call_of(L, keeper);
    struct neap_failure_view view;
    bool is_plain = neap_view_guarded_failure(L, call, text, &view);
    lua_pushboolean(L, true);
    bool is_whole = is_plain || neap_push_guarded_error_safely(L, call, cause);
    let_go(L, keeper);
    if (!is_whole)
        return lua_error(L);
    if (is_plain)
        neap_binding_push_failure(L, ERROR, &view, text, cause);
    lua_pushboolean(L, neap_guarded_is_pending(guarded_of(L)));
    return 3;
}

static int end_by_exchange(lua_State *L, int keeper)
{
    lua_pushboolean(L, false);
    bool is_whole = neap_push_handed_over(L, call_of(L, keeper));
    let_go(L, keeper);
    return is_whole ? 2 : lua_error(L);
}

/* What a call whose function is not to be called came to: true, the error, and whether there is
 * something left to be done on the engine; or false and the exchange that goes on with it. */
static int end_without_values(lua_State *L, enum neap_guarded_next next, int keeper, int text,
                              int cause)
{
    return next == NEAP_GUARDED_DONE ? end_with_error(L, keeper, text, cause)
                                     : end_by_exchange(L, keeper);
}

static int end_refused(lua_State *L, const struct neap_guarded *guarded)
{
    lua_pushboolean(L, true);
    neap_push_guarded_refusal(L, ERROR, guarded);
    lua_pushboolean(L, neap_guarded_is_pending(guarded));
    return 3;
}

static void put_back(lua_State *L)
{
    lua_rawseti(L, lua_upvalueindex(AT_REST), 1);
}

/* begin(): what holds the call, whose function is to be called; or nothing, where it needs an
 * exchange from the beginning; or as above. */
static int begin(lua_State *L)
{
    lua_settop(L, 0);
    struct neap_guarded *guarded = guarded_of(L);
    if (!guarded) /* by a finalizer, in a Lua state that is being closed */
        return 0;
    struct neap_guarded_keeper *keeper = push_keeper(L);
    enum neap_guarded_next next = neap_guarded_begin(guarded, &keeper->call);
    switch (next) {
    case NEAP_GUARDED_ELSEWHERE:
        put_back(L);
        return 0;
    case NEAP_GUARDED_REFUSED:
        put_back(L);
        return end_refused(L, guarded);
    case NEAP_GUARDED_RUN:
        neap_guarded_stand_in(keeper->call, L);
        return 1;
    case NEAP_GUARDED_DONE:
    case NEAP_GUARDED_WAITS:
        break;
    }
    lua_pushnil(L);
    return end_without_values(L, next, 1, 2, 2);
}

/* succeed(keeper): is there something left to be done on the engine, and could the caller not yield
 * anyway? */
static int succeed(lua_State *L)
{
    neap_guarded_succeed(call_of(L, 1));
    let_go(L, 1);
    lua_pushboolean(L, neap_guarded_is_pending(guarded_of(L)));
    lua_pushboolean(L, !neap_lua_may_yield(L));
    return 2;
}

/* fail(keeper, text, cause): nothing where the function is to be called again; else as above. */
static int fail(lua_State *L)
{
    size_t bytes;
    struct neap_guarded_call *call = call_of(L, 1);
    const char *text = luaL_checklstring(L, 2, &bytes);
    lua_settop(L, 3);
    neap_check_guarded_call(L, call);
    enum neap_guarded_next next = neap_guarded_fail(call, text, bytes);
    return next == NEAP_GUARDED_RUN ? 0 : end_without_values(L, next, 1, 2, 3);
}

static void push_step(lua_State *L, lua_CFunction step)
{
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    neap_binding_push_error_parts(L);
    lua_pushcclosure(L, step, UPVALUES);
}

/* guarded_steps(client): begin, succeed and fail for a function of that client. */
static int guarded_steps(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    lua_settop(L, 1);
    neap_push_guarded(L, client);
    lua_createtable(L, 1, 0);
    push_step(L, begin);
    push_step(L, succeed);
    push_step(L, fail);
    return 3;
}

void neap_binding_add_guarded_steps(lua_State *L)
{
    if (NEAP_LUA_CONTINUES)
        return;
    lua_pushcfunction(L, guarded_steps);
    lua_setfield(L, -2, "guarded_steps");
}
