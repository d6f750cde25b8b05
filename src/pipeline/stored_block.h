/* The block of bytes that answers and requests are kept in by the store.
 *
 *     magic, 4 | version, 1 | fixed fields | number of pairs, 4 | bytes of the body, 8
 *     for each pair: bytes of its name, 4 | of its value, 4
 *     for each pair: name, value
 *     body
 *     check, 8: SipHash-1-3 of all before it
 *
 * Numbers are little-endian; the widths are in bytes. The kind of block says what magic and version
 * are, and how many bytes its fixed fields have. Pairs keep their order, their repetition and all
 * their bytes. The check finds damage, it is no protection against who can write to the store.
 * Pure; one thread at a time. */
#ifndef NEAP_PIPELINE_STORED_BLOCK_H
#define NEAP_PIPELINE_STORED_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "policy/idempotency_key.h"

/* A header, or another name with its value. */
struct neap_stored_header {
    struct neap_text name, value;
};

struct neap_stored_kind {
    char magic[4];
    uint8_t version;
    size_t fixed_bytes;
};

struct neap_stored_part {
    const struct neap_stored_header *pairs;
    size_t count;
};

/* The pairs of all parts stand one after the other. */
struct neap_stored_content {
    const uint8_t *fixed; /* as many bytes as the kind says */
    const struct neap_stored_part *parts;
    size_t part_count;
    struct neap_text body;
};

/* `*blob` is a block of `*blob_bytes` bytes that the caller frees by neap_free. NEAP_INVALID: a
 * name or value of 4 GiB and more, as many pairs, or more bytes than there can be.
 * NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_stored_block_write(const struct neap_stored_kind *kind,
                                                         const struct neap_stored_content *content,
                                                         const struct neap_alloc *alloc,
                                                         char **blob, size_t *blob_bytes);

enum neap_stored_fault {
    NEAP_STORED_FAULT_NONE,
    NEAP_STORED_FAULT_FOREIGN, /* not one of these blocks */
    NEAP_STORED_FAULT_VERSION, /* of another version of this format */
    NEAP_STORED_FAULT_LENGTH,  /* cut off, or a length in it does not fit */
    NEAP_STORED_FAULT_CHECK,   /* some byte has changed */
    NEAP_STORED_FAULT_STATUS   /* a fixed field out of range, such as an answer's status */
};

/* Where the next pair stands. */
struct neap_stored_cursor {
    const uint8_t *lengths, *texts;
};

/* A view of a block, which must outlive it; all texts point into the block. */
struct neap_stored_view {
    const uint8_t *fixed;
    size_t pairs;
    struct neap_text body;
    struct neap_stored_cursor first;
};

/* Looks at the whole block before any of it is used. `view` is written only where
 * NEAP_STORED_FAULT_NONE is returned. `blob` may be NULL where `bytes` is 0. */
NEAP_MUST_CHECK enum neap_stored_fault neap_stored_block_open(const struct neap_stored_kind *kind,
                                                              const void *blob, size_t bytes,
                                                              struct neap_stored_view *view);

/* The pair at the cursor, which goes on; at most as often as the block has pairs. */
struct neap_stored_header neap_stored_next(struct neap_stored_cursor *cursor);

/* A number of 1 to 8 bytes among the fixed fields; writing returns what comes behind it. */
uint8_t *neap_stored_write_number(uint8_t *at, uint64_t number, size_t bytes);
uint64_t neap_stored_read_number(const uint8_t *at, size_t bytes);

#endif
