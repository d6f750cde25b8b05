#include "policy/breaker_probes.h"

#include "base/duration.h"
#include "base/holder.h"
#include "policy/breaker_internal.h"
#include "policy/breaker_rates.h"

/* A cell:    generation 6 (its low bits) | holder 8 | uses 8 | content 42
 *            content: 0 free, 1 to 4 a result, else the lease's end in milliseconds, plus 8
 * A permit:  generation 28 | uses 8 | lease 7 (its low bits) | cell + 1 (0: no probe) 10, so below
 *            2^53 and never 0
 *
 * All cells are laid out before the state becomes half open, so each one belongs to the current
 * half-open generation; the generation in the cell only keeps a swap that was begun before that
 * from succeeding. `uses` counts how often an ignored or reclaimed probe gave the cell back: with
 * the lease's end, it makes the permits of one cell differ. The content has room for times since
 * 1970, since a breaker that stands alone may be given such a clock.
 *
 * Each step is one swap of one cell, and what it leaves behind where its caller is killed next:
 *
 *     prepare    the state is open: cells of the generation to come, all free. Nobody looks at them
 *                before the state word is swapped, and who prepares next lays out the same again.
 *     take       free -> out, with holder and lease. Until the lease ends, or its holder is
 *                reclaimed, the probe is out.
 *     settle     out -> a result, or free with one use more. What follows from the results is
 *                decided by the next acquire or record, if not by who put the last one there.
 *     expire     out -> failed, likewise.
 *     reclaim    out in that holder's name -> free with one use more. The rest is for whoever
 *                reclaims that holder again.
 *
 * docs/models/breaker.pml is the model of these steps. */
#define CONTENT_BITS 42
#define CONTENT_MASK ((UINT64_C(1) << CONTENT_BITS) - 1)
#define CONTENT_FREE UINT64_C(0)
#define CONTENT_LEASE UINT64_C(8)
#define LEASE_END_MAX_MS ((int64_t)(CONTENT_MASK - CONTENT_LEASE))
#define USES_BITS 8
#define USES_MASK ((UINT32_C(1) << USES_BITS) - 1)
#define HOLDER_SHIFT (CONTENT_BITS + USES_BITS)
#define TAG_SHIFT (HOLDER_SHIFT + NEAP_HOLDER_BITS)
#define TAG_MASK ((UINT32_C(1) << (64 - TAG_SHIFT)) - 1)

#define NUMBER_BITS 10
#define NUMBER_MASK ((INT64_C(1) << NUMBER_BITS) - 1)
#define LEASE_MARK_BITS 7
#define LEASE_MARK_MASK ((UINT32_C(1) << LEASE_MARK_BITS) - 1)
#define MARK_BITS (USES_BITS + LEASE_MARK_BITS)
#define MARK_MASK ((UINT32_C(1) << MARK_BITS) - 1)

_Static_assert(NUMBER_BITS + MARK_BITS == NEAP_BREAKER_PERMIT_SHIFT, "the generation follows");
_Static_assert(NEAP_BREAKER_PERMITS_MAX <= NUMBER_MASK, "a permit has room for each cell");
_Static_assert(NEAP_BREAKER_PERMIT_SHIFT + NEAP_BREAKER_GENERATION_BITS <= 53,
               "a double holds each permit");

static uint64_t pack_cell(uint32_t generation, uint32_t holder, uint32_t uses, uint64_t content)
{
    return (uint64_t)(generation & TAG_MASK) << TAG_SHIFT |
           (uint64_t)(holder & NEAP_HOLDER_MAX) << HOLDER_SHIFT |
           (uint64_t)(uses & USES_MASK) << CONTENT_BITS | content;
}

static uint32_t holder_of(uint64_t cell)
{
    return (uint32_t)(cell >> HOLDER_SHIFT) & NEAP_HOLDER_MAX;
}

static uint32_t uses_of(uint64_t cell)
{
    return (uint32_t)(cell >> CONTENT_BITS) & USES_MASK;
}

static uint64_t content_of(uint64_t cell)
{
    return cell & CONTENT_MASK;
}

static bool is_out(uint64_t cell)
{
    return content_of(cell) >= CONTENT_LEASE;
}

static uint64_t lease_from(const struct neap_breaker_policy *policy, int64_t now_ns)
{
    int64_t end_ns = neap_time_max(neap_time_add(now_ns, policy->lease_ns), 0);
    int64_t end_ms = end_ns / NEAP_MS + (end_ns % NEAP_MS > 0);
    return CONTENT_LEASE + (uint64_t)neap_time_min(end_ms, LEASE_END_MAX_MS);
}

static int64_t lease_end_ns(uint64_t cell)
{
    return (int64_t)(content_of(cell) - CONTENT_LEASE) * NEAP_MS;
}

/* What a permit knows of its cell while that is out. */
static uint32_t mark_of(uint64_t cell)
{
    return uses_of(cell) << LEASE_MARK_BITS | ((uint32_t)content_of(cell) & LEASE_MARK_MASK);
}

static int64_t pack_permit(uint32_t generation, uint32_t mark, uint32_t number)
{
    return (int64_t)generation << NEAP_BREAKER_PERMIT_SHIFT | (int64_t)mark << NUMBER_BITS | number;
}

void neap_breaker_probes_init(struct neap_breaker *breaker,
                              const struct neap_breaker_policy *policy)
{
    for (uint32_t i = 0; i < policy->permits; i++)
        atomic_init(&breaker->cells[i], 0);
}

void neap_breaker_probes_prepare(struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, uint32_t generation)
{
    uint64_t laid_out = pack_cell(neap_breaker_next_generation(generation), 0, 0, CONTENT_FREE);
    for (uint32_t i = 0; i < policy->permits; i++) {
        uint64_t seen = atomic_load(&breaker->cells[i]);
        do {
            if (!neap_breaker_is_current(breaker, generation))
                return;
        } while (!atomic_compare_exchange_weak(&breaker->cells[i], &seen, laid_out));
    }
}

/* What the cell is while it is out, or 0. */
static uint64_t take_cell(struct neap_breaker *breaker, _Atomic uint64_t *cell, uint32_t generation,
                          uint32_t holder, uint64_t lease)
{
    uint64_t seen = atomic_load(cell);
    uint64_t taken;
    do {
        if (content_of(seen) != CONTENT_FREE || !neap_breaker_is_current(breaker, generation))
            return 0;
        taken = pack_cell(generation, holder, uses_of(seen), lease);
    } while (!atomic_compare_exchange_weak(cell, &seen, taken));
    return taken;
}

int64_t neap_breaker_probes_take(struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, uint32_t generation,
                                 uint32_t holder, int64_t now_ns)
{
    uint64_t lease = lease_from(policy, now_ns);
    for (uint32_t i = 0; i < policy->permits; i++) {
        uint64_t taken = take_cell(breaker, &breaker->cells[i], generation, holder, lease);
        if (taken)
            return pack_permit(generation, mark_of(taken), i + 1);
    }
    return 0;
}

bool neap_breaker_probes_settle(struct neap_breaker *breaker,
                                const struct neap_breaker_policy *policy, int64_t permit,
                                unsigned result)
{
    uint32_t generation = neap_breaker_permit_generation(permit);
    uint32_t mark = (uint32_t)(permit >> NUMBER_BITS) & MARK_MASK;
    int64_t number = permit & NUMBER_MASK;
    if (number < 1 || number > policy->permits)
        return false;
    _Atomic uint64_t *cell = &breaker->cells[number - 1];
    uint64_t seen = atomic_load(cell);
    uint64_t next;
    do {
        if (!is_out(seen) || mark_of(seen) != mark || !neap_breaker_is_current(breaker, generation))
            return false;
        next = pack_cell(generation, 0, uses_of(seen) + (result == CONTENT_FREE), result);
    } while (!atomic_compare_exchange_weak(cell, &seen, next));
    return true;
}

uint32_t neap_breaker_probes_reclaim(struct neap_breaker *breaker,
                                     const struct neap_breaker_policy *policy, uint32_t generation,
                                     uint32_t holder)
{
    uint32_t reclaimed = 0;
    for (uint32_t i = 0; i < policy->permits; i++) {
        uint64_t seen = atomic_load(&breaker->cells[i]);
        uint64_t next = pack_cell(generation, 0, uses_of(seen) + 1, CONTENT_FREE);
        if (is_out(seen) && holder_of(seen) == holder &&
            neap_breaker_is_current(breaker, generation))
            reclaimed += atomic_compare_exchange_strong(&breaker->cells[i], &seen, next);
    }
    return reclaimed;
}

/* The cell whose lease ended first, or NULL; `seen` is what it held. */
static _Atomic uint64_t *first_ended(struct neap_breaker *breaker,
                                     const struct neap_breaker_policy *policy, int64_t now_ns,
                                     uint64_t *seen)
{
    _Atomic uint64_t *first = NULL;
    for (uint32_t i = 0; i < policy->permits; i++) {
        uint64_t cell = atomic_load(&breaker->cells[i]);
        if (!is_out(cell) || lease_end_ns(cell) > now_ns)
            continue;
        if (first && lease_end_ns(cell) >= lease_end_ns(*seen))
            continue;
        first = &breaker->cells[i];
        *seen = cell;
    }
    return first;
}

bool neap_breaker_probes_expire(struct neap_breaker *breaker,
                                const struct neap_breaker_policy *policy, uint32_t generation,
                                int64_t now_ns, int64_t *ended_ns)
{
    uint64_t failed = neap_breaker_result(true, false);
    for (;;) {
        uint64_t seen;
        _Atomic uint64_t *cell = first_ended(breaker, policy, now_ns, &seen);
        if (!cell || !neap_breaker_is_current(breaker, generation))
            return false;
        uint64_t next = pack_cell(generation, 0, uses_of(seen), failed);
        if (atomic_compare_exchange_strong(cell, &seen, next)) {
            *ended_ns = lease_end_ns(seen);
            return true;
        }
    }
}

struct neap_tally neap_breaker_probes_tally(const struct neap_breaker *breaker,
                                            const struct neap_breaker_policy *policy,
                                            uint32_t generation)
{
    struct neap_tally tally = {{0}};
    for (uint32_t i = 0; i < policy->permits; i++) {
        uint64_t cell = atomic_load(&breaker->cells[i]);
        uint64_t result = content_of(cell);
        bool is_ours = (cell >> TAG_SHIFT) == (generation & TAG_MASK);
        if (!is_ours || result < 1 || result > NEAP_BREAKER_RESULT_MAX)
            continue;
        tally.counter[NEAP_BREAKER_CALLS]++;
        tally.counter[NEAP_BREAKER_FAILURES] += neap_breaker_result_failed((unsigned)result);
        tally.counter[NEAP_BREAKER_SLOW] += neap_breaker_result_slow((unsigned)result);
    }
    return tally;
}
