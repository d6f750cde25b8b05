#include "pipeline/stored_answer.h"

#include <stdbool.h>

#define STATUS_BYTES 2u
#define STATUS_MIN 100
#define STATUS_MAX 599

static const struct neap_stored_kind answer_kind = {
    .magic = {'n', 'e', 'a', 'p'}, .version = 1, .fixed_bytes = STATUS_BYTES};

static bool is_status(int status)
{
    return status >= STATUS_MIN && status <= STATUS_MAX;
}

enum neap_status neap_stored_answer_write(const struct neap_stored_answer *answer,
                                          const struct neap_alloc *alloc, char **blob,
                                          size_t *blob_bytes)
{
    uint8_t status[STATUS_BYTES];
    struct neap_stored_part headers = {answer->headers, answer->header_count};
    if (!is_status(answer->status))
        return NEAP_INVALID;
    (void)neap_stored_write_number(status, (uint64_t)answer->status, STATUS_BYTES);
    struct neap_stored_content content = {
        .fixed = status, .parts = &headers, .part_count = 1, .body = answer->body};
    return neap_stored_block_write(&answer_kind, &content, alloc, blob, blob_bytes);
}

enum neap_stored_fault neap_stored_answer_open(const void *blob, size_t bytes,
                                               struct neap_stored_reader *reader)
{
    struct neap_stored_view view;
    enum neap_stored_fault fault = neap_stored_block_open(&answer_kind, blob, bytes, &view);
    if (fault != NEAP_STORED_FAULT_NONE)
        return fault;
    int status = (int)neap_stored_read_number(view.fixed, STATUS_BYTES);
    if (!is_status(status))
        return NEAP_STORED_FAULT_STATUS;
    *reader = (struct neap_stored_reader){
        .status = status, .headers_left = view.pairs, .body = view.body, .next = view.first};
    return NEAP_STORED_FAULT_NONE;
}

struct neap_stored_header neap_stored_answer_next(struct neap_stored_reader *reader)
{
    reader->headers_left--;
    return neap_stored_next(&reader->next);
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
