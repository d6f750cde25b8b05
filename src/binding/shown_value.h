/* What a message repeats of what a user gave.
 *
 * A text in a wrong place may be a secret, so of a text only that is shown which can hardly be one;
 * what the other characters were, the user knows. A credential is told from a name by its digits
 * and by how its letters change their case, which needs no list of what credentials look like. */
#ifndef NEAP_BINDING_SHOWN_VALUE_H
#define NEAP_BINDING_SHOWN_VALUE_H

#include <stdbool.h>

#include "binding/compat.h"

/* Is the whole text a name, such as a key of a policy or of a header? */
bool neap_is_plain_name(const char *text, size_t bytes);

/* Pushes a key between quotes, escaped: a name, and what stands before a value behind it; of a URL
 * scheme and host; "..." stands for the rest. */
void neap_push_quoted(lua_State *L, const char *text, size_t bytes);

/* Pushes what a value is: `nil`, `12`, `a table`, `a string`. Of a string also its text where it
 * has three bytes at most, or is a number with a unit, of a URL scheme and host; and with
 * `is_word`, where one of a few words is expected, a short word of lower-case letters. */
void neap_push_shown(lua_State *L, int index, bool is_word);

/* Adds to the table on top, for the face: `shown(value)`, and `shown_key(key)`, a plain name as it
 * is. */
void neap_binding_add_shown(lua_State *L);

#endif
