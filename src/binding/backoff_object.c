/* Backoff for Lua. */
#include "binding/policy_env.h"
#include "binding/policy_objects.h"
#include "binding/policy_options.h"
#include "policy/backoff.h"

#define BACKOFF_NAME "neap.backoff"

struct backoff_object {
    struct neap_backoff backoff;
    struct neap_env env;
};

static int backoff_new(lua_State *L)
{
    struct neap_backoff backoff;
    struct neap_env env;
    lua_settop(L, 2);
    if (!neap_read_backoff(L, 1, &backoff) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct backoff_object *object = neap_object_new(L, sizeof *object, BACKOFF_NAME);
    object->backoff = backoff;
    object->env = env;
    return 1;
}

static struct backoff_object *check_backoff(lua_State *L)
{
    return luaL_checkudata(L, 1, BACKOFF_NAME);
}

static double check_previous(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    double previous_s = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : -1;
    luaL_argcheck(L, previous_s >= 0, index, "expected a number >= 0 (seconds)");
    return previous_s;
}

/* Attempts that 32 bits do not count wait as the last one that they do. */
static uint32_t check_attempt(lua_State *L, int index)
{
    uint64_t n = neap_object_check_count(L, index);
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static int backoff_delay(lua_State *L)
{
    struct backoff_object *object = check_backoff(L);
    uint32_t n = check_attempt(L, 2);
    double previous_s = check_previous(L, 3);
    double low_s, high_s;
    neap_backoff_bounds(&object->backoff, n, previous_s, &low_s, &high_s);
    double r = low_s < high_s ? neap_env_random(L, 1, &object->env) : 0;
    lua_pushnumber(L, neap_backoff_delay(&object->backoff, n, previous_s, r));
    return 1;
}

static int backoff_bounds(lua_State *L)
{
    const struct backoff_object *object = check_backoff(L);
    uint32_t n = check_attempt(L, 2);
    double previous_s = check_previous(L, 3);
    double low_s, high_s;
    neap_backoff_bounds(&object->backoff, n, previous_s, &low_s, &high_s);
    lua_pushnumber(L, low_s);
    lua_pushnumber(L, high_s);
    return 2;
}

static int backoff_to_string(lua_State *L)
{
    const struct backoff_object *object = check_backoff(L);
    lua_pushfstring(L, BACKOFF_NAME " (%f s up to %f s)", object->backoff.base_s,
                    object->backoff.max_s);
    return 1;
}

void neap_object_add_backoff(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"delay", backoff_delay},
        {"bounds", backoff_bounds},
        {NULL, NULL},
    };
    static const struct neap_object_class backoff = {
        .name = BACKOFF_NAME, .methods = methods, .to_string = backoff_to_string};
    neap_object_add_class(L, &backoff);
    lua_pushcfunction(L, backoff_new);
    lua_setfield(L, -2, "backoff");
}
