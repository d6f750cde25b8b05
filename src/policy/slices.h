/* A window of time in one-second slices: three counters a second, forgotten after N seconds.
 *
 * The breaker's time window and the retry budget count with it. State is C11 atomics without
 * pointers, so it may live in memory shared by threads or processes; no lock is taken. A result of
 * second s leaves the sum when the current second is >= s + N. A clock that steps back does not
 * move the window: what has left stays away, and what is counted for a second that has left already
 * goes to the newest second that is known.
 *
 * `generation` is a tag chosen by the owner: slices of another generation count as empty, so an
 * owner empties its window by moving on to the next generation. A late caller of an older
 * generation takes nothing away from a newer one. Generations are compared in a circle of 65536, so
 * an owner must not come back to the same number within the length of the window. */
#ifndef NEAP_POLICY_SLICES_H
#define NEAP_POLICY_SLICES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One second holds at most this many of each counter; more saturates. Once a counter is full, what
 * would add to it counts for nothing in the other counters too, so that their proportions stay. */
#define NEAP_SLICE_COUNTER_BITS 18
#define NEAP_SLICE_MAX ((1u << NEAP_SLICE_COUNTER_BITS) - 1)
#define NEAP_SLICES_MAX 3600u

struct neap_slice {
    _Atomic uint64_t owner;  /* generation, stamp and second */
    _Atomic uint64_t counts; /* the stamp of the owner that they belong to, and three counters */
};

struct neap_tally {
    uint64_t counter[3];
};

/* Makes `count` slices (1 to NEAP_SLICES_MAX) empty. Not for use while others count. */
void neap_slices_init(struct neap_slice *slices, uint32_t count);

/* Adds to the second of `now_ns`; each addend is 0 or more, and saturates. */
void neap_slices_add(struct neap_slice *slices, uint32_t count, uint16_t generation, int64_t now_ns,
                     struct neap_tally addend);

/* Which slice one thread that has the slices alone has added to last, and the nanoseconds that go
 * there. All zeros: none. */
struct neap_slices_hint {
    int64_t from_ns, until_ns;
    uint32_t index;
};

/* The same for such a thread, which makes all of its additions by this and
 * neap_slices_count_hinted: the hint spares it from looking at every slice more than once a second.
 */
void neap_slices_add_hinted(struct neap_slice *slices, uint32_t count, uint16_t generation,
                            int64_t now_ns, struct neap_tally addend,
                            struct neap_slices_hint *hint);

/* One more of one counter, where the hint is for `now_ns`: how many were added, 0 where it is full.
 * -1 elsewhere, and nothing has changed. As long as it is not -1, the sum is of the same slices as
 * it was at the addition that gave the hint. */
static inline int neap_slices_count_hinted(struct neap_slice *slices, int64_t now_ns, int counter,
                                           const struct neap_slices_hint *hint)
{
    if (now_ns < hint->from_ns || now_ns >= hint->until_ns)
        return -1;
    _Atomic uint64_t *counts = &slices[hint->index].counts;
    uint64_t seen = atomic_load_explicit(counts, memory_order_relaxed);
    uint64_t one = UINT64_C(1) << (counter * NEAP_SLICE_COUNTER_BITS);
    if ((seen & one * NEAP_SLICE_MAX) == one * NEAP_SLICE_MAX)
        return 0;
    atomic_store_explicit(counts, seen + one, memory_order_relaxed);
    return 1;
}

/* Takes from the second of `now_ns` what was added there before; never below zero. */
void neap_slices_subtract(struct neap_slice *slices, uint32_t count, uint16_t generation,
                          int64_t now_ns, struct neap_tally addend);

/* The sum over the last `count` seconds, the current one included. */
struct neap_tally neap_slices_sum(const struct neap_slice *slices, uint32_t count,
                                  uint16_t generation, int64_t now_ns);

/* The second that ends the window: that of `now_ns`, or the newest one counted where the clock has
 * stepped back. */
int64_t neap_slices_newest(const struct neap_slice *slices, uint32_t count, uint16_t generation,
                           int64_t now_ns);

/* What was counted in one second, whether it is still in the window or not; zeros if forgotten. */
struct neap_tally neap_slices_at(const struct neap_slice *slices, uint32_t count,
                                 uint16_t generation, int64_t second);

#endif
