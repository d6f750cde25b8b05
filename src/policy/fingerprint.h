/* Fingerprint: whether two requests under one idempotency key ask for the same.
 *
 * SHA-256 over the method, the path with its query, and the body; a request that says something
 * else gets another fingerprint. Pure. */
#ifndef NEAP_POLICY_FINGERPRINT_H
#define NEAP_POLICY_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "policy/idempotency_key.h"

#define NEAP_FINGERPRINT_BYTES 32u

enum neap_fingerprint_kind {
    NEAP_FINGERPRINT_BYTES_OF_BODY, /* the body counts byte by byte */
    NEAP_FINGERPRINT_JSON /* equal JSON values are equal, see policy/canonical_json.h; a body that
                             is not JSON, or goes beyond the bounds of depth and size there, counts
                             by its bytes, and never equals one that is JSON */
};

/* All three are any bytes and are taken as they are: the same method in another letter case is
 * another method. */
struct neap_fingerprint_parts {
    struct neap_text method, path, body;
};

/* NEAP_NO_MEMORY (JSON only); NEAP_SYSTEM where libcrypto cannot compute a digest. */
NEAP_MUST_CHECK enum neap_status neap_fingerprint(enum neap_fingerprint_kind kind,
                                                  const struct neap_fingerprint_parts *parts,
                                                  const struct neap_alloc *alloc,
                                                  uint8_t out[NEAP_FINGERPRINT_BYTES]);

/* Of a text that the policy's own function made of the request, in place of all three parts; never
 * equals one of the above. NEAP_SYSTEM. */
NEAP_MUST_CHECK enum neap_status neap_fingerprint_of_text(struct neap_text text,
                                                          uint8_t out[NEAP_FINGERPRINT_BYTES]);

#endif
