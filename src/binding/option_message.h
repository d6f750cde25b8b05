/* What is told about a user's mistake: path, what the row expects, what was there.
 *
 * Each function that ends in `_fail…` pushes the text and answers false, to be returned at once. */
#ifndef NEAP_BINDING_OPTION_MESSAGE_H
#define NEAP_BINDING_OPTION_MESSAGE_H

#include <stdbool.h>

#include "binding/options.h"

/* `<path>: <text>`; the format is lua_pushfstring's. */
bool neap_option_fail(struct neap_option_reader *reader, const char *format, ...);

/* `<path>: expected <what the row takes>, got <the value on top>` */
bool neap_option_fail_expected(struct neap_option_reader *reader, const struct neap_option *row);

/* `<path>: required, <what the row takes>` */
bool neap_option_fail_required(struct neap_option_reader *reader, const struct neap_option *row);

/* The key at -2, as lua_next leaves it, is none of the table's: names the nearest one, or all. */
bool neap_option_fail_unknown(struct neap_option_reader *reader,
                              const struct neap_option_table *table);

/* The same where keys are no names: `<path>: unknown key 99, expected <what keys are>`. */
bool neap_option_fail_key(struct neap_option_reader *reader, const char *expected);

/* Pushes what the row takes, in all its forms: "a table, a function or false". */
void neap_option_push_expected(struct neap_option_reader *reader, const struct neap_option *row);

/* What stands behind a number of that row: "seconds", or NULL. */
const char *neap_option_unit(const struct neap_option *row);

/* Pushes a text as messages show it: between quotes, escaped, cut where it is long, or where what
 * follows may be a secret. */
void neap_option_push_quoted(lua_State *L, const char *text, size_t bytes);

/* Pushes the path without its root: "retry.when". */
void neap_option_push_place(struct neap_option_reader *reader);

#endif
