#include "pipeline/vary.h"

#include <string.h>

#include "pipeline/stored_answer.h"

#define RECORD_NAME ":vary1" /* no header can have it; the number is the version */
#define RECORD_STATUS 200

void neap_vary_init(struct neap_vary *vary)
{
    vary->matches_nothing = false;
    vary->count = 0;
    vary->text_bytes = 0;
}

struct neap_text neap_vary_name(const struct neap_vary *vary, size_t index)
{
    return (struct neap_text){vary->text + vary->name[index].at, vary->name[index].bytes};
}

static char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static int compare(struct neap_text one, struct neap_text other)
{
    size_t shared = one.bytes < other.bytes ? one.bytes : other.bytes;
    int order = memcmp(one.text, other.text, shared);
    if (order != 0)
        return order;
    return (one.bytes > other.bytes) - (one.bytes < other.bytes);
}

/* The new name lies at the end of the text already; its place among the others is found. */
static void insert(struct neap_vary *vary, struct neap_text name)
{
    size_t place = 0;
    int order = 1;
    while (place < vary->count && (order = compare(neap_vary_name(vary, place), name)) < 0)
        place++;
    if (place < vary->count && order == 0)
        return;
    memmove(&vary->name[place + 1], &vary->name[place],
            (vary->count - place) * sizeof vary->name[0]);
    vary->name[place].at = vary->text_bytes;
    vary->name[place].bytes = (uint16_t)name.bytes;
    vary->text_bytes = (uint16_t)(vary->text_bytes + name.bytes);
    vary->count++;
}

static void add_name(struct neap_vary *vary, const char *name, size_t bytes)
{
    bool is_any = bytes == 1 && name[0] == '*';
    bool fits = vary->count < NEAP_VARY_NAMES_MAX && bytes <= NEAP_VARY_TEXT_MAX - vary->text_bytes;
    if (is_any || !fits) {
        vary->matches_nothing = true;
        return;
    }
    char *copy = vary->text + vary->text_bytes;
    for (size_t i = 0; i < bytes; i++)
        copy[i] = lower(name[i]);
    insert(vary, (struct neap_text){copy, bytes});
}

static bool is_between(char byte)
{
    return byte == ',' || byte == ' ' || byte == '\t';
}

void neap_vary_add(struct neap_vary *vary, const char *list, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        size_t begin = at;
        while (at < bytes && !is_between(list[at]))
            at++;
        if (at > begin)
            add_name(vary, list + begin, at - begin);
        else
            at++;
    }
}

bool neap_vary_equal(const struct neap_vary *one, const struct neap_vary *other)
{
    if (one->matches_nothing != other->matches_nothing || one->count != other->count)
        return false;
    for (size_t i = 0; i < one->count; i++)
        if (compare(neap_vary_name(one, i), neap_vary_name(other, i)) != 0)
            return false;
    return true;
}

enum neap_status neap_vary_write(const struct neap_vary *vary, const struct neap_alloc *alloc,
                                 char **blob, size_t *blob_bytes)
{
    char list[NEAP_VARY_TEXT_MAX + NEAP_VARY_NAMES_MAX];
    size_t bytes = 0;
    for (size_t i = 0; i < vary->count; i++) {
        struct neap_text name = neap_vary_name(vary, i);
        memcpy(list + bytes, name.text, name.bytes);
        bytes += name.bytes;
        list[bytes++] = ',';
    }
    const struct neap_stored_header mark = {{RECORD_NAME, sizeof RECORD_NAME - 1}, {"", 0}};
    struct neap_stored_answer record = {RECORD_STATUS, &mark, 1, {list, bytes}};
    return neap_stored_answer_write(&record, alloc, blob, blob_bytes);
}

bool neap_vary_read(struct neap_vary *vary, const void *blob, size_t bytes)
{
    struct neap_stored_reader reader;
    if (neap_stored_answer_open(blob, bytes, &reader) != NEAP_STORED_FAULT_NONE ||
        reader.headers_left == 0)
        return false;
    struct neap_text name = neap_stored_answer_next(&reader).name;
    if (compare(name, (struct neap_text){RECORD_NAME, sizeof RECORD_NAME - 1}) != 0)
        return false;
    neap_vary_add(vary, reader.body.text, reader.body.bytes);
    return true;
}
