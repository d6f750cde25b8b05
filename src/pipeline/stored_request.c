#include "pipeline/stored_request.h"

#define FLAG_ABSOLUTE 1u
#define FLAG_BODY 2u
#define FLAGS_BYTES 1u
#define TAGS_BYTES 4u
#define LIMIT_BYTES 8u
#define FIXED_BYTES (FLAGS_BYTES + TAGS_BYTES + NEAP_STORED_LIMITS * LIMIT_BYTES)
#define OWN_PAIRS 2u /* method and target, key */

static const struct neap_stored_kind request_kind = {
    .magic = {'n', 'r', 'e', 'q'}, .version = 1, .fixed_bytes = FIXED_BYTES};

static bool is_sound(const struct neap_stored_request *request)
{
    for (int i = 0; i < NEAP_STORED_LIMITS; i++)
        if (request->limit_ns[i] < 0)
            return false;
    return request->method.bytes > 0 && request->tags.count <= UINT32_MAX &&
           (request->has_body || request->body.bytes == 0);
}

static void write_fixed(uint8_t *at, const struct neap_stored_request *request)
{
    unsigned flags =
        (request->is_absolute ? FLAG_ABSOLUTE : 0) | (request->has_body ? FLAG_BODY : 0);
    at = neap_stored_write_number(at, flags, FLAGS_BYTES);
    at = neap_stored_write_number(at, request->tags.count, TAGS_BYTES);
    for (int i = 0; i < NEAP_STORED_LIMITS; i++)
        at = neap_stored_write_number(at, (uint64_t)request->limit_ns[i], LIMIT_BYTES);
}

enum neap_status neap_stored_request_write(const struct neap_stored_request *request,
                                           const struct neap_alloc *alloc, char **blob,
                                           size_t *blob_bytes)
{
    uint8_t fixed[FIXED_BYTES];
    const struct neap_stored_header own[OWN_PAIRS] = {{request->method, request->target},
                                                      {request->key, {NULL, 0}}};
    const struct neap_stored_part parts[] = {{own, OWN_PAIRS}, request->headers, request->tags};
    if (!is_sound(request))
        return NEAP_INVALID;
    write_fixed(fixed, request);
    struct neap_stored_content content = {
        .fixed = fixed, .parts = parts, .part_count = 3, .body = request->body};
    return neap_stored_block_write(&request_kind, &content, alloc, blob, blob_bytes);
}

/* False where no request has such fields. */
static bool read_fixed(const struct neap_stored_view *view,
                       struct neap_stored_request_reader *reader)
{
    const uint8_t *at = view->fixed;
    uint64_t flags = neap_stored_read_number(at, FLAGS_BYTES);
    uint64_t tags = neap_stored_read_number(at + FLAGS_BYTES, TAGS_BYTES);
    at += FLAGS_BYTES + TAGS_BYTES;
    if (flags > (FLAG_ABSOLUTE | FLAG_BODY) || view->pairs < OWN_PAIRS ||
        tags > view->pairs - OWN_PAIRS)
        return false;
    reader->is_absolute = flags & FLAG_ABSOLUTE;
    reader->has_body = flags & FLAG_BODY;
    reader->tags_left = (size_t)tags;
    reader->headers_left = view->pairs - OWN_PAIRS - (size_t)tags;
    for (int i = 0; i < NEAP_STORED_LIMITS; i++, at += LIMIT_BYTES) {
        uint64_t limit_ns = neap_stored_read_number(at, LIMIT_BYTES);
        if (limit_ns > INT64_MAX)
            return false;
        reader->limit_ns[i] = (int64_t)limit_ns;
    }
    return reader->has_body || view->body.bytes == 0;
}

static const char *text_of(enum neap_stored_fault fault)
{
    static const char *const text[] = {
        [NEAP_STORED_FAULT_FOREIGN] = "the stored request was not written by neap",
        [NEAP_STORED_FAULT_VERSION] = "the stored request is in the format of another version",
        [NEAP_STORED_FAULT_LENGTH] = "the stored request is cut off or its lengths are damaged",
        [NEAP_STORED_FAULT_CHECK] = "the stored request is damaged",
        [NEAP_STORED_FAULT_STATUS] = "the stored request has a field out of range",
    };
    return text[fault];
}

const char *neap_stored_request_open(const void *blob, size_t bytes,
                                     struct neap_stored_request_reader *reader)
{
    struct neap_stored_view view;
    struct neap_stored_request_reader read = {.headers_left = 0};
    enum neap_stored_fault fault = neap_stored_block_open(&request_kind, blob, bytes, &view);
    if (fault != NEAP_STORED_FAULT_NONE)
        return text_of(fault);
    if (!read_fixed(&view, &read))
        return text_of(NEAP_STORED_FAULT_STATUS);
    struct neap_stored_header own = neap_stored_next(&view.first);
    read.method = own.name;
    read.target = own.value;
    struct neap_stored_header key = neap_stored_next(&view.first);
    read.key = key.name;
    read.body = view.body;
    read.next = view.first;
    if (read.method.bytes == 0 || key.value.bytes > 0)
        return text_of(NEAP_STORED_FAULT_STATUS);
    *reader = read;
    return NULL;
}

struct neap_stored_header neap_stored_request_header(struct neap_stored_request_reader *reader)
{
    reader->headers_left--;
    return neap_stored_next(&reader->next);
}

struct neap_stored_header neap_stored_request_tag(struct neap_stored_request_reader *reader)
{
    reader->tags_left--;
    return neap_stored_next(&reader->next);
}
