/* An answer as the store keeps it: status, headers and body in one block of bytes, and back.
 *
 * A block of pipeline/stored_block.h: its magic is "neap", its fixed field the status in 2 bytes,
 * its pairs are the headers. They keep their order, their repetition and their letter case. Pure;
 * one thread at a time. */
#ifndef NEAP_PIPELINE_STORED_ANSWER_H
#define NEAP_PIPELINE_STORED_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "pipeline/stored_block.h"

/* Stands, with the value "true", on an answer that was read back from the store. */
#define NEAP_REPLAYED_HEADER "Idempotent-Replayed"

struct neap_stored_answer {
    int status;
    const struct neap_stored_header *headers;
    size_t header_count;
    struct neap_text body;
};

/* As neap_stored_block_write; NEAP_INVALID also for a status outside of 100 to 599. */
NEAP_MUST_CHECK enum neap_status neap_stored_answer_write(const struct neap_stored_answer *answer,
                                                          const struct neap_alloc *alloc,
                                                          char **blob, size_t *blob_bytes);

/* A view of a block, which must outlive it; all texts point into the block. */
struct neap_stored_reader {
    int status;
    size_t headers_left;
    struct neap_text body;
    struct neap_stored_cursor next;
};

/* As neap_stored_block_open. */
NEAP_MUST_CHECK enum neap_stored_fault neap_stored_answer_open(const void *blob, size_t bytes,
                                                               struct neap_stored_reader *reader);

/* The next header; only while headers_left > 0. */
struct neap_stored_header neap_stored_answer_next(struct neap_stored_reader *reader);

/* A sentence for people; NULL for NEAP_STORED_FAULT_NONE. */
const char *neap_stored_fault_text(enum neap_stored_fault fault);

#endif
