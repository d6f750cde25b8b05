#include "binding/error_trace.h"

#include <string.h>

#include "binding/result_object.h"

/* Where the registry has the table. */
static const char traces_key;

/* In one block of Lua's own: nothing is left to be released when it is collected. */
struct kept_trace {
    uint32_t count;
    struct neap_trace_entry entry[];
};

void neap_push_error_traces(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traces_key);
}

void neap_keep_error_trace(lua_State *L, int traces, const struct neap_trace_entry *entry,
                           uint32_t count)
{
    size_t bytes = count * sizeof *entry;
    traces = lua_absindex(L, traces);
    lua_pushvalue(L, -1);
    struct kept_trace *kept = neap_lua_new_block(L, sizeof *kept + bytes);
    kept->count = count;
    memcpy(kept->entry, entry, bytes);
    lua_rawset(L, traces);
}

static int error_trace(lua_State *L)
{
    lua_settop(L, 1);
    neap_push_error_traces(L);
    lua_pushvalue(L, 1);
    lua_rawget(L, 2);
    const struct kept_trace *kept = lua_touserdata(L, 3);
    if (!kept)
        return 0;
    neap_push_trace(L, kept->entry, kept->count);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    lua_rawset(L, 2);
    return 1;
}

void neap_binding_add_error_traces(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traces_key);
    lua_pushcfunction(L, error_trace);
    lua_setfield(L, -2, "error_trace");
}
