/* The circuit breaker for Lua: one that stands alone, or a view on a client's. */
#include <string.h>

#include "base/duration.h"
#include "binding/fields.h"
#include "binding/objects.h"
#include "binding/policy_env.h"
#include "binding/policy_object_views.h"
#include "binding/policy_objects.h"
#include "binding/policy_options.h"
#include "platform/memory.h"
#include "platform/process.h"
#include "policy/breaker.h"

#define BREAKER_NAME "neap.breaker"
#define EXPORTED_NAME "neap.exported"

struct breaker_object {
    struct neap_breaker *breaker; /* the state's, or the host's; NULL once collected */
    struct neap_breaker_policy policy;
    struct neap_env env;           /* stands alone */
    struct neap_standalone state;  /* stands alone */
    struct neap_breaker_host host; /* view: `now` is set */
    int64_t process;               /* that filled the view */
};

/* --------------------------------------------------------------------------- making and ending */

static int breaker_new(lua_State *L)
{
    struct neap_breaker_policy policy;
    struct neap_policy_name name;
    struct neap_env env;
    lua_settop(L, 3);
    if (!neap_read_breaker_policy(L, 1, &policy, &name) || !neap_env_read(L, 2, &env))
        return neap_object_misuse(L);
    struct breaker_object *object = neap_object_new(L, sizeof *object, BREAKER_NAME);
    object->policy = policy;
    object->env = env;
    int answers =
        neap_object_open_state(L, &object->state, NEAP_CELL_BREAKER, &name, &env, &object->policy);
    object->breaker = object->state.cell;
    return answers;
}

void neap_binding_push_breaker_view(lua_State *L, const struct neap_breaker_policy *policy,
                                    const struct neap_breaker_host *host, int owner_index)
{
    owner_index = lua_absindex(L, owner_index);
    lua_newtable(L);
    lua_pushvalue(L, owner_index);
    lua_setfield(L, -2, "owner");
    struct breaker_object *object = neap_object_new(L, sizeof *object, BREAKER_NAME);
    object->policy = *policy;
    object->host = *host;
}

void neap_binding_fill_breaker_view(lua_State *L, struct neap_breaker *breaker)
{
    struct breaker_object *object = luaL_checkudata(L, -1, BREAKER_NAME);
    object->breaker = breaker;
    object->process = neap_process_id();
}

static bool is_parents(const struct breaker_object *object)
{
    return object->host.is_pinned && object->process != neap_process_id();
}

static int breaker_collect(lua_State *L)
{
    struct breaker_object *object = luaL_checkudata(L, 1, BREAKER_NAME);
    if (object->breaker && object->host.release)
        object->host.release(object->host.context, is_parents(object) ? NULL : object->breaker);
    neap_object_close_state(&object->state, &object->policy);
    object->breaker = NULL;
    return 0;
}

/* ------------------------------------------------------------------------------------- helpers */

static struct breaker_object *check_breaker(lua_State *L)
{
    struct breaker_object *object = luaL_checkudata(L, 1, BREAKER_NAME);
    luaL_argcheck(L, object->breaker, 1, "the breaker was collected");
    luaL_argcheck(L, !is_parents(object), 1, "it is of before a fork; ask for the breaker again");
    if (object->host.find)
        object->breaker = object->host.find(object->host.context);
    if (object->state.cell)
        object->breaker = neap_object_state(L, &object->state, &object->policy);
    return object;
}

static uint32_t holder_of(const struct breaker_object *object)
{
    if (object->host.holder)
        return object->host.holder(object->host.context);
    return object->state.holder;
}

static int64_t now_of(lua_State *L, const struct breaker_object *object)
{
    if (object->host.now)
        return object->host.now(object->host.context);
    return neap_env_now(L, 1, &object->env);
}

static double random_of(lua_State *L, struct breaker_object *object)
{
    if (!neap_breaker_uses_random(&object->policy))
        return 0;
    if (object->host.random)
        return object->host.random(object->host.context);
    return neap_env_random(L, 1, &object->env);
}

static void tell_change(const struct breaker_object *object,
                        const struct neap_breaker_change *change)
{
    if (object->host.changed)
        object->host.changed(object->host.context, change);
}

static enum neap_verdict check_verdict(lua_State *L, int index)
{
    static const char *const names[] = {
        [NEAP_VERDICT_SUCCESS] = "success",
        [NEAP_VERDICT_FAILURE] = "failure",
        [NEAP_VERDICT_IGNORE] = "ignore",
    };
    const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum neap_verdict)i;
    luaL_argerror(L, index, "expected \"success\", \"failure\" or \"ignore\"");
    return NEAP_VERDICT_IGNORE;
}

static int64_t check_elapsed(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TNUMBER);
    return neap_time_max(neap_ns_from_seconds(lua_tonumber(L, index)), 0);
}

/* ------------------------------------------------------------------------------ permit and result
 */

static int breaker_acquire(lua_State *L)
{
    struct breaker_object *object = check_breaker(L);
    int64_t now_ns = now_of(L, object);
    double r = random_of(L, object);
    struct neap_breaker_change change = {.changed = false};
    neap_cells_reap(&object->state.cells, now_ns);
    struct neap_admission answer = neap_breaker_acquire(object->breaker, &object->policy,
                                                        holder_of(object), now_ns, r, &change);
    tell_change(object, &change);
    if (answer.decision == NEAP_REFUSE)
        return neap_object_refuse(L, NEAP_KIND_BREAKER_OPEN,
                                  neap_breaker_refusal(neap_breaker_state(object->breaker)),
                                  answer.until_ns, now_ns);
    neap_object_push_integer(L, answer.permit);
    return 1;
}

static int breaker_record(lua_State *L)
{
    struct breaker_object *object = check_breaker(L);
    int64_t permit = neap_object_check_permit(L, 2);
    enum neap_verdict verdict = check_verdict(L, 3);
    int64_t elapsed_ns = check_elapsed(L, 4);
    int64_t now_ns = now_of(L, object);
    double r = random_of(L, object);
    struct neap_breaker_change change = neap_breaker_record(object->breaker, &object->policy,
                                                            permit, verdict, elapsed_ns, now_ns, r);
    tell_change(object, &change);
    return 0;
}

/* --------------------------------------------------------------------------------- state, by hand
 */

static int breaker_state(lua_State *L)
{
    lua_pushstring(L, neap_breaker_state_name(neap_breaker_state(check_breaker(L)->breaker)));
    return 1;
}

static int force(lua_State *L, enum neap_breaker_state state)
{
    struct breaker_object *object = check_breaker(L);
    struct neap_breaker_change change = neap_breaker_force(object->breaker, &object->policy, state);
    tell_change(object, &change);
    return 0;
}

static int breaker_force_open(lua_State *L)
{
    return force(L, NEAP_BREAKER_FORCED_OPEN);
}

static int breaker_disable(lua_State *L)
{
    return force(L, NEAP_BREAKER_DISABLED);
}

static int breaker_metrics_only(lua_State *L)
{
    return force(L, NEAP_BREAKER_METRICS_ONLY);
}

static int breaker_reset(lua_State *L)
{
    return force(L, NEAP_BREAKER_CLOSED);
}

/* ------------------------------------------------------------------------------------- snapshot */

static void set_number(lua_State *L, const char *name, double number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

void neap_binding_push_snapshot(lua_State *L, const struct neap_breaker_snapshot *snapshot)
{
    lua_createtable(L, 0, 9);
    lua_pushstring(L, neap_breaker_state_name(snapshot->state));
    lua_setfield(L, -2, "state");
    neap_set_count(L, "calls", snapshot->calls);
    neap_set_count(L, "failures", snapshot->failures);
    neap_set_count(L, "slow", snapshot->slow);
    neap_set_count(L, "not_permitted", snapshot->not_permitted);
    neap_set_count(L, "opened", snapshot->opened);
    if (snapshot->has_rate) {
        set_number(L, "failure_rate", snapshot->failure_rate);
        set_number(L, "slow_rate", snapshot->slow_rate);
    }
    if (snapshot->state == NEAP_BREAKER_OPEN && snapshot->retry_after_ns != NEAP_NEVER)
        set_number(L, "retry_after", neap_seconds_from_ns(snapshot->retry_after_ns));
}

static int breaker_snapshot(lua_State *L)
{
    struct breaker_object *object = check_breaker(L);
    struct neap_breaker_snapshot snapshot;
    neap_breaker_read(object->breaker, &object->policy, now_of(L, object), &snapshot);
    neap_binding_push_snapshot(L, &snapshot);
    return 1;
}

/* ----------------------------------------------------------------------------- export and import
 */

/* Owns the text while Lua makes a string of it, which may raise, and may run a finalizer of the
 * user's that exports too. */
struct exported {
    char *text;
};

static int exported_collect(lua_State *L)
{
    struct exported *exported = luaL_checkudata(L, 1, EXPORTED_NAME);
    neap_free(neap_platform_alloc(), exported->text);
    exported->text = NULL;
    return 0;
}

static int breaker_export(lua_State *L)
{
    struct breaker_object *object = check_breaker(L);
    int64_t now_ns = now_of(L, object);
    struct exported *exported = neap_lua_new_userdata(L, sizeof *exported);
    exported->text = NULL;
    luaL_setmetatable(L, EXPORTED_NAME);
    if (neap_breaker_export(object->breaker, &object->policy, now_ns, neap_platform_alloc(),
                            &exported->text) != NEAP_OK)
        return luaL_error(L, "not enough memory");
    lua_pushstring(L, exported->text);
    neap_free(neap_platform_alloc(), exported->text);
    exported->text = NULL;
    return 1;
}

#define FORMAT "neap-breaker/"
#define FORMAT_VERSION FORMAT "1 "

static bool begins_with(const char *text, size_t bytes, const char *prefix)
{
    return bytes >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

static const char *what_is_malformed(const char *text, size_t bytes)
{
    if (bytes == 0)
        return "import: the text is empty";
    if (!begins_with(text, bytes, FORMAT))
        return "import: the text was not made by export, it does not begin with \"" FORMAT "\"";
    if (!begins_with(text, bytes, FORMAT_VERSION))
        return "import: the text has another version than \"" FORMAT "1\"";
    return "import: the text is damaged or cut short behind \"" FORMAT "1\"";
}

/* True; or nil and an error. */
static int breaker_import(lua_State *L)
{
    struct breaker_object *object = check_breaker(L);
    size_t bytes;
    luaL_checktype(L, 2, LUA_TSTRING);
    const char *text = lua_tolstring(L, 2, &bytes);
    int64_t now_ns = now_of(L, object);
    if (neap_breaker_import(object->breaker, &object->policy, now_ns, text, bytes) != NEAP_OK)
        return neap_object_refuse(L, NEAP_KIND_ERROR, what_is_malformed(text, bytes), NEAP_NEVER,
                                  now_ns);
    lua_pushboolean(L, 1);
    return 1;
}

/* ------------------------------------------------------------------------------------------------
 */

static int breaker_to_string(lua_State *L)
{
    const struct breaker_object *object = luaL_checkudata(L, 1, BREAKER_NAME);
    lua_pushfstring(L, BREAKER_NAME " (%s)",
                    object->breaker ? neap_breaker_state_name(neap_breaker_state(object->breaker))
                                    : "collected");
    return 1;
}

void neap_object_add_breaker(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"acquire", breaker_acquire},
        {"record", breaker_record},
        {"state", breaker_state},
        {"force_open", breaker_force_open},
        {"disable", breaker_disable},
        {"metrics_only", breaker_metrics_only},
        {"reset", breaker_reset},
        {"snapshot", breaker_snapshot},
        {"export", breaker_export},
        {"import", breaker_import},
        {NULL, NULL},
    };
    static const struct neap_object_class breaker = {
        .name = BREAKER_NAME,
        .methods = methods,
        .to_string = breaker_to_string,
        .collect = breaker_collect,
    };
    neap_object_add_class(L, &breaker);
    neap_add_collected(L, EXPORTED_NAME, exported_collect);
    lua_pushcfunction(L, breaker_new);
    lua_setfield(L, -2, "breaker");
}
