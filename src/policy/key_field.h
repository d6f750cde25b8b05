/* The idempotency key of a request that came in: reads the header that carries it.
 *
 * Source: draft-ietf-httpapi-idempotency-key-header, which makes the key a string of RFC 8941; most
 * clients send it bare. Both forms of a key are the same key. Of a quoted key the well-formed
 * parameters behind it are ignored; a bare value is the key as a whole, whatever is in it. Pure, no
 * allocation. */
#ifndef NEAP_POLICY_KEY_FIELD_H
#define NEAP_POLICY_KEY_FIELD_H

#include <stddef.h>

#include "policy/idempotency_key.h"

/* Where several apply, the first of this list is told. */
enum neap_key_fault {
    NEAP_KEY_FAULT_NONE,
    NEAP_KEY_FAULT_MISSING,      /* the header is not there */
    NEAP_KEY_FAULT_REPEATED,     /* it is there more than once, though with the same value */
    NEAP_KEY_FAULT_EMPTY,        /* nothing but white space, or a quoted key of no characters */
    NEAP_KEY_FAULT_MALFORMED,    /* begins with a quote and is no item of RFC 8941 */
    NEAP_KEY_FAULT_TOO_LONG,     /* the key itself, without quotes and escapes */
    NEAP_KEY_FAULT_NOT_PRINTABLE /* a bare key with more than printable ASCII; a quoted one with
                                    such characters is MALFORMED */
};

struct neap_key {
    char text[NEAP_IDEMPOTENCY_KEY_MAX + 1]; /* with a NUL behind it, and none within */
    size_t bytes;
};

/* Reads the values of the header's fields, in their order; white space around a value does not
 * count. `key` is written only where NEAP_KEY_FAULT_NONE is returned. */
NEAP_MUST_CHECK enum neap_key_fault neap_key_field_read(const struct neap_text *values,
                                                        size_t count, struct neap_key *key);

/* "missing", "too_long", …, one word for programs; NULL for NEAP_KEY_FAULT_NONE. */
const char *neap_key_fault_name(enum neap_key_fault fault);

/* A sentence for people; NULL for NEAP_KEY_FAULT_NONE. */
const char *neap_key_fault_text(enum neap_key_fault fault);

#endif
