/* Ticker: the monotonic clock for somebody who reads it often. For a millisecond after a reading of
 * the clock itself it goes on by the processor's counter, at the rate that the counter had before.
 *
 * What it tells differs from the clock by less than two microseconds: by the error of the rate in a
 * millisecond (the clock itself may be slewed by 500 ppm), and by the time that a reading takes. It
 * may step back by as much from one reading to the next, so its owner keeps the larger one. A
 * counter that jumps (another machine, a suspended one) is noticed by its distance, or after a
 * millisecond at the latest. Where the counter is not steady each reading is one of the clock.
 *
 * The struct belongs to one thread. */
#ifndef NEAP_PLATFORM_TICKER_H
#define NEAP_PLATFORM_TICKER_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/ticks.h"

struct neap_ticker {
    bool is_steady;
    uint64_t base_ticks; /* when the clock said base_ns */
    int64_t base_ns;
    uint64_t scale;      /* nanoseconds in a tick, with 32 bits of fraction; 0: not known yet */
    uint64_t span_ticks; /* for so long after the base it goes on by itself; 0: not at all */
};

void neap_ticker_init(struct neap_ticker *ticker);

/* Asks the clock. */
int64_t neap_ticker_look(struct neap_ticker *ticker);

/* The time, where the clock need not be asked for it. The counter is not read where it is not
 * steady: it may be forbidden. */
static inline bool neap_ticker_goes_on(const struct neap_ticker *ticker, int64_t *now_ns)
{
    if (ticker->span_ticks == 0)
        return false;
    uint64_t passed = neap_ticks() - ticker->base_ticks;
    if (passed >= ticker->span_ticks)
        return false;
    *now_ns = ticker->base_ns + (int64_t)(passed * ticker->scale >> 32);
    return true;
}

/* Nanoseconds, as neap_clock_monotonic_ns. */
static inline int64_t neap_ticker_now(struct neap_ticker *ticker)
{
    int64_t now_ns;
    return neap_ticker_goes_on(ticker, &now_ns) ? now_ns : neap_ticker_look(ticker);
}

/* What a reading of the clock between two of the counter teaches. */
void neap_ticker_learn(struct neap_ticker *ticker, uint64_t before_ticks, int64_t now_ns,
                       uint64_t after_ticks);

#endif
