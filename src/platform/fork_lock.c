#include "platform/fork_lock.h"

#include <stddef.h>

/* fork(2) calls functions without an argument, so the list hangs on no object. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct neap_fork_lock *list;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    pthread_mutex_lock(&list_lock);
    for (struct neap_fork_lock *lock = list; lock; lock = lock->next)
        lock->is_forkers = pthread_mutex_trylock(&lock->mutex) == 0;
}

static void in_parent(void)
{
    for (struct neap_fork_lock *lock = list; lock; lock = lock->next)
        if (lock->is_forkers)
            pthread_mutex_unlock(&lock->mutex);
    pthread_mutex_unlock(&list_lock);
}

static void in_child(void)
{
    for (struct neap_fork_lock *lock = list; lock; lock = lock->next) {
        if (lock->is_forkers) {
            pthread_mutex_unlock(&lock->mutex);
        } else {
            lock->torn = true;
            pthread_mutex_init(&lock->mutex, NULL);
        }
    }
    pthread_mutex_unlock(&list_lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, in_parent, in_child);
}

void neap_fork_lock_init(struct neap_fork_lock *lock)
{
    pthread_once(&once, watch_forks);
    pthread_mutex_init(&lock->mutex, NULL);
    lock->torn = false;
    pthread_mutex_lock(&list_lock);
    lock->next = list;
    lock->link = &list;
    if (list)
        list->link = &lock->next;
    list = lock;
    pthread_mutex_unlock(&list_lock);
}

void neap_fork_lock_deinit(struct neap_fork_lock *lock)
{
    pthread_mutex_lock(&list_lock);
    *lock->link = lock->next;
    if (lock->next)
        lock->next->link = lock->link;
    pthread_mutex_unlock(&list_lock);
    pthread_mutex_destroy(&lock->mutex);
}

void neap_fork_lock_take(struct neap_fork_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

void neap_fork_lock_give(struct neap_fork_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

bool neap_fork_lock_is_torn(const struct neap_fork_lock *lock)
{
    return lock->torn;
}
