/* The tie for Lua: one request of nginx, whose end gives up the calls that are tied to it. */
#include "binding/objects.h"
#include "platform/memory.h"
#include "platform/nginx.h"

#define TIE_NAME "neap.tie"

struct tie_object {
    struct neap_tie *tie;
};

static struct tie_object *tie_object(lua_State *L, int index)
{
    return luaL_checkudata(L, index, TIE_NAME);
}

struct neap_tie *neap_check_tie(lua_State *L, int index)
{
    struct tie_object *object = tie_object(L, index);
    luaL_argcheck(L, object->tie, index, "expected a tie");
    return object->tie;
}

static void on_request_end(void *context)
{
    struct neap_tie *tie = context;
    neap_tie_end(tie);
    neap_tie_release(tie);
}

/* tie(address): of the request at that address, which is being handled now; nil where its end
 * cannot be known. */
static int tie_new(lua_State *L)
{
    void *request = (void *)(uintptr_t)luaL_checknumber(L, 1);
    struct tie_object *object = neap_lua_new_userdata(L, sizeof *object);
    object->tie = NULL;
    luaL_setmetatable(L, TIE_NAME);
    if (neap_tie_new(neap_platform_alloc(), &object->tie) != NEAP_OK)
        return neap_raise_memory(L);
    if (neap_nginx_on_request_end(request, on_request_end, neap_tie_hold(object->tie)))
        return 1;
    neap_tie_release(object->tie);
    return 0;
}

static int tie_collect(lua_State *L)
{
    struct tie_object *object = tie_object(L, 1);
    neap_tie_release(object->tie);
    object->tie = NULL;
    return 0;
}

static int tie_is_ended(lua_State *L)
{
    lua_pushboolean(L, neap_check_tie(L, 1)->ended);
    return 1;
}

void neap_binding_add_tie(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"is_ended", tie_is_ended},
        {NULL, NULL},
    };
    neap_new_metatable(L, TIE_NAME, methods, tie_collect);
    lua_pop(L, 1);
    lua_pushcfunction(L, tie_new);
    lua_setfield(L, -2, "tie");
}
