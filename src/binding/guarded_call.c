/* The guarded function in one C function, which calls the Lua function between two steps of the
 * core. Where C code cannot be yielded across, it does so only for callers that cannot yield. */
#include "binding/guarded_object.h"
#include "client/guarded_way.h"

/* What the C function has at hand. */
enum {
    GUARDED = 1,
    FUNCTION,
    WHOLE,   /* the face's function that makes the call by an exchange */
    GO_ON,   /* its function that drives an exchange which is under way */
    TEXT_OF, /* its function that writes an error as a text */
    SETTLE,  /* its function that does what the end of a call leaves to be done */
    KEEPER,  /* a keeper that nobody uses, or nil; without continuations: what is answered where the
                face has to call the function */
    GIVEN = KEEPER,
    ERROR, /* the first part of errors */
    UPVALUES = GIVEN + NEAP_ERROR_PARTS
};

/* More than the arguments: keeper, function, cause, text, error, and room for what is called. Of
 * those that Lua promises, the rest is for arguments that have to be there once more. */
#define SLOTS 12
#define FEW_ARGUMENTS (LUA_MINSTACK - SLOTS)

/* What is pushed above the values of a function, of which there may be any number; and how many
 * leave room for that and the keeper. */
#define SLOTS_ABOVE 1
#define FEW_VALUES (LUA_MINSTACK - SLOTS_ABOVE - 1)

static int return_all(lua_State *L, int status, lua_KContext base)
{
    (void)status;
    return lua_gettop(L) - (int)base;
}

/* Calls an upvalue with the values from `base` + 1 on, and returns what it returns. */
static int call_through(lua_State *L, int function, int base)
{
    lua_pushvalue(L, lua_upvalueindex(function));
    lua_insert(L, base + 1);
    lua_callk(L, lua_gettop(L) - base - 1, LUA_MULTRET, base, return_all);
    return return_all(L, LUA_OK, base);
}

/* The keeper that was at rest, or a new one; pushed. */
static void push_keeper(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(KEEPER));
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        neap_push_keeper(L);
        return;
    }
    lua_pushnil(L);
    lua_replace(L, lua_upvalueindex(KEEPER));
}

static void take_from_keeper(lua_State *L, struct neap_guarded_call *call)
{
    struct neap_guarded_keeper *keeper = call->keeper;
    if (!keeper)
        return;
    keeper->call = NULL;
    call->keeper = NULL;
    lua_pushvalue(L, call->base);
    lua_replace(L, lua_upvalueindex(KEEPER));
}

static void let_go(lua_State *L, struct neap_guarded_call *call)
{
    take_from_keeper(L, call);
    neap_guarded_spare(call);
}

static void call_settle(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(SETTLE));
    lua_call(L, 0, 0);
}

static void settle(lua_State *L, const struct neap_guarded *guarded)
{
    if (neap_guarded_is_pending(guarded))
        call_settle(L);
}

static NEAP_SELDOM int end_without_room(lua_State *L, struct neap_guarded_call *call)
{
    lua_settop(L, call->base);
    take_from_keeper(L, call);
    (void)neap_guarded_conclude(call->guarded, call);
    return luaL_error(L, "too many results");
}

static inline int end_with_values(lua_State *L, struct neap_guarded_call *call, int values)
{
    if (values > FEW_VALUES && !lua_checkstack(L, SLOTS_ABOVE))
        return end_without_room(L, call);
    if (call->keeper)
        take_from_keeper(L, call);
    if (neap_guarded_conclude(call->guarded, call))
        call_settle(L);
    return values;
}

/* The text of a cause that is none itself stands above it. */
static int text_at(lua_State *L, int cause)
{
    return lua_gettop(L) > cause ? cause + 1 : cause;
}

static int end_with_error(lua_State *L, struct neap_guarded_call *call, int cause)
{
    const struct neap_guarded *guarded = call->guarded;
    struct neap_failure_view view;
    int text = text_at(L, cause);
    bool is_plain = neap_view_guarded_failure(L, call, text, &view);
    bool is_whole = is_plain || neap_push_guarded_error_safely(L, call, cause);
    let_go(L, call);
    if (!is_whole)
        return lua_error(L);
    if (is_plain)
        neap_binding_push_failure(L, ERROR, &view, text, cause);
    lua_pushnil(L);
    lua_insert(L, -2);
    settle(L, guarded);
    return 2;
}

static int end_refused(lua_State *L, const struct neap_guarded *guarded)
{
    lua_pushnil(L);
    neap_push_guarded_refusal(L, ERROR, guarded);
    settle(L, guarded);
    return 2;
}

/* Arguments, exchange, cause -> go_on(exchange, cause, arguments…). */
static int end_by_exchange(lua_State *L, struct neap_guarded_call *call, int cause)
{
    int arguments = call->arguments;
    if (!neap_push_handed_over(L, call)) {
        let_go(L, call);
        return lua_error(L);
    }
    lua_pushvalue(L, cause);
    let_go(L, call);
    for (int i = 1; i <= arguments; i++)
        lua_pushvalue(L, i);
    return call_through(L, GO_ON, lua_gettop(L) - arguments - 2);
}

static int end_without_values(lua_State *L, struct neap_guarded_call *call,
                              enum neap_guarded_next next, int cause)
{
    return next == NEAP_GUARDED_DONE ? end_with_error(L, call, cause)
                                     : end_by_exchange(L, call, cause);
}

/* The text of an error, pushed where there is one; what writes it may itself fail. */
static const char *push_text(lua_State *L, int cause, size_t *bytes)
{
    lua_pushvalue(L, lua_upvalueindex(TEXT_OF));
    lua_pushvalue(L, cause);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
        static const char unsaid[] = "the function failed";
        *bytes = sizeof unsaid - 1;
        return unsaid;
    }
    return lua_tolstring(L, -1, bytes);
}

/* A text that is none itself is left above the cause. */
static enum neap_guarded_next fail(lua_State *L, struct neap_guarded_call *call, int cause)
{
    size_t bytes;
    bool is_text = lua_type(L, cause) == LUA_TSTRING;
    const char *text = is_text ? lua_tolstring(L, cause, &bytes) : push_text(L, cause, &bytes);
    return neap_guarded_fail(call, text, bytes);
}

/* A function fails when it raises, or returns nil and an error. */
static inline bool has_failed(lua_State *L, int status, int base, int values)
{
    return status != LUA_OK || (values > 1 && lua_isnil(L, base + 1) && !lua_isnil(L, base + 2));
}

#define AGAIN (-1)

/* What the function left is above the base. The number of results, or AGAIN. */
static int end_or_repeat(lua_State *L, struct neap_guarded_call *call, int status)
{
    int base = call->base;
    int cause = status == LUA_OK ? base + 2 : base + 1;
    lua_settop(L, cause); /* a function may have left any number of values: there is room again */
    neap_check_guarded_call(L, call);
    enum neap_guarded_next next = fail(L, call, cause);
    if (next != NEAP_GUARDED_RUN)
        return end_without_values(L, call, next, cause);
    lua_settop(L, base);
    return AGAIN;
}

static inline int judge(lua_State *L, struct neap_guarded_call *call, int status)
{
    int base = call->base;
    int values = lua_gettop(L) - base;
    return has_failed(L, status, base, values) ? end_or_repeat(L, call, status)
                                               : end_with_values(L, call, values);
}

static int resumed(lua_State *L, int status, lua_KContext context);

static int run(lua_State *L, struct neap_guarded_call *call)
{
    int status, results;
    do {
        lua_pushvalue(L, lua_upvalueindex(FUNCTION));
        for (int i = 1; i <= call->arguments; i++)
            lua_pushvalue(L, i);
        status = lua_pcallk(L, call->arguments, LUA_MULTRET, 0, call->base, resumed);
        results = judge(L, call, status);
    } while (results == AGAIN);
    return results;
}

/* The function has yielded meanwhile. The keeper, which stands at the base, may have been collected
 * with its coroutine, and the coroutine be resumed by another finalizer: its call is gone then. */
static int resumed(lua_State *L, int status, lua_KContext base)
{
    const struct neap_guarded_keeper *keeper = lua_touserdata(L, (int)base);
    struct neap_guarded_call *call = keeper->call;
    if (!call)
        return luaL_error(L, "the call has ended");
    int results = judge(L, call, status == LUA_YIELD ? LUA_OK : status);
    return results == AGAIN ? run(L, call) : results;
}

static void keep(lua_State *L, struct neap_guarded_call *call)
{
    struct neap_guarded_keeper *keeper = lua_touserdata(L, -1);
    keeper->call = call;
    call->keeper = keeper;
    if (call->state != NEAP_GUARDED_OVER)
        neap_guarded_stand_in(call, L);
}

/* A keeper that was pushed is at rest again. */
static int end_without_call(lua_State *L, const struct neap_guarded *guarded,
                            enum neap_guarded_next next, int arguments)
{
    if (lua_gettop(L) > arguments)
        lua_replace(L, lua_upvalueindex(KEEPER));
    return next == NEAP_GUARDED_REFUSED ? end_refused(L, guarded) : call_through(L, WHOLE, 0);
}

/* Only a coroutine can be dropped with the function in it. */
static int guarded_call(lua_State *L)
{
    bool can_be_dropped = neap_lua_may_yield(L);
    if (can_be_dropped && !NEAP_LUA_CONTINUES) {
        lua_pushvalue(L, lua_upvalueindex(KEEPER));
        return 1;
    }
    struct neap_guarded **guarded = lua_touserdata(L, lua_upvalueindex(GUARDED));
    int arguments = lua_gettop(L);
    if (!*guarded) /* by a finalizer, in a Lua state that is being closed */
        return call_through(L, WHOLE, 0);
    if (arguments > FEW_ARGUMENTS)
        luaL_checkstack(L, arguments + SLOTS, "too many arguments");
    if (can_be_dropped)
        push_keeper(L);
    struct neap_guarded_call *call = NULL;
    enum neap_guarded_next next = neap_guarded_begin(*guarded, &call);
    if (!call)
        return end_without_call(L, *guarded, next, arguments);
    call->arguments = arguments;
    call->base = arguments + can_be_dropped;
    if (can_be_dropped)
        keep(L, call);
    if (next == NEAP_GUARDED_RUN)
        return run(L, call);
    lua_pushnil(L);
    return end_without_values(L, call, next, lua_gettop(L));
}

/* guarded(client, fn, whole, go_on, text_of, settle, elsewhere): the function that calls fn;
 * `elsewhere` as for KEEPER. */
static int guarded_new(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    lua_settop(L, GIVEN);
    neap_push_guarded(L, client);
    lua_replace(L, GUARDED);
    neap_binding_push_error_parts(L);
    lua_pushcclosure(L, guarded_call, UPVALUES);
    return 1;
}

void neap_binding_add_guarded_call(lua_State *L)
{
    lua_pushcfunction(L, guarded_new);
    lua_setfield(L, -2, "guarded");
}
