#include "binding/error_object.h"

#include "base/duration.h"
#include "binding/fields.h"

static const char metatable_key;

void neap_binding_push_error(lua_State *L, const struct neap_error_view *view)
{
    lua_createtable(L, 0, 10);
    neap_set_text(L, "kind", neap_kind_name(view->kind));
    neap_set_text(L, "message", view->message);
    neap_set_text(L, "phase", neap_phase_name(view->phase));
    lua_pushboolean(L, view->retryable);
    lua_setfield(L, -2, "retryable");
    neap_set_count(L, "attempts", view->attempts);
    neap_set_seconds(L, "elapsed", view->elapsed_ns);
    if (view->retry_after_ns >= 0 && view->retry_after_ns != NEAP_NEVER)
        neap_set_seconds(L, "retry_after", view->retry_after_ns);
    if (view->status != 0)
        neap_set_count(L, "status", (uint64_t)view->status);
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

int neap_binding_refuse(lua_State *L, enum neap_kind kind, const char *message)
{
    const struct neap_error_view view = {.kind = kind, .message = message, .retry_after_ns = -1};
    lua_pushnil(L);
    neap_binding_push_error(L, &view);
    return 2;
}

void neap_binding_add_errors(lua_State *L)
{
    lua_pushcfunction(L, set_error_metatable);
    lua_setfield(L, -2, "set_error_metatable");
}
