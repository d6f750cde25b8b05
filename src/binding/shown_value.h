/* What messages show of a user's value: enough to find the mistake, and nothing that may be a
 * secret. */
#ifndef NEAP_BINDING_SHOWN_VALUE_H
#define NEAP_BINDING_SHOWN_VALUE_H

#include <stdbool.h>

#include "binding/compat.h"

#define NEAP_SHOWN_BYTES 60u /* of a text */

/* Pushes a text between quotes, escaped, cut where it is long, or where what follows may be a
 * secret. */
void neap_push_quoted(lua_State *L, const char *text, size_t bytes);

/* Pushes what the value at `index` is: `nil`, `true`, `-1`, `a string ("text")`, `a table`. Of one
 * that `is_secret` no text is shown. */
void neap_push_shown(lua_State *L, int index, bool is_secret);

#endif
