#include "binding/fields.h"

#include "base/duration.h"

void neap_push_text(lua_State *L, struct neap_text text)
{
    lua_pushlstring(L, text.text ? text.text : "", text.bytes);
}

void neap_set_text(lua_State *L, const char *name, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

void neap_set_bytes(lua_State *L, const char *name, struct neap_text text)
{
    neap_push_text(L, text);
    lua_setfield(L, -2, name);
}

void neap_set_seconds(lua_State *L, const char *name, int64_t ns)
{
    lua_pushnumber(L, neap_seconds_from_ns(ns));
    lua_setfield(L, -2, name);
}

void neap_set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushinteger(L, (lua_Integer)count);
    lua_setfield(L, -2, name);
}

void neap_set_missing(lua_State *L, int table, const char *name)
{
    lua_pushstring(L, name);
    lua_pushvalue(L, -1);
    lua_rawget(L, table);
    bool is_there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    lua_insert(L, -2);
    if (is_there)
        lua_pop(L, 2);
    else
        lua_rawset(L, table);
}

struct neap_text neap_get_text(lua_State *L, int index, const char *name)
{
    struct neap_text text = {"", 0};
    lua_getfield(L, index, name);
    if (lua_type(L, -1) == LUA_TSTRING)
        text.text = lua_tolstring(L, -1, &text.bytes);
    lua_pop(L, 1);
    return text;
}

double neap_get_number(lua_State *L, int index, const char *name, double absent)
{
    lua_getfield(L, index, name);
    double number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : absent;
    lua_pop(L, 1);
    return number;
}

bool neap_has_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    bool is_there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return is_there;
}
