#include "policy/bulkhead.h"

#include <stdatomic.h>

#include "base/duration.h"

#define IS_OUT 1u

struct neap_bulkhead {
    _Atomic uint32_t in_use;
    _Atomic uint32_t next;   /* where the search for a slot begins, so that uses spread evenly */
    _Atomic uint16_t slot[]; /* lowest bit: out; the others: how often it was used */
};

size_t neap_bulkhead_bytes(const struct neap_bulkhead_policy *policy)
{
    size_t bytes = sizeof(struct neap_bulkhead) + policy->max_concurrent * sizeof(uint16_t);
    return (bytes + 7) & ~(size_t)7;
}

void neap_bulkhead_init(struct neap_bulkhead *bulkhead, const struct neap_bulkhead_policy *policy)
{
    atomic_init(&bulkhead->in_use, 0);
    atomic_init(&bulkhead->next, 0);
    for (uint32_t i = 0; i < policy->max_concurrent; i++)
        atomic_init(&bulkhead->slot[i], 0);
}

static bool claim_one(struct neap_bulkhead *bulkhead, uint32_t max)
{
    uint32_t seen = atomic_load(&bulkhead->in_use);
    while (seen < max)
        if (atomic_compare_exchange_weak(&bulkhead->in_use, &seen, seen + 1))
            return true;
    return false;
}

static bool take_slot(_Atomic uint16_t *slot, uint16_t *taken)
{
    uint16_t seen = atomic_load(slot);
    if (seen & IS_OUT)
        return false;
    *taken = (uint16_t)(seen | IS_OUT);
    return atomic_compare_exchange_strong(slot, &seen, *taken);
}

/* Ends, because who has claimed one has a free slot: a slot is freed before its claim is given up,
 * and the search goes round again only where somebody else got ahead. */
static int64_t take_any(struct neap_bulkhead *bulkhead, uint32_t max)
{
    uint32_t i = atomic_fetch_add(&bulkhead->next, 1) % max;
    uint16_t taken = 0;
    while (!take_slot(&bulkhead->slot[i], &taken))
        i = i + 1 < max ? i + 1 : 0;
    return ((int64_t)i + 1) << 16 | taken;
}

struct neap_admission neap_bulkhead_acquire(struct neap_bulkhead *bulkhead,
                                            const struct neap_bulkhead_policy *policy,
                                            int64_t now_ns)
{
    if (!claim_one(bulkhead, policy->max_concurrent))
        return (struct neap_admission){.decision = NEAP_REFUSE, .until_ns = NEAP_NEVER};
    return (struct neap_admission){.decision = NEAP_ADMIT,
                                   .until_ns = now_ns,
                                   .permit = take_any(bulkhead, policy->max_concurrent)};
}

bool neap_bulkhead_release(struct neap_bulkhead *bulkhead,
                           const struct neap_bulkhead_policy *policy, int64_t permit)
{
    int64_t number = permit >> 16;
    uint16_t word = (uint16_t)(permit & 0xFFFF);
    if (number < 1 || number > policy->max_concurrent || !(word & IS_OUT))
        return false;
    uint16_t used = (uint16_t)(word + 1);
    if (!atomic_compare_exchange_strong(&bulkhead->slot[number - 1], &word, used))
        return false;
    atomic_fetch_sub(&bulkhead->in_use, 1);
    return true;
}

uint32_t neap_bulkhead_in_use(const struct neap_bulkhead *bulkhead)
{
    return atomic_load(&bulkhead->in_use);
}
