/* The floors of a guarded function, as a module of Lua: a C function that does nothing, and one
 * that pcalls what it was given. */
#include <lauxlib.h>
#include <lua.h>

static int empty(lua_State *L)
{
    (void)L;
    return 0;
}

static int pcall(lua_State *L)
{
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    if (status != 0)
        return lua_error(L);
    return lua_gettop(L);
}

extern int luaopen_bench_calls(lua_State *L);

__attribute__((visibility("default"))) int luaopen_bench_calls(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, empty);
    lua_setfield(L, -2, "empty");
    lua_pushcfunction(L, pcall);
    lua_setfield(L, -2, "pcall");
    return 1;
}
