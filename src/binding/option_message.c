#include "binding/option_message.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES 60u  /* of a text of the user's */
#define LONGEST_NAME 32u /* of a key that is compared with a wrong one */
#define NUMBER_BYTES 32u

/* ----------------------------------------------------------------------------- texts and paths */

static size_t escape(unsigned char byte, char out[5])
{
    if (byte == '"' || byte == '\\')
        return (size_t)snprintf(out, 5, "\\%c", byte);
    if (byte == '\n')
        return (size_t)snprintf(out, 5, "\\n");
    if (byte < 0x20 || byte == 0x7f)
        return (size_t)snprintf(out, 5, "\\%03d", byte);
    out[0] = (char)byte;
    return 1;
}

/* Where the first of these bytes ends from `at` on, or the text. */
static size_t end_of_first(const char *stops, const char *text, size_t bytes, size_t at)
{
    while (at < bytes && !(text[at] && strchr(stops, text[at])))
        at++;
    return at < bytes ? at + 1 : bytes;
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Where the host begins of a text that is a URL from its first byte on; 0 where it is none. */
static size_t host_of_url(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && (is_letter(text[at]) ||
                          (at > 0 && text[at] != '\0' && strchr("0123456789+.-", text[at]))))
        at++;
    return at > 0 && bytes - at >= 3 && memcmp(text + at, "://", 3) == 0 ? at + 3 : 0;
}

/* A text in a wrong place may hold a secret: a URL its password, or a path that only its owner
 * should know, a header its value. Of a URL scheme and host are shown, of others what stands before
 * such a value. A password may hold what should end the host. */
static size_t harmless_bytes(const char *text, size_t bytes)
{
    size_t host = host_of_url(text, bytes);
    if (host == 0)
        return end_of_first(":=@", text, bytes, 0);
    if (memchr(text + host, '@', bytes - host))
        return host;
    return end_of_first("/?#", text, bytes, host);
}

/* No more than SHOWN_BYTES, and no half of a UTF-8 character. */
static size_t shown_bytes(const char *text, size_t all_bytes)
{
    size_t bytes = harmless_bytes(text, all_bytes);
    if (bytes <= SHOWN_BYTES)
        return bytes;
    size_t shown = SHOWN_BYTES;
    while (shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80)
        shown--;
    return shown;
}

void neap_option_push_quoted(lua_State *L, const char *text, size_t bytes)
{
    char quoted[SHOWN_BYTES * 4 + 8] = "\"";
    size_t length = 1;
    size_t shown = shown_bytes(text, bytes);
    for (size_t i = 0; i < shown; i++)
        length += escape((unsigned char)text[i], quoted + length);
    length += (size_t)snprintf(quoted + length, sizeof quoted - length, "%s\"",
                               shown < bytes ? "..." : "");
    lua_pushlstring(L, quoted, length);
}

static bool is_identifier(const char *text, size_t bytes)
{
    if (bytes == 0 || bytes > SHOWN_BYTES || isdigit((unsigned char)text[0]))
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
        neap_option_push_quoted(L, path->name, path->name_bytes);
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

static void format_number(double number, char out[NUMBER_BYTES])
{
    if (isnan(number))
        snprintf(out, NUMBER_BYTES, "nan");
    else
        snprintf(out, NUMBER_BYTES, "%.14g", number);
}

static void add_range(luaL_Buffer *out, const struct neap_option *row, double max)
{
    char low[NUMBER_BYTES], high[NUMBER_BYTES], range[3 * NUMBER_BYTES];
    bool is_above = (row->flags & NEAP_OPTION_ABOVE) != 0;
    const char *unit = neap_option_unit(row);
    format_number(row->min, low);
    format_number(max, high);
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

static void push_number(lua_State *L, int index)
{
    int64_t integer;
    char text[NUMBER_BYTES];
    if (neap_lua_integer(L, index, &integer))
        snprintf(text, sizeof text, "%lld", (long long)integer);
    else
        format_number(lua_tonumber(L, index), text);
    lua_pushstring(L, text);
}

static void push_text(lua_State *L, int index)
{
    size_t bytes;
    const char *text = lua_tolstring(L, index, &bytes);
    neap_option_push_quoted(L, text, bytes);
    lua_pushfstring(L, "a string (%s)", lua_tostring(L, -1));
    lua_remove(L, -2);
}

static void push_value(lua_State *L, int index, bool is_secret)
{
    int type = lua_type(L, index);
    index = lua_absindex(L, index);
    if (type == LUA_TNIL || type == LUA_TNONE)
        lua_pushliteral(L, "nil");
    else if (type == LUA_TBOOLEAN)
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
    else if (type == LUA_TNUMBER)
        push_number(L, index);
    else if (type == LUA_TSTRING && !is_secret)
        push_text(L, index);
    else
        lua_pushfstring(L, "a %s", lua_typename(L, type));
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
    push_value(L, -2, (row->flags & NEAP_OPTION_SECRET) != 0);
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

/* -------------------------------------------------------------------------------- unknown keys */

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance in which two neighbours that changed places count as one mistake. */
static size_t distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    size_t row[3][LONGEST_NAME + 1];
    for (size_t j = 0; j <= b_bytes; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t *now = row[i % 3];
        const size_t *before = row[(i + 2) % 3];
        const size_t *two_before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            size_t change = a[i - 1] != b[j - 1];
            now[j] = smallest(before[j] + 1, now[j - 1] + 1, before[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smallest(now[j], two_before[j - 2] + 1, now[j]);
        }
    }
    return row[a_bytes % 3][b_bytes];
}

struct guess {
    const char *wrong;
    size_t wrong_bytes;
    const char *nearest;
    size_t distance;
};

static void guess_among(const struct neap_option_table *table, struct guess *guess)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct neap_option *row = &table->rows[i];
        if (row->kind == NEAP_OPTION_INCLUDE)
            guess_among(row->table, guess);
        size_t bytes = row->name ? strlen(row->name) : 0;
        if (bytes == 0 || bytes > LONGEST_NAME)
            continue;
        size_t far = bytes <= 3 ? 2 : bytes <= 7 ? 3 : 4;
        size_t steps = distance(guess->wrong, guess->wrong_bytes, row->name, bytes);
        if (steps < far && (!guess->nearest || steps < guess->distance)) {
            guess->nearest = row->name;
            guess->distance = steps;
        }
    }
}

static void add_names(luaL_Buffer *out, const struct neap_option_table *table, bool *is_first)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct neap_option *row = &table->rows[i];
        if (row->kind == NEAP_OPTION_INCLUDE)
            add_names(out, row->table, is_first);
        if (!row->name)
            continue;
        luaL_addstring(out, *is_first ? "\"" : ", \"");
        luaL_addstring(out, row->name);
        luaL_addstring(out, "\"");
        *is_first = false;
    }
}

static bool fail_unknown_name(struct neap_option_reader *reader,
                              const struct neap_option_table *table, const char *name, size_t bytes)
{
    luaL_Buffer out;
    bool is_first = true;
    struct guess guess = {.wrong = name, .wrong_bytes = bytes};
    if (bytes <= LONGEST_NAME)
        guess_among(table, &guess);
    if (guess.nearest)
        return neap_option_fail(reader, "unknown key, did you mean \"%s\"?", guess.nearest);
    luaL_buffinit(reader->L, &out);
    add_names(&out, table, &is_first);
    luaL_pushresult(&out);
    return neap_option_fail(reader, "unknown key, known keys: %s", lua_tostring(reader->L, -1));
}

static bool is_named(lua_State *L)
{
    return lua_type(L, -2) == LUA_TSTRING;
}

static bool fail_unnamed(struct neap_option_reader *reader, const char *before_more,
                         const char *more)
{
    push_value(reader->L, -2, false);
    return neap_option_fail(reader, "unknown key %s%s%s", lua_tostring(reader->L, -1), before_more,
                            more);
}

bool neap_option_fail_unknown(struct neap_option_reader *reader,
                              const struct neap_option_table *table)
{
    if (!is_named(reader->L))
        return fail_unnamed(reader, "", "");
    struct neap_option_path here = {.parent = reader->path};
    here.name = lua_tolstring(reader->L, -2, &here.name_bytes);
    reader->path = &here;
    bool answer = fail_unknown_name(reader, table, here.name, here.name_bytes);
    reader->path = here.parent;
    return answer;
}

bool neap_option_fail_key(struct neap_option_reader *reader, const char *expected)
{
    if (!is_named(reader->L))
        return fail_unnamed(reader, ", expected ", expected);
    struct neap_option_path here = {.parent = reader->path};
    here.name = lua_tolstring(reader->L, -2, &here.name_bytes);
    reader->path = &here;
    bool answer = neap_option_fail(reader, "unknown key, expected %s", expected);
    reader->path = here.parent;
    return answer;
}
