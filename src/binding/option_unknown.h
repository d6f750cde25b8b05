/* What is told about a key that is not known, see option_message.h.
 *
 * Each pushes the text and answers false; the key is at -2, as lua_next leaves it. */
#ifndef NEAP_BINDING_OPTION_UNKNOWN_H
#define NEAP_BINDING_OPTION_UNKNOWN_H

#include <stdbool.h>

#include "binding/options.h"

/* None of the table's: names the nearest one, or all. */
bool neap_option_fail_unknown(struct neap_option_reader *reader,
                              const struct neap_option_table *table);

/* The same where keys are no names: `<path>: unknown key 99, expected <what keys are>`. */
bool neap_option_fail_key(struct neap_option_reader *reader, const char *expected);

#endif
