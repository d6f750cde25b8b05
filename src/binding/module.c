/* luaopen_neap_core: the C half of neap, whose face is lua/neap. */
#include "base/kind.h"
#include "base/version.h"
#include "binding/guarded_object.h"
#include "binding/objects.h"
#include "binding/shown_value.h"

__attribute__((visibility("default"))) int luaopen_neap_core(lua_State *L);

static void push_kinds(lua_State *L)
{
    lua_createtable(L, 0, NEAP_KIND_COUNT);
    for (int kind = 1; kind < NEAP_KIND_COUNT; kind++) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, neap_kind_name((enum neap_kind)kind));
    }
}

/* can_yield(): not inside a C function, such as string.gsub. */
static int can_yield(lua_State *L)
{
    lua_pushboolean(L, neap_lua_is_yieldable(L));
    return 1;
}

int luaopen_neap_core(lua_State *L)
{
    lua_newtable(L);
    lua_pushliteral(L, NEAP_VERSION);
    lua_setfield(L, -2, "version");
    push_kinds(L);
    lua_setfield(L, -2, "kinds");
    if (neap_lua_knows_yieldable()) {
        lua_pushcfunction(L, can_yield);
        lua_setfield(L, -2, "can_yield");
    }
    neap_binding_add_engine(L);
    neap_binding_add_sleepers(L);
    neap_binding_add_client(L);
    neap_binding_add_exchange(L);
    neap_binding_add_callers(L);
    neap_binding_add_caller_methods(L);
    neap_binding_add_tasks(L);
    neap_binding_add_tie(L);
    neap_binding_add_guarded(L);
    neap_binding_add_region(L);
    neap_binding_add_stores(L);
    neap_binding_add_store_steps(L);
    neap_binding_add_guard(L);
    neap_binding_add_serving(L);
    neap_binding_add_stored_requests(L);
    neap_binding_add_outbox(L);
    neap_binding_add_stop_signal(L);
    neap_binding_add_headers(L);
    neap_binding_add_result(L);
    neap_binding_add_policies(L);
    neap_binding_add_check(L);
    neap_binding_add_option_rows(L);
    neap_binding_add_shown(L);
    neap_binding_add_simulation(L);
    neap_binding_add_scrape(L);
    neap_binding_add_roster(L);
    return 1;
}
