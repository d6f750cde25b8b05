#include "binding/compat.h"

#include <math.h>

#if LUA_VERSION_NUM >= 504

void *neap_lua_new_userdata(lua_State *L, size_t bytes)
{
    return lua_newuserdatauv(L, bytes, 1);
}

void *neap_lua_new_block(lua_State *L, size_t bytes)
{
    return lua_newuserdatauv(L, bytes, 0);
}

void neap_lua_set_user_table(lua_State *L, int index)
{
    lua_setiuservalue(L, index, 1);
}

void neap_lua_get_user_table(lua_State *L, int index)
{
    lua_getiuservalue(L, index, 1);
}

#else

void *neap_lua_new_userdata(lua_State *L, size_t bytes)
{
    return lua_newuserdata(L, bytes);
}

void *neap_lua_new_block(lua_State *L, size_t bytes)
{
    return lua_newuserdata(L, bytes);
}

#if LUA_VERSION_NUM >= 502

void neap_lua_set_user_table(lua_State *L, int index)
{
    lua_setuservalue(L, index);
}

void neap_lua_get_user_table(lua_State *L, int index)
{
    lua_getuservalue(L, index);
}

#else

void neap_lua_set_user_table(lua_State *L, int index)
{
    lua_setfenv(L, index);
}

void neap_lua_get_user_table(lua_State *L, int index)
{
    lua_getfenv(L, index);
}

#endif
#endif

#if LUA_VERSION_NUM >= 503

bool neap_lua_integer(lua_State *L, int index, int64_t *value)
{
    int fits = 0;
    if (lua_type(L, index) != LUA_TNUMBER)
        return false;
    lua_Integer integer = lua_tointegerx(L, index, &fits);
    if (!fits)
        return false;
    *value = integer;
    return true;
}

#else

bool neap_lua_integer(lua_State *L, int index, int64_t *value)
{
    if (lua_type(L, index) != LUA_TNUMBER)
        return false;
    double number = lua_tonumber(L, index);
    if (!(number >= -0x1p63 && number < 0x1p63) || number != floor(number))
        return false;
    *value = (int64_t)number;
    return true;
}

bool neap_lua_isinteger(lua_State *L, int index)
{
    int64_t value;
    return neap_lua_integer(L, index, &value);
}

#endif

#if LUA_VERSION_NUM < 502

int neap_lua_absindex(lua_State *L, int index)
{
    return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}

/* A light userdata holds any pointer to data of ours; it only serves as a key. */
void neap_lua_rawgetp(lua_State *L, int index, const void *key)
{
    index = lua_absindex(L, index);
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_rawget(L, index);
}

void neap_lua_rawsetp(lua_State *L, int index, const void *key)
{
    index = lua_absindex(L, index);
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_insert(L, -2);
    lua_rawset(L, index);
}

void neap_lua_keep(lua_State *L, lua_CFunction function)
{
    lua_pushcfunction(L, function);
    lua_rawsetp(L, LUA_REGISTRYINDEX, (const void *)(uintptr_t)function);
}

void neap_lua_push_kept(lua_State *L, lua_CFunction function)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, (const void *)(uintptr_t)function);
}

void neap_lua_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues)
{
    luaL_checkstack(L, upvalues + 1, "too many upvalues");
    for (; functions->name; functions++) {
        for (int i = 0; i < upvalues; i++)
            lua_pushvalue(L, -upvalues);
        lua_pushcclosure(L, functions->func, upvalues);
        lua_setfield(L, -(upvalues + 2), functions->name);
    }
    lua_pop(L, upvalues);
}

void *neap_lua_testudata(lua_State *L, int index, const char *name)
{
    void *userdata = lua_touserdata(L, index);
    if (!userdata || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, name);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? userdata : NULL;
}

void neap_lua_setmetatable(lua_State *L, const char *name)
{
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
}

static void push_plain_text(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
        lua_pushvalue(L, index);
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNIL:
        lua_pushliteral(L, "nil");
        break;
    default:
        lua_pushfstring(L, "%s: %p", luaL_typename(L, index), lua_topointer(L, index));
        break;
    }
}

const char *neap_lua_tolstring(lua_State *L, int index, size_t *bytes)
{
    index = lua_absindex(L, index);
    if (!luaL_callmeta(L, index, "__tostring"))
        push_plain_text(L, index);
    else if (!lua_isstring(L, -1))
        luaL_error(L, "'__tostring' must return a string");
    return lua_tolstring(L, -1, bytes);
}

#endif

/* LuaJIT has it; a module made with PUC's headers finds it there all the same. */
#if LUA_VERSION_NUM < 503
#pragma weak lua_isyieldable
int lua_isyieldable(lua_State *L);
#endif

bool neap_lua_knows_yieldable(void)
{
    int (*volatile function)(lua_State *) = lua_isyieldable;
    return function != NULL;
}

bool neap_lua_is_yieldable(lua_State *L)
{
    return lua_isyieldable(L);
}

#if LUA_VERSION_NUM < 503
bool neap_lua_may_yield(lua_State *L)
{
    return !neap_lua_knows_yieldable() || lua_isyieldable(L);
}
#endif
