/* What the tests of stored blocks have in common: memory that counts, the block in hands, and
 * damage to it that its check does not tell. */
#ifndef NEAP_SPEC_PIPELINE_STORED_FIXTURE_H
#define NEAP_SPEC_PIPELINE_STORED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/random.h"
#include "policy/idempotency_key.h"
#include "support/failing_alloc.h"

/* Every block begins with a magic and its version, and ends with its check. */
#define VERSION_END 5u
#define CHECK_BYTES 8u

static struct failing_alloc memory;
static char *blob;
static size_t blob_bytes;

static inline int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    blob = NULL;
    blob_bytes = 0;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    neap_free(&memory.alloc, blob);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static inline struct neap_text text_of(const char *text)
{
    return (struct neap_text){text, strlen(text)};
}

/* Makes the check right again, as it would be in a block that somebody made to harm. */
static inline void seal(char *block, size_t bytes)
{
    const struct neap_hash_seed seed = {{0, 0}};
    uint64_t check = neap_hash(&seed, block, bytes - CHECK_BYTES);
    for (size_t i = 0; i < CHECK_BYTES; i++)
        block[bytes - CHECK_BYTES + i] = (char)(check >> (8 * i));
}

/* Changes a byte of the block, and cuts it off somewhere behind its head now and then, and seals
 * it. How many bytes it has then. */
static inline size_t damage(struct neap_random *random, size_t head_bytes)
{
    uint64_t bits = neap_random_next(random);
    size_t at = VERSION_END + (size_t)(bits % (blob_bytes - VERSION_END)), bytes = blob_bytes;
    blob[at] = (char)(bits >> 32);
    if (bits >> 40 & 1)
        bytes =
            head_bytes + CHECK_BYTES + (size_t)(bits >> 48) % (bytes - head_bytes - CHECK_BYTES);
    seal(blob, bytes);
    return bytes;
}

#endif
