#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>

/* Each slab has twice as many blocks as the one before, up to so many bytes. */
#define SLAB_BYTES ((size_t)32 * 1024)

struct neap_pool_slab {
    struct neap_pool_slab *older;
    _Alignas(8) unsigned char blocks[];
};

struct neap_pool_block {
    struct neap_pool_block *next;
};

void neap_pool_init(struct neap_pool *pool, const struct neap_alloc *alloc, size_t block_bytes)
{
    size_t least = sizeof(struct neap_pool_block);
    size_t bytes = block_bytes > least ? block_bytes : least;
    bytes = bytes <= SIZE_MAX - 7 ? (bytes + 7) / 8 * 8 : SIZE_MAX;
    *pool = (struct neap_pool){.alloc = alloc, .block_bytes = bytes};
}

void neap_pool_deinit(struct neap_pool *pool)
{
    while (pool->slab) {
        struct neap_pool_slab *older = pool->slab->older;
        neap_free(pool->alloc, pool->slab);
        pool->slab = older;
    }
    neap_pool_init(pool, pool->alloc, pool->block_bytes);
}

static size_t next_blocks(const struct neap_pool *pool)
{
    size_t twice = pool->slab_blocks > 0 ? pool->slab_blocks * 2 : 1;
    size_t most = SLAB_BYTES / pool->block_bytes;
    size_t blocks = twice < most ? twice : most;
    return blocks > 0 ? blocks : 1;
}

static bool add_slab(struct neap_pool *pool)
{
    size_t blocks = next_blocks(pool);
    if (pool->block_bytes > (SIZE_MAX - sizeof(struct neap_pool_slab)) / blocks)
        return false;
    struct neap_pool_slab *slab =
        neap_alloc(pool->alloc, sizeof *slab + blocks * pool->block_bytes);
    if (!slab)
        return false;
    slab->older = pool->slab;
    pool->slab = slab;
    pool->slab_blocks = pool->unused = blocks;
    return true;
}

void *neap_pool_take(struct neap_pool *pool)
{
    struct neap_pool_block *block = pool->free;
    if (block) {
        pool->free = block->next;
        return block;
    }
    if (pool->unused == 0 && !add_slab(pool))
        return NULL;
    return pool->slab->blocks + --pool->unused * pool->block_bytes;
}

void neap_pool_give(struct neap_pool *pool, void *block)
{
    struct neap_pool_block *given = block;
    given->next = pool->free;
    pool->free = given;
}
