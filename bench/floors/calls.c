/* The floors of a guarded function, as a module of Lua: a C function that does nothing, and one
 * that pcalls what it was given. And the frame within which callgrind counts instructions. */
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

/* Callgrind is told this function's name, to count only what happens within it. */
__attribute__((noinline)) static void bench_counted(lua_State *L, int times)
{
    for (int i = 0; i < times; i++) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 0);
    }
}

/* counted(fn, times): calls fn so often. */
static int counted(lua_State *L)
{
    bench_counted(L, (int)luaL_checkinteger(L, 2));
    return 0;
}

extern int luaopen_bench_calls(lua_State *L);

__attribute__((visibility("default"))) int luaopen_bench_calls(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, empty);
    lua_setfield(L, -2, "empty");
    lua_pushcfunction(L, pcall);
    lua_setfield(L, -2, "pcall");
    lua_pushcfunction(L, counted);
    lua_setfield(L, -2, "counted");
    return 1;
}
