/* The stop signal for Lua, for tools: whether it has come, and a rest that it ends. */
#include "base/duration.h"
#include "base/owner.h"
#include "binding/objects.h"
#include "platform/stop_signal.h"

#define STOP_NAME "neap.stop_signal"

/* While it rests it is waited for as a sleeper is. */
struct stop_object {
    struct neap_engine *engine; /* NULL: not installed */
    struct neap_watch watch;
    struct neap_waiter waiter;
    struct neap_loop_timer timer;
    bool rests;
};

static struct stop_object *check_stop(lua_State *L)
{
    struct stop_object *object = luaL_checkudata(L, 1, STOP_NAME);
    luaL_argcheck(L, object->engine, 1, "the stop signal is not installed any more");
    return object;
}

static void end_rest(struct stop_object *object)
{
    if (!object->rests)
        return;
    object->rests = false;
    neap_loop_clear(object->engine->loop, &object->timer);
    neap_waiter_wake(&object->waiter, object->engine);
}

static void on_time(struct neap_loop_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    end_rest(NEAP_OWNER(timer, struct stop_object, timer));
}

/* It stays readable: once is enough. */
static void on_signal(struct neap_watch *watch, unsigned events, int64_t now_ns)
{
    struct stop_object *object = NEAP_OWNER(watch, struct stop_object, watch);
    (void)events;
    (void)now_ns;
    neap_loop_unwatch(object->engine->loop, watch);
    end_rest(object);
}

static int stop_free(lua_State *L)
{
    struct stop_object *object = luaL_checkudata(L, 1, STOP_NAME);
    struct neap_engine *engine = object->engine;
    if (!engine)
        return 0;
    object->engine = NULL;
    neap_loop_unwatch(engine->loop, &object->watch);
    neap_loop_clear(engine->loop, &object->timer);
    neap_waiter_forget(&object->waiter, engine);
    neap_stop_signal_uninstall();
    engine->busy--;
    neap_engine_release(engine);
    return 0;
}

/* stop_signal(engine): installed until it is freed; one a process. */
static int stop_new(lua_State *L)
{
    int fd;
    struct neap_engine *engine = neap_check_engine(L, 1);
    struct stop_object *object = neap_lua_new_userdata(L, sizeof *object);
    *object = (struct stop_object){.watch.ready = on_signal, .timer.fire = on_time};
    luaL_setmetatable(L, STOP_NAME);
    enum neap_status status = neap_stop_signal_install(&fd);
    if (status == NEAP_INVALID)
        return luaL_error(L, "the stop signal is installed already");
    if (status != NEAP_OK)
        return luaL_error(L, "the system gives no descriptor for the stop signal");
    object->engine = neap_engine_hold(engine);
    engine->busy++;
    neap_waiter_init(&object->waiter, engine);
    if (neap_loop_watch(engine->loop, &object->watch, fd, NEAP_READABLE) != NEAP_OK)
        return luaL_error(L, "the stop signal cannot be watched");
    return 1;
}

static int stop_has_come(lua_State *L)
{
    check_stop(L);
    lua_pushboolean(L, neap_stop_signal_has_come());
    return 1;
}

/* rest(seconds): begins one, to be waited for. It is over at once where the signal has come. */
static int stop_rest(lua_State *L)
{
    struct stop_object *object = check_stop(L);
    struct neap_loop *loop = object->engine->loop;
    int64_t length_ns = neap_ns_from_seconds(luaL_checknumber(L, 2));
    int64_t until_ns = neap_time_add(neap_loop_update(loop), length_ns);
    if (neap_stop_signal_has_come())
        until_ns = neap_loop_now(loop);
    neap_waiter_forget(&object->waiter, object->engine);
    neap_waiter_init(&object->waiter, object->engine);
    if (neap_loop_set(loop, &object->timer, until_ns) != NEAP_OK)
        return neap_raise_memory(L);
    object->rests = true;
    return 0;
}

static int stop_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_stop(L)->waiter.id);
    return 1;
}

/* Turns the engine until the rest is over, for a host that cannot yield. */
static int stop_run(lua_State *L)
{
    struct stop_object *object = check_stop(L);
    while (object->rests)
        if (!neap_engine_turn(object->engine, NEAP_NEVER))
            return luaL_error(L, "the rest waits for something that cannot happen any more");
    neap_waiter_forget(&object->waiter, object->engine);
    return 0;
}

static int stop_wait(lua_State *L)
{
    const struct stop_object *object = check_stop(L);
    const struct neap_timer *timer = &object->timer.node;
    return neap_push_wait(L, object->engine->loop, timer->index > 0 ? timer->when_ns : NEAP_NEVER);
}

void neap_binding_add_stop_signal(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"has_come", stop_has_come}, {"rest", stop_rest}, {"id", stop_id}, {"run", stop_run},
        {"wait", stop_wait},         {"free", stop_free}, {NULL, NULL},
    };
    neap_new_metatable(L, STOP_NAME, methods, stop_free);
    lua_pop(L, 1);
    lua_pushcfunction(L, stop_new);
    lua_setfield(L, -2, "stop_signal");
}
