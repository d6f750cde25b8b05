#include "policy/slices.h"

#include <stdbool.h>

#include "base/attributes.h"
#include "base/duration.h"
#include "base/private.h"

/* owner:  generation 16 | stamp 10 | second 35, counted from before any clock's beginning, so that
 *         a word of zeros is a second long past.
 * counts: stamp 10 | counters 3 * 18.
 *
 * A slice changes hands by a compare-and-swap on `owner`, which raises the stamp. Counts with
 * another stamp belong to a former owner and are replaced as a whole by whoever adds next. Seconds
 * never go down in a slice, and a generation never gives way to an older one, so no owner returns:
 * who has read an owner, then foreign counts, then the same owner again, has seen stale counts. */
#define SECOND_BITS 35
#define SECOND_MASK ((UINT64_C(1) << SECOND_BITS) - 1)
#define SECOND_BIAS (INT64_C(1) << (SECOND_BITS - 1))
#define STAMP_MASK UINT64_C(0x3FF)
#define GENERATION_SHIFT (SECOND_BITS + 10)
#define COUNTS_STAMP_SHIFT 54

#define COUNTERS 3

static uint64_t pack_owner(uint16_t generation, uint64_t stamp, int64_t second)
{
    return (uint64_t)generation << GENERATION_SHIFT | (stamp & STAMP_MASK) << SECOND_BITS |
           (uint64_t)(second + SECOND_BIAS);
}

static uint16_t generation_of(uint64_t owner)
{
    return (uint16_t)(owner >> GENERATION_SHIFT);
}

static uint64_t stamp_of(uint64_t owner)
{
    return owner >> SECOND_BITS & STAMP_MASK;
}

static int64_t second_of(uint64_t owner)
{
    return (int64_t)(owner & SECOND_MASK) - SECOND_BIAS;
}

static int64_t second_at(int64_t now_ns)
{
    return now_ns / NEAP_SECOND - (now_ns % NEAP_SECOND < 0);
}

static uint32_t index_of(int64_t second, uint32_t count)
{
    return (uint32_t)((second + SECOND_BIAS) % count);
}

static bool has_stamp(uint64_t counts, uint64_t owner)
{
    return counts >> COUNTS_STAMP_SHIFT == stamp_of(owner);
}

static uint64_t counter_of(uint64_t counts, int i)
{
    return counts >> (i * NEAP_SLICE_COUNTER_BITS) & NEAP_SLICE_MAX;
}

static uint64_t pack_counts(uint64_t owner, struct neap_tally tally)
{
    uint64_t counts = stamp_of(owner) << COUNTS_STAMP_SHIFT;
    for (int i = 0; i < COUNTERS; i++)
        counts |= tally.counter[i] << (i * NEAP_SLICE_COUNTER_BITS);
    return counts;
}

/* Zeros where the counts are a former owner's. */
static struct neap_tally unpack_counts(uint64_t owner, uint64_t counts)
{
    struct neap_tally tally = {{0}};
    for (int i = 0; i < COUNTERS && has_stamp(counts, owner); i++)
        tally.counter[i] = counter_of(counts, i);
    return tally;
}

NEAP_INLINE struct neap_tally add_saturating(struct neap_tally tally, struct neap_tally addend)
{
    for (int i = 0; i < COUNTERS; i++)
        if (addend.counter[i] > 0 && tally.counter[i] == NEAP_SLICE_MAX)
            return tally;
    for (int i = 0; i < COUNTERS; i++) {
        uint64_t room = NEAP_SLICE_MAX - tally.counter[i];
        tally.counter[i] += addend.counter[i] < room ? addend.counter[i] : room;
    }
    return tally;
}

NEAP_INLINE struct neap_tally subtract_saturating(struct neap_tally tally, struct neap_tally addend)
{
    for (int i = 0; i < COUNTERS; i++) {
        uint64_t have = tally.counter[i];
        tally.counter[i] -= addend.counter[i] < have ? addend.counter[i] : have;
    }
    return tally;
}

/* Changes the counts that belong to `owner`, unless the slice has changed hands meanwhile. */
NEAP_INLINE void apply(struct neap_slice *slice, uint64_t owner, struct neap_tally addend,
                       uint64_t (*changed)(uint64_t, uint64_t, struct neap_tally), bool is_private)
{
    uint64_t seen = atomic_load(&slice->counts);
    uint64_t next;
    do {
        if (!has_stamp(seen, owner) && atomic_load(&slice->owner) != owner)
            return;
        next = changed(owner, seen, addend);
    } while (!NEAP_SWAP(&slice->counts, &seen, next, is_private));
}

static bool is_newer(uint16_t generation, uint16_t than)
{
    return (int16_t)(uint16_t)(generation - than) > 0;
}

/* Makes the slice one of this generation and of `second` or a later one; false if a newer
 * generation counts there. */
static bool take_over(struct neap_slice *slice, uint16_t generation, int64_t second,
                      uint64_t *owner)
{
    uint64_t seen = atomic_load(&slice->owner);
    for (;;) {
        bool is_mine = generation_of(seen) == generation;
        bool is_later = second_of(seen) >= second;
        if (is_later && !is_mine && !is_newer(generation, generation_of(seen)))
            return false;
        *owner = seen;
        if (is_later && is_mine)
            return true;
        *owner = pack_owner(generation, stamp_of(seen) + 1, is_later ? second_of(seen) : second);
        if (atomic_compare_exchange_weak(&slice->owner, &seen, *owner))
            return true;
    }
}

/* Where something of `now_ns` is counted: in its own second while that is in the window. */
static int64_t counting_second(const struct neap_slice *slices, uint32_t count, uint16_t generation,
                               int64_t now_ns)
{
    int64_t second = second_at(now_ns);
    int64_t newest = neap_slices_newest(slices, count, generation, now_ns);
    return newest < second + count ? second : newest;
}

void neap_slices_init(struct neap_slice *slices, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        atomic_init(&slices[i].owner, 0);
        atomic_init(&slices[i].counts, 0);
    }
}

/* Where every counter is below half of what it holds, and so is what is added, nothing carries. */
#define HALF (NEAP_SLICE_MAX / 2 + 1)
#define HALVES                                                                                     \
    ((uint64_t)HALF | (uint64_t)HALF << NEAP_SLICE_COUNTER_BITS |                                  \
     (uint64_t)HALF << 2 * NEAP_SLICE_COUNTER_BITS)

static uint64_t added(uint64_t owner, uint64_t seen, struct neap_tally addend)
{
    uint64_t packed = 0;
    uint64_t largest = 0;
    for (int i = 0; i < COUNTERS; i++) {
        packed |= addend.counter[i] << (i * NEAP_SLICE_COUNTER_BITS);
        largest |= addend.counter[i];
    }
    if (has_stamp(seen, owner) && largest < HALF && !(seen & HALVES))
        return seen + packed;
    return pack_counts(owner, add_saturating(unpack_counts(owner, seen), addend));
}

static void add(struct neap_slice *slice, uint16_t generation, int64_t second,
                struct neap_tally addend, bool is_private)
{
    uint64_t owner;
    if (take_over(slice, generation, second, &owner))
        apply(slice, owner, addend, added, is_private);
}

void neap_slices_add(struct neap_slice *slices, uint32_t count, uint16_t generation, int64_t now_ns,
                     struct neap_tally addend)
{
    int64_t second = counting_second(slices, count, generation, now_ns);
    add(&slices[index_of(second, count)], generation, second, addend, false);
}

/* The first nanosecond of a second; saturates with the clock. */
static int64_t begin_of(int64_t second)
{
    int64_t begin_ns;
    return __builtin_mul_overflow(second, NEAP_SECOND, &begin_ns) ? INT64_MIN : begin_ns;
}

static bool is_hint_for(const struct neap_slices_hint *hint, int64_t now_ns)
{
    return now_ns >= hint->from_ns && now_ns < hint->until_ns;
}

/* Only the latest second that any slice counts is given; while the hint is for a moment, its second
 * is the latest still. */
void neap_slices_add_hinted(struct neap_slice *slices, uint32_t count, uint16_t generation,
                            int64_t now_ns, struct neap_tally addend, struct neap_slices_hint *hint)
{
    int64_t second = second_at(now_ns);
    if (is_hint_for(hint, now_ns)) {
        add(&slices[hint->index], generation, second, addend, true);
        return;
    }
    neap_slices_add(slices, count, generation, now_ns, addend);
    if (neap_slices_newest(slices, count, generation, now_ns) != second)
        return;
    int64_t from_ns = begin_of(second);
    *hint = (struct neap_slices_hint){.from_ns = from_ns,
                                      .until_ns = neap_time_add(from_ns, NEAP_SECOND),
                                      .index = index_of(second, count)};
}

static uint64_t subtracted(uint64_t owner, uint64_t seen, struct neap_tally addend)
{
    return pack_counts(owner, subtract_saturating(unpack_counts(owner, seen), addend));
}

void neap_slices_subtract(struct neap_slice *slices, uint32_t count, uint16_t generation,
                          int64_t now_ns, struct neap_tally addend)
{
    int64_t second = counting_second(slices, count, generation, now_ns);
    struct neap_slice *slice = &slices[index_of(second, count)];
    uint64_t owner = atomic_load(&slice->owner);
    if (generation_of(owner) == generation && second_of(owner) == second)
        apply(slice, owner, addend, subtracted, false);
}

struct neap_tally neap_slices_sum(const struct neap_slice *slices, uint32_t count,
                                  uint16_t generation, int64_t now_ns)
{
    int64_t newest = neap_slices_newest(slices, count, generation, now_ns);
    struct neap_tally sum = {{0}};
    for (uint32_t i = 0; i < count; i++) {
        uint64_t owner = atomic_load(&slices[i].owner);
        if (generation_of(owner) != generation || second_of(owner) + count <= newest)
            continue;
        struct neap_tally tally = unpack_counts(owner, atomic_load(&slices[i].counts));
        for (int c = 0; c < COUNTERS; c++)
            sum.counter[c] += tally.counter[c];
    }
    return sum;
}

int64_t neap_slices_newest(const struct neap_slice *slices, uint32_t count, uint16_t generation,
                           int64_t now_ns)
{
    int64_t newest = second_at(now_ns);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t owner = atomic_load(&slices[i].owner);
        if (generation_of(owner) == generation && second_of(owner) > newest)
            newest = second_of(owner);
    }
    return newest;
}

struct neap_tally neap_slices_at(const struct neap_slice *slices, uint32_t count,
                                 uint16_t generation, int64_t second)
{
    const struct neap_slice *slice = &slices[index_of(second, count)];
    uint64_t owner = atomic_load(&slice->owner);
    if (generation_of(owner) != generation || second_of(owner) != second)
        return (struct neap_tally){{0}};
    return unpack_counts(owner, atomic_load(&slice->counts));
}
