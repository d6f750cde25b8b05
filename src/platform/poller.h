/* Poller: one epoll whose events reach only the watch that asked for them.
 *
 * epoll hands out events in batches, and what one event does may end what a later one of the same
 * batch is about: the watch is gone, or its descriptor's number already belongs to another. Each
 * registration therefore has a generation, which travels with the event; an event of an earlier
 * generation is dropped. A descriptor has one watch: the last one to ask is right, since the number
 * could only come to it through a close. One thread at a time; Linux only. */
#ifndef NEAP_PLATFORM_POLLER_H
#define NEAP_PLATFORM_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "platform/loop.h"

struct neap_poller_slot {
    struct neap_watch *watch; /* NULL: the descriptor is not watched */
    uint32_t generation;
};

struct neap_poller {
    const struct neap_alloc *alloc;
    int epoll_fd;
    struct neap_poller_slot *slot; /* one for each descriptor number */
    size_t slot_count;
    size_t watched;
};

/* NEAP_SYSTEM where the system gives no epoll. */
NEAP_MUST_CHECK enum neap_status neap_poller_init(struct neap_poller *poller,
                                                  const struct neap_alloc *alloc);
void neap_poller_deinit(struct neap_poller *poller);

/* NEAP_NO_MEMORY, NEAP_SYSTEM; the watch is then not watched. */
NEAP_MUST_CHECK enum neap_status
neap_poller_watch(struct neap_poller *poller, struct neap_watch *watch, int fd, unsigned events);
void neap_poller_unwatch(struct neap_poller *poller, struct neap_watch *watch);

#define NEAP_POLLER_BATCH 64

struct neap_poller_event {
    int fd;
    uint32_t generation;
    unsigned events;
};

/* Waits until something is ready or `wait_ns` have passed (0: only looks; NEAP_NEVER: for ever), in
 * whole milliseconds, rounded up. The number of events; 0 also where a signal came. */
int neap_poller_wait(struct neap_poller *poller, int64_t wait_ns,
                     struct neap_poller_event events[NEAP_POLLER_BATCH]);

/* The watch that the event is still about and, in *ready, what of it is wanted now; else NULL. */
struct neap_watch *neap_poller_target(const struct neap_poller *poller,
                                      const struct neap_poller_event *event, unsigned *ready);

#endif
