/* Each part is digested by itself, then the digests behind a mark that says how the body was read.
 * So no part can be mistaken for another, no copy of the body is made to put the parts together,
 * and a body that counts by its bytes cannot be made to look like canonical JSON. */
#include "policy/fingerprint.h"

#include <openssl/sha.h>
#include <stdbool.h>
#include <string.h>

#include "policy/canonical_json.h"

#define PARTS_MAX 3u

enum mark { MARK_BYTES = 'B', MARK_JSON = 'J', MARK_TEXT = 'T' };

static bool digest(const void *data, size_t bytes, uint8_t *out)
{
    return SHA256(bytes > 0 ? data : "", bytes, out) != NULL;
}

static enum neap_status digest_parts(enum mark mark, const struct neap_text *parts, size_t count,
                                     uint8_t out[NEAP_FINGERPRINT_BYTES])
{
    uint8_t whole[1 + PARTS_MAX * SHA256_DIGEST_LENGTH] = {(uint8_t)mark};
    uint8_t result[SHA256_DIGEST_LENGTH], *at = whole + 1;
    for (size_t i = 0; i < count; i++, at += SHA256_DIGEST_LENGTH)
        if (!digest(parts[i].text, parts[i].bytes, at))
            return NEAP_SYSTEM;
    if (!digest(whole, (size_t)(at - whole), result))
        return NEAP_SYSTEM;
    memcpy(out, result, sizeof result);
    return NEAP_OK;
}

static enum neap_status digest_request(enum mark mark, const struct neap_fingerprint_parts *parts,
                                       struct neap_text body, uint8_t out[NEAP_FINGERPRINT_BYTES])
{
    const struct neap_text list[PARTS_MAX] = {parts->method, parts->path, body};
    return digest_parts(mark, list, PARTS_MAX, out);
}

static enum neap_status digest_json(const struct neap_fingerprint_parts *parts,
                                    const struct neap_alloc *alloc,
                                    uint8_t out[NEAP_FINGERPRINT_BYTES])
{
    char *canonical = NULL;
    size_t bytes = 0;
    enum neap_status status =
        neap_canonical_json(parts->body.text, parts->body.bytes, alloc, &canonical, &bytes);
    if (status == NEAP_INVALID)
        return digest_request(MARK_BYTES, parts, parts->body, out);
    if (status != NEAP_OK)
        return status;
    status = digest_request(MARK_JSON, parts, (struct neap_text){canonical, bytes}, out);
    neap_free(alloc, canonical);
    return status;
}

enum neap_status neap_fingerprint(enum neap_fingerprint_kind kind,
                                  const struct neap_fingerprint_parts *parts,
                                  const struct neap_alloc *alloc,
                                  uint8_t out[NEAP_FINGERPRINT_BYTES])
{
    switch (kind) {
    case NEAP_FINGERPRINT_JSON:
        return digest_json(parts, alloc, out);
    case NEAP_FINGERPRINT_BYTES_OF_BODY:
        break;
    }
    return digest_request(MARK_BYTES, parts, parts->body, out);
}

enum neap_status neap_fingerprint_of_text(struct neap_text text,
                                          uint8_t out[NEAP_FINGERPRINT_BYTES])
{
    return digest_parts(MARK_TEXT, &text, 1, out);
}
