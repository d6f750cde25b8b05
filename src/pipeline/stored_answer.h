/* An answer as the store keeps it: status, headers and body in one block of bytes, and back.
 *
 *     "neap" | version 1 | status, 2 | number of headers, 4 | bytes of the body, 8
 *     for each header: bytes of its name, 4 | of its value, 4
 *     for each header: name, value
 *     body
 *     check, 8: SipHash-1-3 of all before it
 *
 * Numbers are little-endian; the widths are in bytes. Headers keep their order, their repetition
 * and their letter case. The check finds damage, it is no protection against who can write to the
 * store. Pure; one thread at a time. */
#ifndef NEAP_PIPELINE_STORED_ANSWER_H
#define NEAP_PIPELINE_STORED_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "policy/idempotency_key.h"

/* Stands, with the value "true", on an answer that was read back from the store. */
#define NEAP_REPLAYED_HEADER "Idempotent-Replayed"

struct neap_stored_header {
    struct neap_text name, value;
};

struct neap_stored_answer {
    int status;
    const struct neap_stored_header *headers;
    size_t header_count;
    struct neap_text body;
};

/* `*blob` is a block of `*blob_bytes` bytes that the caller frees by neap_free. NEAP_INVALID: a
 * status outside of 100 to 599, or a name or value of 4 GiB and more. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_stored_answer_write(const struct neap_stored_answer *answer,
                                                          const struct neap_alloc *alloc,
                                                          char **blob, size_t *blob_bytes);

enum neap_stored_fault {
    NEAP_STORED_FAULT_NONE,
    NEAP_STORED_FAULT_FOREIGN, /* not one of these blocks */
    NEAP_STORED_FAULT_VERSION, /* of another version of this format */
    NEAP_STORED_FAULT_LENGTH,  /* cut off, or a length in it does not fit */
    NEAP_STORED_FAULT_CHECK,   /* some byte has changed */
    NEAP_STORED_FAULT_STATUS   /* not a status */
};

/* A view of a block, which must outlive it; all texts point into the block. */
struct neap_stored_reader {
    int status;
    size_t headers_left;
    struct neap_text body;
    const uint8_t *lengths, *texts; /* of the next header */
};

/* Looks at the whole block before any of it is used. `reader` is written only where
 * NEAP_STORED_FAULT_NONE is returned. `blob` may be NULL where `bytes` is 0. */
NEAP_MUST_CHECK enum neap_stored_fault neap_stored_answer_open(const void *blob, size_t bytes,
                                                               struct neap_stored_reader *reader);

/* The next header; only while headers_left > 0. */
struct neap_stored_header neap_stored_answer_next(struct neap_stored_reader *reader);

/* A sentence for people; NULL for NEAP_STORED_FAULT_NONE. */
const char *neap_stored_fault_text(enum neap_stored_fault fault);

#endif
