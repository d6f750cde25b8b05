/* A call's way through the cache: Lua carries the steps to the store and back. */
#include "client/exchange_cache.h"

#include "base/duration.h"
#include "binding/exchange_methods.h"
#include "binding/objects.h"

/* use_cache(lone): has the call anything to do with the cache? `lone`: it only refreshes what was
 * answered stale. */
static int exchange_use_cache(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    bool uses;
    if (neap_exchange_use_cache(exchange, lua_toboolean(L, 2), &uses) != NEAP_OK)
        return neap_raise_memory(L);
    lua_pushboolean(L, uses);
    return 1;
}

/* cache_step(): the next step as neap.store has it, "get" and { key = }, …; nothing where there is
 * none. */
static int exchange_cache_step(lua_State *L)
{
    static const char *const names[] = {[NEAP_CACHE_OP_GET] = "get",
                                        [NEAP_CACHE_OP_PUT] = "put",
                                        [NEAP_CACHE_OP_REMOVE] = "remove"};
    struct neap_cache_step step = neap_cache_next(neap_check_exchange(L, 1));
    if (step.op == NEAP_CACHE_OP_NONE)
        return 0;
    lua_pushstring(L, names[step.op]);
    lua_createtable(L, 0, 3);
    neap_set_bytes(L, "key", step.key);
    if (step.op == NEAP_CACHE_OP_PUT) {
        neap_set_bytes(L, "value", step.value);
        neap_set_seconds(L, "until_time", step.until_ns);
    }
    return 2;
}

/* cache_take(result): of a get the value or false, of others true; nil where the step failed. */
static int exchange_cache_take(lua_State *L)
{
    struct neap_exchange *exchange = neap_check_exchange(L, 1);
    struct neap_text value = {"", 0};
    if (lua_isnoneornil(L, 2)) {
        neap_cache_fail(exchange);
        return 0;
    }
    if (lua_type(L, 2) == LUA_TSTRING)
        value.text = lua_tolstring(L, 2, &value.bytes);
    switch (neap_cache_take(exchange, lua_toboolean(L, 2), value)) {
    case NEAP_OK:
        return 0;
    case NEAP_NO_MEMORY:
        return neap_raise_memory(L);
    case NEAP_SYSTEM:
    case NEAP_INVALID:
    case NEAP_NOT_FOUND:
        break;
    }
    neap_cache_fail(exchange); /* there are no random bytes */
    return 0;
}

/* begin_by_cache(): "fresh" or "stale" where the call was answered, "background" where it was and
 * what is stored is to be refreshed; nil where it is still to be begun. */
static int exchange_begin_by_cache(lua_State *L)
{
    static const char *const names[] = {
        [NEAP_CACHE_REVALIDATE] = NULL,
        [NEAP_CACHE_FRESH] = "fresh",
        [NEAP_CACHE_STALE] = "stale",
        [NEAP_CACHE_STALE_WHILE_REVALIDATE] = "background",
    };
    lua_pushstring(L, names[neap_exchange_begin_by_cache(neap_check_exchange(L, 1))]);
    return 1;
}

static int exchange_conclude_cache(lua_State *L)
{
    if (neap_exchange_conclude_cache(neap_check_exchange(L, 1)) != NEAP_OK)
        return neap_raise_memory(L);
    return 0;
}

static int exchange_cache_key(lua_State *L)
{
    lua_pushstring(L, neap_exchange_cache_key(neap_check_exchange(L, 1)));
    return 1;
}

const luaL_Reg neap_exchange_caching[] = {
    {"use_cache", exchange_use_cache},
    {"cache_step", exchange_cache_step},
    {"cache_take", exchange_cache_take},
    {"begin_by_cache", exchange_begin_by_cache},
    {"conclude_cache", exchange_conclude_cache},
    {"cache_key", exchange_cache_key},
    {NULL, NULL},
};
