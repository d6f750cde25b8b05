#include "pipeline/stored_answer.h"

#include <stdbool.h>
#include <string.h>

#include "base/hash.h"

#define MAGIC "neap"
#define MAGIC_BYTES 4u
#define VERSION 1u
#define HEAD_BYTES 19u
#define LENGTHS_BYTES 8u /* of one header */
#define CHECK_BYTES 8u
#define STATUS_MIN 100
#define STATUS_MAX 599

static uint64_t check_of(const void *data, size_t bytes)
{
    static const struct neap_hash_seed seed = {{0, 0}};
    return neap_hash(&seed, data, bytes);
}

static bool is_status(int status)
{
    return status >= STATUS_MIN && status <= STATUS_MAX;
}

/* ---- writing ---- */

static uint8_t *write_number(uint8_t *at, uint64_t number, size_t bytes)
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

/* The bytes of the whole block; false where they do not fit. */
static bool measure(const struct neap_stored_answer *answer, size_t *sum)
{
    *sum = HEAD_BYTES + CHECK_BYTES;
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct neap_stored_header *header = &answer->headers[i];
        if (header->name.bytes > UINT32_MAX || header->value.bytes > UINT32_MAX)
            return false;
        if (!add(sum, LENGTHS_BYTES) || !add(sum, header->name.bytes) ||
            !add(sum, header->value.bytes))
            return false;
    }
    return add(sum, answer->body.bytes) && answer->header_count <= UINT32_MAX;
}

static uint8_t *write_head(uint8_t *at, const struct neap_stored_answer *answer)
{
    at = write_bytes(at, MAGIC, MAGIC_BYTES);
    at = write_number(at, VERSION, 1);
    at = write_number(at, (uint64_t)answer->status, 2);
    at = write_number(at, answer->header_count, 4);
    return write_number(at, answer->body.bytes, 8);
}

static uint8_t *write_headers(uint8_t *at, const struct neap_stored_answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        at = write_number(at, answer->headers[i].name.bytes, 4);
        at = write_number(at, answer->headers[i].value.bytes, 4);
    }
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct neap_stored_header *header = &answer->headers[i];
        at = write_bytes(at, header->name.text, header->name.bytes);
        at = write_bytes(at, header->value.text, header->value.bytes);
    }
    return at;
}

enum neap_status neap_stored_answer_write(const struct neap_stored_answer *answer,
                                          const struct neap_alloc *alloc, char **blob,
                                          size_t *blob_bytes)
{
    size_t bytes = 0;
    if (!is_status(answer->status) || !measure(answer, &bytes))
        return NEAP_INVALID;
    uint8_t *block = neap_alloc(alloc, bytes);
    if (!block)
        return NEAP_NO_MEMORY;
    uint8_t *at = write_headers(write_head(block, answer), answer);
    at = write_bytes(at, answer->body.text, answer->body.bytes);
    (void)write_number(at, check_of(block, bytes - CHECK_BYTES), CHECK_BYTES);
    *blob = (char *)block;
    *blob_bytes = bytes;
    return NEAP_OK;
}

/* ---- reading ---- */

static uint64_t read_number(const uint8_t *at, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

struct head {
    int status;
    uint64_t headers, body_bytes;
};

static struct head read_head(const uint8_t *block)
{
    return (struct head){.status = (int)read_number(block + 5, 2),
                         .headers = read_number(block + 7, 4),
                         .body_bytes = read_number(block + 11, 8)};
}

/* Whether the lengths, which nobody has looked at yet, add up to exactly the `left` bytes that
 * stand behind the head. */
static bool fits(const struct head *head, const uint8_t *lengths, uint64_t left)
{
    if (head->headers > left / LENGTHS_BYTES)
        return false;
    left -= head->headers * LENGTHS_BYTES;
    for (uint64_t i = 0; i < head->headers; i++, lengths += LENGTHS_BYTES) {
        uint64_t texts = read_number(lengths, 4) + read_number(lengths + 4, 4);
        if (texts > left)
            return false;
        left -= texts;
    }
    return head->body_bytes == left;
}

/* Only of a block with a whole head. */
static enum neap_stored_fault examine(const uint8_t *block, size_t bytes)
{
    struct head head = read_head(block);
    size_t checked = bytes - CHECK_BYTES;
    if (!fits(&head, block + HEAD_BYTES, checked - HEAD_BYTES))
        return NEAP_STORED_FAULT_LENGTH;
    if (check_of(block, checked) != read_number(block + checked, CHECK_BYTES))
        return NEAP_STORED_FAULT_CHECK;
    return is_status(head.status) ? NEAP_STORED_FAULT_NONE : NEAP_STORED_FAULT_STATUS;
}

static void point(struct neap_stored_reader *reader, const uint8_t *block, size_t bytes)
{
    struct head head = read_head(block);
    const uint8_t *body = block + (bytes - CHECK_BYTES - (size_t)head.body_bytes);
    const uint8_t *lengths = block + HEAD_BYTES;
    *reader = (struct neap_stored_reader){
        .status = head.status,
        .headers_left = (size_t)head.headers,
        .body = {(const char *)body, (size_t)head.body_bytes},
        .lengths = lengths,
        .texts = lengths + head.headers * LENGTHS_BYTES,
    };
}

enum neap_stored_fault neap_stored_answer_open(const void *blob, size_t bytes,
                                               struct neap_stored_reader *reader)
{
    const uint8_t *block = blob;
    if (bytes < MAGIC_BYTES || memcmp(block, MAGIC, MAGIC_BYTES) != 0)
        return NEAP_STORED_FAULT_FOREIGN;
    if (bytes > MAGIC_BYTES && block[MAGIC_BYTES] != VERSION)
        return NEAP_STORED_FAULT_VERSION;
    if (bytes < HEAD_BYTES + CHECK_BYTES)
        return NEAP_STORED_FAULT_LENGTH;
    enum neap_stored_fault fault = examine(block, bytes);
    if (fault == NEAP_STORED_FAULT_NONE)
        point(reader, block, bytes);
    return fault;
}

static struct neap_text take_text(struct neap_stored_reader *reader)
{
    struct neap_text text = {(const char *)reader->texts, (size_t)read_number(reader->lengths, 4)};
    reader->lengths += 4;
    reader->texts += text.bytes;
    return text;
}

struct neap_stored_header neap_stored_answer_next(struct neap_stored_reader *reader)
{
    struct neap_stored_header header;
    header.name = take_text(reader);
    header.value = take_text(reader);
    reader->headers_left--;
    return header;
}

const char *neap_stored_fault_text(enum neap_stored_fault fault)
{
    static const char *const text[] = {
        [NEAP_STORED_FAULT_FOREIGN] = "the stored answer was not written by neap",
        [NEAP_STORED_FAULT_VERSION] = "the stored answer is in the format of another version",
        [NEAP_STORED_FAULT_LENGTH] = "the stored answer is cut off or its lengths are damaged",
        [NEAP_STORED_FAULT_CHECK] = "the stored answer is damaged",
        [NEAP_STORED_FAULT_STATUS] = "the stored answer has a status out of range",
    };
    return text[fault];
}
