/* The header Idempotency-Key of a request that came in: a key that is accepted has 1 to 255
 * characters of printable ASCII, is the same key again in quotes, and a refusal leaves the result
 * untouched. */
#include "fuzz/fuzz.h"
#include "policy/key_field.h"

#define FIELDS_MAX 4

static void check_key(const struct neap_key *key)
{
    promise(key->bytes >= 1 && key->bytes <= NEAP_IDEMPOTENCY_KEY_MAX);
    promise(key->text[key->bytes] == '\0');
    for (size_t i = 0; i < key->bytes; i++)
        promise(key->text[i] >= 0x20 && key->text[i] <= 0x7e);
}

static void check_quoted(const struct neap_key *key)
{
    char quoted[2 * NEAP_IDEMPOTENCY_KEY_MAX + 3];
    struct neap_key again;
    size_t bytes = neap_idempotency_key_quote(key->text, key->bytes, quoted);
    promise(neap_key_field_read(&(struct neap_text){quoted, bytes}, 1, &again) ==
            NEAP_KEY_FAULT_NONE);
    promise(again.bytes == key->bytes && memcmp(again.text, key->text, key->bytes) == 0);
}

/* Each line is one field with that name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    struct neap_text values[FIELDS_MAX];
    size_t count = 0;
    while (fuzz_left(&input) > 0 && count < FIELDS_MAX) {
        values[count].text = fuzz_line(&input, &values[count].bytes);
        count++;
    }
    struct neap_key key = {.bytes = 12345};
    enum neap_key_fault fault = neap_key_field_read(values, count, &key);
    if (fault == NEAP_KEY_FAULT_NONE) {
        promise(count == 1);
        check_key(&key);
        check_quoted(&key);
    } else {
        promise(key.bytes == 12345 && neap_key_fault_text(fault) && neap_key_fault_name(fault));
    }
    return 0;
}
