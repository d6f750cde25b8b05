#include "binding/option_member.h"

#include <ctype.h>

char *neap_option_copy_text(struct neap_option_reader *reader, const char *text, size_t bytes)
{
    char *copy = neap_copy_text(reader->alloc, text, bytes);
    if (!copy)
        luaL_error(reader->L, "not enough memory");
    return copy;
}

void neap_option_put_text(struct neap_option_reader *reader, void *target, size_t offset,
                          const char *text, size_t bytes)
{
    char *copy = neap_option_copy_text(reader, text, bytes);
    char *old;
    memcpy(&old, neap_option_member(target, offset), sizeof old);
    neap_option_put(target, offset, &copy, sizeof copy);
    neap_free(reader->alloc, old);
}

struct text_list {
    char **text;
    size_t count;
};

static struct text_list take_list(const struct neap_option *row, void *target)
{
    struct text_list list;
    memcpy(&list.text, neap_option_member(target, row->offset), sizeof list.text);
    memcpy(&list.count, neap_option_member(target, row->count), sizeof list.count);
    return list;
}

static void put_list(const struct neap_option *row, void *target, struct text_list list)
{
    neap_option_put(target, row->offset, &list.text, sizeof list.text);
    neap_option_put(target, row->count, &list.count, sizeof list.count);
}

void neap_option_empty_texts(struct neap_option_reader *reader, const struct neap_option *row,
                             void *target)
{
    struct text_list list = take_list(row, target);
    put_list(row, target, (struct text_list){NULL, 0});
    for (size_t i = 0; i < list.count; i++)
        neap_free(reader->alloc, list.text[i]);
    neap_free(reader->alloc, list.text);
}

void neap_option_add_text(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target, const char *text, size_t bytes)
{
    struct text_list list = take_list(row, target);
    char **grown = neap_resize(reader->alloc, list.text, (list.count + 1) * sizeof *list.text);
    if (!grown) {
        luaL_error(reader->L, "not enough memory");
        return;
    }
    list.text = grown;
    put_list(row, target, list);
    char *copy = neap_option_copy_text(reader, text, bytes);
    bool is_upper = (row->flags & NEAP_OPTION_UPPER) != 0;
    for (size_t i = 0; i < bytes && is_upper; i++)
        copy[i] = (char)toupper((unsigned char)copy[i]);
    list.text[list.count++] = copy;
    put_list(row, target, list);
}

size_t neap_option_count_texts(const struct neap_option *row, void *target)
{
    return take_list(row, target).count;
}
