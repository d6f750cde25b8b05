/* Rate limiter, bulkhead and retry budget for Lua. */
#include "base/duration.h"
#include "binding/policy_env.h"
#include "binding/policy_objects.h"
#include "binding/policy_options.h"
#include "platform/clock.h"
#include "policy/bulkhead.h"
#include "policy/rate_limiter.h"
#include "policy/retry_budget.h"

#define LIMITER_NAME "neap.rate_limiter"
#define BULKHEAD_NAME "neap.bulkhead"
#define BUDGET_NAME "neap.retry_budget"

/* -------------------------------------------------------------------------------- rate limiter */

struct limiter_object {
    struct neap_rate_limiter_policy policy;
    struct neap_env env;
    struct neap_standalone state;
};

static int limiter_new(lua_State *L)
{
    struct neap_rate_limiter_policy policy;
    struct neap_policy_name name;
    struct neap_env env;
    lua_settop(L, 3);
    if (!neap_read_rate_limiter_policy(L, 1, &policy, &name) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct limiter_object *object = neap_object_new(L, sizeof *object, LIMITER_NAME);
    object->policy = policy;
    object->env = env;
    return neap_object_open_state(L, &object->state, NEAP_CELL_LIMITER, &name, &env,
                                  &object->policy);
}

static int limiter_collect(lua_State *L)
{
    struct limiter_object *object = luaL_checkudata(L, 1, LIMITER_NAME);
    neap_object_close_state(&object->state, &object->policy);
    return 0;
}

static int limiter_acquire(lua_State *L)
{
    struct limiter_object *object = luaL_checkudata(L, 1, LIMITER_NAME);
    uint64_t units = lua_isnoneornil(L, 2) ? 1 : neap_object_check_count(L, 2);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    struct neap_rate_limiter *limiter = neap_object_state(L, &object->state, &object->policy);
    neap_cells_reap(&object->state.cells, now_ns);
    struct neap_admission answer = neap_rate_limiter_acquire(limiter, &object->policy, units,
                                                             object->policy.max_wait_ns, now_ns);
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
        .name = LIMITER_NAME,
        .methods = methods,
        .to_string = limiter_to_string,
        .collect = limiter_collect,
    };
    neap_object_add_class(L, &limiter);
    lua_pushcfunction(L, limiter_new);
    lua_setfield(L, -2, "rate_limiter");
}

/* ------------------------------------------------------------------------------------ bulkhead */

struct bulkhead_object {
    struct neap_bulkhead_policy policy;
    struct neap_standalone state;
};

static int bulkhead_new(lua_State *L)
{
    struct neap_bulkhead_policy policy;
    struct neap_policy_name name;
    struct neap_env env;
    lua_settop(L, 3);
    if (!neap_read_bulkhead_policy(L, 1, &policy, &name) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct bulkhead_object *object = neap_object_new(L, sizeof *object, BULKHEAD_NAME);
    object->policy = policy;
    return neap_object_open_state(L, &object->state, NEAP_CELL_BULKHEAD, &name, &env,
                                  &object->policy);
}

static int bulkhead_collect(lua_State *L)
{
    struct bulkhead_object *object = luaL_checkudata(L, 1, BULKHEAD_NAME);
    neap_object_close_state(&object->state, &object->policy);
    return 0;
}

static struct bulkhead_object *check_bulkhead(lua_State *L)
{
    struct bulkhead_object *object = luaL_checkudata(L, 1, BULKHEAD_NAME);
    (void)neap_object_state(L, &object->state, &object->policy);
    return object;
}

/* No part of a bulkhead depends on time, so env is only checked; but a shared one has to find out
 * who has died. */
static int64_t time_of_bulkhead(const struct bulkhead_object *object)
{
    return object->state.cells.region ? neap_clock_monotonic_ns() : 0;
}

static int bulkhead_acquire(lua_State *L)
{
    struct bulkhead_object *object = check_bulkhead(L);
    int64_t now_ns = time_of_bulkhead(object);
    neap_cells_reap(&object->state.cells, now_ns);
    struct neap_admission answer = neap_standalone_take(&object->state, &object->policy, now_ns);
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
    lua_pushboolean(L, neap_standalone_give(&object->state, &object->policy, permit));
    return 1;
}

static uint32_t in_use(const struct bulkhead_object *object)
{
    return neap_bulkhead_in_use(object->state.cell, &object->policy);
}

static int bulkhead_in_use(lua_State *L)
{
    neap_object_push_integer(L, in_use(check_bulkhead(L)));
    return 1;
}

static int bulkhead_to_string(lua_State *L)
{
    const struct bulkhead_object *object = luaL_checkudata(L, 1, BULKHEAD_NAME);
    if (object->state.cell)
        lua_pushfstring(L, BULKHEAD_NAME " (%d of %d in use)", (int)in_use(object),
                        (int)object->policy.max_concurrent);
    else
        lua_pushliteral(L, BULKHEAD_NAME " (collected)");
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
        .name = BULKHEAD_NAME,
        .methods = methods,
        .to_string = bulkhead_to_string,
        .collect = bulkhead_collect,
    };
    neap_object_add_class(L, &bulkhead);
    lua_pushcfunction(L, bulkhead_new);
    lua_setfield(L, -2, "bulkhead");
}

/* -------------------------------------------------------------------------------- retry budget */

struct budget_object {
    struct neap_retry_budget_policy policy;
    struct neap_env env;
    struct neap_standalone state;
};

static int budget_new(lua_State *L)
{
    struct neap_retry_budget_policy policy;
    struct neap_policy_name name;
    struct neap_env env;
    lua_settop(L, 3);
    if (!neap_read_retry_budget_policy(L, 1, &policy, &name) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct budget_object *object = neap_object_new(L, sizeof *object, BUDGET_NAME);
    object->policy = policy;
    object->env = env;
    return neap_object_open_state(L, &object->state, NEAP_CELL_BUDGET, &name, &env,
                                  &object->policy);
}

static struct budget_object *check_budget(lua_State *L)
{
    return luaL_checkudata(L, 1, BUDGET_NAME);
}

static int budget_collect(lua_State *L)
{
    struct budget_object *object = check_budget(L);
    neap_object_close_state(&object->state, &object->policy);
    return 0;
}

static struct neap_retry_budget *budget_of(lua_State *L, struct budget_object *object)
{
    return neap_object_state(L, &object->state, &object->policy);
}

static int budget_deposit(lua_State *L)
{
    struct budget_object *object = check_budget(L);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    neap_retry_budget_deposit(budget_of(L, object), &object->policy, now_ns);
    return 0;
}

static int budget_withdraw(lua_State *L)
{
    struct budget_object *object = check_budget(L);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    bool is_paid = neap_retry_budget_withdraw(budget_of(L, object), &object->policy, now_ns);
    lua_pushboolean(L, is_paid);
    return 1;
}

static int budget_balance(lua_State *L)
{
    struct budget_object *object = check_budget(L);
    int64_t now_ns = neap_env_now(L, 1, &object->env);
    int64_t left = neap_retry_budget_balance(budget_of(L, object), &object->policy, now_ns);
    neap_object_push_integer(L, left);
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
        .name = BUDGET_NAME,
        .methods = methods,
        .to_string = budget_to_string,
        .collect = budget_collect,
    };
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
