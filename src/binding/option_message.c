#include "binding/option_message.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "binding/shown_value.h"

#define NUMBER_BYTES 32u

/* --------------------------------------------------------------------------------------- paths */

static bool is_identifier(const char *text, size_t bytes)
{
    if (bytes == 0 || !neap_is_plain_name(text, bytes) || isdigit((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_')
            return false;
    return true;
}

static void push_step(lua_State *L, const struct neap_option_path *path)
{
    if (!path->name) {
        lua_pushfstring(L, "[%d]", path->position);
    } else if (is_identifier(path->name, path->name_bytes)) {
        lua_pushliteral(L, ".");
        lua_pushlstring(L, path->name, path->name_bytes);
        lua_concat(L, 2);
    } else {
        neap_push_quoted(L, path->name, path->name_bytes);
        lua_pushfstring(L, "[%s]", lua_tostring(L, -1));
        lua_remove(L, -2);
    }
}

static void push_path(lua_State *L, const struct neap_option_path *path)
{
    luaL_checkstack(L, 4, "path of an option");
    if (!path->parent) {
        lua_pushstring(L, path->name);
        return;
    }
    push_path(L, path->parent);
    push_step(L, path);
    lua_concat(L, 2);
}

void neap_option_push_place(struct neap_option_reader *reader)
{
    const struct neap_option_path *root = reader->path;
    while (root->parent)
        root = root->parent;
    push_path(reader->L, reader->path);
    lua_pushstring(reader->L, lua_tostring(reader->L, -1) + strlen(root->name) + 1);
    lua_remove(reader->L, -2);
}

bool neap_option_fail(struct neap_option_reader *reader, const char *format, ...)
{
    lua_State *L = reader->L;
    va_list arguments;
    push_path(L, reader->path);
    lua_pushliteral(L, ": ");
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 3);
    return false;
}

/* --------------------------------------------------------------------------- what was expected */

static const char *const nouns[NEAP_OPTION_KIND_COUNT] = {
    [NEAP_OPTION_BOOLEAN] = "a boolean",   [NEAP_OPTION_INTEGER] = "an integer",
    [NEAP_OPTION_NUMBER] = "a number",     [NEAP_OPTION_SECONDS] = "a number",
    [NEAP_OPTION_BYTES] = "an integer",    [NEAP_OPTION_TEXT] = "a non-empty string",
    [NEAP_OPTION_TEXTS] = "a list",        [NEAP_OPTION_CHOICE] = "one of ",
    [NEAP_OPTION_FUNCTION] = "a function", [NEAP_OPTION_VALUE] = "a value",
    [NEAP_OPTION_TABLE] = "a table",       [NEAP_OPTION_INCLUDE] = "a table",
    [NEAP_OPTION_CUSTOM] = "a value",
};

static const char *const units[NEAP_OPTION_KIND_COUNT] = {
    [NEAP_OPTION_SECONDS] = "seconds",
    [NEAP_OPTION_BYTES] = "bytes",
};

const char *neap_option_unit(const struct neap_option *row)
{
    return row->unit ? row->unit : units[row->kind];
}

static bool is_numeric(enum neap_option_kind kind)
{
    return kind == NEAP_OPTION_INTEGER || kind == NEAP_OPTION_NUMBER ||
           kind == NEAP_OPTION_SECONDS || kind == NEAP_OPTION_BYTES;
}

static void add_range(luaL_Buffer *out, const struct neap_option *row, double max)
{
    char low[NUMBER_BYTES], high[NUMBER_BYTES], range[3 * NUMBER_BYTES];
    bool is_above = (row->flags & NEAP_OPTION_ABOVE) != 0;
    const char *unit = neap_option_unit(row);
    snprintf(low, sizeof low, "%.14g", row->min);
    snprintf(high, sizeof high, "%.14g", max);
    if (!(max > 0))
        snprintf(range, sizeof range, is_above ? " > %s" : " >= %s", low);
    else
        snprintf(range, sizeof range, is_above ? " > %s and <= %s" : " from %s to %s", low, high);
    luaL_addstring(out, range);
    if (unit) {
        luaL_addstring(out, " (");
        luaL_addstring(out, unit);
        luaL_addstring(out, ")");
    }
}

static void add_choices(luaL_Buffer *out, const struct neap_option_choice *choice)
{
    for (const char *before = "\""; choice->name; choice++, before = ", \"") {
        luaL_addstring(out, before);
        luaL_addstring(out, choice->name);
        luaL_addstring(out, "\"");
    }
}

static void add_expected(luaL_Buffer *out, const struct neap_option *row, double max)
{
    if (row->kind == NEAP_OPTION_TEXT && row->noun)
        luaL_addstring(out, row->noun);
    else
        luaL_addstring(out, row->expected ? row->expected : nouns[row->kind]);
    if (is_numeric(row->kind))
        add_range(out, row, max);
    if (row->kind == NEAP_OPTION_CHOICE)
        add_choices(out, row->choices);
}

/* All forms that the key may have: "a table, a function or false". */
static void push_expected(struct neap_option_reader *reader, const struct neap_option *row,
                          double max)
{
    luaL_Buffer out;
    const struct neap_option *other = row->other;
    bool takes_other = other && (other->kind != NEAP_OPTION_FUNCTION || reader->functions != 0);
    bool takes_true = (row->flags & NEAP_OPTION_OR_TRUE) != 0;
    bool takes_false = (row->flags & NEAP_OPTION_OR_FALSE) != 0;
    luaL_buffinit(reader->L, &out);
    add_expected(&out, row, max);
    if (takes_other) {
        luaL_addstring(&out, takes_true || takes_false ? ", " : " or ");
        add_expected(&out, other, other->max);
    }
    if (takes_true)
        luaL_addstring(&out, takes_false ? ", true" : " or true");
    if (takes_false)
        luaL_addstring(&out, " or false");
    luaL_pushresult(&out);
}

void neap_option_push_expected(struct neap_option_reader *reader, const struct neap_option *row)
{
    push_expected(reader, row, row->max);
}

/* ------------------------------------------------------------------------------ what was there */

static void push_value(lua_State *L, int index, const struct neap_option *row)
{
    bool is_text = lua_type(L, index) == LUA_TSTRING;
    bool is_word = row->kind == NEAP_OPTION_CHOICE || (row->flags & NEAP_OPTION_WORD) != 0;
    if (is_text && (row->flags & NEAP_OPTION_SECRET) != 0)
        lua_pushliteral(L, "a string");
    else
        neap_push_shown(L, index, is_word);
    /* "expected a header name, got a string" would blame the type. */
    if (is_text && row->kind == NEAP_OPTION_TEXT && strcmp(lua_tostring(L, -1), "a string") == 0) {
        lua_pop(L, 1);
        lua_pushliteral(L, "another string");
    }
}

/* A row without an upper end has one nevertheless, the type's, which is told when it is met. */
static double told_max(lua_State *L, const struct neap_option *row)
{
    bool is_beyond = row->kind == NEAP_OPTION_INTEGER && !(row->max > 0) &&
                     lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) > UINT32_MAX;
    return is_beyond ? UINT32_MAX : row->max;
}

bool neap_option_fail_expected(struct neap_option_reader *reader, const struct neap_option *row)
{
    lua_State *L = reader->L;
    luaL_checkstack(L, 8, "message about an option");
    push_expected(reader, row, told_max(L, row));
    push_value(L, -2, row);
    return neap_option_fail(reader, "expected %s, got %s", lua_tostring(L, -2),
                            lua_tostring(L, -1));
}

bool neap_option_fail_required(struct neap_option_reader *reader, const struct neap_option *row)
{
    if (row->kind == NEAP_OPTION_TEXT)
        return neap_option_fail(reader, "required, a string");
    push_expected(reader, row, row->max);
    return neap_option_fail(reader, "required, %s", lua_tostring(reader->L, -1));
}
