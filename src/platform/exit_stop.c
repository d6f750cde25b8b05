#include "platform/exit_stop.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "platform/process.h"

/* The one list that hangs on no object: exit() gives us none. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct neap_exit_stop *list;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void lock_list(void)
{
    pthread_mutex_lock(&list_lock);
}

static void unlock_list(void)
{
    pthread_mutex_unlock(&list_lock);
}

/* Under the lock, since other owners may free theirs meanwhile. */
static void stop_all(void)
{
    lock_list();
    for (struct neap_exit_stop *entry = list; entry; entry = entry->next)
        if (entry->process == neap_process_id())
            entry->stop(entry);
    unlock_list();
}

/* A child forked while another thread held the lock could never exit. */
static void watch_exit(void)
{
    pthread_atfork(lock_list, unlock_list, unlock_list);
    atexit(stop_all);
}

void neap_exit_stop_before_libraries(void)
{
    pthread_once(&once, watch_exit);
    atexit(stop_all);
}

void neap_exit_stop_add(struct neap_exit_stop *entry)
{
    pthread_once(&once, watch_exit);
    lock_list();
    entry->process = neap_process_id();
    entry->next = list;
    entry->link = &list;
    if (list)
        list->link = &entry->next;
    list = entry;
    unlock_list();
}

void neap_exit_stop_remove(struct neap_exit_stop *entry)
{
    lock_list();
    if (entry->link) {
        *entry->link = entry->next;
        if (entry->next)
            entry->next->link = entry->link;
    }
    entry->link = NULL;
    unlock_list();
}
