/* The stand-alone policies for Lua: what they share, and Retry-After. */
#include "binding/policy_objects.h"

#include <math.h>
#include <string.h>

#include "base/duration.h"
#include "binding/error_object.h"
#include "binding/objects.h"
#include "platform/clock.h"
#include "platform/memory.h"
#include "policy/server_delay.h"

void neap_object_add_class(lua_State *L, const struct neap_object_class *object_class)
{
    luaL_newmetatable(L, object_class->name);
    lua_newtable(L);
    luaL_setfuncs(L, object_class->methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, object_class->to_string);
    lua_setfield(L, -2, "__tostring");
    if (object_class->collect) {
        lua_pushcfunction(L, object_class->collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_pushstring(L, object_class->name);
    lua_setfield(L, -2, "__name");
    lua_pushliteral(L, "neap");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void *neap_object_new(lua_State *L, size_t bytes, const char *class_name)
{
    void *object = neap_lua_new_userdata(L, bytes);
    memset(object, 0, bytes);
    luaL_setmetatable(L, class_name);
    lua_insert(L, -2);
    neap_lua_set_user_table(L, lua_gettop(L) - 1);
    return object;
}

int neap_object_misuse(lua_State *L)
{
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* --------------------------------------------------------------------------------------- state */

#define ENGINE_INDEX 3

int neap_object_open_state(lua_State *L, struct neap_standalone *state, enum neap_cell_kind kind,
                           const struct neap_policy_name *name, const struct neap_env *env,
                           const void *policy)
{
    static const char *const nouns[NEAP_CELL_KIND_COUNT] = {
        [NEAP_CELL_BREAKER] = "breaker",
        [NEAP_CELL_LIMITER] = "rate limiter",
        [NEAP_CELL_BULKHEAD] = "bulkhead",
        [NEAP_CELL_BUDGET] = "retry budget",
    };
    bool can_share = !env->has_clock && !lua_isnil(L, ENGINE_INDEX);
    const struct neap_cells from = {
        .alloc = neap_platform_alloc(),
        .region = can_share ? neap_check_engine(L, ENGINE_INDEX)->region : NULL,
    };
    enum neap_status status = neap_standalone_open(state, &from, kind, name->text, name->bytes,
                                                   policy, neap_clock_monotonic_ns());
    if (status == NEAP_NO_MEMORY)
        return neap_raise_memory(L);
    if (status == NEAP_OK)
        return 1;
    lua_pushfstring(L,
                    "policy: the shared region \"%s\" has no room for another %s; make it larger",
                    neap_region_name(from.region), nouns[kind]);
    return neap_object_misuse(L);
}

void *neap_object_state(lua_State *L, struct neap_standalone *state, const void *policy)
{
    luaL_argcheck(L, state->cell, 1, "the policy was collected");
    if (!neap_standalone_is_inherited(state) ||
        neap_standalone_adopt(state, policy, neap_clock_monotonic_ns()) == NEAP_OK)
        return state->cell;
    luaL_error(L, "the shared region \"%s\" has no room for this process now",
               neap_region_name(state->cells.region));
    return NULL;
}

void neap_object_close_state(struct neap_standalone *state, const void *policy)
{
    neap_standalone_close(state, policy, neap_clock_monotonic_ns());
}

/* ------------------------------------------------------------------------------------- answers */

int neap_object_refuse(lua_State *L, enum neap_kind kind, const char *message, int64_t until_ns,
                       int64_t now_ns)
{
    struct neap_error_view view = {
        .kind = kind,
        .message = message,
        .retryable = true, /* nothing was begun */
        .retry_after_ns = until_ns == NEAP_NEVER ? -1 : neap_time_since(until_ns, now_ns),
    };
    lua_pushnil(L);
    neap_binding_push_error(L, &view);
    return 2;
}

void neap_object_push_integer(lua_State *L, int64_t integer)
{
    if (sizeof(lua_Integer) < sizeof integer)
        lua_pushnumber(L, (lua_Number)integer);
    else
        lua_pushinteger(L, (lua_Integer)integer);
}

int64_t neap_object_check_permit(lua_State *L, int index)
{
    int64_t permit = 0;
    if (!neap_lua_integer(L, index, &permit))
        luaL_argerror(L, index,
                      lua_pushfstring(L, "expected a permit, got %s", luaL_typename(L, index)));
    return permit;
}

uint64_t neap_object_check_count(lua_State *L, int index)
{
    int64_t count = 0;
    if (!neap_lua_integer(L, index, &count) || count < 1)
        luaL_argerror(L, index, "expected an integer >= 1");
    return (uint64_t)count;
}

/* --------------------------------------------------------------------------------- Retry-After */

#define LARGEST_EPOCH_S 1e15

/* The second that has begun: a delay rounded up does no harm. */
static bool reference_epoch(lua_State *L, int index, int64_t *epoch_s)
{
    double now_s = (double)neap_clock_wall_ns() / 1e9;
    if (!lua_isnoneornil(L, index))
        now_s = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : NAN;
    if (!isfinite(now_s))
        return false;
    *epoch_s = (int64_t)floor(fmax(fmin(now_s, LARGEST_EPOCH_S), -LARGEST_EPOCH_S));
    return true;
}

/* A field that is there twice, and thus a list, is malformed like any other. */
static bool server_delay(lua_State *L, int index, int64_t epoch_s, int64_t *delay_s)
{
    size_t bytes;
    double number = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : -1;
    if (number >= 0 && isfinite(number) && number == floor(number)) {
        *delay_s = (int64_t)fmin(number, (double)NEAP_SERVER_DELAY_MAX);
        return true;
    }
    if (lua_type(L, index) != LUA_TSTRING)
        return false;
    const char *text = lua_tolstring(L, index, &bytes);
    return neap_retry_after_parse(text, bytes, epoch_s, delay_s);
}

/* retry_after(value [, now_epoch]): seconds; nil; or nil and what is wrong with now_epoch. */
static int retry_after(lua_State *L)
{
    int64_t epoch_s, delay_s;
    lua_settop(L, 2);
    if (!reference_epoch(L, 2, &epoch_s)) {
        lua_pushliteral(L, "now_epoch: expected a finite number of seconds");
        return neap_object_misuse(L);
    }
    if (server_delay(L, 1, epoch_s, &delay_s))
        neap_object_push_integer(L, delay_s);
    else
        lua_pushnil(L);
    return 1;
}

void neap_binding_add_policies(lua_State *L)
{
    neap_binding_add_errors(L);
    neap_object_add_breaker(L);
    neap_object_add_limiters(L);
    neap_object_add_backoff(L);
    lua_pushcfunction(L, retry_after);
    lua_setfield(L, -2, "retry_after");
}
