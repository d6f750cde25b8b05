#include "binding/pair_list.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/shown_value.h"

struct reader {
    lua_State *L;
    const char *path;
    bool booleans;
    int keeper; /* a Lua list that holds each text; 0: they are held by the stack, */
    int kept;   /* up to this index */
    struct neap_pair_list *list;
};

static int by_name(const void *a, const void *b)
{
    const struct neap_pair *left = a, *right = b;
    size_t shorter = left->name.bytes < right->name.bytes ? left->name.bytes : right->name.bytes;
    int order = memcmp(left->name.text, right->name.text, shorter);
    if (order != 0)
        return order;
    if (left->name.bytes != right->name.bytes)
        return left->name.bytes < right->name.bytes ? -1 : 1;
    return left->position < right->position ? -1 : left->position > right->position;
}

/* An upper bound of the pairs: each list counts its entries. */
static size_t count_pairs(lua_State *L, int index)
{
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        count += lua_istable(L, -1) ? lua_rawlen(L, -1) : 1;
        lua_pop(L, 1);
    }
    return count;
}

static struct neap_text keep(struct reader *reader)
{
    lua_State *L = reader->L;
    struct neap_text text;
    text.text = lua_tolstring(L, -1, &text.bytes);
    if (reader->keeper)
        lua_rawseti(L, reader->keeper, (int)reader->list->count + 1);
    else
        lua_insert(L, ++reader->kept);
    return text;
}

/* Of a fraction, 14 digits are what its owner has in mind: 0.1 + 0.2 is 0.3. */
static void write_double(double number, char out[NEAP_NUMBER_BYTES])
{
    double size = fabs(number);
    snprintf(out, NEAP_NUMBER_BYTES, "%.14g", number);
    if (size >= 1e14 && size < 1e21 && floor(number) == number)
        snprintf(out, NEAP_NUMBER_BYTES, "%.0f", number);
    else if (size >= 1e14 && strtod(out, NULL) != number)
        snprintf(out, NEAP_NUMBER_BYTES, "%.17g", number);
}

bool neap_write_number(lua_State *L, int index, char out[NEAP_NUMBER_BYTES])
{
    int64_t whole;
    double number = lua_tonumber(L, index);
    if (neap_lua_integer(L, index, &whole))
        snprintf(out, NEAP_NUMBER_BYTES, "%" PRId64, whole);
    else
        write_double(number, out);
    return isfinite(number);
}

/* The text of the value on top, which is popped. */
static bool take_value(struct reader *reader, struct neap_text *text)
{
    lua_State *L = reader->L;
    int type = lua_type(L, -1);
    if (type == LUA_TBOOLEAN && reader->booleans) {
        lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
        lua_remove(L, -2);
        type = LUA_TSTRING;
    }
    if (type == LUA_TNUMBER) {
        char written[NEAP_NUMBER_BYTES];
        if (!neap_write_number(L, -1, written))
            return false;
        lua_pop(L, 1);
        lua_pushstring(L, written);
        type = LUA_TSTRING;
    }
    if (type != LUA_TSTRING)
        return false;
    *text = keep(reader);
    return true;
}

static void add(struct reader *reader, struct neap_text name, struct neap_text value)
{
    size_t position = reader->list->count++;
    reader->list->pair[position] = (struct neap_pair){name, value, position};
}

static bool refuse(struct reader *reader, struct neap_text name)
{
    lua_State *L = reader->L;
    neap_push_shown(L, -1, false);
    neap_push_quoted(L, name.text, name.bytes);
    lua_pushfstring(L, "%s[%s]: expected a string, a number%s or a list of them, got %s",
                    reader->path, lua_tostring(L, -1), reader->booleans ? ", a boolean" : "",
                    lua_tostring(L, -2));
    return false;
}

static size_t count_keys(lua_State *L)
{
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        count++;
        lua_pop(L, 1);
    }
    return count;
}

/* The list on top stays there. */
static bool take_list(struct reader *reader, struct neap_text name)
{
    lua_State *L = reader->L;
    size_t count = lua_rawlen(L, -1);
    if (count != count_keys(L))
        return refuse(reader, name);
    for (size_t i = 1; i <= count; i++) {
        struct neap_text value;
        lua_rawgeti(L, -1, (int)i);
        if (!take_value(reader, &value))
            return refuse(reader, name);
        add(reader, name, value);
    }
    return true;
}

static bool take_pair(struct reader *reader)
{
    lua_State *L = reader->L;
    struct neap_text name, value;
    if (lua_type(L, -2) != LUA_TSTRING) {
        lua_pushfstring(L, "%s: expected names as keys, got a %s", reader->path,
                        luaL_typename(L, -2));
        return false;
    }
    name.text = lua_tolstring(L, -2, &name.bytes);
    if (lua_istable(L, -1)) {
        if (!take_list(reader, name))
            return false;
        lua_pop(L, 1);
        return true;
    }
    if (!take_value(reader, &value))
        return refuse(reader, name);
    add(reader, name, value);
    return true;
}

/* Most are few, and nothing has to be made for these. */
static void make_room(struct reader *reader, size_t most)
{
    lua_State *L = reader->L;
    struct neap_pair_list *list = reader->list;
    list->count = 0;
    list->pair = list->few;
    reader->kept = lua_gettop(L);
    if (most <= NEAP_FEW_PAIRS)
        return;
    list->pair = lua_newuserdata(L, most * sizeof *list->pair);
    lua_createtable(L, (int)most, 0);
    reader->keeper = lua_gettop(L);
}

/* By insertion: the library's sort costs more than to read a few. */
static void sort_few(struct neap_pair_list *list)
{
    for (size_t i = 1; i < list->count; i++) {
        struct neap_pair pair = list->pair[i];
        size_t at = i;
        for (; at > 0 && by_name(&pair, &list->pair[at - 1]) < 0; at--)
            list->pair[at] = list->pair[at - 1];
        list->pair[at] = pair;
    }
}

static void sort(struct neap_pair_list *list)
{
    if (list->count <= NEAP_FEW_PAIRS)
        sort_few(list);
    else
        qsort(list->pair, list->count, sizeof *list->pair, by_name);
}

bool neap_read_pairs(lua_State *L, int index, const char *path, bool booleans,
                     struct neap_pair_list *list)
{
    struct reader reader = {.L = L, .path = path, .booleans = booleans, .list = list};
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    luaL_checkstack(L, NEAP_FEW_PAIRS + 10, "request");
    make_room(&reader, count_pairs(L, index));
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (!take_pair(&reader)) {
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            return false;
        }
    }
    sort(list);
    return true;
}
