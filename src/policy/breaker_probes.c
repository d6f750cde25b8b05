#include "policy/breaker_probes.h"

#include "base/duration.h"
#include "policy/breaker_internal.h"
#include "policy/breaker_rates.h"

/* A cell:    generation 7 (its low bits) | uses 15 | content 42
 *            content: 0 free, 1 to 4 a result, else the lease's end in milliseconds, plus 8
 * A permit:  generation 28 | uses 15 | cell + 1 (0: no probe) 10, so below 2^53 and never 0
 *
 * All cells are laid out before the state becomes half open, so each one belongs to the current
 * half-open generation; the generation in the cell only keeps a swap that was begun before that
 * from succeeding. `uses` counts how often an ignored probe gave the cell back: the permits of one
 * cell differ. */
#define CONTENT_BITS 42
#define CONTENT_MASK ((UINT64_C(1) << CONTENT_BITS) - 1)
#define CONTENT_FREE UINT64_C(0)
#define CONTENT_LEASE UINT64_C(8)
#define LEASE_END_MAX_MS ((int64_t)(CONTENT_MASK - CONTENT_LEASE))
#define USES_BITS 15
#define USES_MASK ((UINT32_C(1) << USES_BITS) - 1)
#define TAG_SHIFT (CONTENT_BITS + USES_BITS)
#define TAG_MASK ((UINT32_C(1) << (64 - TAG_SHIFT)) - 1)

#define NUMBER_BITS 10
#define NUMBER_MASK ((INT64_C(1) << NUMBER_BITS) - 1)
#define PERMIT_GENERATION_SHIFT (NUMBER_BITS + USES_BITS)

_Static_assert(NEAP_BREAKER_PERMITS_MAX <= NUMBER_MASK, "a permit has room for each cell");
_Static_assert(PERMIT_GENERATION_SHIFT + NEAP_BREAKER_GENERATION_BITS <= 53,
               "a double holds each permit");

static uint64_t pack_cell(uint32_t generation, uint32_t uses, uint64_t content)
{
    return (uint64_t)(generation & TAG_MASK) << TAG_SHIFT |
           (uint64_t)(uses & USES_MASK) << CONTENT_BITS | content;
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

static int64_t pack_permit(uint32_t generation, uint32_t uses, uint32_t number)
{
    return (int64_t)generation << PERMIT_GENERATION_SHIFT | (int64_t)uses << NUMBER_BITS | number;
}

int64_t neap_breaker_plain_permit(uint32_t generation)
{
    return pack_permit(generation, 0, 0);
}

int64_t neap_breaker_probes_first(uint32_t generation)
{
    return pack_permit(generation, 0, 1);
}

uint32_t neap_breaker_permit_generation(int64_t permit)
{
    int64_t generation = permit >> PERMIT_GENERATION_SHIFT;
    return generation > 0 && generation <= NEAP_BREAKER_GENERATION_MASK ? (uint32_t)generation : 0;
}

void neap_breaker_probes_init(struct neap_breaker *breaker,
                              const struct neap_breaker_policy *policy)
{
    for (uint32_t i = 0; i < policy->permits; i++)
        atomic_init(&breaker->cells[i], 0);
}

void neap_breaker_probes_prepare(struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, uint32_t generation,
                                 int64_t now_ns)
{
    uint32_t next = neap_breaker_next_generation(generation);
    for (uint32_t i = 0; i < policy->permits; i++) {
        uint64_t content = i == 0 ? lease_from(policy, now_ns) : CONTENT_FREE;
        uint64_t seen = atomic_load(&breaker->cells[i]);
        do {
            if (!neap_breaker_is_current(breaker, generation))
                return;
        } while (
            !atomic_compare_exchange_weak(&breaker->cells[i], &seen, pack_cell(next, 0, content)));
    }
}

static bool take_cell(struct neap_breaker *breaker, _Atomic uint64_t *cell, uint32_t generation,
                      uint64_t lease, uint32_t *uses)
{
    uint64_t seen = atomic_load(cell);
    do {
        if (content_of(seen) != CONTENT_FREE || !neap_breaker_is_current(breaker, generation))
            return false;
        *uses = uses_of(seen);
    } while (!atomic_compare_exchange_weak(cell, &seen, pack_cell(generation, *uses, lease)));
    return true;
}

int64_t neap_breaker_probes_take(struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, uint32_t generation,
                                 int64_t now_ns)
{
    uint64_t lease = lease_from(policy, now_ns);
    uint32_t uses;
    for (uint32_t i = 0; i < policy->permits; i++)
        if (take_cell(breaker, &breaker->cells[i], generation, lease, &uses))
            return pack_permit(generation, uses, i + 1);
    return 0;
}

bool neap_breaker_probes_settle(struct neap_breaker *breaker,
                                const struct neap_breaker_policy *policy, int64_t permit,
                                unsigned result)
{
    uint32_t generation = neap_breaker_permit_generation(permit);
    uint32_t uses = (uint32_t)(permit >> NUMBER_BITS) & USES_MASK;
    int64_t number = permit & NUMBER_MASK;
    if (number < 1 || number > policy->permits)
        return false;
    _Atomic uint64_t *cell = &breaker->cells[number - 1];
    uint64_t seen = atomic_load(cell);
    uint64_t next = pack_cell(generation, uses + (result == CONTENT_FREE), result);
    do {
        if (!is_out(seen) || uses_of(seen) != uses || !neap_breaker_is_current(breaker, generation))
            return false;
    } while (!atomic_compare_exchange_weak(cell, &seen, next));
    return true;
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
        uint64_t next = pack_cell(generation, uses_of(seen), failed);
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
