#include "support/failing_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <malloc.h>

#include <cmocka.h>

/* What the C library notes of a block, before it. */
#define HEAD_BYTES sizeof(size_t)

static size_t bytes_of(void *block)
{
    return block ? malloc_usable_size(block) + HEAD_BYTES : 0;
}

static void *resize(void *context, void *block, size_t new_bytes)
{
    struct failing_alloc *failing = context;
    size_t old_bytes = bytes_of(block);
    if (new_bytes == 0) {
        failing->outstanding -= block != NULL;
        failing->bytes -= old_bytes;
        free(block);
        return NULL;
    }
    if (++failing->allocations == failing->fail_at)
        return NULL;
    void *resized = realloc(block, new_bytes);
    failing->outstanding += resized != NULL && block == NULL;
    failing->bytes += resized ? bytes_of(resized) - old_bytes : 0;
    return resized;
}

void failing_alloc_init(struct failing_alloc *failing)
{
    *failing = (struct failing_alloc){.alloc = {.resize = resize, .context = failing}};
}

void failing_alloc_fail(struct failing_alloc *failing, size_t n)
{
    failing->fail_at = n > 0 ? failing->allocations + n : 0;
}

void failing_alloc_assert_all_freed(const struct failing_alloc *failing)
{
    assert_int_equal(failing->outstanding, 0);
}
