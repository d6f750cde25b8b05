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

/* Pushes what the row takes, in all its forms: "a table, a function or false". */
void neap_option_push_expected(struct neap_option_reader *reader, const struct neap_option *row);

/* What stands behind a number of that row: "seconds", or NULL. */
const char *neap_option_unit(const struct neap_option *row);

/* Pushes the path without its root: "retry.when". */
void neap_option_push_place(struct neap_option_reader *reader);

#endif
