#include "platform/shared_lock.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/duration.h"

static enum neap_status init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0)
        return NEAP_SYSTEM;
    bool is_made = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
                   pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
                   pthread_mutex_init(mutex, &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    return is_made ? NEAP_OK : NEAP_SYSTEM;
}

enum neap_status neap_shared_lock_init(struct neap_shared_lock *lock)
{
    return init_mutex(&lock->mutex);
}

/* The C library believes what a mutex says of its own kind, and aborts where that leads it astray:
 * memory that a stranger wrote to must not do that to us. */
#ifdef __GLIBC__
static bool is_intact(const struct neap_shared_lock *lock)
{
    pthread_mutex_t fresh;
    if (init_mutex(&fresh) != NEAP_OK)
        return false;
    bool is_same = lock->mutex.__data.__kind == fresh.__data.__kind;
    pthread_mutex_destroy(&fresh);
    return is_same;
}
#else
static bool is_intact(const struct neap_shared_lock *lock)
{
    return lock != NULL;
}
#endif

/* pthread_mutex_timedlock(3) counts on the clock that may be set. A jump of it only makes one wait
 * shorter or longer, and only where the lock is not free. */
static struct timespec moment_after(int64_t bound_ns)
{
    struct timespec moment = {0};
    (void)clock_gettime(CLOCK_REALTIME, &moment);
    int64_t ns = neap_time_add(moment.tv_nsec, bound_ns);
    moment.tv_sec += (time_t)(ns / NEAP_SECOND);
    moment.tv_nsec = (long)(ns % NEAP_SECOND);
    return moment;
}

enum neap_taken neap_shared_lock_take(struct neap_shared_lock *lock, int64_t bound_ns)
{
    if (!is_intact(lock))
        return NEAP_NOT_TAKEN;
    int error = pthread_mutex_trylock(&lock->mutex);
    if (error == EBUSY && bound_ns > 0) {
        struct timespec moment = moment_after(bound_ns);
        error = pthread_mutex_timedlock(&lock->mutex, &moment);
    }
    if (error == EOWNERDEAD)
        return NEAP_TAKEN_FROM_A_DEAD_ONE;
    return error == 0 ? NEAP_TAKEN : NEAP_NOT_TAKEN;
}

void neap_shared_lock_mended(struct neap_shared_lock *lock)
{
    (void)pthread_mutex_consistent(&lock->mutex);
}

void neap_shared_lock_give(struct neap_shared_lock *lock)
{
    (void)pthread_mutex_unlock(&lock->mutex);
}
