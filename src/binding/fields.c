#include "binding/fields.h"

#include "base/duration.h"

void neap_set_text(lua_State *L, const char *name, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
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
