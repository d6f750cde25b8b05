/* What the tests of stored blocks have in common: memory that counts, and the block in hands. */
#ifndef NEAP_SPEC_PIPELINE_STORED_FIXTURE_H
#define NEAP_SPEC_PIPELINE_STORED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/idempotency_key.h"
#include "support/failing_alloc.h"

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

#endif
