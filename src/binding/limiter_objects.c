/* Rate limiter, bulkhead and retry budget for Lua. */
#include "base/duration.h"
#include "binding/policy_env.h"
#include "binding/policy_objects.h"
#include "binding/policy_options.h"
#include "policy/bulkhead.h"
#include "policy/rate_limiter.h"
#include "policy/retry_budget.h"

#define LIMITER_NAME "neap.rate_limiter"
#define BULKHEAD_NAME "neap.bulkhead"
#define BUDGET_NAME "neap.retry_budget"

/* -------------------------------------------------------------------------------- rate limiter */

struct limiter_object {
    struct neap_rate_limiter_policy policy;
    struct neap_rate_limiter limiter;
    struct neap_env env;
};

static int limiter_new(lua_State *L)
{
    struct neap_rate_limiter_policy policy;
    struct neap_env env;
    lua_settop(L, 2);
    if (!neap_read_rate_limiter_policy(L, 1, &policy) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct limiter_object *object = neap_object_new(L, sizeof *object, LIMITER_NAME);
    object->policy = policy;
    object->env = env;
    neap_rate_limiter_init(&object->limiter);
    return 1;
}

static int limiter_acquire(lua_State *L)
{
    struct limiter_object *object = luaL_checkudata(L, 1, LIMITER_NAME);
    uint32_t units = lua_isnoneornil(L, 2) ? 1 : neap_object_check_count(L, 2);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    struct neap_admission answer = neap_rate_limiter_acquire(
        &object->limiter, &object->policy, units, object->policy.max_wait_ns, now_ns);
    if (answer.decision == NEAP_REFUSE)
        return neap_object_refuse(L, NEAP_KIND_RATE_LIMITED,
                                  "the rate limit leaves no room in the time that may be waited",
                                  answer.until_ns, now_ns);
    lua_pushnumber(L, neap_seconds_from_ns(neap_time_since(answer.until_ns, now_ns)));
    return 1;
}

static int limiter_to_string(lua_State *L)
{
    const struct limiter_object *object = luaL_checkudata(L, 1, LIMITER_NAME);
    lua_pushfstring(L, LIMITER_NAME " (one in %f s)", object->policy.interval_s);
    return 1;
}

static void add_limiter(lua_State *L)
{
    static const luaL_Reg methods[] = {{"acquire", limiter_acquire}, {NULL, NULL}};
    static const struct neap_object_class limiter = {
        .name = LIMITER_NAME, .methods = methods, .to_string = limiter_to_string};
    neap_object_add_class(L, &limiter);
    lua_pushcfunction(L, limiter_new);
    lua_setfield(L, -2, "rate_limiter");
}

/* ------------------------------------------------------------------------------------ bulkhead */

/* No part of it depends on time: env is only checked. */
struct bulkhead_object {
    struct neap_bulkhead_policy policy;
};

_Static_assert(sizeof(struct bulkhead_object) % 8 == 0, "the state lies behind it");

static int bulkhead_new(lua_State *L)
{
    struct neap_bulkhead_policy policy;
    struct neap_env env;
    lua_settop(L, 2);
    if (!neap_read_bulkhead_policy(L, 1, &policy) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct bulkhead_object *object =
        neap_object_new(L, sizeof *object + neap_bulkhead_bytes(&policy), BULKHEAD_NAME);
    object->policy = policy;
    neap_bulkhead_init((void *)(object + 1), &policy);
    return 1;
}

static struct bulkhead_object *check_bulkhead(lua_State *L)
{
    return luaL_checkudata(L, 1, BULKHEAD_NAME);
}

static struct neap_bulkhead *state_of(struct bulkhead_object *object)
{
    return (void *)(object + 1);
}

static int bulkhead_acquire(lua_State *L)
{
    struct bulkhead_object *object = check_bulkhead(L);
    struct neap_admission answer = neap_bulkhead_acquire(state_of(object), &object->policy, 0);
    if (answer.decision == NEAP_REFUSE)
        return neap_object_refuse(L, NEAP_KIND_BULKHEAD_FULL,
                                  "all places of the bulkhead are taken", NEAP_NEVER, 0);
    neap_object_push_integer(L, answer.permit);
    return 1;
}

static int bulkhead_release(lua_State *L)
{
    struct bulkhead_object *object = check_bulkhead(L);
    int64_t permit = neap_object_check_permit(L, 2);
    lua_pushboolean(L, neap_bulkhead_release(state_of(object), &object->policy, permit));
    return 1;
}

static int bulkhead_in_use(lua_State *L)
{
    neap_object_push_integer(L, neap_bulkhead_in_use(state_of(check_bulkhead(L))));
    return 1;
}

static int bulkhead_to_string(lua_State *L)
{
    struct bulkhead_object *object = check_bulkhead(L);
    lua_pushfstring(L, BULKHEAD_NAME " (%d of %d in use)",
                    (int)neap_bulkhead_in_use(state_of(object)),
                    (int)object->policy.max_concurrent);
    return 1;
}

static void add_bulkhead(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"acquire", bulkhead_acquire},
        {"release", bulkhead_release},
        {"in_use", bulkhead_in_use},
        {NULL, NULL},
    };
    static const struct neap_object_class bulkhead = {
        .name = BULKHEAD_NAME, .methods = methods, .to_string = bulkhead_to_string};
    neap_object_add_class(L, &bulkhead);
    lua_pushcfunction(L, bulkhead_new);
    lua_setfield(L, -2, "bulkhead");
}

/* -------------------------------------------------------------------------------- retry budget */

struct budget_object {
    struct neap_retry_budget_policy policy;
    struct neap_env env;
};

_Static_assert(sizeof(struct budget_object) % 8 == 0, "the state lies behind it");

static int budget_new(lua_State *L)
{
    struct neap_retry_budget_policy policy;
    struct neap_env env;
    lua_settop(L, 2);
    if (!neap_read_retry_budget_policy(L, 1, &policy) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct budget_object *object =
        neap_object_new(L, sizeof *object + neap_retry_budget_bytes(&policy), BUDGET_NAME);
    object->policy = policy;
    object->env = env;
    neap_retry_budget_init((void *)(object + 1), &policy);
    return 1;
}

static struct budget_object *check_budget(lua_State *L)
{
    return luaL_checkudata(L, 1, BUDGET_NAME);
}

static struct neap_retry_budget *budget_of(struct budget_object *object)
{
    return (void *)(object + 1);
}

static int budget_deposit(lua_State *L)
{
    struct budget_object *object = check_budget(L);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    neap_retry_budget_deposit(budget_of(object), &object->policy, now_ns);
    return 0;
}

static int budget_withdraw(lua_State *L)
{
    struct budget_object *object = check_budget(L);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    lua_pushboolean(L, neap_retry_budget_withdraw(budget_of(object), &object->policy, now_ns));
    return 1;
}

static int budget_balance(lua_State *L)
{
    struct budget_object *object = check_budget(L);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    neap_object_push_integer(L,
                             neap_retry_budget_balance(budget_of(object), &object->policy, now_ns));
    return 1;
}

static int budget_to_string(lua_State *L)
{
    lua_pushfstring(L, BUDGET_NAME " (ratio %f)", check_budget(L)->policy.ratio);
    return 1;
}

static void add_budget(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"deposit", budget_deposit},
        {"withdraw", budget_withdraw},
        {"balance", budget_balance},
        {NULL, NULL},
    };
    static const struct neap_object_class budget = {
        .name = BUDGET_NAME, .methods = methods, .to_string = budget_to_string};
    neap_object_add_class(L, &budget);
    lua_pushcfunction(L, budget_new);
    lua_setfield(L, -2, "retry_budget");
}

void neap_object_add_limiters(lua_State *L)
{
    add_limiter(L);
    add_bulkhead(L);
    add_budget(L);
}
