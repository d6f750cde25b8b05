#include "binding/policy_env.h"

#include <math.h>
#include <stddef.h>

#include "base/duration.h"
#include "binding/options.h"
#include "platform/clock.h"
#include "platform/entropy.h"

#define ENV(member) offsetof(struct neap_env, member)

_Static_assert(ENV(has_clock) > 0, "an offset of 0 is no switch");

static const struct neap_option env_rows[] = {
    {"clock", .kind = NEAP_OPTION_FUNCTION, .offset = ENV(has_clock)},
    {"random", .kind = NEAP_OPTION_FUNCTION, .offset = ENV(has_random)},
    {"time", .kind = NEAP_OPTION_FUNCTION, .offset = ENV(has_time)},
};
static const struct neap_option_table env_table = NEAP_OPTION_ROWS(env_rows);

static void seed(lua_State *L, struct neap_random *random)
{
    uint64_t bits;
    if (neap_entropy_fill(&bits, sizeof bits) != NEAP_OK)
        luaL_error(L, "neap: the system gives no random bytes");
    neap_random_init(random, bits);
}

bool neap_env_read(lua_State *L, int index, struct neap_env *env)
{
    *env = (struct neap_env){.has_clock = false};
    lua_newtable(L);
    int functions = lua_gettop(L);
    if (!lua_isnoneornil(L, index) &&
        !neap_options_read(L, index, "env", &env_table, env, NULL, functions)) {
        lua_remove(L, functions);
        return false;
    }
    if (!env->has_random)
        seed(L, &env->random);
    return true;
}

/* What the user's function answers, left on top of the stack above the user table; NaN for anything
 * that is no number. */
static double ask(lua_State *L, int index, const char *name)
{
    neap_lua_get_user_table(L, index);
    lua_getfield(L, -1, name);
    lua_call(L, 0, 1);
    return lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
}

/* The answer is on top of the stack. */
static void raise_unusable(lua_State *L, const char *name, const char *expected)
{
    bool is_number = lua_type(L, -1) == LUA_TNUMBER;
    double number = lua_tonumber(L, -1);
    if (is_number && !isnan(number))
        luaL_error(L, "env.%s: expected %s, got %f", name, expected, number);
    luaL_error(L, "env.%s: expected %s, got %s", name, expected,
               is_number ? "nan" : luaL_typename(L, -1));
}

int64_t neap_env_now(lua_State *L, int index, const struct neap_env *env)
{
    if (!env->has_clock)
        return neap_clock_monotonic_ns();
    double now_s = ask(L, index, "clock");
    if (!isfinite(now_s))
        raise_unusable(L, "clock", "a finite number of seconds");
    lua_pop(L, 2);
    return neap_ns_from_seconds(now_s);
}

/* 1 itself is let through: it does no harm to any formula. */
double neap_env_random(lua_State *L, int index, struct neap_env *env)
{
    if (!env->has_random)
        return neap_random_unit(&env->random);
    double r = ask(L, index, "random");
    if (!(r >= 0 && r <= 1))
        raise_unusable(L, "random", "a number in [0,1)");
    lua_pop(L, 2);
    return r;
}
