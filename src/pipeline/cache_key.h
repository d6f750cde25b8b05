/* Under which keys the client's cache keeps its answers.
 *
 *     URL record   digest of client and URL               -> a generation: 16 random bytes
 *     entry        digest of client, method, URL,         -> an answer, or the names of
 *                  generation, the credentials of the        pipeline/vary.h
 *                  request, and its values for the names
 *                  the policy varies by
 *     variant      the same with the values for those     -> an answer
 *                  names too
 *
 * A new generation makes all that was stored for a URL unreachable at once, also what is put by
 * requests that began before it. Whoever finds no generation puts one before its request is sent,
 * never afterwards: then what it stores cannot be older than a change that was seen meanwhile. An
 * answer lies under a key that holds at least the names of its own Vary, so a lost or outdated list
 * of names makes misses, never a wrong match. Pure; keys are hex digests (SHA-256). */
#ifndef NEAP_PIPELINE_CACHE_KEY_H
#define NEAP_PIPELINE_CACHE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "pipeline/stored_answer.h"
#include "pipeline/vary.h"
#include "policy/idempotency_key.h"

#define NEAP_CACHE_GENERATION_BYTES 16u
#define NEAP_CACHE_KEY_BYTES NEAP_DIGEST_BYTES /* with the NUL */

/* NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_cache_url_key(struct neap_text client, struct neap_text url,
                                                    const struct neap_alloc *alloc,
                                                    char out[NEAP_CACHE_KEY_BYTES]);

struct neap_cache_request_parts {
    struct neap_text client, method, url;
    const uint8_t *generation;                /* NEAP_CACHE_GENERATION_BYTES */
    const struct neap_stored_header *headers; /* of the request, in their order */
    size_t header_count;
};

/* The key of the request under these names. Headers that tell who asks (Authorization,
 * Proxy-Authorization, Cookie, X-Api-Key, X-Auth-Token) are always part of it: an answer for one
 * user never reaches another because a server forgot its Vary. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_cache_entry_key(const struct neap_cache_request_parts *parts,
                                                      const struct neap_vary *vary,
                                                      const struct neap_alloc *alloc,
                                                      char out[NEAP_CACHE_KEY_BYTES]);

#endif
