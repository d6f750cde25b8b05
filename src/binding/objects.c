#include "binding/objects.h"

#include "base/duration.h"

int neap_raise_memory(lua_State *L)
{
    return luaL_error(L, "not enough memory");
}

void neap_new_metatable(lua_State *L, const char *name, const luaL_Reg *methods,
                        lua_CFunction collect)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    if (collect) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_pushliteral(L, "neap");
    lua_setfield(L, -2, "__metatable");
    lua_pushboolean(L, true);
    lua_rawsetp(L, -2, name);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, name);
}

void neap_set_class(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, name);
    lua_setmetatable(L, -2);
}

void *neap_check_object(lua_State *L, int index, const char *name)
{
    void *object = lua_touserdata(L, index);
    if (object && lua_getmetatable(L, index)) {
        lua_rawgetp(L, -1, name);
        bool is_marked = lua_toboolean(L, -1);
        lua_pop(L, 2);
        if (is_marked)
            return object;
    }
    return luaL_checkudata(L, index, name);
}

void neap_add_collected(lua_State *L, const char *name, lua_CFunction collect)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

int64_t neap_optional_seconds(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? NEAP_NEVER
                                     : neap_ns_from_seconds(luaL_checknumber(L, index));
}

int neap_push_wait(lua_State *L, struct neap_loop *loop, int64_t when_ns)
{
    if (when_ns == NEAP_NEVER)
        return 0;
    int64_t wait_ns = neap_time_since(when_ns, neap_loop_update(loop));
    lua_pushnumber(L, neap_seconds_from_ns(neap_time_max(wait_ns, 0)));
    return 1;
}
