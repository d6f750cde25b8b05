#include "binding/headers_table.h"

#include <ctype.h>
#include <string.h>

#define HEADERS_NAME "neap.headers"

/* Headers of more bytes keep their letter case; nobody sends such a name in earnest. */
#define NAME_BYTES 128

/* Servers send the same few names again and again. Each Lua state remembers the last name of each
 * slot, and the Lua string that it became: to find that costs a third of making it anew. A name's
 * slot does not depend on its letter case, so that a name whose slot is still unused by a table
 * cannot stand in it. */
#define SLOTS 128u
#define SLOT_NAME_BYTES 31

struct slot {
    uint8_t bytes;
    char name[SLOT_NAME_BYTES];
};

struct names {
    struct slot slot[SLOTS];
};

/* Where the registry keeps them. Their user table has the strings, by slot from 1, and behind them
 * the metatable of the tables that are made. */
static const char known_names;
#define METATABLE_AT ((int)SLOTS + 1)

struct filler {
    lua_State *L;
    struct names *names;
    int strings, table; /* stack indices */
    uint64_t used[SLOTS / 64];
};

static void push_lower(lua_State *L, const char *name, size_t bytes)
{
    char lower[NAME_BYTES];
    if (bytes > sizeof lower) {
        lua_pushlstring(L, name, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lua_pushlstring(L, lower, bytes);
}

/* __index of a headers table, reached where the name is not there as it is written. */
static int headers_index(lua_State *L)
{
    size_t bytes;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tolstring(L, 2, &bytes);
    push_lower(L, name, bytes);
    lua_rawget(L, 1);
    return 1;
}

/* __newindex: a name in whatever letter case stands for the header that has it in another. */
static int headers_newindex(lua_State *L)
{
    lua_settop(L, 3);
    if (lua_type(L, 2) == LUA_TSTRING) {
        size_t bytes;
        const char *name = lua_tolstring(L, 2, &bytes);
        push_lower(L, name, bytes);
        lua_replace(L, 2);
    }
    lua_rawset(L, 1);
    return 0;
}

static unsigned slot_of(const char *name, size_t bytes)
{
    unsigned first = (unsigned char)name[0] | 0x20u;
    unsigned middle = (unsigned char)name[bytes / 2] | 0x20u;
    unsigned last = (unsigned char)name[bytes - 1] | 0x20u;
    return ((unsigned)bytes * 7 + first * 5 + middle * 3 + last) % SLOTS;
}

/* True if the table may hold a header of that slot already. */
static bool use_slot(struct filler *filler, unsigned slot)
{
    uint64_t bit = UINT64_C(1) << (slot % 64);
    bool was_used = filler->used[slot / 64] & bit;
    filler->used[slot / 64] |= bit;
    return was_used;
}

static void remember(struct filler *filler, unsigned slot, const char *name, size_t bytes)
{
    filler->names->slot[slot].bytes = 0; /* should the table have no memory for the string */
    lua_pushvalue(filler->L, -1);
    lua_rawseti(filler->L, filler->strings, (int)slot + 1);
    memcpy(filler->names->slot[slot].name, name, bytes);
    filler->names->slot[slot].bytes = (uint8_t)bytes;
}

/* Pushes the name in lower case. True if the table may hold it already. */
static bool push_name(struct filler *filler, const char *name, size_t bytes)
{
    if (bytes == 0 || bytes > SLOT_NAME_BYTES) {
        push_lower(filler->L, name, bytes);
        return true;
    }
    unsigned slot = slot_of(name, bytes);
    const struct slot *known = &filler->names->slot[slot];
    if (known->bytes == bytes && memcmp(known->name, name, bytes) == 0) {
        lua_rawgeti(filler->L, filler->strings, (int)slot + 1);
    } else {
        push_lower(filler->L, name, bytes);
        remember(filler, slot, name, bytes);
    }
    return use_slot(filler, slot);
}

/* The table's value for the name on top, or what is there with room for one more, is on top. False
 * where there is none. */
static bool push_present(struct filler *filler)
{
    lua_State *L = filler->L;
    lua_pushvalue(L, -1);
    lua_rawget(L, filler->table);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    if (!lua_istable(L, -1)) {
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    return true;
}

/* A second value under a name makes a list of both. */
static void add_header(struct filler *filler, const char *name, size_t name_bytes,
                       const char *value, size_t value_bytes)
{
    lua_State *L = filler->L;
    if (push_name(filler, name, name_bytes) && push_present(filler)) {
        lua_pushlstring(L, value, value_bytes);
        lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    } else {
        lua_pushlstring(L, value, value_bytes);
    }
    lua_rawset(L, filler->table);
}

static void push_table(lua_State *L, size_t count, struct filler *filler)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "headers");
    *filler = (struct filler){.L = L, .table = top + 1, .strings = top + 2};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &known_names);
    filler->names = lua_touserdata(L, -1);
    neap_lua_get_user_table(L, -1);
    lua_createtable(L, 0, (int)count);
    lua_rawgeti(L, filler->strings, METATABLE_AT);
    lua_setmetatable(L, -2);
    lua_replace(L, filler->table);
}

void neap_push_headers(lua_State *L, const struct neap_header_block *block)
{
    struct filler filler;
    push_table(L, block->count, &filler);
    for (uint32_t i = 0; i < block->count; i++) {
        const struct neap_header_span *span = &block->header[i];
        add_header(&filler, block->bytes + span->name_at, span->name_bytes,
                   block->bytes + span->value_at, span->value_bytes);
    }
    lua_settop(L, filler.table);
}

void neap_push_request_headers(lua_State *L, const struct neap_request *request)
{
    struct filler filler;
    push_table(L, request->header_count, &filler);
    for (size_t i = 0; i < request->header_count; i++)
        add_header(&filler, request->headers[i].name, strlen(request->headers[i].name),
                   request->headers[i].value, strlen(request->headers[i].value));
    lua_settop(L, filler.table);
}

/* headers_table(pairs): a copy of a Lua table of headers that finds its keys in any letter case. */
static int headers_table(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_newtable(L);
    luaL_setmetatable(L, HEADERS_NAME);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        size_t bytes;
        if (lua_type(L, -2) != LUA_TSTRING)
            return luaL_error(L, "headers: expected names as keys, got a %s", luaL_typename(L, -2));
        const char *name = lua_tolstring(L, -2, &bytes);
        push_lower(L, name, bytes);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    return 1;
}

static void add_known_names(lua_State *L)
{
    struct names *names = neap_lua_new_userdata(L, sizeof *names);
    memset(names, 0, sizeof *names);
    lua_createtable(L, METATABLE_AT, 0);
    luaL_getmetatable(L, HEADERS_NAME);
    lua_rawseti(L, -2, METATABLE_AT);
    neap_lua_set_user_table(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &known_names);
}

void neap_binding_add_headers(lua_State *L)
{
    luaL_newmetatable(L, HEADERS_NAME);
    lua_pushcfunction(L, headers_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, headers_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
    add_known_names(L);
    lua_pushcfunction(L, headers_table);
    lua_setfield(L, -2, "headers_table");
}
