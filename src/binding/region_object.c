/* Shared memory for Lua: `neap.shared`. */
#include "binding/error_object.h"
#include "binding/objects.h"
#include "binding/option_tables.h"
#include "binding/options.h"
#include "platform/memory.h"
#include "shared/region.h"

#define REGION_NAME "neap.shared"

struct shared_options {
    const struct neap_alloc *alloc; /* of `name` */
    char *name;
    uint64_t bytes;
};

static const struct neap_option shared_rows[] = {
    {.name = "name",
     .kind = NEAP_OPTION_TEXT,
     .offset = offsetof(struct shared_options, name),
     .text = "neap",
     .is_valid = neap_region_is_name,
     .noun = "a name of 1 to 64 letters, digits, '.', '_' and '-'",
     .about = "of the region; processes with one name share it"},
    {.name = "size",
     .kind = NEAP_OPTION_BYTES,
     .offset = offsetof(struct shared_options, bytes),
     .min = (double)NEAP_REGION_BYTES_MIN,
     .max = (double)NEAP_REGION_BYTES_MAX,
     .number = 8388608,
     .about = "of a region that is made; one that is there keeps its own"},
};
const struct neap_option_table neap_shared_options = NEAP_OPTION_ROWS(shared_rows);

/* What was read and the region that came of it, so that an error in between leaks nothing. */
struct region_object {
    struct shared_options options;
    struct neap_region *region;
};

static struct region_object *check_region(lua_State *L)
{
    struct region_object *object = luaL_checkudata(L, 1, REGION_NAME);
    luaL_argcheck(L, object->region, 1, "the region was given up");
    return object;
}

static int region_collect(lua_State *L)
{
    struct region_object *object = luaL_checkudata(L, 1, REGION_NAME);
    neap_region_release(object->region);
    object->region = NULL;
    neap_free(neap_platform_alloc(), object->options.name);
    object->options.name = NULL;
    return 0;
}

/* shared(engine, options): the region, in use from now on; nil and an error where the system has
 * none for us; nil and a text for a user's mistake. */
static int region_new(lua_State *L)
{
    struct neap_engine *engine = neap_check_engine(L, 1);
    char message[NEAP_MESSAGE_BYTES] = "";
    lua_settop(L, 2);
    struct region_object *object = neap_lua_new_userdata(L, sizeof *object);
    *object = (struct region_object){.region = NULL};
    luaL_setmetatable(L, REGION_NAME);
    const struct neap_alloc *alloc = neap_platform_alloc();
    neap_options_defaults(L, &neap_shared_options, &object->options, alloc);
    if (!neap_options_read(L, 2, "shared", &neap_shared_options, &object->options, alloc, 0)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    enum neap_status status = neap_region_open(
        alloc, object->options.name, (size_t)object->options.bytes, &object->region, message);
    if (status == NEAP_NO_MEMORY)
        return neap_raise_memory(L);
    if (status != NEAP_OK)
        return neap_binding_refuse(L, NEAP_KIND_STORE, message);
    neap_engine_share(engine, object->region);
    return 1;
}

static int region_name(lua_State *L)
{
    lua_pushstring(L, neap_region_name(check_region(L)->region));
    return 1;
}

/* stats(): { size, used, cells, evicted, refused, processes }. */
static int region_stats(lua_State *L)
{
    struct neap_region_stats stats;
    neap_region_read(check_region(L)->region, &stats);
    lua_createtable(L, 0, 6);
    neap_set_count(L, "size", stats.bytes);
    neap_set_count(L, "used", stats.used_bytes);
    neap_set_count(L, "cells", stats.cells);
    neap_set_count(L, "evicted", stats.evicted);
    neap_set_count(L, "refused", stats.refused);
    neap_set_count(L, "processes", stats.processes);
    return 1;
}

void neap_binding_add_region(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"name", region_name},
        {"stats", region_stats},
        {NULL, NULL},
    };
    neap_new_metatable(L, REGION_NAME, methods, region_collect);
    lua_pop(L, 1);
    lua_pushcfunction(L, region_new);
    lua_setfield(L, -2, "shared");
}
