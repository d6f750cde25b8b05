/* The allocator that every room uses, handed in by whoever makes the object.
 *
 * The core has no malloc of its own: the platform room offers the one of the C library, and a test
 * offers one whose n-th allocation fails. One function in the manner of lua_Alloc. */
#ifndef NEAP_BASE_ALLOC_H
#define NEAP_BASE_ALLOC_H

#include <stddef.h>

#include "base/attributes.h"

struct neap_alloc {
    /* Behaves like realloc; new_bytes == 0 frees and returns NULL. */
    void *(*resize)(void *context, void *block, size_t new_bytes);
    void *context;
};

/* NULL when the memory is not there. The zeroed form clears the block. */
NEAP_MUST_CHECK void *neap_alloc(const struct neap_alloc *alloc, size_t bytes);
NEAP_MUST_CHECK void *neap_alloc_zeroed(const struct neap_alloc *alloc, size_t bytes);

/* count * bytes, zeroed; NULL also where the product does not fit. */
NEAP_MUST_CHECK void *neap_alloc_array(const struct neap_alloc *alloc, size_t count, size_t bytes);

/* On failure NULL is returned and the old block stays valid. */
NEAP_MUST_CHECK void *neap_resize(const struct neap_alloc *alloc, void *block, size_t bytes);

/* A copy of `bytes` bytes with a NUL behind them. */
NEAP_MUST_CHECK char *neap_copy_text(const struct neap_alloc *alloc, const char *text,
                                     size_t bytes);

void neap_free(const struct neap_alloc *alloc, void *block);

#endif
