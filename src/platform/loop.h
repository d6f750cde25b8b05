/* Loop: the timers and descriptors of one thread, on the real clock or on a virtual one.
 *
 * Everything that waits hangs on a loop; what is due is done inside neap_loop_turn, by callbacks,
 * in order of time (equal times in the order they were set). A real loop waits in one epoll. A
 * virtual loop watches no descriptors: its clock stands still until a turn moves it to the next
 * timer, which is how an hour of outage passes in a millisecond. A loop belongs to one thread.
 * Callbacks may set, clear, watch and unwatch anything, also what is about to be called in the same
 * turn. */
#ifndef NEAP_PLATFORM_LOOP_H
#define NEAP_PLATFORM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/heap.h"
#include "base/status.h"

struct neap_loop;

/* Embedded in its owner, zeroed and with `fire` set before first use; must be cleared before its
 * memory goes. It fires once per setting. */
struct neap_loop_timer {
    struct neap_timer node; /* first */
    void (*fire)(struct neap_loop_timer *timer, int64_t now_ns);
};

#define NEAP_READABLE 1u
#define NEAP_WRITABLE 2u

/* Embedded in its owner, zeroed and with `ready` set before first use; must be unwatched before its
 * memory goes and before its descriptor is closed. A hang-up of the peer or an error of the
 * descriptor is told as each of the events that are watched. A descriptor has one watch on a loop.
 */
struct neap_watch {
    int fd;
    unsigned events; /* kept by the loop */
    void (*ready)(struct neap_watch *watch, unsigned events, int64_t now_ns);
};

/* NEAP_NO_MEMORY; NEAP_SYSTEM where the system gives no epoll. */
NEAP_MUST_CHECK enum neap_status neap_loop_new(const struct neap_alloc *alloc,
                                               struct neap_loop **loop);

/* Starts at `start_ns` of monotonic time; the wall clock is `epoch_ns` + now. */
NEAP_MUST_CHECK enum neap_status neap_loop_new_virtual(const struct neap_alloc *alloc,
                                                       int64_t start_ns, int64_t epoch_ns,
                                                       struct neap_loop **loop);

void neap_loop_free(struct neap_loop *loop);

bool neap_loop_is_virtual(const struct neap_loop *loop);

/* The moment of the current step: read once after each wait, the same for all that is done in it.
 */
int64_t neap_loop_now(const struct neap_loop *loop);

/* Begins a new step outside of a turn: reads the clock (a virtual one stands still). */
int64_t neap_loop_update(struct neap_loop *loop);

/* Nanoseconds since 1970. */
int64_t neap_loop_wall(const struct neap_loop *loop);

/* Puts the clocks of a virtual loop to another moment, a later or an earlier one; what is due by
 * then is done at the next turn. */
void neap_loop_place(struct neap_loop *loop, int64_t now_ns, int64_t wall_ns);

/* Sets or moves a timer; a moment that has passed counts as now, NEAP_NEVER clears it. What is set
 * for now inside a turn fires in the next one. NEAP_NO_MEMORY can come only while more timers are
 * set than ever before. */
NEAP_MUST_CHECK enum neap_status neap_loop_set(struct neap_loop *loop,
                                               struct neap_loop_timer *timer, int64_t when_ns);
void neap_loop_clear(struct neap_loop *loop, struct neap_loop_timer *timer);

/* Begins or changes watching; events 0 stops it. NEAP_NO_MEMORY; NEAP_SYSTEM where epoll refuses,
 * and always on a virtual loop. On failure the watch is not watched. */
NEAP_MUST_CHECK enum neap_status neap_loop_watch(struct neap_loop *loop, struct neap_watch *watch,
                                                 int fd, unsigned events);
void neap_loop_unwatch(struct neap_loop *loop, struct neap_watch *watch);

/* One step: waits until a descriptor is ready, a timer is due or `until_ns` has come, and does what
 * is due then, descriptors before timers. until_ns <= now only looks. A virtual loop moves its
 * clock to the first timer, or to `until_ns` if that comes earlier (NEAP_NEVER: stays where it is
 * when no timer is set). True if anything was done; false says that time ran out or, with
 * NEAP_NEVER, that nothing is set or watched. Callbacks may turn the loop again. */
bool neap_loop_turn(struct neap_loop *loop, int64_t until_ns);

/* When the first timer is due; NEAP_NEVER where none is set. */
int64_t neap_loop_next(const struct neap_loop *loop);

/* The epoll descriptor, for a foreign loop to watch; -1 for a virtual loop. */
int neap_loop_fd(const struct neap_loop *loop);

#endif
