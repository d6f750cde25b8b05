/* A request as the outbox keeps it: all that its sender gave, in one block of bytes, and back.
 *
 * A block of pipeline/stored_block.h with the magic "nreq" and the fixed fields
 *
 *     flags, 1: 1 the target is an absolute URL, 2 there is a body | number of tags, 4
 *     for each limit of enum neap_stored_limit: nanoseconds, 8 (0: the policy's)
 *
 * Its pairs are method and target, the key (with an empty value), then the headers in their order,
 * then the tags. The body is what is sent, byte for byte. What the client's policy adds when it
 * delivers (base_url, headers, credentials) is not in it. Pure; one thread at a time. */
#ifndef NEAP_PIPELINE_STORED_REQUEST_H
#define NEAP_PIPELINE_STORED_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "pipeline/stored_block.h"

/* The limits that a request can have for itself. */
enum neap_stored_limit {
    NEAP_STORED_CONNECT,
    NEAP_STORED_WRITE,
    NEAP_STORED_READ,
    NEAP_STORED_ATTEMPT,
    NEAP_STORED_TOTAL,
    NEAP_STORED_LIMITS
};

struct neap_stored_request {
    struct neap_text method;
    struct neap_text target; /* a path with its query, to be joined with base_url; or a URL */
    bool is_absolute;        /* the target is a URL */
    bool has_body;
    struct neap_text key;                 /* without prefix and quotes; 0 bytes: a header has it */
    int64_t limit_ns[NEAP_STORED_LIMITS]; /* 0: the policy's */
    struct neap_stored_part headers, tags;
    struct neap_text body;
};

/* As neap_stored_block_write; NEAP_INVALID also where the method is empty or a limit below 0. */
NEAP_MUST_CHECK enum neap_status
neap_stored_request_write(const struct neap_stored_request *request, const struct neap_alloc *alloc,
                          char **blob, size_t *blob_bytes);

/* A view of a block, which must outlive it; all texts point into the block. */
struct neap_stored_request_reader {
    struct neap_text method, target, key, body;
    bool is_absolute, has_body;
    int64_t limit_ns[NEAP_STORED_LIMITS];
    size_t headers_left, tags_left;
    struct neap_stored_cursor next;
};

/* As neap_stored_block_open. NULL, with `reader` filled; or what is wrong with the block, a
 * sentence for people. */
NEAP_MUST_CHECK const char *neap_stored_request_open(const void *blob, size_t bytes,
                                                     struct neap_stored_request_reader *reader);

/* The next header, only while headers_left > 0; and after them the next tag, only while
 * tags_left > 0. */
struct neap_stored_header neap_stored_request_header(struct neap_stored_request_reader *reader);
struct neap_stored_header neap_stored_request_tag(struct neap_stored_request_reader *reader);

#endif
