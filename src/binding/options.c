#include "binding/options.h"

#include <string.h>

#include "binding/option_kind.h"
#include "binding/option_message.h"
#include "binding/option_unknown.h"

/* A table that is only checked has no target. */
static void *place(void *target, size_t offset)
{
    return target ? (char *)target + offset : NULL;
}

static bool has_flag(const struct neap_option *row, enum neap_option_flag flag)
{
    return (row->flags & flag) != 0;
}

static void put_switch(const struct neap_option *row, void *target, bool is_on)
{
    if (row->on != 0)
        memcpy(place(target, row->on), &is_on, sizeof is_on);
}

/* ------------------------------------------------------------------------------------ defaults */

static void write_defaults(struct neap_option_reader *reader, const struct neap_option_table *table,
                           void *target);

static void write_default(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target)
{
    put_switch(row, target, !has_flag(row, NEAP_OPTION_OFF));
    if (row->table)
        write_defaults(reader, row->table, place(target, row->offset));
    else
        neap_option_kind_default(reader, row, target);
    if (row->other)
        write_default(reader, row->other, target);
}

static void write_defaults(struct neap_option_reader *reader, const struct neap_option_table *table,
                           void *target)
{
    for (size_t i = 0; i < table->count; i++)
        write_default(reader, &table->rows[i], target);
}

void neap_options_defaults(lua_State *L, const struct neap_option_table *table, void *target,
                           const struct neap_alloc *alloc)
{
    struct neap_option_reader reader = {.L = L, .alloc = alloc};
    write_defaults(&reader, table, target);
}

/* ----------------------------------------------------------------------------- one key's value */

static bool read_rows(struct neap_option_reader *reader, const struct neap_option_table *table,
                      void *target);

static bool read_form(struct neap_option_reader *reader, const struct neap_option *row,
                      void *target)
{
    put_switch(row, target, true);
    if (row->mark != 0)
        memcpy(place(target, row->mark), &row->mark_value, sizeof row->mark_value);
    if (row->table)
        return read_rows(reader, row->table, place(target, row->offset));
    return neap_option_kind_read(reader, row, target);
}

/* The row itself, its switch, or the other row: whichever takes a value of this type. */
static bool read_any_form(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target)
{
    bool is_boolean = lua_type(reader->L, -1) == LUA_TBOOLEAN;
    bool is_true = lua_toboolean(reader->L, -1) != 0;
    if (is_boolean && !is_true && has_flag(row, NEAP_OPTION_OR_FALSE)) {
        put_switch(row, target, false);
        return true;
    }
    if (is_boolean && is_true && has_flag(row, NEAP_OPTION_OR_TRUE)) {
        lua_newtable(reader->L);
        bool ok = read_form(reader, row, target);
        if (ok)
            lua_pop(reader->L, 1);
        return ok;
    }
    if (neap_option_kind_takes(reader, row))
        return read_form(reader, row, target);
    if (row->other && neap_option_kind_takes(reader, row->other)) {
        put_switch(row, target, true);
        return read_form(reader, row->other, target);
    }
    return neap_option_fail_expected(reader, row);
}

bool neap_option_read_row(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target)
{
    if (!read_any_form(reader, row, target))
        return false;
    return !row->check || row->check(reader, target);
}

/* -------------------------------------------------------------------------------------- tables */

static bool is_row_of(const struct neap_option *row, lua_State *L, int key)
{
    int64_t position;
    if (row->name && lua_type(L, key) == LUA_TSTRING) {
        size_t bytes;
        const char *name = lua_tolstring(L, key, &bytes);
        return strlen(row->name) == bytes && memcmp(row->name, name, bytes) == 0;
    }
    return row->position != 0 && neap_lua_integer(L, key, &position) && position == row->position;
}

static bool has_row(const struct neap_option_table *table, lua_State *L, int key)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct neap_option *row = &table->rows[i];
        if (row->kind == NEAP_OPTION_INCLUDE ? has_row(row->table, L, key) : is_row_of(row, L, key))
            return true;
    }
    return false;
}

static bool check_keys(struct neap_option_reader *reader, const struct neap_option_table *table)
{
    lua_State *L = reader->L;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (!has_row(table, L, -2))
            return neap_option_fail_unknown(reader, table);
        lua_pop(L, 1);
    }
    return true;
}

static void push_value_of(struct neap_option_reader *reader, const struct neap_option *row)
{
    if (row->name) {
        lua_pushstring(reader->L, row->name);
        lua_rawget(reader->L, -2);
    } else {
        lua_rawgeti(reader->L, -1, row->position);
    }
}

/* A key of the table on top. */
static bool read_key(struct neap_option_reader *reader, const struct neap_option *row, void *target)
{
    struct neap_option_path here = {.parent = reader->path,
                                    .name = row->name,
                                    .name_bytes = row->name ? strlen(row->name) : 0,
                                    .position = row->position};
    bool ok = true;
    reader->path = &here;
    push_value_of(reader, row);
    if (!lua_isnil(reader->L, -1))
        ok = neap_option_read_row(reader, row, target);
    else if (has_flag(row, NEAP_OPTION_REQUIRED))
        ok = neap_option_fail_required(reader, row);
    if (ok)
        lua_pop(reader->L, 1);
    reader->path = here.parent;
    return ok;
}

static bool read_keys(struct neap_option_reader *reader, const struct neap_option_table *table,
                      void *target)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct neap_option *row = &table->rows[i];
        bool ok = row->kind == NEAP_OPTION_INCLUDE
                      ? read_keys(reader, row->table, place(target, row->offset))
                      : read_key(reader, row, target);
        if (!ok)
            return false;
    }
    return true;
}

static bool read_rows(struct neap_option_reader *reader, const struct neap_option_table *table,
                      void *target)
{
    luaL_checkstack(reader->L, 16, "options");
    return check_keys(reader, table) && read_keys(reader, table, target);
}

bool neap_option_read_table(struct neap_option_reader *reader,
                            const struct neap_option_table *table, void *target)
{
    write_defaults(reader, table, target);
    return read_rows(reader, table, target);
}

static bool check_list(struct neap_option_reader *reader, int count)
{
    lua_State *L = reader->L;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        int64_t position;
        if (!neap_lua_integer(L, -2, &position) || position < 1 || position > count)
            return neap_option_fail_key(reader, "a list");
        lua_pop(L, 1);
    }
    return true;
}

bool neap_option_read_list(struct neap_option_reader *reader, neap_option_read *element,
                           void *target)
{
    int count = (int)lua_rawlen(reader->L, -1);
    luaL_checkstack(reader->L, 16, "options");
    if (!check_list(reader, count))
        return false;
    bool ok = true;
    struct neap_option_path here = {.parent = reader->path};
    reader->path = &here;
    for (here.position = 1; ok && here.position <= count; here.position++) {
        lua_rawgeti(reader->L, -1, here.position);
        ok = element(reader, target);
        if (ok)
            lua_pop(reader->L, 1);
    }
    reader->path = here.parent;
    return ok;
}

bool neap_options_read(lua_State *L, int index, const char *root,
                       const struct neap_option_table *table, void *target,
                       const struct neap_alloc *alloc, int functions)
{
    const struct neap_option whole = {.kind = NEAP_OPTION_TABLE, .table = table};
    const struct neap_option_path path = {.name = root};
    struct neap_option_reader reader = {
        .L = L, .alloc = alloc, .functions = functions, .path = &path};
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "options");
    lua_pushvalue(L, index);
    bool ok = neap_option_read_row(&reader, &whole, target);
    if (ok) {
        lua_settop(L, top);
        return true;
    }
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return false;
}
