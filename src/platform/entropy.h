/* Random bytes of the operating system, for keys, seeds and tokens. */
#ifndef NEAP_PLATFORM_ENTROPY_H
#define NEAP_PLATFORM_ENTROPY_H

#include "base/attributes.h"
#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

#define NEAP_ENTROPY_POOL_BYTES 1024u

/* Fills `out` by getrandom(2), which waits once after boot until the kernel has gathered enough.
 * Any thread. NEAP_SYSTEM where the system refuses; `out` is then not to be used. */
NEAP_MUST_CHECK enum neap_status neap_entropy_fill(void *out, size_t bytes);

/* Draws 1 KB at a time, because a system call for each key costs five times as much. A byte is
 * handed out once and wiped at once; what a child process inherits by fork is never handed out
 * there. One thread at a time. */
struct neap_entropy_pool {
    uint8_t byte[NEAP_ENTROPY_POOL_BYTES];
    size_t left;   /* not yet handed out: the last `left` bytes */
    int64_t owner; /* the number of the process that drew them */
};

/* Draws nothing yet. */
void neap_entropy_pool_init(struct neap_entropy_pool *pool);

/* Wipes what is left. */
void neap_entropy_pool_deinit(struct neap_entropy_pool *pool);

/* NEAP_SYSTEM as above. */
NEAP_MUST_CHECK enum neap_status neap_entropy_pool_take(struct neap_entropy_pool *pool, void *out,
                                                        size_t bytes);

#endif
