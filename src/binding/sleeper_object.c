/* Sleepers for Lua: each waits for a moment of its engine's clock. */
#include "base/duration.h"
#include "base/owner.h"
#include "binding/objects.h"

#define SLEEPER_NAME "neap.sleeper"

struct sleeper {
    struct neap_waiter waiter;
    struct neap_loop_timer timer;
    struct neap_engine *engine;
    bool over;
};

static void on_sleep_over(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct sleeper *sleeper = NEAP_OWNER(timer, struct sleeper, timer);
    (void)now_ns;
    sleeper->over = true;
    neap_waiter_wake(&sleeper->waiter, sleeper->engine);
}

int neap_binding_sleeper(lua_State *L)
{
    struct neap_engine *engine = neap_check_engine(L, 1);
    int64_t length_ns = neap_ns_from_seconds(luaL_checknumber(L, 2));
    struct sleeper *sleeper = neap_lua_new_userdata(L, sizeof *sleeper);
    *sleeper = (struct sleeper){.timer.fire = on_sleep_over};
    luaL_setmetatable(L, SLEEPER_NAME);
    sleeper->engine = neap_engine_hold(engine);
    engine->busy++;
    neap_waiter_init(&sleeper->waiter, engine);
    int64_t until_ns = neap_time_add(neap_loop_update(engine->loop), length_ns);
    if (neap_loop_set(engine->loop, &sleeper->timer, until_ns) != NEAP_OK)
        return neap_raise_memory(L);
    return 1;
}

static struct sleeper *check_sleeper(lua_State *L)
{
    return luaL_checkudata(L, 1, SLEEPER_NAME);
}

static int sleeper_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_sleeper(L)->waiter.id);
    return 1;
}

/* Turns the engine until the time is over, for a host that cannot yield. */
static int sleeper_run(lua_State *L)
{
    struct sleeper *sleeper = check_sleeper(L);
    while (!sleeper->over)
        if (!neap_engine_turn(sleeper->engine, NEAP_NEVER))
            return luaL_error(L, "the sleep waits for something that cannot happen any more");
    neap_waiter_forget(&sleeper->waiter, sleeper->engine);
    return 0;
}

static int sleeper_wait(lua_State *L)
{
    struct sleeper *sleeper = check_sleeper(L);
    const struct neap_timer *timer = &sleeper->timer.node;
    if (!sleeper->engine)
        return 0;
    return neap_push_wait(L, sleeper->engine->loop, timer->index > 0 ? timer->when_ns : NEAP_NEVER);
}

static int sleeper_free(lua_State *L)
{
    struct sleeper *sleeper = check_sleeper(L);
    if (!sleeper->engine)
        return 0;
    neap_loop_clear(sleeper->engine->loop, &sleeper->timer);
    neap_waiter_forget(&sleeper->waiter, sleeper->engine);
    sleeper->engine->busy--;
    neap_engine_release(sleeper->engine);
    sleeper->engine = NULL;
    sleeper->over = true;
    return 0;
}

void neap_binding_add_sleepers(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"id", sleeper_id},     {"run", sleeper_run}, {"wait", sleeper_wait},
        {"free", sleeper_free}, {NULL, NULL},
    };
    neap_new_metatable(L, SLEEPER_NAME, methods, sleeper_free);
    lua_pop(L, 1);
}
