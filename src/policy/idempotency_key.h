/* The key that makes one logical call recognisable on every attempt.
 *
 * Source: draft-ietf-httpapi-idempotency-key-header; UUID version 4 of RFC 9562; SHA-256 by
 * libcrypto. Pure functions: the random bytes are passed in. */
#ifndef NEAP_POLICY_IDEMPOTENCY_KEY_H
#define NEAP_POLICY_IDEMPOTENCY_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"

#define NEAP_IDEMPOTENCY_KEY_MAX 255u
#define NEAP_UUID_BYTES 37u   /* with the NUL */
#define NEAP_DIGEST_BYTES 65u /* with the NUL */

struct neap_text {
    const char *text;
    size_t bytes;
};

/* The text must outlive it; NULL has 0 bytes. */
static inline struct neap_text neap_text_of(const char *text)
{
    return (struct neap_text){text, text ? strlen(text) : 0};
}

/* 36 lower-case characters; version and variant bits are set over the 16 bytes given. */
void neap_uuid4_format(const uint8_t random[16], char out[NEAP_UUID_BYTES]);

/* Lower-case hex of SHA-256 over each part as "<byte length>:<bytes>", in order. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_idempotency_digest(const struct neap_text *parts,
                                                         size_t count,
                                                         const struct neap_alloc *alloc,
                                                         char out[NEAP_DIGEST_BYTES]);

/* A credential's mark in a gate's name: lower-case hex of plain SHA-256. */
void neap_credential_digest(const char *text, size_t bytes, char out[NEAP_DIGEST_BYTES]);

/* 1 to 255 characters of printable ASCII (0x20 to 0x7e), neither first nor last a space: what a
 * header can carry unchanged. */
bool neap_idempotency_key_is_valid(const char *key, size_t bytes);

/* The key as an RFC 8941 string: in quotes, with \ before " and \. `out` needs
 * 2 * bytes + 3 bytes; the number written without the NUL is returned. */
size_t neap_idempotency_key_quote(const char *key, size_t bytes, char *out);

#endif
