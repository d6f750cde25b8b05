#include "policy/breaker_window.h"

#include "policy/breaker_internal.h"
#include "policy/breaker_rates.h"

/* Each word carries its generation, and a word of another one is empty. So a change of state
 * empties the window by itself; whoever writes a stale word first replaces it. The rule that makes
 * it safe stands above struct neap_breaker.
 *
 *     sequence   generation 28 | next place in the ring 14 | failures in a row 22
 *     ring       generation 28 | 12 results of 3 bits, 0: none
 *     totals     generation 19 (its low bits) | calls, failures, slow calls of the ring, 15 each
 *
 * Two callers that are a whole lap apart may swap the same place in either order: each adds to the
 * totals what it put in minus what it found, so they agree with the ring as soon as both are done.
 * Until then a total may be below zero, so its fields are signed. A process that is killed between
 * the two leaves the totals one result off until the generation ends.
 *
 * The 19 bits could take a stale total for a new one only after 2^19 changes of state by hand
 * without one result between them. */
#define SEQUENCE_GENERATION_SHIFT 36
#define SEQUENCE_PLACE_SHIFT 22
#define PLACE_MASK UINT64_C(0x3FFF)

#define RING_GENERATION_SHIFT 36
#define RESULT_BITS 3
#define RESULTS_IN_WORD (RING_GENERATION_SHIFT / RESULT_BITS)
#define RESULT_MASK UINT64_C(7)

#define TOTAL_BITS 15
#define TOTAL_MASK ((INT64_C(1) << TOTAL_BITS) - 1)
#define TOTAL_SIGN (INT64_C(1) << (TOTAL_BITS - 1))
#define TOTALS_GENERATION_SHIFT (3 * TOTAL_BITS)

struct totals {
    int64_t counter[3];
};

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
    atomic_init(&breaker->totals, 0);
    if (policy->window_count == 0)
        neap_slices_init(neap_breaker_window_slices(breaker, policy), policy->window_seconds);
    for (uint32_t i = 0; i < ring_words(policy); i++)
        atomic_init(&breaker->cells[policy->permits + i], 0);
}

/* ---- sequence ---- */

static uint64_t pack_sequence(uint32_t generation, uint32_t place, uint32_t in_row)
{
    return (uint64_t)generation << SEQUENCE_GENERATION_SHIFT |
           (uint64_t)place << SEQUENCE_PLACE_SHIFT | in_row;
}

static uint32_t in_row_of(uint64_t sequence, uint32_t generation)
{
    bool is_ours = sequence >> SEQUENCE_GENERATION_SHIFT == generation;
    return is_ours ? (uint32_t)sequence & NEAP_BREAKER_IN_ROW_MAX : 0;
}

static uint32_t place_of(uint64_t sequence, uint32_t generation)
{
    bool is_ours = sequence >> SEQUENCE_GENERATION_SHIFT == generation;
    return is_ours ? (uint32_t)(sequence >> SEQUENCE_PLACE_SHIFT & PLACE_MASK) : 0;
}

static uint32_t next_in_row(uint32_t in_row, unsigned result)
{
    if (!neap_breaker_result_failed(result))
        return 0;
    return in_row < NEAP_BREAKER_IN_ROW_MAX ? in_row + 1 : in_row;
}

/* Takes the next place in a ring of `places` (0: there is no ring) and counts the failures in a
 * row, in one step, so that both see the results in the same order. */
static bool advance(struct neap_breaker *breaker, uint32_t generation, uint32_t places,
                    unsigned result, uint32_t *place, uint32_t *in_row)
{
    uint64_t seen = atomic_load(&breaker->sequence);
    uint64_t next;
    do {
        if (!neap_breaker_is_current(breaker, generation))
            return false;
        *place = place_of(seen, generation);
        *place = *place < places ? *place : 0; /* what a stranger wrote leads nowhere outside */
        *in_row = next_in_row(in_row_of(seen, generation), result);
        next = pack_sequence(generation, *place + 1 < places ? *place + 1 : 0, *in_row);
    } while (!atomic_compare_exchange_weak(&breaker->sequence, &seen, next));
    return true;
}

uint32_t neap_breaker_window_add_to_row(struct neap_breaker *breaker, uint32_t generation,
                                        unsigned result)
{
    uint32_t place;
    uint32_t in_row;
    return advance(breaker, generation, 0, result, &place, &in_row) ? in_row : 0;
}

uint32_t neap_breaker_window_in_row(const struct neap_breaker *breaker, uint32_t generation)
{
    return in_row_of(atomic_load(&breaker->sequence), generation);
}

void neap_breaker_window_set_in_row(struct neap_breaker *breaker, uint32_t generation,
                                    uint32_t in_row)
{
    uint32_t place = place_of(atomic_load(&breaker->sequence), generation);
    atomic_store(&breaker->sequence, pack_sequence(generation, place, in_row));
}

/* ---- ring ---- */

static unsigned result_at(uint64_t word, uint32_t generation, uint32_t place)
{
    if (word >> RING_GENERATION_SHIFT != generation)
        return 0;
    return (unsigned)(word >> (place % RESULTS_IN_WORD * RESULT_BITS) & RESULT_MASK);
}

static uint64_t with_result(uint64_t word, uint32_t generation, uint32_t place, unsigned result)
{
    unsigned shift = place % RESULTS_IN_WORD * RESULT_BITS;
    if (word >> RING_GENERATION_SHIFT != generation)
        word = (uint64_t)generation << RING_GENERATION_SHIFT;
    return (word & ~(RESULT_MASK << shift)) | (uint64_t)result << shift;
}

static bool swap_result(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                        uint32_t generation, uint32_t place, unsigned result, unsigned *old)
{
    _Atomic uint64_t *cell = &breaker->cells[policy->permits + place / RESULTS_IN_WORD];
    uint64_t seen = atomic_load(cell);
    uint64_t next;
    do {
        if (!neap_breaker_is_current(breaker, generation))
            return false;
        *old = result_at(seen, generation, place);
        next = with_result(seen, generation, place, result);
    } while (!atomic_compare_exchange_weak(cell, &seen, next));
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

static uint64_t totals_tag(uint32_t generation)
{
    return (uint64_t)generation << TOTALS_GENERATION_SHIFT >> TOTALS_GENERATION_SHIFT;
}

static int64_t total_of(uint64_t word, int i)
{
    int64_t field = (int64_t)(word >> (i * TOTAL_BITS)) & TOTAL_MASK;
    return (field ^ TOTAL_SIGN) - TOTAL_SIGN;
}

static struct totals unpack_totals(uint64_t word, uint32_t generation)
{
    struct totals totals = {{0}};
    if (word >> TOTALS_GENERATION_SHIFT == totals_tag(generation))
        for (int i = 0; i < 3; i++)
            totals.counter[i] = total_of(word, i);
    return totals;
}

static uint64_t pack_totals(struct totals totals, uint32_t generation)
{
    uint64_t word = totals_tag(generation) << TOTALS_GENERATION_SHIFT;
    for (int i = 0; i < 3; i++)
        word |= (uint64_t)(totals.counter[i] & TOTAL_MASK) << (i * TOTAL_BITS);
    return word;
}

static int64_t within(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static struct neap_tally tally_of(struct totals totals)
{
    int64_t calls = within(totals.counter[NEAP_BREAKER_CALLS], 0, INT64_MAX);
    struct neap_tally tally = {{0}};
    for (int i = 0; i < 3; i++)
        tally.counter[i] = (uint64_t)within(totals.counter[i], 0, calls);
    return tally;
}

static void add_result(struct totals *totals, unsigned result, int64_t times)
{
    if (result == 0)
        return;
    totals->counter[NEAP_BREAKER_CALLS] += times;
    totals->counter[NEAP_BREAKER_FAILURES] += neap_breaker_result_failed(result) ? times : 0;
    totals->counter[NEAP_BREAKER_SLOW] += neap_breaker_result_slow(result) ? times : 0;
}

static bool replace_in_totals(struct neap_breaker *breaker, uint32_t generation, unsigned old,
                              unsigned result, struct neap_tally *tally)
{
    uint64_t seen = atomic_load(&breaker->totals);
    struct totals totals;
    do {
        if (!neap_breaker_is_current(breaker, generation))
            return false;
        totals = unpack_totals(seen, generation);
        add_result(&totals, result, 1);
        add_result(&totals, old, -1);
    } while (
        !atomic_compare_exchange_weak(&breaker->totals, &seen, pack_totals(totals, generation)));
    *tally = tally_of(totals);
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

bool neap_breaker_window_add(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                             uint32_t generation, unsigned result, int64_t now_ns,
                             struct neap_tally *tally, uint32_t *in_row)
{
    uint32_t place;
    unsigned old;
    if (!advance(breaker, generation, policy->window_count, result, &place, in_row))
        return false;
    if (policy->window_count > 0)
        return swap_result(breaker, policy, generation, place, result, &old) &&
               replace_in_totals(breaker, generation, old, result, tally);
    add_to_slices(breaker, policy, generation, result, now_ns);
    *tally = neap_breaker_window_tally(breaker, policy, generation, now_ns);
    return true;
}

struct neap_tally neap_breaker_window_tally(const struct neap_breaker *breaker,
                                            const struct neap_breaker_policy *policy,
                                            uint32_t generation, int64_t now_ns)
{
    if (policy->window_count > 0)
        return tally_of(unpack_totals(atomic_load(&breaker->totals), generation));
    return neap_slices_sum(neap_breaker_window_slices_const(breaker, policy),
                           policy->window_seconds, (uint16_t)generation, now_ns);
}
