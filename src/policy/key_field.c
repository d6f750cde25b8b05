#include "policy/key_field.h"

#include <stdbool.h>
#include <string.h>

#include "policy/structured_field.h"

#define ESCAPED_BYTES_MAX (2u * NEAP_IDEMPOTENCY_KEY_MAX)

static enum neap_key_fault accept(const char *text, size_t bytes, struct neap_key *key)
{
    if (bytes < 1)
        return NEAP_KEY_FAULT_EMPTY;
    if (bytes > NEAP_IDEMPOTENCY_KEY_MAX)
        return NEAP_KEY_FAULT_TOO_LONG;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] < ' ' || text[i] > '~')
            return NEAP_KEY_FAULT_NOT_PRINTABLE;
    memcpy(key->text, text, bytes);
    key->text[bytes] = '\0';
    key->bytes = bytes;
    return NEAP_KEY_FAULT_NONE;
}

static bool skip_parameters(struct neap_sf_reader *reader)
{
    struct neap_sf_parameter parameter;
    enum neap_sf_step step = NEAP_SF_FOUND;
    while (step == NEAP_SF_FOUND)
        step = neap_sf_read_parameter(reader, &parameter);
    return step == NEAP_SF_END && neap_sf_is_at_end(reader);
}

static enum neap_key_fault read_quoted(struct neap_sf_reader *reader, struct neap_key *key)
{
    struct neap_sf_item item;
    char unescaped[ESCAPED_BYTES_MAX];
    if (!neap_sf_read_bare_item(reader, &item) || !skip_parameters(reader))
        return NEAP_KEY_FAULT_MALFORMED;
    if (item.bytes > ESCAPED_BYTES_MAX)
        return NEAP_KEY_FAULT_TOO_LONG;
    return accept(unescaped, neap_sf_unescape(&item, unescaped), key);
}

enum neap_key_fault neap_key_field_read(const struct neap_text *values, size_t count,
                                        struct neap_key *key)
{
    if (count == 0)
        return NEAP_KEY_FAULT_MISSING;
    if (count > 1)
        return NEAP_KEY_FAULT_REPEATED;
    struct neap_sf_reader reader = neap_sf_open(values->text, values->bytes);
    if (neap_sf_is_at_end(&reader))
        return NEAP_KEY_FAULT_EMPTY;
    if (*reader.at == '"')
        return read_quoted(&reader, key);
    return accept(reader.at, (size_t)(reader.end - reader.at), key);
}

const char *neap_key_fault_name(enum neap_key_fault fault)
{
    static const char *const name[] = {
        [NEAP_KEY_FAULT_MISSING] = "missing",   [NEAP_KEY_FAULT_REPEATED] = "repeated",
        [NEAP_KEY_FAULT_EMPTY] = "empty",       [NEAP_KEY_FAULT_MALFORMED] = "malformed",
        [NEAP_KEY_FAULT_TOO_LONG] = "too_long", [NEAP_KEY_FAULT_NOT_PRINTABLE] = "not_printable",
    };
    return name[fault];
}

const char *neap_key_fault_text(enum neap_key_fault fault)
{
    static const char *const text[] = {
        [NEAP_KEY_FAULT_MISSING] = "this request needs an idempotency key and has none",
        [NEAP_KEY_FAULT_REPEATED] = "the header is repeated; a request has one idempotency key",
        [NEAP_KEY_FAULT_EMPTY] = "the idempotency key is empty",
        [NEAP_KEY_FAULT_MALFORMED] =
            "the value begins with a quote and is not a string of RFC 8941",
        [NEAP_KEY_FAULT_TOO_LONG] = "the idempotency key is longer than 255 characters",
        [NEAP_KEY_FAULT_NOT_PRINTABLE] =
            "the idempotency key may hold characters of printable ASCII only",
    };
    return text[fault];
}
