#include "binding/error_object.h"

#include "base/duration.h"
#include "binding/error_trace.h"
#include "binding/fields.h"

static const char metatable_key, refusal_key, failure_key;

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

/* The parts, in their order. */
enum { METATABLE, REFUSAL, FAILURE, TRACES, PARTS };

_Static_assert(PARTS == NEAP_ERROR_PARTS, "there is an upvalue for each part");

void neap_binding_push_error_parts(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &refusal_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key);
    neap_push_error_traces(L);
}

static void push_part(lua_State *L, int parts, int part)
{
    lua_pushvalue(L, lua_upvalueindex(parts + part));
}

/* Where nobody knows, nil. */
static void push_retry_after(lua_State *L, int64_t retry_after_ns)
{
    if (retry_after_ns >= 0 && retry_after_ns != NEAP_NEVER)
        lua_pushnumber(L, neap_seconds_from_ns(retry_after_ns));
    else
        lua_pushnil(L);
}

/* Of so many arguments. A function of Lua's that calls setmetatable is half as slow again. */
static void call_constructor(lua_State *L, int parts, int arguments)
{
    lua_call(L, arguments, 1);
    push_part(L, parts, METATABLE);
    lua_setmetatable(L, -2);
}

void neap_binding_push_refusal(lua_State *L, int parts, const char *why, int64_t at_ns,
                               int64_t retry_after_ns)
{
    push_part(L, parts, REFUSAL);
    lua_pushstring(L, why);
    lua_pushnumber(L, neap_seconds_from_ns(at_ns));
    push_retry_after(L, retry_after_ns);
    call_constructor(L, parts, 3);
}

void neap_binding_push_failure(lua_State *L, int parts, const struct neap_failure_view *view,
                               int message, int cause)
{
    push_part(L, parts, FAILURE);
    lua_pushvalue(L, message);
    lua_pushboolean(L, view->retryable);
    lua_pushinteger(L, (lua_Integer)view->attempts);
    lua_pushnumber(L, neap_seconds_from_ns(view->elapsed_ns));
    lua_pushnumber(L, neap_seconds_from_ns(view->at_ns));
    lua_pushvalue(L, cause);
    call_constructor(L, parts, 6);
    neap_keep_error_trace(L, lua_upvalueindex(parts + TRACES), view->entry, view->entry_count);
}

static int set_error_class(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &failure_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &refusal_key);
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
    lua_pushcfunction(L, set_error_class);
    lua_setfield(L, -2, "set_error_class");
    neap_binding_add_error_traces(L);
}
