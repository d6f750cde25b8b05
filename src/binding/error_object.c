#include "binding/error_object.h"

#include "base/duration.h"

static const char metatable_key;

static void set_seconds(lua_State *L, const char *name, int64_t ns)
{
    lua_pushnumber(L, neap_seconds_from_ns(ns));
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer integer)
{
    lua_pushinteger(L, integer);
    lua_setfield(L, -2, name);
}

void neap_binding_push_error(lua_State *L, const struct neap_error_view *view)
{
    lua_createtable(L, 0, 10);
    set_text(L, "kind", neap_kind_name(view->kind));
    set_text(L, "message", view->message);
    if (view->phase != NEAP_PHASE_NONE)
        set_text(L, "phase", neap_phase_name(view->phase));
    lua_pushboolean(L, view->retryable);
    lua_setfield(L, -2, "retryable");
    set_integer(L, "attempts", (lua_Integer)view->attempts);
    set_seconds(L, "elapsed", view->elapsed_ns);
    if (view->retry_after_ns >= 0 && view->retry_after_ns != NEAP_NEVER)
        set_seconds(L, "retry_after", view->retry_after_ns);
    if (view->status != 0)
        set_integer(L, "status", view->status);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_setmetatable(L, -2);
}

static int set_error_metatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
    return 0;
}

void neap_binding_add_errors(lua_State *L)
{
    lua_pushcfunction(L, set_error_metatable);
    lua_setfield(L, -2, "set_error_metatable");
}
