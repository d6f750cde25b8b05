/* What clients have counted, as the text that Prometheus reads: `neap.prometheus`. */
#include "binding/objects.h"
#include "client/scrape.h"
#include "platform/memory.h"

#define SCRAPE_NAME "neap.scrape"

/* Owns the text while Lua makes a string of it, which may raise. */
static int scrape_collect(lua_State *L)
{
    neap_buffer_deinit(luaL_checkudata(L, 1, SCRAPE_NAME));
    return 0;
}

static struct neap_buffer *new_text(lua_State *L)
{
    struct neap_buffer *text = neap_lua_new_userdata(L, sizeof *text);
    neap_buffer_init(text, neap_platform_alloc());
    luaL_setmetatable(L, SCRAPE_NAME);
    return text;
}

/* The list's clients, in memory of Lua's; the list keeps them alive. */
static struct neap_client **read_clients(lua_State *L, int list, size_t count)
{
    struct neap_client **clients = neap_lua_new_userdata(L, (count + 1) * sizeof *clients);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, list, (int)i + 1);
        clients[i] = neap_check_client(L, -1);
        lua_pop(L, 1);
    }
    return clients;
}

/* After a fork each goes on in its own name first. What cannot be adopted can still be read. */
static void adopt_all(struct neap_client *const *clients, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum neap_status ignored = neap_binding_adopt(clients[i]->engine);
        (void)ignored;
    }
}

/* prometheus(clients [, label, value]): the text; the label for clients that share nothing. */
static int prometheus(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t value_bytes = 0, count = lua_rawlen(L, 1);
    const char *name = luaL_optstring(L, 2, NULL);
    const char *value = luaL_optlstring(L, 3, "", &value_bytes);
    struct neap_client **clients = read_clients(L, 1, count);
    struct neap_buffer *text = new_text(L);
    const struct neap_scrape scrape = {
        .clients = clients, .count = count, .process = {name, value, value_bytes}};
    adopt_all(clients, count);
    if (neap_scrape_write(&scrape, neap_platform_alloc(), text) != NEAP_OK)
        return neap_raise_memory(L);
    lua_pushlstring(L, text->data, text->bytes);
    neap_buffer_deinit(text);
    return 1;
}

void neap_binding_add_scrape(lua_State *L)
{
    neap_add_collected(L, SCRAPE_NAME, scrape_collect);
    lua_pushcfunction(L, prometheus);
    lua_setfield(L, -2, "prometheus");
}
