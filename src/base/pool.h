/* Blocks of one size, many to a slab: for what there is a lot of, and stays for long. So it lies
 * side by side, and not between what comes and goes, which would be spread over as many pages. */
#ifndef NEAP_BASE_POOL_H
#define NEAP_BASE_POOL_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/attributes.h"

struct neap_pool_slab;
struct neap_pool_block; /* while it is free */

struct neap_pool {
    const struct neap_alloc *alloc;
    size_t block_bytes;
    struct neap_pool_slab *slab; /* the newest */
    size_t slab_blocks;          /* of the newest */
    size_t unused;               /* of the newest: never taken so far */
    struct neap_pool_block *free;
};

/* Allocates nothing. Blocks are aligned to 8. */
void neap_pool_init(struct neap_pool *pool, const struct neap_alloc *alloc, size_t block_bytes);

/* Releases every block at once; the pool may be used again. */
void neap_pool_deinit(struct neap_pool *pool);

/* Not cleared; NULL without memory. Blocks never move. */
NEAP_MUST_CHECK void *neap_pool_take(struct neap_pool *pool);

/* For the next who takes one; its memory stays the pool's. */
void neap_pool_give(struct neap_pool *pool, void *block);

#endif
