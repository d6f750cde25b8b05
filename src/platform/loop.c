#include "platform/loop.h"

#include <stddef.h>

#include "base/duration.h"
#include "platform/clock.h"
#include "platform/loop_clock.h"
#include "platform/poller.h"

struct neap_loop {
    struct neap_loop_clock clock; /* first */
    const struct neap_alloc *alloc;
    struct neap_heap timers;
    struct neap_poller poller; /* unused where `is_virtual` */
    bool is_virtual;
    int64_t epoch_ns; /* virtual: wall time at monotonic 0 */
};

static struct neap_loop *new_loop(const struct neap_alloc *alloc)
{
    struct neap_loop *loop = neap_alloc_zeroed(alloc, sizeof *loop);
    if (!loop)
        return NULL;
    loop->alloc = alloc;
    neap_heap_init(&loop->timers, alloc);
    return loop;
}

enum neap_status neap_loop_new(const struct neap_alloc *alloc, struct neap_loop **loop)
{
    struct neap_loop *made = new_loop(alloc);
    if (!made)
        return NEAP_NO_MEMORY;
    enum neap_status status = neap_poller_init(&made->poller, alloc);
    if (status != NEAP_OK) {
        neap_free(alloc, made);
        return status;
    }
    neap_ticker_init(&made->clock.ticker);
    made->clock.now_ns = neap_ticker_now(&made->clock.ticker);
    *loop = made;
    return NEAP_OK;
}

enum neap_status neap_loop_new_virtual(const struct neap_alloc *alloc, int64_t start_ns,
                                       int64_t epoch_ns, struct neap_loop **loop)
{
    struct neap_loop *made = new_loop(alloc);
    if (!made)
        return NEAP_NO_MEMORY;
    made->is_virtual = true;
    made->clock.now_ns = start_ns;
    made->epoch_ns = epoch_ns;
    *loop = made;
    return NEAP_OK;
}

void neap_loop_free(struct neap_loop *loop)
{
    if (!loop)
        return;
    if (!loop->is_virtual)
        neap_poller_deinit(&loop->poller);
    neap_heap_deinit(&loop->timers);
    neap_free(loop->alloc, loop);
}

bool neap_loop_is_virtual(const struct neap_loop *loop)
{
    return loop->is_virtual;
}

int64_t neap_loop_now(const struct neap_loop *loop)
{
    return loop->clock.now_ns;
}

int64_t neap_loop_update(struct neap_loop *loop)
{
    if (!loop->is_virtual)
        loop->clock.now_ns =
            neap_time_max(loop->clock.now_ns, neap_ticker_now(&loop->clock.ticker));
    return loop->clock.now_ns;
}

int64_t neap_loop_wall(const struct neap_loop *loop)
{
    return loop->is_virtual ? neap_time_add(loop->epoch_ns, loop->clock.now_ns)
                            : neap_clock_wall_ns();
}

/* A moment in the past becomes now: otherwise a timer that keeps setting itself to the past would
 * for ever come before those that are due. */
void neap_loop_place(struct neap_loop *loop, int64_t now_ns, int64_t wall_ns)
{
    loop->clock.now_ns = now_ns;
    loop->epoch_ns = neap_time_add(wall_ns, -now_ns);
}

enum neap_status neap_loop_set(struct neap_loop *loop, struct neap_loop_timer *timer,
                               int64_t when_ns)
{
    return neap_heap_set(&loop->timers, &timer->node, neap_time_max(when_ns, loop->clock.now_ns));
}

void neap_loop_clear(struct neap_loop *loop, struct neap_loop_timer *timer)
{
    neap_heap_remove(&loop->timers, &timer->node);
}

enum neap_status neap_loop_watch(struct neap_loop *loop, struct neap_watch *watch, int fd,
                                 unsigned events)
{
    if (loop->is_virtual)
        return NEAP_SYSTEM;
    return neap_poller_watch(&loop->poller, watch, fd, events);
}

void neap_loop_unwatch(struct neap_loop *loop, struct neap_watch *watch)
{
    if (!loop->is_virtual)
        neap_poller_unwatch(&loop->poller, watch);
}

int64_t neap_loop_next(const struct neap_loop *loop)
{
    const struct neap_timer *first = neap_heap_first(&loop->timers);
    return first ? first->when_ns : NEAP_NEVER;
}

int neap_loop_fd(const struct neap_loop *loop)
{
    return loop->is_virtual ? -1 : loop->poller.epoll_fd;
}

/* What a callback sets for now waits for the next turn (its sequence is past `limit`), so that a
 * turn always ends. */
static bool fire_due(struct neap_loop *loop)
{
    uint64_t limit = loop->timers.next_sequence;
    bool any = false;
    for (;;) {
        struct neap_timer *first = neap_heap_first(&loop->timers);
        if (!first || first->when_ns > loop->clock.now_ns || first->sequence >= limit)
            return any;
        struct neap_loop_timer *timer = (struct neap_loop_timer *)first;
        neap_heap_remove(&loop->timers, first);
        timer->fire(timer, loop->clock.now_ns);
        any = true;
    }
}

static bool deliver(struct neap_loop *loop, const struct neap_poller_event *events, int count)
{
    bool any = false;
    for (int i = 0; i < count; i++) {
        unsigned ready;
        struct neap_watch *watch = neap_poller_target(&loop->poller, &events[i], &ready);
        if (!watch)
            continue;
        watch->ready(watch, ready, loop->clock.now_ns);
        any = true;
    }
    return any;
}

static bool turn_virtual(struct neap_loop *loop, int64_t until_ns)
{
    int64_t next_ns = neap_time_min(neap_loop_next(loop), until_ns);
    if (next_ns != NEAP_NEVER)
        loop->clock.now_ns = neap_time_max(loop->clock.now_ns, next_ns);
    return fire_due(loop);
}

static int64_t time_to_wait(struct neap_loop *loop, int64_t until_ns)
{
    int64_t next_ns = neap_time_min(neap_loop_next(loop), until_ns);
    if (next_ns == NEAP_NEVER)
        return NEAP_NEVER;
    if (next_ns <= loop->clock.now_ns)
        return 0;
    return neap_time_since(next_ns, neap_loop_update(loop));
}

/* Descriptors come before timers: where a thread was held up, an answer that has arrived meanwhile
 * counts before the limit that has passed meanwhile. */
static bool turn_once(struct neap_loop *loop, int64_t until_ns)
{
    struct neap_poller_event events[NEAP_POLLER_BATCH];
    int64_t wait_ns = time_to_wait(loop, until_ns);
    bool has_nothing_to_see = wait_ns == 0 && loop->poller.watched == 0;
    int count = has_nothing_to_see ? 0 : neap_poller_wait(&loop->poller, wait_ns, events);
    neap_loop_update(loop);
    bool delivered = deliver(loop, events, count);
    bool fired = fire_due(loop);
    return delivered || fired;
}

static bool is_empty(const struct neap_loop *loop)
{
    return loop->timers.count == 0 && loop->poller.watched == 0;
}

bool neap_loop_turn(struct neap_loop *loop, int64_t until_ns)
{
    if (loop->is_virtual)
        return turn_virtual(loop, until_ns);
    do {
        if (until_ns == NEAP_NEVER && is_empty(loop))
            return false;
        if (turn_once(loop, until_ns))
            return true;
    } while (loop->clock.now_ns < until_ns);
    return false;
}
