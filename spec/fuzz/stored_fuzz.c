/* What a store gives back, after any damage: answers, cached answers, requests and lists of Vary.
 * All of it lies in the block, and what was understood is the same block when it is written again.
 *
 * The check at a block's end would turn nearly every input away, so it is mended first, unless the
 * first byte is odd. */
#include "base/hash.h"
#include "fuzz/fuzz.h"
#include "pipeline/cached_answer.h"
#include "pipeline/stored_answer.h"
#include "pipeline/stored_request.h"
#include "pipeline/vary.h"
#include "platform/memory.h"

#define CHECK_BYTES 8u
#define PAIRS_MAX 512u

static const char *block;
static size_t block_bytes;

static void mend_check(uint8_t *bytes, size_t count)
{
    static const struct neap_hash_seed seed = {{0, 0}};
    size_t checked = count - CHECK_BYTES;
    (void)neap_stored_write_number(bytes + checked, neap_hash(&seed, bytes, checked), CHECK_BYTES);
}

static void check_inside(struct neap_text text)
{
    promise(text.bytes == 0 ||
            (text.text >= block && text.text + text.bytes <= block + block_bytes));
}

/* As many headers as there is room for; the number of all. */
static size_t read_headers(struct neap_stored_reader reader,
                           struct neap_stored_header headers[PAIRS_MAX])
{
    size_t count = 0;
    while (reader.headers_left > 0) {
        struct neap_stored_header header = neap_stored_answer_next(&reader);
        check_inside(header.name);
        check_inside(header.value);
        if (count < PAIRS_MAX)
            headers[count] = header;
        count++;
    }
    return count;
}

static void check_same(enum neap_status status, char *again, size_t again_bytes)
{
    promise(status == NEAP_OK);
    promise(again_bytes == block_bytes && memcmp(again, block, block_bytes) == 0);
    neap_free(neap_platform_alloc(), again);
}

static void check_answer(void)
{
    static struct neap_stored_header headers[PAIRS_MAX];
    struct neap_stored_reader reader;
    enum neap_stored_fault fault = neap_stored_answer_open(block, block_bytes, &reader);
    promise((fault == NEAP_STORED_FAULT_NONE) == !neap_stored_fault_text(fault));
    if (fault != NEAP_STORED_FAULT_NONE)
        return;
    promise(reader.status >= 100 && reader.status <= 599);
    check_inside(reader.body);
    size_t count = read_headers(reader, headers);
    if (count > PAIRS_MAX)
        return;
    struct neap_stored_answer answer = {reader.status, headers, count, reader.body};
    char *again;
    size_t again_bytes;
    enum neap_status status =
        neap_stored_answer_write(&answer, neap_platform_alloc(), &again, &again_bytes);
    check_same(status, again, again_bytes);
}

static void check_request(void)
{
    static struct neap_stored_header pairs[PAIRS_MAX];
    struct neap_stored_request_reader reader;
    if (neap_stored_request_open(block, block_bytes, &reader))
        return;
    size_t headers = reader.headers_left, tags = reader.tags_left, count = 0;
    check_inside(reader.method);
    check_inside(reader.target);
    check_inside(reader.key);
    check_inside(reader.body);
    if (headers + tags > PAIRS_MAX)
        return;
    while (reader.headers_left > 0)
        pairs[count++] = neap_stored_request_header(&reader);
    while (reader.tags_left > 0)
        pairs[count++] = neap_stored_request_tag(&reader);
    struct neap_stored_request request = {.method = reader.method,
                                          .target = reader.target,
                                          .is_absolute = reader.is_absolute,
                                          .has_body = reader.has_body,
                                          .key = reader.key,
                                          .headers = {pairs, headers},
                                          .tags = {pairs + headers, tags},
                                          .body = reader.body};
    memcpy(request.limit_ns, reader.limit_ns, sizeof request.limit_ns);
    char *again;
    size_t again_bytes;
    enum neap_status status =
        neap_stored_request_write(&request, neap_platform_alloc(), &again, &again_bytes);
    check_same(status, again, again_bytes);
}

/* A 304 with the headers of the answer itself is an answer that can be read again, or another's. */
static void check_cached(void)
{
    static struct neap_stored_header headers[PAIRS_MAX];
    struct neap_cached_view view;
    if (!neap_cached_answer_open(block, block_bytes, &view))
        return;
    check_inside(view.url);
    check_inside(view.reason);
    check_inside(view.etag);
    check_inside(view.last_modified);
    size_t count = read_headers(view.answer, headers);
    char *fresh;
    size_t fresh_bytes;
    enum neap_status status =
        neap_cached_answer_refresh(&view, headers, count < PAIRS_MAX ? count : PAIRS_MAX, 1, 2,
                                   neap_platform_alloc(), &fresh, &fresh_bytes);
    if (status != NEAP_OK)
        return;
    promise(neap_cached_answer_open(fresh, fresh_bytes, &view));
    neap_free(neap_platform_alloc(), fresh);
}

static void check_vary(void)
{
    struct neap_vary vary, again;
    neap_vary_init(&vary);
    if (!neap_vary_read(&vary, block, block_bytes) || vary.matches_nothing)
        return; /* what matches nothing is never written */
    promise(vary.count <= NEAP_VARY_NAMES_MAX && vary.text_bytes <= NEAP_VARY_TEXT_MAX);
    char *written;
    size_t written_bytes;
    promise(neap_vary_write(&vary, neap_platform_alloc(), &written, &written_bytes) == NEAP_OK);
    neap_vary_init(&again);
    promise(neap_vary_read(&again, written, written_bytes));
    promise(neap_vary_equal(&vary, &again));
    neap_free(neap_platform_alloc(), written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes == 0)
        return 0;
    block_bytes = bytes - 1;
    uint8_t *copy = malloc(block_bytes);
    promise(copy || block_bytes == 0);
    if (block_bytes > 0)
        memcpy(copy, data + 1, block_bytes);
    if (data[0] % 2 == 0 && block_bytes >= CHECK_BYTES)
        mend_check(copy, block_bytes);
    block = (const char *)copy;
    check_answer();
    check_request();
    check_cached();
    check_vary();
    free(copy);
    return 0;
}
