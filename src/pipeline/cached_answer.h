/* An answer as the client's cache keeps it: a stored answer (pipeline/stored_answer.h) that also
 * knows when it was asked for, when it came, and from where.
 *
 * Pure; one thread at a time. */
#ifndef NEAP_PIPELINE_CACHED_ANSWER_H
#define NEAP_PIPELINE_CACHED_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "pipeline/stored_answer.h"
#include "pipeline/vary.h"
#include "policy/freshness.h"

struct neap_cached_answer {
    int64_t requested_ns, received_ns; /* wall clock */
    int http_version;                  /* 10, 11, 20, 30; 0 unknown */
    bool redirected;                   /* it is of another URL than the one that was asked for */
    struct neap_text url, reason;      /* 0 bytes where there is none */
    struct neap_stored_answer answer;
};

/* ---- requests and answers that a cache has to do with */

enum neap_cache_way {
    NEAP_CACHE_ROUND,   /* goes round the cache: nothing is looked up, stored or removed */
    NEAP_CACHE_THROUGH, /* is looked up, and its answer may be stored */
    NEAP_CACHE_CHANGES  /* an unsafe method: its success removes what is stored for its URL */
};

struct neap_cache_request {
    enum neap_cache_way way;
    struct neap_cache_control control;
};

/* GET and HEAD go through; round it go OPTIONS and TRACE, no-store, a request with a body, and one
 * with Range or a condition (If-…) of its caller's own. */
struct neap_cache_request neap_cache_read_request(struct neap_text method,
                                                  const struct neap_stored_header *headers,
                                                  size_t count, bool has_body);

/* May it be stored: status 200, 203, 204, 300, 301, 404 or 410, neither no-store nor `Vary: *`?
 * Adds the names of its Vary headers to `vary`, which holds those that count already. */
bool neap_cache_may_store(const struct neap_stored_answer *answer, struct neap_vary *vary);

/* Does an answer with this status to an unsafe request remove what is stored (RFC 9111 4.4)? */
bool neap_cache_status_changes(int status);

/* ---- the block */

/* `*blob` is freed by neap_free. What is of one connection only (RFC 9111 3.1) is left out of it,
 * all other headers keep their order. NEAP_NO_MEMORY; NEAP_INVALID as neap_stored_answer_write. */
NEAP_MUST_CHECK enum neap_status neap_cached_answer_write(const struct neap_cached_answer *cached,
                                                          const struct neap_alloc *alloc,
                                                          char **blob, size_t *blob_bytes);

/* A view of a block, which must outlive it; all texts point into the block. */
struct neap_cached_view {
    int http_version;
    bool redirected;
    struct neap_text url, reason;
    struct neap_stored_reader answer; /* status, body, and at the first header */
    struct neap_freshness freshness;
    struct neap_text etag, last_modified; /* to ask with; 0 bytes: none */
};

/* False, with `view` untouched, where the block is damaged or something else. */
bool neap_cached_answer_open(const void *blob, size_t bytes, struct neap_cached_view *view);

/* What a 304 makes of a stored answer (RFC 9111 3.2, 4.3.4): each header of the 304 replaces those
 * of its name, but for those that say how the stored body was sent (Content-Length,
 * Content-Encoding, Content-Range). Date and Age are the 304's or none, for the answer is as old as
 * that. NEAP_INVALID where the 304 has a strong ETag that is not the stored one's: it speaks of
 * another answer. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status
neap_cached_answer_refresh(const struct neap_cached_view *stored,
                           const struct neap_stored_header *headers, size_t count,
                           int64_t requested_ns, int64_t received_ns,
                           const struct neap_alloc *alloc, char **blob, size_t *blob_bytes);

#endif
