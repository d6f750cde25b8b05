/* The client for Lua: made from a policy table, watched, counted, closed. */
#include "base/duration.h"
#include "base/holder.h"
#include "base/method.h"
#include "binding/client_methods.h"
#include "binding/error_object.h"
#include "binding/objects.h"
#include "binding/policy_object_views.h"
#include "binding/policy_options.h"
#include "binding/request_key.h"
#include "binding/stats_tables.h"
#include "client/breaker_list.h"
#include "platform/memory.h"

static const char client_name[] = "neap.client";
#define POLICY_NAME "neap.client_policy"
#define BREAKER_LIST_NAME "neap.breaker_list"

static struct neap_client_object *client_object(lua_State *L, int index)
{
    return neap_check_object(L, index, client_name);
}

struct neap_client *neap_check_client(lua_State *L, int index)
{
    struct neap_client_object *object = client_object(L, index);
    luaL_argcheck(L, object->client, index, "expected a client");
    return object->client;
}

static int refuse_room(lua_State *L, const struct neap_engine *engine)
{
    const char *name = neap_region_name(engine->region);
    lua_pushnil(L);
    if (neap_region_holder(engine->region) == NEAP_HOLDER_NONE)
        lua_pushfstring(L, "policy: %d processes use the shared region \"%s\", and no more can",
                        (int)NEAP_HOLDER_MAX, name);
    else
        lua_pushfstring(L,
                        "policy: the shared region \"%s\" has no room for another client; make "
                        "it larger",
                        name);
    return 2;
}

static enum neap_status make_client(struct neap_engine *engine, enum neap_carrier carrier,
                                    struct neap_client *before, struct neap_client_policy *policy,
                                    struct neap_client **client)
{
    return before ? neap_client_propose(before, policy, client)
                  : neap_client_new(engine, policy, carrier, client);
}

/* A policy while it is being read: then the client has what it holds, and it is large. */
static struct neap_client_policy *push_policy(lua_State *L)
{
    struct neap_client_policy *policy = neap_lua_new_userdata(L, sizeof *policy);
    neap_client_policy_init(policy, neap_platform_alloc());
    luaL_setmetatable(L, POLICY_NAME);
    return policy;
}

static int policy_collect(lua_State *L)
{
    struct neap_client_policy *policy = luaL_checkudata(L, 1, POLICY_NAME);
    if (policy->alloc)
        neap_client_policy_deinit(policy);
    policy->alloc = NULL;
    return 0;
}

/* client(engine, policy, carrier [, before]): the client and what of the policy stays in Lua; or
 * nil and what is wrong with the policy. With a client before it, a candidate for its place. */
static int client_new(lua_State *L)
{
    static const char *const carriers[] = {"network", "script", "function", NULL};
    struct neap_engine *engine = neap_check_engine(L, 1);
    enum neap_carrier carrier = (enum neap_carrier)luaL_checkoption(L, 3, NULL, carriers);
    struct neap_client *before = lua_isnoneornil(L, 4) ? NULL : neap_check_client(L, 4);
    struct neap_client_policy *policy = push_policy(L);
    struct neap_client_object *object = neap_lua_new_userdata(L, sizeof *object);
    object->client = NULL;
    luaL_setmetatable(L, client_name);

    int made = lua_gettop(L);
    if (!neap_read_client_policy(L, 2, policy)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    enum neap_status status = make_client(engine, carrier, before, policy, &object->client);
    if (status == NEAP_NOT_FOUND)
        return refuse_room(L, engine);
    if (status != NEAP_OK)
        return neap_raise_memory(L);
    lua_pushvalue(L, made);
    lua_insert(L, -2);
    return 2;
}

static int client_collect(lua_State *L)
{
    struct neap_client_object *object = client_object(L, 1);
    if (object->client && object->client->role == NEAP_CLIENT_IN_CHARGE)
        neap_client_close(object->client);
    neap_client_release(object->client);
    object->client = NULL;
    return 0;
}

/* take_over(before): this one makes the calls from now on. */
static int client_take_over(lua_State *L)
{
    struct neap_client *candidate = neap_check_client(L, 1);
    if (neap_client_take_over(candidate, neap_check_client(L, 2)) != NEAP_OK)
        return neap_raise_memory(L);
    return 0;
}

static int client_close(lua_State *L)
{
    neap_client_close(neap_check_client(L, 1));
    return 0;
}

/* watch(event, on): are there listeners for that event? */
static int client_watch(lua_State *L)
{
    static const char *const events[] = {"attempt",  "retry", "reject", "breaker",
                                         "fallback", "done",  NULL};
    struct neap_client *client = neap_check_client(L, 1);
    uint32_t bit = 1u << luaL_checkoption(L, 2, NULL, events);
    client->watched = lua_toboolean(L, 3) ? client->watched | bit : client->watched & ~bit;
    return 0;
}

/* chaos(on | nil): with a boolean, chaos is switched in all processes that share the client's
 * state. Is it on, and was it before? */
static int client_chaos(lua_State *L)
{
    _Atomic bool *off = &neap_check_client(L, 1)->board->chaos_off;
    bool was_off =
        lua_isboolean(L, 2) ? atomic_exchange(off, !lua_toboolean(L, 2)) : atomic_load(off);
    lua_pushboolean(L, !was_off);
    return 1;
}

static int client_listener_failed(lua_State *L)
{
    neap_count(&neap_check_client(L, 1)->board->counters.listener_errors);
    return 0;
}

static void push_pool(lua_State *L, const struct neap_client *client)
{
    struct neap_transport_stats stats;
    neap_network_read(&client->connections->network, &stats);
    lua_createtable(L, 0, 2);
    neap_set_count(L, "opened", stats.opened);
    neap_set_count(L, "reused", stats.reused);
}

static int client_stats(lua_State *L)
{
    const struct neap_client *client = neap_check_client(L, 1);
    int64_t now_ns = neap_loop_update(client->engine->loop);

    /* What a killed process had in flight must not be counted until somebody makes a call. */
    neap_cells_reap(&client->cells, now_ns);
    neap_binding_push_board(L, client->board, now_ns);
    push_pool(L, client);
    lua_setfield(L, -2, "pool");
    return 1;
}

/* is_shared(): do other processes have its state too? */
static int client_is_shared(lua_State *L)
{
    lua_pushboolean(L, neap_check_client(L, 1)->cells.region != NULL);
    return 1;
}

/* cache(): the bounds of memory for answers, { max_entries, max_bytes }; nil where the policy has
 * neither a cache nor a fallback to one. */
static int client_cache(lua_State *L)
{
    const struct neap_client *client = neap_check_client(L, 1);
    const struct neap_client_cache *cache = &client->policy.cache;
    bool keeps = cache->enabled || cache->fallback_max_stale_ns != NEAP_CACHE_UNSAID;
    if (!keeps || client->carrier == NEAP_CARRIER_FUNCTION)
        return 0;
    lua_createtable(L, 0, 2);
    neap_set_count(L, "max_entries", cache->max_entries);
    neap_set_count(L, "max_bytes", cache->max_bytes);
    return 1;
}

static int64_t clock_of(void *context)
{
    struct neap_client *client = context;
    return neap_loop_update(client->engine->loop);
}

static double random_of(void *context)
{
    struct neap_client *client = context;
    return neap_random_unit(&client->engine->random);
}

/* A fork gives the client another breaker to go on with. Where that cannot be had, the parent's is
 * still there to be looked at. */
static struct neap_breaker *find_own(void *context)
{
    struct neap_client *client = context;
    enum neap_status ignored = neap_binding_adopt(client->engine);
    (void)ignored;
    return client->breaker;
}

static uint32_t holder_of(void *context)
{
    return ((struct neap_client *)context)->holder;
}

static void changed(void *context, const struct neap_breaker_change *change)
{
    neap_count_transition(&((struct neap_client *)context)->board->counters, change);
}

static void release(void *context, struct neap_breaker *breaker)
{
    neap_client_unpin_breaker(context, breaker);
    neap_client_release(context);
}

/* breaker([key]): the stand-alone object over the client's one breaker, or over the one that calls
 * of that key have; nil where there is none. */
static int client_breaker(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    size_t bytes = 0;
    const char *key = lua_isnoneornil(L, 2) ? NULL : luaL_checklstring(L, 2, &bytes);
    if (client->cells.region && neap_binding_adopt(client->engine) != NEAP_OK)
        return 0; /* what would be pinned now would be pinned in the parent's name */
    struct neap_breaker_host host = {
        .now = clock_of,
        .random = random_of,
        .find = key ? NULL : find_own,
        .release = release,
        .holder = holder_of,
        .changed = changed,
        .is_pinned = key && client->cells.region,
        .context = client,
    };
    neap_binding_push_breaker_view(L, &client->policy.pipeline.breaker, &host, 1);
    struct neap_breaker *breaker = neap_client_find_breaker(client, key, bytes);
    if (!breaker)
        return 0;
    neap_client_hold(client);
    neap_binding_fill_breaker_view(L, breaker);
    return 1;
}

static void push_named(lua_State *L, const struct neap_breaker_list *list)
{
    lua_createtable(L, 0, (int)list->named_count);
    for (size_t i = 0; i < list->named_count; i++) {
        lua_pushlstring(L, list->named[i].key, list->named[i].key_bytes);
        neap_binding_push_snapshot(L, &list->named[i].snapshot);
        lua_rawset(L, -3);
    }
}

/* Owns the list while Lua makes tables of it, which may raise. */
static int breaker_list_collect(lua_State *L)
{
    struct neap_breaker_list *list = luaL_checkudata(L, 1, BREAKER_LIST_NAME);
    neap_breaker_list_deinit(list);
    return 0;
}

/* breakers(): of the breakers of keys, a table with snapshots of some by their keys, and how many
 * there are; nothing where there are none by design, or where the region's lock cannot be had. */
static int client_breakers(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    if (!neap_client_has_keys(client))
        return 0;
    struct neap_breaker_list *list = neap_lua_new_userdata(L, sizeof *list);
    *list = (struct neap_breaker_list){.alloc = neap_platform_alloc()};
    luaL_setmetatable(L, BREAKER_LIST_NAME);
    int64_t now_ns = neap_loop_update(client->engine->loop);
    enum neap_status status =
        neap_breaker_list_read(list, list->alloc, client, NEAP_BREAKERS_NAMED, now_ns);
    if (status == NEAP_SYSTEM)
        return 0;
    if (status != NEAP_OK)
        return neap_raise_memory(L);
    push_named(L, list);
    lua_pushinteger(L, (lua_Integer)list->count);
    neap_breaker_list_deinit(list);
    return 2;
}

/* wants_key(method, request): would the policy make an idempotency key for it? */
static int client_wants_key(lua_State *L)
{
    const char *method = luaL_checkstring(L, 2);
    const char *standard = neap_method_standard(method);
    lua_settop(L, 3);
    lua_pushboolean(
        L, neap_request_wants_key(L, 3, neap_check_client(L, 1), standard ? standard : method));
    return 1;
}

void neap_binding_add_client(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"close", client_close},
        {"take_over", client_take_over},
        {"watch", client_watch},
        {"chaos", client_chaos},
        {"listener_failed", client_listener_failed},
        {"stats", client_stats},
        {"is_shared", client_is_shared},
        {"cache", client_cache},
        {"breaker", client_breaker},
        {"breakers", client_breakers},
        {"wants_key", client_wants_key},
        {NULL, NULL},
    };
    neap_new_metatable(L, client_name, methods, client_collect);
    lua_getfield(L, -1, "__index");
    luaL_setfuncs(L, neap_client_alert_methods, 0);
    lua_pop(L, 2);
    neap_add_collected(L, POLICY_NAME, policy_collect);
    neap_add_collected(L, BREAKER_LIST_NAME, breaker_list_collect);
    lua_pushcfunction(L, client_new);
    lua_setfield(L, -2, "client");
}
