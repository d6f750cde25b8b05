/* A lock that lies in memory shared by processes and outlives whoever holds it.
 *
 * A robust, process-shared mutex of POSIX (pthread_mutexattr_setrobust(3)): where its owner dies,
 * the kernel lets the next one in and says so. Waiting is bounded, so that a stopped owner stops
 * nobody else. Not recursive. */
#ifndef NEAP_PLATFORM_SHARED_LOCK_H
#define NEAP_PLATFORM_SHARED_LOCK_H

#include <pthread.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/status.h"

struct neap_shared_lock {
    pthread_mutex_t mutex;
};

/* What the C library makes of a mutex: memory is shared only by those who agree on it. */
#ifdef __GLIBC__
#define NEAP_SHARED_LOCK_MAKE 1u
#else
#define NEAP_SHARED_LOCK_MAKE 2u
#endif

enum neap_taken {
    NEAP_NOT_TAKEN,            /* not within the time, or the memory holds no such lock */
    NEAP_TAKEN,                /* now the caller's */
    NEAP_TAKEN_FROM_A_DEAD_ONE /* the caller's, from an owner who died in the middle of his work */
};

/* In the caller's shared memory, before anybody else can see it. NEAP_SYSTEM where the system has
 * no such locks. */
NEAP_MUST_CHECK enum neap_status neap_shared_lock_init(struct neap_shared_lock *lock);

/* Waits at most so long. Whoever takes it from a dead one puts in order what it guards and then
 * calls neap_shared_lock_mended, before giving it; if he dies too, the next one is told the same.
 */
NEAP_MUST_CHECK enum neap_taken neap_shared_lock_take(struct neap_shared_lock *lock,
                                                      int64_t bound_ns);
void neap_shared_lock_mended(struct neap_shared_lock *lock);
void neap_shared_lock_give(struct neap_shared_lock *lock);

#endif
