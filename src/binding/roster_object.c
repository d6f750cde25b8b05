/* What the clients of all processes that share a region have counted, for Lua. */
#include "binding/objects.h"
#include "binding/stats_tables.h"
#include "client/roster.h"
#include "platform/memory.h"

#define ROSTER_NAME "neap.roster"

/* Owns what was read, and the board that is pinned, while Lua makes tables of it, which may raise.
 */
struct roster_object {
    struct neap_region *region;
    struct neap_roster roster;
    struct neap_board *board;
    int64_t now_ns;
};

static void release_board(struct roster_object *object)
{
    neap_cells_release(&object->roster.cells, object->board, object->now_ns);
    object->board = NULL;
}

static int roster_collect(lua_State *L)
{
    struct roster_object *object = luaL_checkudata(L, 1, ROSTER_NAME);
    if (!object->region)
        return 0;
    release_board(object);
    neap_roster_deinit(&object->roster);
    neap_region_release(object->region);
    object->region = NULL;
    return 0;
}

static struct roster_object *push_roster(lua_State *L, const struct neap_engine *engine)
{
    struct roster_object *object = neap_lua_new_userdata(L, sizeof *object);
    object->region = NULL;
    luaL_setmetatable(L, ROSTER_NAME);
    object->roster = (struct neap_roster){.cells.region = NULL};
    object->board = NULL;
    object->now_ns = neap_loop_update(engine->loop);
    object->region = neap_region_hold(engine->region);
    return object;
}

static void push_states(lua_State *L, const struct neap_rostered *entry)
{
    lua_newtable(L);
    for (int state = 0; state < NEAP_BREAKER_STATE_COUNT; state++)
        if (entry->in_state[state] > 0)
            neap_set_count(L, neap_breaker_state_name((enum neap_breaker_state)state),
                           entry->in_state[state]);
}

static void push_alerts(lua_State *L, const struct neap_rostered *entry)
{
    int count = 0;
    lua_newtable(L);
    for (int alert = 0; alert < NEAP_ALERT_COUNT; alert++) {
        if (!(entry->firing >> alert & 1u))
            continue;
        neap_binding_push_firing(L, (enum neap_alert)alert, entry->since_ns[alert],
                                 entry->value[alert]);
        lua_rawseti(L, -2, ++count);
    }
}

static void push_entry(lua_State *L, const struct roster_object *object,
                       const struct neap_rostered *entry)
{
    neap_binding_push_board(L, object->board, object->now_ns);
    if (entry->breakers > 0) {
        push_states(L, entry);
        lua_setfield(L, -2, "breaker_states");
    }
    if (entry->keyed > 0)
        neap_set_count(L, "breaker_keys", entry->keyed);
    if (entry->has_alerts) {
        push_alerts(L, entry);
        lua_setfield(L, -2, "alerts");
    }
}

static void push_all(lua_State *L, struct roster_object *object)
{
    const char *name;
    size_t bytes;
    lua_newtable(L);
    for (const struct neap_rostered *entry = neap_roster_next(&object->roster, NULL, &name, &bytes);
         entry; entry = neap_roster_next(&object->roster, entry, &name, &bytes)) {
        object->board = neap_roster_board(&object->roster, name, bytes, object->now_ns);
        if (!object->board)
            continue;
        lua_pushlstring(L, name, bytes);
        push_entry(L, object, entry);
        lua_rawset(L, -3);
        release_board(object);
    }
}

static int refuse(lua_State *L)
{
    lua_pushboolean(L, 0);
    return 1;
}

/* shared_stats(engine): what client:stats() has, by name, of every client in the engine's region;
 * without `pool`, `breaker` and `breakers`, with `breaker_states` instead. Nil where it has no
 * region; false where the region cannot be read now. */
static int shared_stats(lua_State *L)
{
    struct neap_engine *engine = neap_check_engine(L, 1);
    if (!engine->region)
        return 0;
    if (neap_binding_adopt(engine) != NEAP_OK)
        return refuse(L);
    struct roster_object *object = push_roster(L, engine);
    const struct neap_alloc *alloc = neap_platform_alloc();
    const struct neap_cells cells = {.alloc = alloc, .region = object->region};
    neap_region_after_fork(object->region); /* where there was no client to adopt */
    neap_cells_reap(&cells, object->now_ns);
    enum neap_status status = neap_roster_read(&object->roster, alloc, object->region);
    if (status == NEAP_NO_MEMORY)
        return neap_raise_memory(L);
    if (status != NEAP_OK || neap_region_holder(object->region) == NEAP_HOLDER_NONE)
        return refuse(L);
    push_all(L, object);
    return 1;
}

void neap_binding_add_roster(lua_State *L)
{
    neap_add_collected(L, ROSTER_NAME, roster_collect);
    lua_pushcfunction(L, shared_stats);
    lua_setfield(L, -2, "shared_stats");
}
