/* One text for all spellings of a JSON value: what a fingerprint compares.
 *
 * Two texts of JSON (RFC 8259) get the same canonical text exactly where they are the same value:
 * white space, the spelling of strings (\u0041 is A) and the order of an object's members do not
 * matter, at any depth; the order of an array does. Numbers are compared as written: 1, 1.0 and 1e0
 * are three. A name that comes twice in an object is kept twice, in the order written, since
 * readers differ in which one they believe: {"a":1,"a":2} is neither {"a":2,"a":1} nor {"a":2}.
 *
 * The canonical text is not JSON itself, it only serves to be compared. A text of n bytes costs
 * O(n log n) whatever is in it, without recursion. While it works it takes two to three times the
 * text in memory, and up to fifteen times for one that consists of tiny members. */
#ifndef NEAP_POLICY_CANONICAL_JSON_H
#define NEAP_POLICY_CANONICAL_JSON_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"

#define NEAP_JSON_DEPTH_MAX 512u       /* objects and arrays inside each other */
#define NEAP_JSON_BYTES_MAX (1u << 30) /* offsets have 32 bits */

/* `*canonical` is a block of `*canonical_bytes` bytes that the caller frees by neap_free.
 * NEAP_INVALID where the text is not JSON (a byte order mark, invalid UTF-8 and anything behind the
 * value included), or goes beyond one of the bounds above. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_canonical_json(const char *text, size_t bytes,
                                                     const struct neap_alloc *alloc,
                                                     char **canonical, size_t *canonical_bytes);

#endif
