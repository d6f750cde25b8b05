#include "platform/entropy.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "platform/process.h"

enum neap_status neap_entropy_fill(void *out, size_t bytes)
{
    uint8_t *at = out;
    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return NEAP_SYSTEM;
        at += got;
        bytes -= (size_t)got;
    }
    return NEAP_OK;
}

void neap_entropy_pool_init(struct neap_entropy_pool *pool)
{
    pool->left = 0;
    pool->owner = 0;
}

void neap_entropy_pool_deinit(struct neap_entropy_pool *pool)
{
    explicit_bzero(pool, sizeof *pool);
}

static enum neap_status refill(struct neap_entropy_pool *pool, int64_t owner)
{
    if (neap_entropy_fill(pool->byte, sizeof pool->byte) != NEAP_OK) {
        pool->left = 0;
        return NEAP_SYSTEM;
    }
    pool->left = sizeof pool->byte;
    pool->owner = owner;
    return NEAP_OK;
}

enum neap_status neap_entropy_pool_take(struct neap_entropy_pool *pool, void *out, size_t bytes)
{
    if (bytes > sizeof pool->byte)
        return neap_entropy_fill(out, bytes);
    int64_t self = neap_process_id();
    if ((pool->owner != self || pool->left < bytes) && refill(pool, self) != NEAP_OK)
        return NEAP_SYSTEM;
    uint8_t *from = pool->byte + sizeof pool->byte - pool->left;
    memcpy(out, from, bytes);
    explicit_bzero(from, bytes);
    pool->left -= bytes;
    return NEAP_OK;
}
