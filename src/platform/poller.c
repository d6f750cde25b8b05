#include "platform/poller.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/duration.h"

enum neap_status neap_poller_init(struct neap_poller *poller, const struct neap_alloc *alloc)
{
    *poller = (struct neap_poller){.alloc = alloc};
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return poller->epoll_fd < 0 ? NEAP_SYSTEM : NEAP_OK;
}

void neap_poller_deinit(struct neap_poller *poller)
{
    if (poller->epoll_fd >= 0)
        close(poller->epoll_fd);
    neap_free(poller->alloc, poller->slot);
    *poller = (struct neap_poller){.alloc = poller->alloc, .epoll_fd = -1};
}

static enum neap_status make_room(struct neap_poller *poller, size_t fd)
{
    size_t count = poller->slot_count > 0 ? poller->slot_count : 64;
    if (fd < poller->slot_count)
        return NEAP_OK;
    while (count <= fd)
        count *= 2;
    void *slot = neap_resize(poller->alloc, poller->slot, count * sizeof *poller->slot);
    if (!slot)
        return NEAP_NO_MEMORY;
    poller->slot = slot;
    memset(poller->slot + poller->slot_count, 0,
           (count - poller->slot_count) * sizeof *poller->slot);
    poller->slot_count = count;
    return NEAP_OK;
}

static uint32_t epoll_bits(unsigned events)
{
    return (events & NEAP_READABLE ? (uint32_t)(EPOLLIN | EPOLLRDHUP) : 0) |
           (events & NEAP_WRITABLE ? (uint32_t)EPOLLOUT : 0);
}

/* What the kernel has registered is not always what is known here: it forgets a closed descriptor
 * by itself, and keeps one whose watch was displaced. */
static enum neap_status register_fd(const struct neap_poller *poller, int fd, unsigned events,
                                    int likely, int otherwise)
{
    struct epoll_event event = {.events = epoll_bits(events)};
    event.data.u64 = (uint64_t)poller->slot[fd].generation << 32 | (uint32_t)fd;
    if (epoll_ctl(poller->epoll_fd, likely, fd, &event) == 0)
        return NEAP_OK;
    if (errno != ENOENT && errno != EEXIST)
        return NEAP_SYSTEM;
    return epoll_ctl(poller->epoll_fd, otherwise, fd, &event) == 0 ? NEAP_OK : NEAP_SYSTEM;
}

static void release_slot(struct neap_poller *poller, int fd)
{
    struct neap_poller_slot *slot = &poller->slot[fd];
    slot->watch->events = 0;
    slot->watch = NULL;
    slot->generation++;
    poller->watched--;
}

static enum neap_status begin(struct neap_poller *poller, struct neap_watch *watch, int fd,
                              unsigned events)
{
    if (make_room(poller, (size_t)fd) != NEAP_OK)
        return NEAP_NO_MEMORY;
    if (poller->slot[fd].watch)
        release_slot(poller, fd);
    enum neap_status status = register_fd(poller, fd, events, EPOLL_CTL_ADD, EPOLL_CTL_MOD);
    if (status != NEAP_OK)
        return status;
    poller->slot[fd].watch = watch;
    poller->watched++;
    watch->fd = fd;
    watch->events = events;
    return NEAP_OK;
}

static enum neap_status change(struct neap_poller *poller, struct neap_watch *watch,
                               unsigned events)
{
    enum neap_status status = register_fd(poller, watch->fd, events, EPOLL_CTL_MOD, EPOLL_CTL_ADD);
    if (status == NEAP_OK)
        watch->events = events;
    else
        release_slot(poller, watch->fd);
    return status;
}

enum neap_status neap_poller_watch(struct neap_poller *poller, struct neap_watch *watch, int fd,
                                   unsigned events)
{
    if (watch->events != 0 && watch->fd == fd && watch->events == events)
        return NEAP_OK;
    if (watch->events != 0 && watch->fd == fd && events != 0)
        return change(poller, watch, events);
    neap_poller_unwatch(poller, watch);
    if (events == 0)
        return NEAP_OK;
    return fd >= 0 ? begin(poller, watch, fd, events) : NEAP_SYSTEM;
}

void neap_poller_unwatch(struct neap_poller *poller, struct neap_watch *watch)
{
    if (watch->events == 0)
        return;
    release_slot(poller, watch->fd);
    epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

static int milliseconds(int64_t wait_ns)
{
    if (wait_ns == NEAP_NEVER)
        return -1;
    if (wait_ns <= 0)
        return 0;
    int64_t whole = (wait_ns - 1) / NEAP_MS + 1;
    return whole < INT_MAX ? (int)whole : INT_MAX;
}

/* A hang-up or an error wakes whoever waits, for reading or for writing. */
static unsigned ready_bits(uint32_t bits)
{
    bool readable = bits & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    bool writable = bits & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    return (readable ? NEAP_READABLE : 0) | (writable ? NEAP_WRITABLE : 0);
}

int neap_poller_wait(struct neap_poller *poller, int64_t wait_ns,
                     struct neap_poller_event events[NEAP_POLLER_BATCH])
{
    struct epoll_event batch[NEAP_POLLER_BATCH];
    int count = epoll_wait(poller->epoll_fd, batch, NEAP_POLLER_BATCH, milliseconds(wait_ns));
    for (int i = 0; i < count; i++) {
        events[i].fd = (int)(uint32_t)batch[i].data.u64;
        events[i].generation = (uint32_t)(batch[i].data.u64 >> 32);
        events[i].events = ready_bits(batch[i].events);
    }
    return count > 0 ? count : 0;
}

struct neap_watch *neap_poller_target(const struct neap_poller *poller,
                                      const struct neap_poller_event *event, unsigned *ready)
{
    if ((size_t)event->fd >= poller->slot_count)
        return NULL;
    const struct neap_poller_slot *slot = &poller->slot[event->fd];
    if (!slot->watch || slot->generation != event->generation)
        return NULL;
    *ready = event->events & slot->watch->events;
    return *ready != 0 ? slot->watch : NULL;
}
