/* An allocator for tests: over the C library's, it counts, knows what is still out, and fails the
 * allocation that the test picks. Any thread; init and assertions are for the main one. */
#ifndef NEAP_SPEC_SUPPORT_FAILING_ALLOC_H
#define NEAP_SPEC_SUPPORT_FAILING_ALLOC_H

#include <stddef.h>

#include "base/alloc.h"

struct failing_alloc {
    struct neap_alloc alloc;    /* hand out &failing.alloc */
    _Atomic size_t allocations; /* new blocks and resized ones, the failed one included */
    _Atomic size_t fail_at;     /* which allocation fails, counted from 1; 0: none */
    _Atomic size_t outstanding; /* blocks not yet freed */
    _Atomic size_t bytes;       /* of those, with what the C library needs for each */
};

void failing_alloc_init(struct failing_alloc *failing);

/* Of the allocations from now on, the n-th fails, and only that one; 0: none. */
void failing_alloc_fail(struct failing_alloc *failing, size_t n);

/* Fails the test where a block is still out. */
void failing_alloc_assert_all_freed(const struct failing_alloc *failing);

#endif
