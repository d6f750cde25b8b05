#include "metrics/history.h"

#include "base/attributes.h"
#include "base/duration.h"
#include "base/private.h"

/* A word: 24 bits of the slot's number (from 1, in a circle of many months), 20 of calls, 20 of
 * failures. */
#define NUMBER_MASK ((UINT64_C(1) << 24) - 1)

#define SLOT_NS (NEAP_HISTORY_SLOT_SECONDS * NEAP_SECOND)

static uint64_t number_at(int64_t now_ns)
{
    uint64_t number = (uint64_t)neap_time_max(now_ns, 0) / (uint64_t)SLOT_NS + NEAP_HISTORY_SLOTS;
    return number & NUMBER_MASK;
}

static uint64_t number_of(uint64_t word)
{
    return word >> (2 * NEAP_HISTORY_COUNT_BITS);
}

static struct neap_history_point point_of(uint64_t word)
{
    return (struct neap_history_point){.calls = (uint32_t)(word >> NEAP_HISTORY_COUNT_BITS) &
                                                NEAP_HISTORY_MAX,
                                       .failures = (uint32_t)word & NEAP_HISTORY_MAX};
}

static uint64_t pack(uint64_t number, struct neap_history_point point)
{
    return number << (2 * NEAP_HISTORY_COUNT_BITS) |
           (uint64_t)point.calls << NEAP_HISTORY_COUNT_BITS | point.failures;
}

/* How many slots `number` lies behind `newest`, around the circle. */
static uint64_t age_of(uint64_t number, uint64_t newest)
{
    return (newest - number) & NUMBER_MASK;
}

void neap_history_init(struct neap_history *history)
{
    for (uint32_t i = 0; i < NEAP_HISTORY_SLOTS; i++)
        atomic_init(&history->slot[i], 0);
    history->from_ns = history->until_ns = 0;
    history->index = 0;
}

/* In a slot that is not this number's, or is full. */
static NEAP_SELDOM uint64_t counted_elsewhere(uint64_t word, uint64_t number, bool failed)
{
    bool is_newer = word && age_of(number, number_of(word)) - 1 < NUMBER_MASK / 2;
    if (is_newer || number_of(word) == number)
        return word;
    return pack(number, (struct neap_history_point){.calls = 1, .failures = failed});
}

/* The slot's word after one more call; the word itself where the slot is another, newer one's, or
 * is full. */
static inline uint64_t counted(uint64_t word, uint64_t number, bool failed)
{
    if (number_of(word) == number && point_of(word).calls != NEAP_HISTORY_MAX)
        return word + (UINT64_C(1) << NEAP_HISTORY_COUNT_BITS) + failed;
    return counted_elsewhere(word, number, failed);
}

/* No other number comes into that slot but by who remembers it then. */
static void remember(struct neap_history *history, int64_t now_ns, uint64_t number)
{
    int64_t at_ns = neap_time_max(now_ns, 0);
    history->from_ns = at_ns - at_ns % SLOT_NS;
    history->until_ns = neap_time_add(history->from_ns, SLOT_NS);
    history->index = (uint32_t)(number % NEAP_HISTORY_SLOTS);
}

void neap_history_add_anywhere(struct neap_history *history, int64_t now_ns, bool failed,
                               bool is_private)
{
    uint64_t number = number_at(now_ns), next;
    _Atomic uint64_t *slot = &history->slot[number % NEAP_HISTORY_SLOTS];
    uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
    do {
        next = counted(word, number, failed);
    } while (!NEAP_SWAP(slot, &word, next, is_private));
    if (is_private && number_of(next) == number)
        remember(history, now_ns, number);
}

void neap_history_read(const struct neap_history *history, int64_t now_ns,
                       struct neap_history_point points[NEAP_HISTORY_SLOTS])
{
    uint64_t newest = number_at(now_ns);
    for (uint32_t i = 0; i < NEAP_HISTORY_SLOTS; i++) {
        uint64_t number = (newest - (NEAP_HISTORY_SLOTS - 1 - i)) & NUMBER_MASK;
        uint64_t word =
            atomic_load_explicit(&history->slot[number % NEAP_HISTORY_SLOTS], memory_order_relaxed);
        bool is_there = word && number_of(word) == number;
        points[i] = is_there ? point_of(word) : (struct neap_history_point){0, 0};
    }
}
