/* The bulkhead's memory, and its two steps as one thread makes them that has it alone, for callers
 * in a hurry. What the words mean stands in bulkhead.c. */
#ifndef NEAP_POLICY_BULKHEAD_SLOTS_H
#define NEAP_POLICY_BULKHEAD_SLOTS_H

#include <stdatomic.h>

#include "base/holder.h"
#include "policy/bulkhead.h"

struct neap_bulkhead {
    _Atomic uint64_t freed; /* from 1 on, so that a full_at of 0 is never equal */
    _Atomic uint64_t full_at;
    _Atomic uint32_t next;
    _Atomic uint32_t slot[];
};

#define NEAP_SLOT_IS_OUT UINT32_C(1)
#define NEAP_SLOT_HOLDER_SHIFT 1
#define NEAP_SLOT_USES_SHIFT (NEAP_SLOT_HOLDER_SHIFT + NEAP_HOLDER_BITS)
#define NEAP_SLOT_NUMBER_SHIFT 32

static inline uint32_t neap_slot_out(uint32_t word, uint32_t holder)
{
    return word | (holder & NEAP_HOLDER_MAX) << NEAP_SLOT_HOLDER_SHIFT | NEAP_SLOT_IS_OUT;
}

static inline uint32_t neap_slot_free(uint32_t word)
{
    return ((word >> NEAP_SLOT_USES_SHIFT) + 1) << NEAP_SLOT_USES_SHIFT;
}

static inline int64_t neap_slot_permit(uint32_t slot, uint32_t word)
{
    return ((int64_t)slot + 1) << NEAP_SLOT_NUMBER_SHIFT | word;
}

/* A permit of the next slot; 0 where that one is out. */
static inline int64_t neap_bulkhead_take_next(struct neap_bulkhead *bulkhead,
                                              const struct neap_bulkhead_policy *policy,
                                              uint32_t holder)
{
    uint32_t next = atomic_load_explicit(&bulkhead->next, memory_order_relaxed);
    uint32_t i = next < policy->max_concurrent ? next : 0;
    uint32_t seen = atomic_load_explicit(&bulkhead->slot[i], memory_order_relaxed);
    if (seen & NEAP_SLOT_IS_OUT)
        return 0;
    uint32_t taken = neap_slot_out(seen, holder);
    atomic_store_explicit(&bulkhead->next, i + 1, memory_order_relaxed);
    atomic_store_explicit(&bulkhead->slot[i], taken, memory_order_relaxed);
    return neap_slot_permit(i, taken);
}

/* As neap_bulkhead_release, of a permit that was given and was not given back by the thread. */
static inline void neap_bulkhead_put_back(struct neap_bulkhead *bulkhead, int64_t permit)
{
    uint32_t i = (uint32_t)(permit >> NEAP_SLOT_NUMBER_SHIFT) - 1;
    uint32_t word = (uint32_t)((uint64_t)permit & UINT32_MAX);
    uint64_t freed = atomic_load_explicit(&bulkhead->freed, memory_order_relaxed);
    if (atomic_load_explicit(&bulkhead->slot[i], memory_order_relaxed) != word)
        return;
    atomic_store_explicit(&bulkhead->slot[i], neap_slot_free(word), memory_order_relaxed);
    if (atomic_load_explicit(&bulkhead->full_at, memory_order_relaxed) == freed)
        atomic_store_explicit(&bulkhead->next, i, memory_order_relaxed);
    atomic_store_explicit(&bulkhead->freed, freed + 1, memory_order_relaxed);
}

#endif
