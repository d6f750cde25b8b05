#include "policy/breaker_window.h"

#include "base/private.h"
#include "policy/breaker_internal.h"
#include "policy/breaker_rates.h"
#include "policy/breaker_words.h"

/* The ring's words carry 16 bits of the generation and 16 results of 3 bits, 0: none. They could
 * take a stale word for a new one only after 2^16 changes of state without one result that reached
 * it, and exactly so many. What the other words hold stands in breaker_words.h. */
#define RING_GENERATION_SHIFT 48
#define RESULT_BITS 3
#define RESULTS_IN_WORD (RING_GENERATION_SHIFT / RESULT_BITS)
#define RESULT_MASK UINT64_C(7)

/* What a result is worth in the totals; nothing where a stranger wrote what is none. */
static const uint64_t worth[RESULT_MASK + 1] = {
    [1] = NEAP_BREAKER_ONE(NEAP_BREAKER_CALLS),
    [2] = NEAP_BREAKER_ONE(NEAP_BREAKER_CALLS) + NEAP_BREAKER_ONE(NEAP_BREAKER_FAILURES),
    [3] = NEAP_BREAKER_ONE(NEAP_BREAKER_CALLS) + NEAP_BREAKER_ONE(NEAP_BREAKER_SLOW),
    [4] = NEAP_BREAKER_ONE(NEAP_BREAKER_CALLS) + NEAP_BREAKER_ONE(NEAP_BREAKER_FAILURES) +
          NEAP_BREAKER_ONE(NEAP_BREAKER_SLOW),
};

/* A word that carries the generation belongs to it whatever the state is by now. */
static inline bool may_swap(const struct neap_breaker *breaker, uint32_t generation, bool is_ours)
{
    return is_ours || neap_breaker_is_current(breaker, generation);
}

static uint32_t ring_words(const struct neap_breaker_policy *policy)
{
    return (policy->window_count + RESULTS_IN_WORD - 1) / RESULTS_IN_WORD;
}

size_t neap_breaker_window_words(const struct neap_breaker_policy *policy)
{
    if (policy->window_count > 0)
        return ring_words(policy);
    return policy->window_seconds * (sizeof(struct neap_slice) / sizeof(uint64_t));
}

struct neap_slice *neap_breaker_window_slices(struct neap_breaker *breaker,
                                              const struct neap_breaker_policy *policy)
{
    return (struct neap_slice *)(void *)&breaker->cells[policy->permits];
}

const struct neap_slice *neap_breaker_window_slices_const(const struct neap_breaker *breaker,
                                                          const struct neap_breaker_policy *policy)
{
    return (const struct neap_slice *)(const void *)&breaker->cells[policy->permits];
}

void neap_breaker_window_init(struct neap_breaker *breaker,
                              const struct neap_breaker_policy *policy)
{
    atomic_init(&breaker->sequence, 0);
    atomic_init(&breaker->totals, neap_breaker_no_totals(0));
    if (policy->window_count == 0)
        neap_slices_init(neap_breaker_window_slices(breaker, policy), policy->window_seconds);
    for (uint32_t i = 0; i < ring_words(policy); i++)
        atomic_init(&breaker->cells[policy->permits + i], 0);
}

/* ---- sequence ---- */

static uint32_t in_row_of(uint64_t sequence, uint32_t generation)
{
    bool is_ours = sequence >> NEAP_BREAKER_SEQUENCE_GENERATION_SHIFT == generation;
    return is_ours ? (uint32_t)sequence & NEAP_BREAKER_IN_ROW_MAX : 0;
}

static uint32_t place_of(uint64_t sequence, uint32_t generation)
{
    bool is_ours = sequence >> NEAP_BREAKER_SEQUENCE_GENERATION_SHIFT == generation;
    return is_ours
               ? (uint32_t)(sequence >> NEAP_BREAKER_SEQUENCE_PLACE_SHIFT & NEAP_BREAKER_PLACE_MASK)
               : 0;
}

static uint32_t next_in_row(uint32_t in_row, unsigned result)
{
    if (!neap_breaker_result_failed(result))
        return 0;
    return in_row < NEAP_BREAKER_IN_ROW_MAX ? in_row + 1 : in_row;
}

/* Takes the next place in a ring of `places` (0: there is no ring) and counts the failures in a
 * row, in one step, so that both see the results in the same order. */
static inline bool advance(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                           uint32_t generation, uint32_t places, unsigned result, uint64_t seen,
                           uint32_t *place, uint32_t *in_row)
{
    uint64_t next;
    do {
        if (!may_swap(breaker, generation,
                      seen >> NEAP_BREAKER_SEQUENCE_GENERATION_SHIFT == generation))
            return false;
        *place = place_of(seen, generation);
        *place = *place < places ? *place : 0; /* what a stranger wrote leads nowhere outside */
        *in_row = next_in_row(in_row_of(seen, generation), result);
        next = neap_breaker_sequence(generation, *place + 1 < places ? *place + 1 : 0, *in_row);
    } while (!NEAP_SWAP(&breaker->sequence, &seen, next, policy->is_private));
    return true;
}

uint32_t neap_breaker_window_add_to_row(struct neap_breaker *breaker,
                                        const struct neap_breaker_policy *policy,
                                        uint32_t generation, unsigned result)
{
    uint32_t place;
    uint32_t in_row;
    uint64_t seen = atomic_load(&breaker->sequence);
    return advance(breaker, policy, generation, 0, result, seen, &place, &in_row) ? in_row : 0;
}

uint32_t neap_breaker_window_in_row(const struct neap_breaker *breaker, uint32_t generation)
{
    return in_row_of(atomic_load(&breaker->sequence), generation);
}

void neap_breaker_window_set_in_row(struct neap_breaker *breaker, uint32_t generation,
                                    uint32_t in_row)
{
    uint32_t place = place_of(atomic_load(&breaker->sequence), generation);
    atomic_store(&breaker->sequence, neap_breaker_sequence(generation, place, in_row));
}

/* ---- ring ---- */

static uint64_t ring_tag(uint32_t generation)
{
    return (uint64_t)generation << RING_GENERATION_SHIFT >> RING_GENERATION_SHIFT;
}

static unsigned shift_of(uint32_t place)
{
    return place % RESULTS_IN_WORD * RESULT_BITS;
}

static unsigned result_at(uint64_t word, uint32_t generation, uint32_t place)
{
    if (word >> RING_GENERATION_SHIFT != ring_tag(generation))
        return 0;
    return (unsigned)(word >> shift_of(place) & RESULT_MASK);
}

static _Atomic uint64_t *ring_word(struct neap_breaker *breaker,
                                   const struct neap_breaker_policy *policy, uint32_t place)
{
    return &breaker->cells[policy->permits + place / RESULTS_IN_WORD];
}

/* To find there what it brings is to have swapped it. */
static inline bool swap_result(struct neap_breaker *breaker,
                               const struct neap_breaker_policy *policy, uint32_t generation,
                               uint32_t place, unsigned result, unsigned *old)
{
    _Atomic uint64_t *cell = ring_word(breaker, policy, place);
    uint64_t tag = ring_tag(generation);
    uint64_t seen = atomic_load(cell);
    uint64_t next;
    do {
        bool is_ours = seen >> RING_GENERATION_SHIFT == tag;
        if (!may_swap(breaker, generation, is_ours))
            return false;
        *old = result_at(seen, generation, place);
        if (*old == result)
            return true;
        next = is_ours ? seen & ~(RESULT_MASK << shift_of(place)) : tag << RING_GENERATION_SHIFT;
        next |= (uint64_t)result << shift_of(place);
    } while (!NEAP_SWAP(cell, &seen, next, policy->is_private));
    return true;
}

unsigned neap_breaker_window_result(const struct neap_breaker *breaker,
                                    const struct neap_breaker_policy *policy, uint32_t generation,
                                    uint32_t i)
{
    uint32_t oldest = place_of(atomic_load(&breaker->sequence), generation);
    uint32_t place = (oldest + i) % policy->window_count;
    uint64_t word = atomic_load(&breaker->cells[policy->permits + place / RESULTS_IN_WORD]);
    return result_at(word, generation, place);
}

/* ---- totals ---- */

static bool are_of(uint64_t totals, uint32_t generation)
{
    return (totals ^ (uint64_t)generation << NEAP_BREAKER_TOTALS_GENERATION_SHIFT) >>
               NEAP_BREAKER_TOTALS_GENERATION_SHIFT ==
           0;
}

/* Is there a failure or a slow call? */
static bool are_troubled(uint64_t totals)
{
    const uint64_t mask = NEAP_BREAKER_TOTAL_MASK * (NEAP_BREAKER_ONE(NEAP_BREAKER_FAILURES) |
                                                     NEAP_BREAKER_ONE(NEAP_BREAKER_SLOW));
    return ((totals ^ neap_breaker_no_totals(0)) & mask) != 0;
}

/* At least 0 and at most `most`. */
static uint64_t total_of(uint64_t totals, enum neap_breaker_counter counter, uint64_t most)
{
    uint64_t field = totals >> (counter * NEAP_BREAKER_TOTAL_BITS) & NEAP_BREAKER_TOTAL_MASK;
    uint64_t total = field > NEAP_BREAKER_TOTAL_ZERO ? field - NEAP_BREAKER_TOTAL_ZERO : 0;
    return total < most ? total : most;
}

static struct neap_tally tally_of(uint64_t totals)
{
    uint64_t calls = total_of(totals, NEAP_BREAKER_CALLS, NEAP_BREAKER_TOTAL_MASK);
    return (struct neap_tally){{
        [NEAP_BREAKER_CALLS] = calls,
        [NEAP_BREAKER_FAILURES] = total_of(totals, NEAP_BREAKER_FAILURES, calls),
        [NEAP_BREAKER_SLOW] = total_of(totals, NEAP_BREAKER_SLOW, calls),
    }};
}

/* `totals` is what they have become. */
static inline bool replace_in_totals(struct neap_breaker *breaker,
                                     const struct neap_breaker_policy *policy, uint32_t generation,
                                     unsigned old, unsigned result, uint64_t *totals)
{
    uint64_t seen = atomic_load(&breaker->totals);
    uint64_t next = seen;
    do {
        bool is_ours = are_of(seen, generation);
        if (!may_swap(breaker, generation, is_ours))
            return false;
        if (is_ours && old == result)
            break;
        next = (is_ours ? seen : neap_breaker_no_totals(generation)) + worth[result] - worth[old];
    } while (!NEAP_SWAP(&breaker->totals, &seen, next, policy->is_private));
    *totals = next;
    return true;
}

/* ---- window ---- */

static void add_to_slices(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                          uint32_t generation, unsigned result, int64_t now_ns)
{
    struct neap_tally addend = {{
        [NEAP_BREAKER_CALLS] = 1,
        [NEAP_BREAKER_FAILURES] = neap_breaker_result_failed(result),
        [NEAP_BREAKER_SLOW] = neap_breaker_result_slow(result),
    }};
    neap_slices_add(neap_breaker_window_slices(breaker, policy), policy->window_seconds,
                    (uint16_t)generation, now_ns, addend);
}

static bool add_to_ring(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                        uint32_t generation, unsigned result, struct neap_tally *tally,
                        uint32_t *in_row)
{
    uint64_t sequence = atomic_load(&breaker->sequence);
    uint64_t totals;
    uint32_t place;
    unsigned old;
    if (!advance(breaker, policy, generation, policy->window_count, result, sequence, &place,
                 in_row) ||
        !swap_result(breaker, policy, generation, place, result, &old) ||
        !replace_in_totals(breaker, policy, generation, old, result, &totals) ||
        (*in_row == 0 && !are_troubled(totals)))
        return false;
    *tally = tally_of(totals);
    return true;
}

bool neap_breaker_window_add(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                             uint32_t generation, unsigned result, int64_t now_ns,
                             struct neap_tally *tally, uint32_t *in_row)
{
    uint32_t place;
    if (policy->window_count > 0)
        return add_to_ring(breaker, policy, generation, result, tally, in_row);
    uint64_t sequence = atomic_load(&breaker->sequence);
    if (!advance(breaker, policy, generation, 0, result, sequence, &place, in_row))
        return false;
    add_to_slices(breaker, policy, generation, result, now_ns);
    *tally = neap_breaker_window_tally(breaker, policy, generation, now_ns);
    return true;
}

struct neap_tally neap_breaker_window_tally(const struct neap_breaker *breaker,
                                            const struct neap_breaker_policy *policy,
                                            uint32_t generation, int64_t now_ns)
{
    if (policy->window_count > 0) {
        uint64_t totals = atomic_load(&breaker->totals);
        return tally_of(are_of(totals, generation) ? totals : neap_breaker_no_totals(generation));
    }
    return neap_slices_sum(neap_breaker_window_slices_const(breaker, policy),
                           policy->window_seconds, (uint16_t)generation, now_ns);
}
