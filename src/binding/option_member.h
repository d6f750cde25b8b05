/* The members of the struct that rows are about: how a value gets there, and whose its texts are.
 *
 * A text that is put there is a copy and belongs to the struct at every moment, so that an error of
 * Lua in between leaks nothing. What was there before is freed. Without memory each raises. */
#ifndef NEAP_BINDING_OPTION_MEMBER_H
#define NEAP_BINDING_OPTION_MEMBER_H

#include <stddef.h>
#include <string.h>

#include "binding/options.h"

static inline void *neap_option_member(void *target, size_t offset)
{
    return (char *)target + offset;
}

/* Members have types of their own (enums, pointers to const), so all are written as bytes. */
static inline void neap_option_put(void *target, size_t offset, const void *value, size_t bytes)
{
    memcpy(neap_option_member(target, offset), value, bytes);
}

void neap_option_put_text(struct neap_option_reader *reader, void *target, size_t offset,
                          const char *text, size_t bytes);

/* Of a row of kind TEXTS: its list, made empty, added to, counted. */
void neap_option_empty_texts(struct neap_option_reader *reader, const struct neap_option *row,
                             void *target);
void neap_option_add_text(struct neap_option_reader *reader, const struct neap_option *row,
                          void *target, const char *text, size_t bytes);
size_t neap_option_count_texts(const struct neap_option *row, void *target);

#endif
