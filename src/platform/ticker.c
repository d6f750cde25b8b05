#include "platform/ticker.h"

#include "base/duration.h"
#include "platform/clock.h"

#define SPAN_NS NEAP_MS

/* A rate is taken from two readings that are so far from each other: nearer, the time that readings
 * take would tell; farther, the machine may have slept between them. */
#define NEAREST_NS SPAN_NS
#define FARTHEST_NS (100 * NEAP_MS)

/* Somebody else had the processor between the two. */
#define READING_TICKS_MAX 2000

/* The rates of a steady counter differ by no more than one in so many. */
#define LIKENESS 1000

void neap_ticker_init(struct neap_ticker *ticker)
{
    *ticker = (struct neap_ticker){.is_steady = neap_ticks_are_steady()};
}

int64_t neap_ticker_look(struct neap_ticker *ticker)
{
    if (!ticker->is_steady)
        return neap_clock_monotonic_ns();
    uint64_t before_ticks = neap_ticks();
    int64_t now_ns = neap_clock_monotonic_ns();
    neap_ticker_learn(ticker, before_ticks, now_ns, neap_ticks());
    return now_ns;
}

/* 0 where that is none. */
static uint64_t scale_of(uint64_t ticks, int64_t ns)
{
    return ticks > 0 ? ((uint64_t)ns << 32) / ticks : 0;
}

static bool are_alike(uint64_t one, uint64_t other)
{
    uint64_t difference = one > other ? one - other : other - one;
    return difference < one / LIKENESS;
}

static void begin_at(struct neap_ticker *ticker, uint64_t ticks, int64_t now_ns, uint64_t scale)
{
    ticker->base_ticks = ticks;
    ticker->base_ns = now_ns;
    ticker->scale = scale;
    ticker->span_ticks = scale > 0 ? ((uint64_t)SPAN_NS << 32) / scale : 0;
}

void neap_ticker_learn(struct neap_ticker *ticker, uint64_t before_ticks, int64_t now_ns,
                       uint64_t after_ticks)
{
    int64_t passed_ns = neap_time_since(now_ns, ticker->base_ns);
    ticker->span_ticks = 0;
    if (after_ticks - before_ticks > READING_TICKS_MAX)
        return;
    if (ticker->base_ns == 0 || passed_ns > FARTHEST_NS) {
        begin_at(ticker, after_ticks, now_ns, ticker->scale);
        return;
    }
    if (passed_ns < NEAREST_NS)
        return;
    uint64_t scale = scale_of(after_ticks - ticker->base_ticks, passed_ns);
    bool has_jumped = ticker->scale > 0 && !are_alike(ticker->scale, scale);
    begin_at(ticker, after_ticks, now_ns, has_jumped ? 0 : scale);
}
