#include "pipeline/stored_block.h"

#include <stdbool.h>
#include <string.h>

#include "base/hash.h"

#define MAGIC_BYTES 4u
#define VERSION_BYTES 1u
#define COUNT_BYTES 4u
#define BODY_BYTES 8u
#define LENGTHS_BYTES 8u /* of one pair */
#define CHECK_BYTES 8u

static uint64_t check_of(const void *data, size_t bytes)
{
    static const struct neap_hash_seed seed = {{0, 0}};
    return neap_hash(&seed, data, bytes);
}

static size_t head_bytes(const struct neap_stored_kind *kind)
{
    return MAGIC_BYTES + VERSION_BYTES + kind->fixed_bytes + COUNT_BYTES + BODY_BYTES;
}

/* ---- writing ---- */

uint8_t *neap_stored_write_number(uint8_t *at, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        *at++ = (uint8_t)(number >> (8 * i));
    return at;
}

static uint8_t *write_bytes(uint8_t *at, const void *data, size_t bytes)
{
    if (bytes > 0)
        memcpy(at, data, bytes);
    return at + bytes;
}

static bool add(size_t *sum, size_t bytes)
{
    return !__builtin_add_overflow(*sum, bytes, sum);
}

static bool add_pair(size_t *sum, const struct neap_stored_header *pair)
{
    if (pair->name.bytes > UINT32_MAX || pair->value.bytes > UINT32_MAX)
        return false;
    return add(sum, LENGTHS_BYTES) && add(sum, pair->name.bytes) && add(sum, pair->value.bytes);
}

static size_t count_pairs(const struct neap_stored_content *content)
{
    size_t count = 0;
    for (size_t i = 0; i < content->part_count; i++)
        count += content->parts[i].count;
    return count;
}

/* The bytes of the whole block; false where they do not fit. */
static bool measure(const struct neap_stored_kind *kind, const struct neap_stored_content *content,
                    size_t *sum)
{
    *sum = head_bytes(kind) + CHECK_BYTES;
    for (size_t i = 0; i < content->part_count; i++)
        for (size_t k = 0; k < content->parts[i].count; k++)
            if (!add_pair(sum, &content->parts[i].pairs[k]))
                return false;
    return add(sum, content->body.bytes) && count_pairs(content) <= UINT32_MAX;
}

static uint8_t *write_head(uint8_t *at, const struct neap_stored_kind *kind,
                           const struct neap_stored_content *content)
{
    at = write_bytes(at, kind->magic, MAGIC_BYTES);
    at = neap_stored_write_number(at, kind->version, VERSION_BYTES);
    at = write_bytes(at, content->fixed, kind->fixed_bytes);
    at = neap_stored_write_number(at, count_pairs(content), COUNT_BYTES);
    return neap_stored_write_number(at, content->body.bytes, BODY_BYTES);
}

static uint8_t *write_lengths(uint8_t *at, const struct neap_stored_part *part)
{
    for (size_t i = 0; i < part->count; i++) {
        at = neap_stored_write_number(at, part->pairs[i].name.bytes, LENGTHS_BYTES / 2);
        at = neap_stored_write_number(at, part->pairs[i].value.bytes, LENGTHS_BYTES / 2);
    }
    return at;
}

static uint8_t *write_texts(uint8_t *at, const struct neap_stored_part *part)
{
    for (size_t i = 0; i < part->count; i++) {
        at = write_bytes(at, part->pairs[i].name.text, part->pairs[i].name.bytes);
        at = write_bytes(at, part->pairs[i].value.text, part->pairs[i].value.bytes);
    }
    return at;
}

enum neap_status neap_stored_block_write(const struct neap_stored_kind *kind,
                                         const struct neap_stored_content *content,
                                         const struct neap_alloc *alloc, char **blob,
                                         size_t *blob_bytes)
{
    size_t bytes = 0;
    if (!measure(kind, content, &bytes))
        return NEAP_INVALID;
    uint8_t *block = neap_alloc(alloc, bytes);
    if (!block)
        return NEAP_NO_MEMORY;
    uint8_t *at = write_head(block, kind, content);
    for (size_t i = 0; i < content->part_count; i++)
        at = write_lengths(at, &content->parts[i]);
    for (size_t i = 0; i < content->part_count; i++)
        at = write_texts(at, &content->parts[i]);
    at = write_bytes(at, content->body.text, content->body.bytes);
    (void)neap_stored_write_number(at, check_of(block, bytes - CHECK_BYTES), CHECK_BYTES);
    *blob = (char *)block;
    *blob_bytes = bytes;
    return NEAP_OK;
}

/* ---- reading ---- */

uint64_t neap_stored_read_number(const uint8_t *at, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

struct head {
    const uint8_t *fixed, *lengths;
    uint64_t pairs, body_bytes;
};

static struct head read_head(const struct neap_stored_kind *kind, const uint8_t *block)
{
    const uint8_t *fixed = block + MAGIC_BYTES + VERSION_BYTES;
    const uint8_t *count = fixed + kind->fixed_bytes, *body = count + COUNT_BYTES;
    return (struct head){.fixed = fixed,
                         .lengths = body + BODY_BYTES,
                         .pairs = neap_stored_read_number(count, COUNT_BYTES),
                         .body_bytes = neap_stored_read_number(body, BODY_BYTES)};
}

/* Whether the lengths, which nobody has looked at yet, add up to exactly the `left` bytes that
 * stand behind the head. */
static bool fits(const struct head *head, uint64_t left)
{
    const uint8_t *lengths = head->lengths;
    if (head->pairs > left / LENGTHS_BYTES)
        return false;
    left -= head->pairs * LENGTHS_BYTES;
    for (uint64_t i = 0; i < head->pairs; i++, lengths += LENGTHS_BYTES) {
        uint64_t texts =
            neap_stored_read_number(lengths, 4) + neap_stored_read_number(lengths + 4, 4);
        if (texts > left)
            return false;
        left -= texts;
    }
    return head->body_bytes == left;
}

/* Only of a block with a whole head. */
static enum neap_stored_fault examine(const struct head *head, const uint8_t *block, size_t bytes)
{
    size_t checked = bytes - CHECK_BYTES;
    if (!fits(head, checked - (size_t)(head->lengths - block)))
        return NEAP_STORED_FAULT_LENGTH;
    if (check_of(block, checked) != neap_stored_read_number(block + checked, CHECK_BYTES))
        return NEAP_STORED_FAULT_CHECK;
    return NEAP_STORED_FAULT_NONE;
}

enum neap_stored_fault neap_stored_block_open(const struct neap_stored_kind *kind, const void *blob,
                                              size_t bytes, struct neap_stored_view *view)
{
    const uint8_t *block = blob;
    if (bytes < MAGIC_BYTES || memcmp(block, kind->magic, MAGIC_BYTES) != 0)
        return NEAP_STORED_FAULT_FOREIGN;
    if (bytes > MAGIC_BYTES && block[MAGIC_BYTES] != kind->version)
        return NEAP_STORED_FAULT_VERSION;
    if (bytes < head_bytes(kind) + CHECK_BYTES)
        return NEAP_STORED_FAULT_LENGTH;
    struct head head = read_head(kind, block);
    enum neap_stored_fault fault = examine(&head, block, bytes);
    if (fault != NEAP_STORED_FAULT_NONE)
        return fault;
    size_t body_bytes = (size_t)head.body_bytes;
    *view = (struct neap_stored_view){
        .fixed = head.fixed,
        .pairs = (size_t)head.pairs,
        .body = {(const char *)block + (bytes - CHECK_BYTES - body_bytes), body_bytes},
        .first = {head.lengths, head.lengths + head.pairs * LENGTHS_BYTES},
    };
    return NEAP_STORED_FAULT_NONE;
}

static struct neap_text take_text(struct neap_stored_cursor *cursor)
{
    struct neap_text text = {(const char *)cursor->texts,
                             (size_t)neap_stored_read_number(cursor->lengths, 4)};
    cursor->lengths += 4;
    cursor->texts += text.bytes;
    return text;
}

struct neap_stored_header neap_stored_next(struct neap_stored_cursor *cursor)
{
    struct neap_stored_header pair;
    pair.name = take_text(cursor);
    pair.value = take_text(cursor);
    return pair;
}
