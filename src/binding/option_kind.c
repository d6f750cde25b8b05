#include "binding/option_kind.h"

#include <math.h>
#include <string.h>

#include "base/duration.h"
#include "binding/option_member.h"
#include "binding/option_message.h"

#define LARGEST_BYTES 0x1p63 /* of a default: what is larger stands for no limit */

static bool has_flag(const struct neap_option *row, enum neap_option_flag flag)
{
    return (row->flags & flag) != 0;
}

static void put_bool(void *target, size_t offset, bool value)
{
    neap_option_put(target, offset, &value, sizeof value);
}

static void put_int(void *target, size_t offset, int value)
{
    neap_option_put(target, offset, &value, sizeof value);
}

/* ------------------------------------------------------------------------------------ defaults */

typedef void default_writer(struct neap_option_reader *reader, const struct neap_option *row,
                            void *target);

static void put_answer(const struct neap_option *row, void *target, bool value)
{
    bool is_inverted = (row->flags & NEAP_OPTION_INVERTED) != 0;
    put_bool(target, row->offset, value != is_inverted);
}

static void default_boolean(struct neap_option_reader *reader, const struct neap_option *row,
                            void *target)
{
    (void)reader;
    put_answer(row, target, row->number != 0);
}

static void default_integer(struct neap_option_reader *reader, const struct neap_option *row,
                            void *target)
{
    (void)reader;
    uint32_t value = (uint32_t)row->number;
    neap_option_put(target, row->offset, &value, sizeof value);
}

static void default_number(struct neap_option_reader *reader, const struct neap_option *row,
                           void *target)
{
    (void)reader;
    neap_option_put(target, row->offset, &row->number, sizeof row->number);
}

static void default_seconds(struct neap_option_reader *reader, const struct neap_option *row,
                            void *target)
{
    (void)reader;
    int64_t value_ns = neap_ns_from_seconds(row->number);
    neap_option_put(target, row->offset, &value_ns, sizeof value_ns);
}

static void default_bytes(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target)
{
    (void)reader;
    uint64_t value = row->number < LARGEST_BYTES ? (uint64_t)row->number : UINT64_MAX;
    neap_option_put(target, row->offset, &value, sizeof value);
}

static void default_text(struct neap_option_reader *reader, const struct neap_option *row,
                         void *target)
{
    if (row->text)
        neap_option_put_text(reader, target, row->offset, row->text, strlen(row->text));
}

static void default_texts(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target)
{
    neap_option_empty_texts(reader, row, target);
    const char *word = row->text ? row->text : "";
    for (size_t bytes; *word; word += bytes + (word[bytes] == ' ')) {
        bytes = strcspn(word, " ");
        neap_option_add_text(reader, row, target, word, bytes);
    }
}

static void default_choice(struct neap_option_reader *reader, const struct neap_option *row,
                           void *target)
{
    (void)reader;
    put_int(target, row->offset, (int)row->number);
}

static void default_function(struct neap_option_reader *reader, const struct neap_option *row,
                             void *target)
{
    (void)reader;
    if (row->offset != 0)
        put_bool(target, row->offset, false);
}

static void default_custom(struct neap_option_reader *reader, const struct neap_option *row,
                           void *target)
{
    (void)reader;
    if (row->set_default)
        row->set_default(target);
}

static default_writer *const default_writers[NEAP_OPTION_KIND_COUNT] = {
    [NEAP_OPTION_BOOLEAN] = default_boolean,   [NEAP_OPTION_INTEGER] = default_integer,
    [NEAP_OPTION_NUMBER] = default_number,     [NEAP_OPTION_SECONDS] = default_seconds,
    [NEAP_OPTION_BYTES] = default_bytes,       [NEAP_OPTION_TEXT] = default_text,
    [NEAP_OPTION_TEXTS] = default_texts,       [NEAP_OPTION_CHOICE] = default_choice,
    [NEAP_OPTION_FUNCTION] = default_function, [NEAP_OPTION_CUSTOM] = default_custom,
};

void neap_option_kind_default(struct neap_option_reader *reader, const struct neap_option *row,
                              void *target)
{
    if (default_writers[row->kind])
        default_writers[row->kind](reader, row, target);
}

/* ---------------------------------------------------------------------- one value of each kind */

typedef bool value_reader(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target);

static bool is_in_range(const struct neap_option *row, double value)
{
    if (!isfinite(value) || value < row->min)
        return false;
    if (has_flag(row, NEAP_OPTION_ABOVE) && !(value > row->min))
        return false;
    return !(row->max > 0) || value <= row->max;
}

static bool read_boolean(struct neap_option_reader *reader, const struct neap_option *row,
                         void *target)
{
    put_answer(row, target, lua_toboolean(reader->L, -1) != 0);
    return true;
}

static bool read_integer(struct neap_option_reader *reader, const struct neap_option *row,
                         void *target)
{
    int64_t value;
    if (!neap_lua_integer(reader->L, -1, &value) || !is_in_range(row, (double)value) ||
        value > UINT32_MAX)
        return neap_option_fail_expected(reader, row);
    uint32_t narrow = (uint32_t)value;
    neap_option_put(target, row->offset, &narrow, sizeof narrow);
    return true;
}

static bool read_number(struct neap_option_reader *reader, const struct neap_option *row,
                        void *target)
{
    double value = lua_tonumber(reader->L, -1);
    if (!is_in_range(row, value))
        return neap_option_fail_expected(reader, row);
    neap_option_put(target, row->offset, &value, sizeof value);
    return true;
}

static bool read_seconds(struct neap_option_reader *reader, const struct neap_option *row,
                         void *target)
{
    double value_s = lua_tonumber(reader->L, -1);
    if (!is_in_range(row, value_s))
        return neap_option_fail_expected(reader, row);
    int64_t value_ns = neap_ns_from_seconds(value_s);
    /* What is less than half a nanosecond must not become the zero that is out of range. */
    if (value_ns == 0 && has_flag(row, NEAP_OPTION_ABOVE))
        value_ns = 1;
    neap_option_put(target, row->offset, &value_ns, sizeof value_ns);
    return true;
}

static bool read_bytes(struct neap_option_reader *reader, const struct neap_option *row,
                       void *target)
{
    int64_t value;
    if (!neap_lua_integer(reader->L, -1, &value) || !is_in_range(row, (double)value))
        return neap_option_fail_expected(reader, row);
    uint64_t bytes = (uint64_t)value;
    neap_option_put(target, row->offset, &bytes, sizeof bytes);
    return true;
}

static bool is_valid_text(const struct neap_option *row, const char *text, size_t bytes)
{
    if (bytes == 0 || memchr(text, 0, bytes))
        return false;
    return !row->is_valid || row->is_valid(text, bytes);
}

static bool read_text(struct neap_option_reader *reader, const struct neap_option *row,
                      void *target)
{
    size_t bytes;
    const char *text = lua_tolstring(reader->L, -1, &bytes);
    if (!is_valid_text(row, text, bytes))
        return neap_option_fail_expected(reader, row);
    neap_option_put_text(reader, target, row->offset, text, bytes);
    return true;
}

struct list_target {
    const struct neap_option *row;
    void *target;
};

static bool read_text_of_list(struct neap_option_reader *reader, void *target)
{
    const struct list_target *list = target;
    const struct neap_option alone = {.kind = NEAP_OPTION_TEXT, .noun = list->row->noun};
    size_t bytes = 0;
    const char *text = NULL;
    if (lua_type(reader->L, -1) == LUA_TSTRING)
        text = lua_tolstring(reader->L, -1, &bytes);
    if (!text || !is_valid_text(list->row, text, bytes))
        return neap_option_fail_expected(reader, &alone);
    neap_option_add_text(reader, list->row, list->target, text, bytes);
    return true;
}

static bool read_texts(struct neap_option_reader *reader, const struct neap_option *row,
                       void *target)
{
    struct list_target list = {row, target};
    neap_option_empty_texts(reader, row, target);
    if (!neap_option_read_list(reader, read_text_of_list, &list))
        return false;
    if (neap_option_count_texts(row, target) == 0)
        return neap_option_fail(reader, "expected %s, got an empty one", row->expected);
    return true;
}

static const struct neap_option_choice *find_choice(const struct neap_option_choice *choice,
                                                    const char *text, size_t bytes)
{
    for (; choice->name; choice++)
        if (strlen(choice->name) == bytes && memcmp(choice->name, text, bytes) == 0)
            return choice;
    return NULL;
}

static bool read_choice(struct neap_option_reader *reader, const struct neap_option *row,
                        void *target)
{
    /* A copy: lua_tolstring changes a number in its place. */
    lua_pushvalue(reader->L, -1);
    size_t bytes;
    const char *text = lua_tolstring(reader->L, -1, &bytes);
    const struct neap_option_choice *choice = find_choice(row->choices, text, bytes);
    lua_pop(reader->L, 1);
    if (!choice)
        return neap_option_fail_expected(reader, row);
    put_int(target, row->offset, choice->value);
    return true;
}

static bool read_function(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target)
{
    neap_option_push_place(reader);
    lua_pushvalue(reader->L, -2);
    lua_rawset(reader->L, reader->functions);
    if (row->offset != 0)
        put_bool(target, row->offset, true);
    return true;
}

static bool read_value(struct neap_option_reader *reader, const struct neap_option *row,
                       void *target)
{
    (void)reader;
    (void)row;
    (void)target;
    return true;
}

static bool read_custom(struct neap_option_reader *reader, const struct neap_option *row,
                        void *target)
{
    return row->read(reader, target);
}

static value_reader *const value_readers[NEAP_OPTION_KIND_COUNT] = {
    [NEAP_OPTION_BOOLEAN] = read_boolean,   [NEAP_OPTION_INTEGER] = read_integer,
    [NEAP_OPTION_NUMBER] = read_number,     [NEAP_OPTION_SECONDS] = read_seconds,
    [NEAP_OPTION_BYTES] = read_bytes,       [NEAP_OPTION_TEXT] = read_text,
    [NEAP_OPTION_TEXTS] = read_texts,       [NEAP_OPTION_CHOICE] = read_choice,
    [NEAP_OPTION_FUNCTION] = read_function, [NEAP_OPTION_VALUE] = read_value,
    [NEAP_OPTION_CUSTOM] = read_custom,
};

bool neap_option_kind_read(struct neap_option_reader *reader, const struct neap_option *row,
                           void *target)
{
    return value_readers[row->kind](reader, row, target);
}

#define TYPE(name) (1u << LUA_T##name)

/* VALUE and CUSTOM have types of their own. */
static const unsigned types_of_kind[NEAP_OPTION_KIND_COUNT] = {
    [NEAP_OPTION_BOOLEAN] = TYPE(BOOLEAN),   [NEAP_OPTION_INTEGER] = TYPE(NUMBER),
    [NEAP_OPTION_NUMBER] = TYPE(NUMBER),     [NEAP_OPTION_SECONDS] = TYPE(NUMBER),
    [NEAP_OPTION_BYTES] = TYPE(NUMBER),      [NEAP_OPTION_TEXT] = TYPE(STRING),
    [NEAP_OPTION_TEXTS] = TYPE(TABLE),       [NEAP_OPTION_CHOICE] = TYPE(STRING),
    [NEAP_OPTION_FUNCTION] = TYPE(FUNCTION), [NEAP_OPTION_TABLE] = TYPE(TABLE),
    [NEAP_OPTION_INCLUDE] = TYPE(TABLE),
};

bool neap_option_kind_takes(const struct neap_option_reader *reader, const struct neap_option *row)
{
    unsigned types = types_of_kind[row->kind] | row->types;
    if (row->kind == NEAP_OPTION_FUNCTION && reader->functions == 0)
        types = 0;
    if (has_flag(row, NEAP_OPTION_BY_TEXT))
        types |= TYPE(NUMBER);
    return (types >> lua_type(reader->L, -1) & 1u) != 0;
}
