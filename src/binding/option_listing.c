/* The rows of every table of options as Lua sees them: documents and editors' definitions are made
 * from them, and `neap options` prints them. */
#include <math.h>
#include <string.h>

#include "binding/objects.h"
#include "binding/option_message.h"
#include "binding/option_tables.h"
#include "binding/policy_options.h"

static const char *const kinds[NEAP_OPTION_KIND_COUNT] = {
    [NEAP_OPTION_BOOLEAN] = "boolean",   [NEAP_OPTION_INTEGER] = "integer",
    [NEAP_OPTION_NUMBER] = "number",     [NEAP_OPTION_SECONDS] = "seconds",
    [NEAP_OPTION_BYTES] = "bytes",       [NEAP_OPTION_TEXT] = "text",
    [NEAP_OPTION_TEXTS] = "texts",       [NEAP_OPTION_CHOICE] = "choice",
    [NEAP_OPTION_FUNCTION] = "function", [NEAP_OPTION_VALUE] = "value",
    [NEAP_OPTION_TABLE] = "table",       [NEAP_OPTION_INCLUDE] = "table",
    [NEAP_OPTION_CUSTOM] = "custom",
};

static bool has_flag(const struct neap_option *row, enum neap_option_flag flag)
{
    return (row->flags & flag) != 0;
}

static bool is_numeric(const struct neap_option *row)
{
    return row->kind == NEAP_OPTION_INTEGER || row->kind == NEAP_OPTION_NUMBER ||
           row->kind == NEAP_OPTION_SECONDS || row->kind == NEAP_OPTION_BYTES;
}

/* ------------------------------------------------------------------------------------ defaults */

static void push_number(lua_State *L, double number)
{
    if (floor(number) == number && fabs(number) < 0x1p53)
        lua_pushinteger(L, (lua_Integer)number);
    else
        lua_pushnumber(L, number);
}

static void push_words(lua_State *L, const char *words)
{
    lua_newtable(L);
    for (int i = 1; *words; i++) {
        size_t bytes = strcspn(words, " ");
        lua_pushlstring(L, words, bytes);
        lua_rawseti(L, -2, i);
        words += bytes + (words[bytes] == ' ');
    }
}

static void push_choice(lua_State *L, const struct neap_option *row)
{
    for (const struct neap_option_choice *choice = row->choices; choice->name; choice++)
        if (choice->value == (int)row->number) {
            lua_pushstring(L, choice->name);
            return;
        }
    /* What the other form writes when it is given. */
    push_number(L, row->other ? row->other->number : NAN);
}

/* Nil where nothing stands for it: it is not given, or another key decides. */
static void push_default(lua_State *L, const struct neap_option *row)
{
    if (has_flag(row, NEAP_OPTION_REQUIRED) || has_flag(row, NEAP_OPTION_OFF) || row->otherwise)
        lua_pushnil(L);
    else if (row->kind == NEAP_OPTION_BOOLEAN)
        lua_pushboolean(L, row->number != 0);
    else if (is_numeric(row) && row->number < HUGE_VAL)
        push_number(L, row->number);
    else if (row->kind == NEAP_OPTION_CHOICE)
        push_choice(L, row);
    else if (row->kind == NEAP_OPTION_TEXT && row->text)
        lua_pushstring(L, row->text);
    else if (row->kind == NEAP_OPTION_TEXTS && row->text)
        push_words(L, row->text);
    else if (row->kind == NEAP_OPTION_TABLE)
        lua_newtable(L);
    else
        lua_pushnil(L);
}

/* ---------------------------------------------------------------------------------------- rows */

static void set_text(lua_State *L, const char *field, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void set_flag(lua_State *L, const char *field, bool is_set)
{
    if (!is_set)
        return;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, field);
}

static void set_range(lua_State *L, const struct neap_option *row)
{
    push_number(L, row->min);
    lua_setfield(L, -2, "min");
    if (row->max > 0) {
        push_number(L, row->max);
        lua_setfield(L, -2, "max");
    }
    set_text(L, "unit", neap_option_unit(row));
    set_flag(L, "above", has_flag(row, NEAP_OPTION_ABOVE));
}

static void set_choices(lua_State *L, const struct neap_option *row)
{
    lua_newtable(L);
    for (int i = 0; row->choices[i].name; i++) {
        lua_pushstring(L, row->choices[i].name);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "choices");
}

/* What values it takes. */
static void set_form(lua_State *L, const struct neap_option *row)
{
    set_text(L, "kind", kinds[row->kind]);
    set_flag(L, "or_true", has_flag(row, NEAP_OPTION_OR_TRUE));
    set_flag(L, "or_false", has_flag(row, NEAP_OPTION_OR_FALSE));
    if (is_numeric(row))
        set_range(L, row);
    if (row->kind == NEAP_OPTION_CHOICE)
        set_choices(L, row);
}

static void push_row(lua_State *L, const struct neap_option *row, const char *path)
{
    /* As a message says it where functions are taken. */
    struct neap_option_reader reader = {.L = L, .functions = 1};
    luaL_checkstack(L, 8, "an option's description");
    lua_newtable(L);
    set_text(L, "path", path);
    set_form(L, row);
    neap_option_push_expected(&reader, row);
    lua_setfield(L, -2, "expected");
    push_default(L, row);
    lua_setfield(L, -2, "default");
    set_text(L, "otherwise", row->otherwise);
    set_flag(L, "required", has_flag(row, NEAP_OPTION_REQUIRED));
    set_text(L, "about", row->about);
    if (row->other) {
        lua_newtable(L);
        set_form(L, row->other);
        lua_setfield(L, -2, "other");
    }
}

/* A default that is written out for a whole table is none that the rows below it have. */
static const struct neap_option_table *keys_below(const struct neap_option *row)
{
    if (row->otherwise && strchr(row->otherwise, '{'))
        return NULL;
    return row->table ? row->table : row->keys;
}

/* Appends to the list on top; `prefix` is "" or "retry.". */
static void append_rows(lua_State *L, const struct neap_option_table *table, const char *prefix);

static void append_row(lua_State *L, const struct neap_option *row, const char *prefix)
{
    const struct neap_option_table *below = keys_below(row);
    lua_pushfstring(L, "%s%s", prefix, row->name);
    push_row(L, row, lua_tostring(L, -1));
    lua_rawseti(L, -3, (int)lua_rawlen(L, -3) + 1);
    if (below) {
        lua_pushfstring(L, "%s.", lua_tostring(L, -1));
        lua_pushvalue(L, -3);
        append_rows(L, below, lua_tostring(L, -2));
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

static void append_rows(lua_State *L, const struct neap_option_table *table, const char *prefix)
{
    luaL_checkstack(L, 8, "an option's description");
    for (size_t i = 0; i < table->count; i++) {
        const struct neap_option *row = &table->rows[i];
        if (row->kind == NEAP_OPTION_INCLUDE)
            append_rows(L, row->table, prefix);
        else if (row->name)
            append_row(L, row, prefix);
    }
}

/* -------------------------------------------------------------------------------------- tables */

static const struct {
    const char *of; /* what is made with such a table */
    const struct neap_option_table *table;
} listed[] = {
    {"policy", &neap_client_options},
    {"breaker", &neap_lone_breaker_options},
    {"bulkhead", &neap_lone_bulkhead_options},
    {"rate_limiter", &neap_lone_limiter_options},
    {"retry_budget", &neap_lone_budget_options},
    {"backoff", &neap_backoff_options},
    {"idempotency", &neap_guard_options},
    {"outbox", &neap_outbox_options},
    {"store.memory", &neap_memory_store_options},
    {"store.sqlite", &neap_sqlite_store_options},
    {"store.redis", &neap_redis_store_options},
    {"shared", &neap_shared_options},
};

/* option_rows(): a list of { of = "policy", rows = { { path =, kind =, … }, … } }, as
 * option_tables.h describes it. */
static int list_options(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++) {
        lua_newtable(L);
        set_text(L, "of", listed[i].of);
        lua_newtable(L);
        append_rows(L, listed[i].table, "");
        lua_setfield(L, -2, "rows");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

void neap_binding_add_option_rows(lua_State *L)
{
    lua_pushcfunction(L, list_options);
    lua_setfield(L, -2, "option_rows");
}
