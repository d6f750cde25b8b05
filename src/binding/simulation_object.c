/* A simulation for Lua: made from a policy table, run piece by piece, read. */
#include <string.h>

#include "base/duration.h"
#include "binding/error_object.h"
#include "binding/objects.h"
#include "binding/policy_options.h"
#include "binding/simulation_options.h"
#include "binding/simulation_record.h"
#include "platform/memory.h"

#define SIMULATION_NAME "neap.simulation"

/* Its user table has the functions of the policy by their path and, once one of them has raised,
 * what it raised at [1]. */
struct simulation_object {
    struct neap_client_policy policy;
    struct neap_simulation_options options;
    struct neap_simulation *simulation;
    lua_State *L; /* while it runs */
};

static struct simulation_object *check_simulation(lua_State *L)
{
    struct simulation_object *object = luaL_checkudata(L, 1, SIMULATION_NAME);
    luaL_argcheck(L, object->simulation, 1, "the simulation was not made");
    return object;
}

static int simulation_collect(lua_State *L)
{
    struct simulation_object *object = luaL_checkudata(L, 1, SIMULATION_NAME);
    neap_simulation_free(object->simulation);
    object->simulation = NULL;
    if (object->policy.alloc)
        neap_client_policy_deinit(&object->policy);
    return 0;
}

/* ---- questions: the userdata is at 1 while it runs ---- */

static const char *const function_paths[] = {
    [NEAP_ASK_FAILURE] = "breaker.failure",
    [NEAP_ASK_REFRESH] = "retry.refresh",
    [NEAP_ASK_WHEN] = "retry.when",
    [NEAP_ASK_BACKOFF] = "retry.backoff",
};

static void push_error(lua_State *L, const struct neap_call *call,
                       const struct neap_attempt *judged)
{
    const struct neap_error_view view = {
        .kind = judged->outcome.kind,
        .phase = judged->outcome.phase,
        .message = judged->outcome.message,
        .attempts = call->attempts,
        .elapsed_ns = neap_time_since(judged->ended_ns, call->began_ns),
        .retry_after_ns = -1,
    };
    neap_binding_push_error(L, &view);
    lua_setfield(L, -2, "error");
    neap_set_text(L, "kind", neap_kind_name(judged->outcome.kind));
}

static void push_response(lua_State *L, const struct neap_attempt *judged)
{
    int64_t retry_after_ns = judged->hint.retry_after_ns;
    neap_set_count(L, "status", (uint64_t)judged->outcome.status);
    lua_createtable(L, 0, 5);
    neap_set_count(L, "status", (uint64_t)judged->outcome.status);
    lua_pushboolean(L, judged->outcome.status < 400);
    lua_setfield(L, -2, "ok");
    neap_set_text(L, "body", "");
    lua_newtable(L);
    lua_setfield(L, -2, "headers");
    if (retry_after_ns >= 0)
        neap_set_seconds(L, "retry_after", retry_after_ns);
    lua_setfield(L, -2, "response");
}

/* What neap asks such a function with, as far as there is one in a simulation. */
static void push_outcome(lua_State *L, const struct neap_call *call)
{
    const struct neap_attempt *judged = &call->judged;
    lua_createtable(L, 0, 6);
    neap_set_count(L, "attempt", judged->number);
    neap_set_seconds(L, "elapsed", neap_time_since(judged->ended_ns, judged->started_ns));
    if (judged->outcome.kind != NEAP_KIND_NONE)
        push_error(L, call, judged);
    else
        push_response(L, judged);
}

/* The value on top of the stack into what it means. */
static void read_answer(lua_State *L, enum neap_question question, struct neap_answer *answer)
{
    static const char *const verdicts[] = {"success", "failure", "ignore", NULL};
    if (question == NEAP_ASK_BACKOFF) {
        luaL_argcheck(L, lua_type(L, -1) == LUA_TNUMBER, 1,
                      "policy.retry.backoff: expected a number of seconds to be returned");
        answer->delay_s = lua_tonumber(L, -1);
    } else if (question == NEAP_ASK_WHEN && !lua_isnil(L, -1)) {
        answer->when = lua_toboolean(L, -1) ? NEAP_OPINION_YES : NEAP_OPINION_NO;
    } else if (question == NEAP_ASK_FAILURE && !lua_isnil(L, -1)) {
        answer->has_verdict = true;
        answer->verdict = (enum neap_verdict)luaL_checkoption(L, -1, NULL, verdicts);
    }
}

struct query {
    enum neap_question question;
    uint32_t retry;
    const struct neap_call *call;
    struct neap_answer *answer;
};

/* protected: (functions, query) */
static int ask_function(lua_State *L)
{
    const struct query *query = lua_touserdata(L, 2);
    lua_getfield(L, 1, function_paths[query->question]);
    if (query->question == NEAP_ASK_BACKOFF)
        lua_pushinteger(L, (lua_Integer)query->retry);
    push_outcome(L, query->call);
    lua_call(L, query->question == NEAP_ASK_BACKOFF ? 2 : 1, 1);
    read_answer(L, query->question, query->answer);
    return 0;
}

/* What the function raises ends the simulation, and is raised again from there. */
static bool ask(void *context, enum neap_question question, uint32_t retry,
                const struct neap_call *call, struct neap_answer *answer)
{
    lua_State *L = ((struct simulation_object *)context)->L;
    struct query query = {question, retry, call, answer};
    lua_pushcfunction(L, ask_function);
    neap_lua_get_user_table(L, 1);
    lua_pushlightuserdata(L, &query);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK)
        return true;
    neap_lua_get_user_table(L, 1);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    return false;
}

/* ---- what the entries of the chain answer ---- */

static int status_of(lua_State *L)
{
    int64_t status;
    if (!lua_istable(L, -1))
        return 200;
    lua_pushliteral(L, "status");
    lua_rawget(L, -2);
    bool is_given = neap_lua_integer(L, -1, &status) && status >= 100 && status <= 599;
    lua_pop(L, 1);
    return is_given ? (int)status : 200;
}

/* Of the entry on top. */
static struct neap_simulated_fallback read_fallback(lua_State *L)
{
    struct neap_simulated_fallback fallback = {NEAP_SOURCE_FUNCTION, 200};
    lua_getfield(L, -1, "kind");
    const char *kind = lua_tostring(L, -1);
    for (int source = 0; kind && source < NEAP_SOURCE_COUNT; source++)
        if (strcmp(kind, neap_source_name((enum neap_source)source)) == 0)
            fallback.source = (enum neap_source)source;
    lua_pop(L, 1);
    lua_getfield(L, -1, "value");
    if (fallback.source == NEAP_SOURCE_DEFAULT)
        fallback.status = status_of(L);
    if (fallback.source == NEAP_SOURCE_QUEUE)
        fallback.status = 202;
    lua_pop(L, 1);
    return fallback;
}

/* Of what of the policy stays in Lua, on top. */
static void read_fallbacks(lua_State *L, struct neap_simulation_setup *setup)
{
    lua_getfield(L, -1, "fallback");
    for (uint32_t i = 0; i < setup->pipeline->fallback_count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        setup->fallback[i] = read_fallback(L);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* ---- life ---- */

static int refuse(lua_State *L)
{
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* simulation(policy, options): the simulation and what of the policy stays in Lua; or nil and what
 * is wrong with one of the two. */
static int simulation_new(lua_State *L)
{
    lua_settop(L, 2);
    struct simulation_object *object = neap_lua_new_userdata(L, sizeof *object);
    object->simulation = NULL;
    object->L = NULL;
    neap_client_policy_init(&object->policy, neap_platform_alloc());
    luaL_setmetatable(L, SIMULATION_NAME);
    int made = lua_gettop(L);
    if (!neap_read_simulation_options(L, 2, &object->options) ||
        !neap_read_client_policy(L, 1, &object->policy))
        return refuse(L);

    struct neap_simulation_setup setup;
    neap_simulation_options_apply(&object->options, &object->policy, &setup);
    read_fallbacks(L, &setup);
    setup.ask = ask;
    setup.ask_context = object;
    if (neap_simulation_new(&setup, &object->simulation) != NEAP_OK)
        return neap_raise_memory(L);
    lua_pushvalue(L, -1);
    neap_lua_set_user_table(L, made);
    return 2;
}

/* run([until]): goes on until that second; true once all is over. Raises what a function raised. */
static int simulation_run(lua_State *L)
{
    struct simulation_object *object = check_simulation(L);
    enum neap_simulation_state state = NEAP_SIMULATION_RUNNING;
    int64_t until_ns = neap_optional_seconds(L, 2);
    luaL_argcheck(L, !object->L, 1, "the simulation runs already");
    lua_settop(L, 1);
    object->L = L;
    enum neap_status status = neap_simulation_run(object->simulation, until_ns, &state);
    object->L = NULL;
    if (status != NEAP_OK)
        return neap_raise_memory(L);
    if (state == NEAP_SIMULATION_STOPPED) {
        neap_lua_get_user_table(L, 1);
        lua_rawgeti(L, -1, 1);
        return lua_error(L);
    }
    lua_pushboolean(L, state == NEAP_SIMULATION_OVER);
    return 1;
}

/* record(): what was seen. */
static int simulation_record(lua_State *L)
{
    neap_push_simulation_record(L, check_simulation(L)->simulation);
    return 1;
}

/* setting(): what was not given is what it is by default. */
static int simulation_setting(lua_State *L)
{
    neap_push_simulation_options(L, &check_simulation(L)->options);
    return 1;
}

void neap_binding_add_simulation(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"run", simulation_run},
        {"record", simulation_record},
        {"setting", simulation_setting},
        {NULL, NULL},
    };
    neap_new_metatable(L, SIMULATION_NAME, methods, simulation_collect);
    lua_pop(L, 1);
    lua_pushcfunction(L, simulation_new);
    lua_setfield(L, -2, "simulation");
}
