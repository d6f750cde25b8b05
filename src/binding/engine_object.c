/* The engine for Lua: its clocks, its turns, its helper, and the fork that it survives. */
#include "base/duration.h"
#include "binding/objects.h"
#include "platform/memory.h"
#include "platform/process.h"

static const char engine_name[] = "neap.engine";

struct neap_engine *neap_check_engine(lua_State *L, int index)
{
    struct neap_engine_object *object = neap_check_object(L, index, engine_name);
    luaL_argcheck(L, object->engine, index, "the engine is closed");
    return object->engine;
}

static struct neap_engine_object *push_engine(lua_State *L)
{
    struct neap_engine_object *object = neap_lua_new_userdata(L, sizeof *object);
    object->engine = NULL;
    luaL_setmetatable(L, engine_name);
    lua_newtable(L);
    neap_lua_set_user_table(L, -2);
    return object;
}

#define NO_MEANS "the system gives no epoll descriptor or no random bytes"

static int made(lua_State *L, enum neap_status status)
{
    if (status == NEAP_NO_MEMORY)
        return neap_raise_memory(L);
    if (status != NEAP_OK)
        return luaL_error(L, "neap: " NO_MEANS);
    return 1;
}

#define FORKED_WHILE_BUSY                                                                          \
    "this process was forked while calls were under way; make a client in each process"

enum neap_status neap_binding_adopt(struct neap_engine *engine)
{
    return neap_engine_is_inherited(engine) ? neap_engine_adopt(engine) : NEAP_OK;
}

const char *neap_binding_adoption_failure(enum neap_status status)
{
    static const char *const reasons[] = {
        [NEAP_OK] = "",
        [NEAP_NO_MEMORY] = "not enough memory",
        [NEAP_INVALID] = FORKED_WHILE_BUSY,
        [NEAP_NOT_FOUND] = "the shared region has no room for this process now",
        [NEAP_SYSTEM] = NO_MEANS,
    };
    return reasons[status];
}

static int engine_new(lua_State *L)
{
    struct neap_engine_object *object = push_engine(L);
    return made(L, neap_engine_new(neap_platform_alloc(), &object->engine));
}

static int engine_new_virtual(lua_State *L)
{
    uint64_t seed = (uint64_t)(int64_t)luaL_checknumber(L, 1);
    int64_t epoch_ns = neap_ns_from_seconds(luaL_checknumber(L, 2));
    struct neap_engine_object *object = push_engine(L);
    return made(L, neap_engine_new_virtual(neap_platform_alloc(), seed, epoch_ns, &object->engine));
}

static int engine_collect(lua_State *L)
{
    struct neap_engine_object *object = neap_check_object(L, 1, engine_name);
    if (object->engine)
        neap_engine_desert(object->engine);
    neap_engine_release(object->engine);
    object->engine = NULL;
    return 0;
}

/* kept(): a table that lives as long as the engine, for what Lua has running on it. */
static int engine_kept(lua_State *L)
{
    neap_check_engine(L, 1);
    neap_lua_get_user_table(L, 1);
    return 1;
}

static int engine_now(lua_State *L)
{
    lua_pushnumber(L, neap_seconds_from_ns(neap_loop_update(neap_check_engine(L, 1)->loop)));
    return 1;
}

/* now(engine): the same; nothing where the engine is a parent's, which the fork has left behind. */
static int now(lua_State *L)
{
    const struct neap_engine *engine = neap_check_engine(L, 1);
    if (neap_engine_is_inherited(engine))
        return 0;
    lua_pushnumber(L, neap_seconds_from_ns(neap_loop_update(engine->loop)));
    return 1;
}

static int engine_time(lua_State *L)
{
    lua_pushnumber(L, neap_seconds_from_ns(neap_loop_wall(neap_check_engine(L, 1)->loop)));
    return 1;
}

static int engine_random(lua_State *L)
{
    lua_pushnumber(L, neap_random_unit(&neap_check_engine(L, 1)->random));
    return 1;
}

/* turn([until]): false where nothing was done. Only a few are taken before the next one. */
static int engine_turn(lua_State *L)
{
    struct neap_engine *engine = neap_check_engine(L, 1);
    lua_pushboolean(L, neap_engine_turn_for_few(engine, neap_optional_seconds(L, 2)));
    return 1;
}

/* is_inherited(): was it made by another process, which this one was forked from? */
static int engine_is_inherited(lua_State *L)
{
    lua_pushboolean(L, neap_engine_is_inherited(neap_check_engine(L, 1)));
    return 1;
}

static int engine_is_virtual(lua_State *L)
{
    lua_pushboolean(L, neap_loop_is_virtual(neap_check_engine(L, 1)->loop));
    return 1;
}

/* place(now, time): puts the clocks of a virtual engine to another moment. */
static int engine_place(lua_State *L)
{
    struct neap_loop *loop = neap_check_engine(L, 1)->loop;
    luaL_argcheck(L, neap_loop_is_virtual(loop), 1, "expected a virtual engine");
    neap_loop_place(loop, neap_ns_from_seconds(luaL_checknumber(L, 2)),
                    neap_ns_from_seconds(luaL_checknumber(L, 3)));
    return 0;
}

/* process_id(): the number of this process. */
static int process_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_process_id());
    return 1;
}

/* adopt(): makes it this process's own; false where calls of the parent were under way. */
static int engine_adopt(lua_State *L)
{
    enum neap_status status = neap_engine_adopt(neap_check_engine(L, 1));
    if (status != NEAP_OK && status != NEAP_INVALID)
        return luaL_error(L, "neap: %s", neap_binding_adoption_failure(status));
    lua_pushboolean(L, status == NEAP_OK);
    return 1;
}

/* is_awaited(): does a task wait for a call in C? */
static int engine_is_awaited(lua_State *L)
{
    lua_pushboolean(L, neap_check_engine(L, 1)->awaited > 0);
    return 1;
}

/* have_background(has): whether tasks go on whenever it is turned, from now on. */
static int engine_have_background(lua_State *L)
{
    neap_check_engine(L, 1)->has_background = lua_toboolean(L, 2);
    return 0;
}

/* use_helper(): connections that are made from now on are worked by a thread of their own. */
static int engine_use_helper(lua_State *L)
{
    neap_check_engine(L, 1)->wants_helper = true;
    return 0;
}

/* poll(): does what is due now. */
static int engine_poll(lua_State *L)
{
    lua_pushboolean(L, neap_engine_poll(neap_check_engine(L, 1)));
    return 1;
}

static int engine_is_pending(lua_State *L)
{
    lua_pushboolean(L, neap_engine_is_pending(neap_check_engine(L, 1)));
    return 1;
}

/* doorbell(): N for which unix:/proc/self/fd/N rings when something has come back from the helper;
 * nil where there is no helper yet. */
static int engine_doorbell(lua_State *L)
{
    const struct neap_engine *engine = neap_check_engine(L, 1);
    if (!engine->helper)
        return 0;
    lua_pushinteger(L, neap_helper_doorbell(engine->helper));
    return 1;
}

/* arm(): false where a poll would find something; else the bell will ring when it would. */
static int engine_arm(lua_State *L)
{
    const struct neap_engine *engine = neap_check_engine(L, 1);
    lua_pushboolean(L, !engine->helper || neap_helper_arm(engine->helper));
    return 1;
}

/* nudge(): lets the bell ring. */
static int engine_nudge(lua_State *L)
{
    const struct neap_engine *engine = neap_check_engine(L, 1);
    if (engine->helper)
        neap_helper_nudge(engine->helper);
    return 0;
}

/* descriptor(): readable where a poll would find something that came over the network. */
static int engine_descriptor(lua_State *L)
{
    lua_pushinteger(L, neap_loop_fd(neap_check_engine(L, 1)->loop));
    return 1;
}

/* wait(): seconds until a poll is due; nil while nothing is timed. */
static int engine_wait(lua_State *L)
{
    struct neap_loop *loop = neap_check_engine(L, 1)->loop;
    return neap_push_wait(L, loop, neap_loop_next(loop));
}

int neap_push_due(lua_State *L, const struct neap_engine *engine)
{
    int64_t due_ns = neap_engine_is_pending(engine) ? 0 : neap_loop_next(engine->loop);
    if (due_ns == NEAP_NEVER)
        lua_pushnil(L);
    else
        lua_pushnumber(L, neap_seconds_from_ns(due_ns));
    lua_pushboolean(L, engine->helper && neap_helper_is_untold(engine->helper));
    return 2;
}

/* due(): the moment of now() at which a poll is due; 0 where it is due at once, nil while nothing
 * is timed. Then, true where there are errands to be flushed. */
static int engine_due(lua_State *L)
{
    return neap_push_due(L, neap_check_engine(L, 1));
}

/* flush(): the helper is told of the errands that it has got. */
static int engine_flush(lua_State *L)
{
    const struct neap_engine *engine = neap_check_engine(L, 1);
    if (engine->helper)
        neap_helper_flush(engine->helper);
    return 0;
}

/* take(): the id of the waiter that has been ready longest; nil. */
static int engine_take(lua_State *L)
{
    struct neap_waiter *waiter = neap_engine_take_ready(neap_check_engine(L, 1));
    if (!waiter)
        return 0;
    lua_pushinteger(L, (lua_Integer)waiter->id);
    return 1;
}

void neap_binding_add_engine(lua_State *L)
{
    static const luaL_Reg engine_methods[] = {
        {"kept", engine_kept},
        {"now", engine_now},
        {"time", engine_time},
        {"random", engine_random},
        {"turn", engine_turn},
        {"take", engine_take},
        {"sleeper", neap_binding_sleeper},
        {"is_virtual", engine_is_virtual},
        {"place", engine_place},
        {"is_inherited", engine_is_inherited},
        {"adopt", engine_adopt},
        {"use_helper", engine_use_helper},
        {"poll", engine_poll},
        {"is_pending", engine_is_pending},
        {"doorbell", engine_doorbell},
        {"arm", engine_arm},
        {"nudge", engine_nudge},
        {"descriptor", engine_descriptor},
        {"wait", engine_wait},
        {"due", engine_due},
        {"flush", engine_flush},
        {"is_awaited", engine_is_awaited},
        {"have_background", engine_have_background},
        {NULL, NULL},
    };
    neap_new_metatable(L, engine_name, engine_methods, engine_collect);
    lua_pop(L, 1);
    lua_pushcfunction(L, engine_new);
    lua_setfield(L, -2, "engine");
    lua_pushcfunction(L, engine_new_virtual);
    lua_setfield(L, -2, "virtual_engine");
    lua_pushcfunction(L, process_id);
    lua_setfield(L, -2, "process_id");
    lua_pushcfunction(L, now);
    lua_setfield(L, -2, "now");
}
