#include "policy/idempotency_key.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_PREFIX_BYTES 24u /* 20 digits, a colon, the NUL */

/* Where it ends. */
static char *write_hex(const uint8_t *data, size_t bytes, char *out)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        *out++ = digit[data[i] >> 4];
        *out++ = digit[data[i] & 15];
    }
    *out = '\0';
    return out;
}

void neap_uuid4_format(const uint8_t random[16], char out[NEAP_UUID_BYTES])
{
    static const size_t group_bytes[] = {4, 2, 2, 2, 6};
    uint8_t uuid[16];
    const uint8_t *at = uuid;
    memcpy(uuid, random, sizeof uuid);
    uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < sizeof group_bytes / sizeof *group_bytes; i++) {
        if (i > 0)
            *out++ = '-';
        out = write_hex(at, group_bytes[i], out);
        at += group_bytes[i];
    }
}

void neap_credential_digest(const char *text, size_t bytes, char out[NEAP_DIGEST_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, bytes, digest);
    write_hex(digest, sizeof digest, out);
}

/* 0 where the sum does not fit. */
static size_t joined_bytes_max(const struct neap_text *parts, size_t count)
{
    size_t sum = 1;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(sum, parts[i].bytes, &sum) ||
            __builtin_add_overflow(sum, LENGTH_PREFIX_BYTES, &sum))
            return 0;
    return sum;
}

static size_t join(const struct neap_text *parts, size_t count, char *out)
{
    char *at = out;
    for (size_t i = 0; i < count; i++) {
        at += snprintf(at, LENGTH_PREFIX_BYTES, "%zu:", parts[i].bytes);
        if (parts[i].bytes > 0)
            memcpy(at, parts[i].text, parts[i].bytes);
        at += parts[i].bytes;
    }
    return (size_t)(at - out);
}

enum neap_status neap_idempotency_digest(const struct neap_text *parts, size_t count,
                                         const struct neap_alloc *alloc,
                                         char out[NEAP_DIGEST_BYTES])
{
    size_t bytes_max = joined_bytes_max(parts, count);
    char *joined = bytes_max > 0 ? neap_alloc(alloc, bytes_max) : NULL;
    if (!joined)
        return NEAP_NO_MEMORY;
    neap_credential_digest(joined, join(parts, count, joined), out);
    neap_free(alloc, joined);
    return NEAP_OK;
}

bool neap_idempotency_key_is_valid(const char *key, size_t bytes)
{
    if (bytes < 1 || bytes > NEAP_IDEMPOTENCY_KEY_MAX)
        return false;
    if (key[0] == ' ' || key[bytes - 1] == ' ')
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (key[i] < ' ' || key[i] > '~')
            return false;
    return true;
}

size_t neap_idempotency_key_quote(const char *key, size_t bytes, char *out)
{
    char *at = out;
    *at++ = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (key[i] == '"' || key[i] == '\\')
            *at++ = '\\';
        *at++ = key[i];
    }
    *at++ = '"';
    *at = '\0';
    return (size_t)(at - out);
}
