#include "binding/option_unknown.h"

#include <string.h>

#include "binding/option_message.h"
#include "binding/shown_value.h"

#define LONGEST_NAME 32u /* of a key that is compared with a wrong one */

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
    neap_push_shown(reader->L, -2, false);
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
