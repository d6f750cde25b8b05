/* What each kind of option is in C: which Lua types it takes, how a value of it is read and its
 * default written. Tables, whose values are rows again, are the matter of options.c. */
#ifndef NEAP_BINDING_OPTION_KIND_H
#define NEAP_BINDING_OPTION_KIND_H

#include <stdbool.h>

#include "binding/options.h"

/* Does the row, apart from its switch and its other row, take the type of the value on top? */
bool neap_option_kind_takes(const struct neap_option_reader *reader, const struct neap_option *row);

/* The value on top, of a type that the row takes and of any kind but TABLE and INCLUDE. Leaves the
 * stack as neap_option_read says. */
NEAP_MUST_CHECK bool neap_option_kind_read(struct neap_option_reader *reader,
                                           const struct neap_option *row, void *target);

/* Any kind but TABLE and INCLUDE. Raises without memory. */
void neap_option_kind_default(struct neap_option_reader *reader, const struct neap_option *row,
                              void *target);

#endif
