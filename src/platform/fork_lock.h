/* Fork lock: a mutex that makes sense in a forked child.
 *
 * A child has only the thread that forked, and a copy of everything else as it stood: of a mutex
 * that another thread had, and of what that thread was about to change under it. Where nobody had
 * it, the child finds it free, and what it guards is whole. Where another thread had it, the child
 * finds it free too and is told that what it guards is torn. Nobody waits: fork(2) is not held up
 * by who has it. Not for a thread that forks while it has the lock itself. */
#ifndef NEAP_PLATFORM_FORK_LOCK_H
#define NEAP_PLATFORM_FORK_LOCK_H

#include <pthread.h>
#include <stdbool.h>

/* In its owner's memory, which must not move between init and deinit. */
struct neap_fork_lock {
    pthread_mutex_t mutex;
    bool is_forkers; /* while a fork is under way: the thread that forks has it */
    bool torn;
    struct neap_fork_lock *next, **link; /* of all, so that a fork finds them */
};

void neap_fork_lock_init(struct neap_fork_lock *lock);
void neap_fork_lock_deinit(struct neap_fork_lock *lock);

void neap_fork_lock_take(struct neap_fork_lock *lock);
void neap_fork_lock_give(struct neap_fork_lock *lock);

/* Did another thread have it when this process, or one that it descends from, was forked? */
bool neap_fork_lock_is_torn(const struct neap_fork_lock *lock);

#endif
