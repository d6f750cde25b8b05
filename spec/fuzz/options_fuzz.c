/* Tables of options through the binding and the face; options.lua beside this says what is
 * promised.
 *
 * The Lua state lives for all inputs, since loading neap takes longer than an input; what an input
 * makes is closed and collected. Short run: 1500. */
#include <lauxlib.h>
#include <lualib.h>

#include "fuzz/fuzz.h"

int luaopen_neap_core(lua_State *L);

static const char program[] = "package.path = 'lua/?.lua;lua/?/init.lua'\n"
                              "return dofile 'spec/fuzz/options.lua'\n";

static int with_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static lua_State *state_with_neap(void)
{
    lua_State *L = luaL_newstate();
    promise(L);
    luaL_openlibs(L);
    luaL_requiref(L, "neap.core", luaopen_neap_core, 0);
    lua_pop(L, 1);
    if (luaL_dostring(L, program) != LUA_OK) {
        (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static lua_State *L;
    if (!L)
        L = state_with_neap();
    lua_pushcfunction(L, with_traceback);
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, bytes);
    if (lua_pcall(L, 1, 0, 2) != LUA_OK) {
        (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    lua_settop(L, 1);
    return 0;
}
