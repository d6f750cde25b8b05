/* Canonical JSON of any bytes: no crash, no leak however early memory ends, and a text that is JSON
 * has the same canonical text with white space around it, and another one inside of an array. */
#include "fuzz/fuzz.h"
#include "platform/memory.h"
#include "policy/canonical_json.h"

struct purse {
    uint32_t left; /* allocations before memory ends */
};

static void *spend(void *context, void *block, size_t new_bytes)
{
    struct purse *purse = context;
    const struct neap_alloc *memory = neap_platform_alloc();
    if (new_bytes > 0 && purse->left-- == 0)
        return purse->left = 0, NULL;
    return memory->resize(memory->context, block, new_bytes);
}

static void check_spelling(const char *text, size_t bytes, const char *before, const char *behind,
                           const char *canonical, size_t canonical_bytes)
{
    size_t head = strlen(before), tail = strlen(behind);
    char *spelt = malloc(head + bytes + tail), *other;
    promise(spelt);
    memcpy(spelt, before, head);
    memcpy(spelt + head, text, bytes);
    memcpy(spelt + head + bytes, behind, tail);
    size_t other_bytes;
    bool is_array = *before == '[';
    if (neap_canonical_json(spelt, head + bytes + tail, neap_platform_alloc(), &other,
                            &other_bytes) == NEAP_OK) {
        bool is_same =
            other_bytes == canonical_bytes && memcmp(other, canonical, canonical_bytes) == 0;
        promise(is_same != is_array);
        neap_free(neap_platform_alloc(), other);
    } else {
        promise(is_array); /* one level too deep */
    }
    free(spelt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    struct purse purse = {fuzz_byte(&input)};
    const struct neap_alloc meagre = {spend, &purse};
    const char *text = (const char *)input.at;
    char *canonical = NULL;
    size_t canonical_bytes = 0;
    bytes = fuzz_left(&input);
    enum neap_status status =
        neap_canonical_json(text, bytes, &meagre, &canonical, &canonical_bytes);
    promise((status == NEAP_OK) == (canonical != NULL));
    if (status != NEAP_OK)
        return 0;
    check_spelling(text, bytes, " \t\r\n", " \n", canonical, canonical_bytes);
    check_spelling(text, bytes, "[", "]", canonical, canonical_bytes);
    neap_free(&meagre, canonical);
    return 0;
}
