/* A loop's step outside of a turn, for callers in a hurry. */
#ifndef NEAP_PLATFORM_LOOP_CLOCK_H
#define NEAP_PLATFORM_LOOP_CLOCK_H

#include "base/duration.h"
#include "platform/loop.h"
#include "platform/ticker.h"

/* A loop begins with it. */
struct neap_loop_clock {
    int64_t now_ns;
    struct neap_ticker ticker; /* zeroed where the loop is virtual: it never goes on by itself */
};

/* As neap_loop_update. */
static inline int64_t neap_loop_step(struct neap_loop *loop)
{
    struct neap_loop_clock *clock = (struct neap_loop_clock *)(void *)loop;
    int64_t now_ns;
    if (!neap_ticker_goes_on(&clock->ticker, &now_ns))
        return neap_loop_update(loop);
    return clock->now_ns = neap_time_max(clock->now_ns, now_ns);
}

#endif
