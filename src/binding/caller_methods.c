/* The client's methods that make a call, where C can be yielded across: a call that needs nothing
 * of Lua is one C function from the request to the result. A task of neap.run yields out of the
 * middle of it, and is resumed there by neap's own loop (task_calls.c). What it cannot do is left
 * to the face. */
#include "binding/caller.h"
#include "binding/exchange_methods.h"
#include "binding/task_calls.h"

/* What a method has besides its runner. */
enum {
    CORES = NEAP_RUNNER_UPVALUE + 1, /* the face's table of clients that need nothing of Lua */
    DRIVE,   /* its function that makes any call: result, err, what is wrong with the request */
    TAKE_ON, /* its function that goes on with one that is under way: result, err */
    VERB,    /* for methods that are named by theirs */
    SPARE,   /* an object of a call that is over, or nil */
    UPVALUES = SPARE
};

enum {
    FACE = NEAP_CALLER_FACE,
    METHOD = NEAP_CALLER_METHOD,
    PATH = NEAP_CALLER_PATH,
    REQUEST = NEAP_CALLER_REQUEST,
    CLIENT = NEAP_CALLER_CLIENT,
    OBJECT = NEAP_CALLER_OBJECT
};

/* At the line that called the method. */
static int raise_misuse(lua_State *L)
{
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

/* -------------------------------------------------------------------------------- by the face */

static int driven(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    if (!lua_isnil(L, -1))
        return raise_misuse(L);
    lua_pop(L, 1);
    return 2;
}

static int drive(lua_State *L)
{
    lua_settop(L, REQUEST);
    lua_pushvalue(L, lua_upvalueindex(DRIVE));
    lua_insert(L, 1);
    lua_callk(L, REQUEST, 3, 0, driven);
    return driven(L, LUA_OK, 0);
}

static int taken_on(lua_State *L, int status, lua_KContext context)
{
    (void)L, (void)status, (void)context;
    return 2;
}

/* The call has a question, although its client had none when it began. */
static int take_on(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(TAKE_ON));
    lua_pushvalue(L, OBJECT);
    for (int argument = FACE; argument <= REQUEST; argument++)
        lua_pushvalue(L, argument);
    lua_callk(L, 1 + REQUEST, 2, 0, taken_on);
    return taken_on(L, LUA_OK, 0);
}

/* -------------------------------------------------------------------------------- by this file */

/* Nobody else has it meanwhile. */
static struct neap_exchange_object *take_object(lua_State *L)
{
    lua_settop(L, CLIENT);
    lua_pushnil(L); /* extras */
    lua_pushvalue(L, lua_upvalueindex(SPARE));
    struct neap_exchange_object *object = lua_touserdata(L, OBJECT);
    if (!object)
        return neap_caller_new_object(L);
    lua_pushnil(L);
    lua_replace(L, lua_upvalueindex(SPARE));
    return object;
}

static void give_back_object(lua_State *L, struct neap_exchange_object *object)
{
    neap_caller_empty_object(L, CLIENT, OBJECT, object);
    lua_pushvalue(L, OBJECT);
    lua_replace(L, lua_upvalueindex(SPARE));
}

/* The result, or nil and the error. */
static int finish(lua_State *L, struct neap_exchange_object *object)
{
    struct neap_exchange *exchange = object->exchange;
    neap_waiter_forget(&exchange->waiter, exchange->client->engine);
    if (exchange->attention != NEAP_ATTENTION_DONE)
        return take_on(L);
    bool is_error = neap_push_outcome(L, exchange) == NEAP_RESULT_ERROR;
    give_back_object(L, object);
    lua_pushnil(L);
    if (is_error)
        lua_insert(L, -2);
    return 2;
}

static int block(lua_State *L, struct neap_client *client)
{
    struct neap_exchange_object *object = take_object(L);
    if (!neap_caller_prepare(L, client, object, NEAP_NOT_KEPT))
        return raise_misuse(L);
    neap_caller_run(L, object->exchange);
    return finish(L, object);
}

/* A call that was given up goes on as little as one that is not done. */
static int resumed(lua_State *L, int status, lua_KContext context)
{
    struct neap_exchange_object *object = (struct neap_exchange_object *)context;
    (void)status;
    if (object->exchange->waiter.thread) {
        lua_settop(L, object->top); /* whoever resumed it may have given it values */
        return neap_task_yield(L, context, resumed);
    }
    return finish(L, object);
}

static int wait_in_task(lua_State *L, struct neap_client *client, struct neap_runner *runner)
{
    struct neap_exchange_object *object = take_object(L);
    if (!neap_caller_prepare(L, client, object, NEAP_KEPT_BY(OBJECT)))
        return raise_misuse(L);
    neap_exchange_begin(object->exchange, false);
    if (object->exchange->attention != NEAP_ATTENTION_NONE)
        return finish(L, object);
    object->top = lua_gettop(L);
    neap_task_calls_add(L, runner, OBJECT, object->exchange);
    return neap_task_yield(L, (lua_KContext)object, resumed);
}

/* Is it the task that runs itself, which can yield to the loop of that engine? */
static bool is_in_task(lua_State *L, const struct neap_runner *runner,
                       const struct neap_client *client)
{
    return runner->thread == L && runner->calls->engine == client->engine &&
           neap_lua_is_yieldable(L);
}

/* Pushes the core of the face's client; NULL where it needs Lua, or is none. */
static struct neap_client *push_client(lua_State *L)
{
    lua_pushvalue(L, FACE);
    lua_rawget(L, lua_upvalueindex(CORES));
    const struct neap_client_object *object = lua_touserdata(L, CLIENT);
    return object ? object->client : NULL;
}

/* The stack is laid out up to the request. */
static int make_call(lua_State *L)
{
    struct neap_runner *runner = neap_runner(L);
    struct neap_client *client = push_client(L);
    if (!client || client->alerts || runner->is_elsewhere || !neap_caller_may_call(L, client))
        return drive(L);
    if (is_in_task(L, runner, client))
        return wait_in_task(L, client, runner);
    if (runner->thread || client->engine->has_background)
        return drive(L);
    return block(L, client);
}

/* client:request(req) */
static int request(lua_State *L)
{
    lua_settop(L, 2);
    lua_settop(L, REQUEST);
    if (lua_toboolean(L, 2)) {
        lua_pushvalue(L, 2);
        lua_replace(L, REQUEST);
    }
    lua_pushnil(L);
    lua_replace(L, METHOD);
    lua_pushnil(L);
    lua_replace(L, PATH);
    return make_call(L);
}

/* client:get(path [, req]) and its like. */
static int named(lua_State *L)
{
    lua_settop(L, 3);
    lua_pushvalue(L, lua_upvalueindex(VERB));
    lua_insert(L, METHOD);
    return make_call(L);
}

/* method(runner, cores, drive, take_on [, verb]): client:request, or the method of that name. */
static int method(lua_State *L)
{
    lua_settop(L, UPVALUES);
    lua_pushcclosure(L, lua_isnil(L, VERB) ? request : named, UPVALUES);
    return 1;
}

void neap_binding_add_caller_methods(lua_State *L)
{
    if (!NEAP_LUA_CONTINUES)
        return;
    lua_pushcfunction(L, method);
    lua_setfield(L, -2, "method");
}
