#include "policy/bulkhead.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/duration.h"
#include "base/private.h"
#include "policy/bulkhead_slots.h"

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
               "shared memory needs atomics without locks");

/* A slot:    uses 23 | holder 8 | out 1
 * A permit:  slot's number from 1 on, above 32 bits that are the slot's word; below 2^49, never 0
 *
 * The slots are the truth: a place is taken by swapping a free slot to "out" and given back by
 * swapping it to "free", and no count of them exists that could be wrong. The other words only
 * spare searches, and may say anything without a permit too many or a place lost:
 *
 *     next      where the next search begins
 *     freed     how many were given back so far: it moves after a slot became free
 *     full_at   the value of `freed` throughout a search that found every slot out
 *
 * While freed == full_at nobody has finished giving back since then, so all are out.
 *
 *     acquire   A1  reads freed
 *               A2  reads full_at: equal, it is full, and one slot is looked at instead of all
 *               A3  moves next on
 *               A4  swaps the first free slot to "out" with its holder's name: admitted
 *               A5  found none, and looked at all: reads freed; if it has moved, begins anew
 *               A6  writes it to full_at: refused
 *     release   R1  swaps its slot to "free", one use more; where it is not out as the permit says,
 *                   nothing happens
 *               R2  if freed == full_at, sets next to that slot
 *               R3  freed + 1
 *     reclaim   C1  each slot that is out in the holder's name: R1 to R3
 *               C2  freed + 1, whether there was one or not
 *
 * Who is killed leaves behind
 *     before A4, or after A6   nothing
 *     after A4, before R1      a slot in its name, which reclaim finds
 *     after R1, before R3      a free slot, and perhaps freed == full_at; C2 ends that. Before it,
 *                              each refusal has looked at one slot, and the next one at the next,
 *                              so that after at most max_concurrent of them the slot is found
 *     within reclaim           the rest for whoever reclaims that holder again
 *
 * A refusal was true at one moment at least, if giving back counts as done at R3: between the two
 * readings of freed (A1 and A5, or a search before and A2) no R3 lies, so each slot that was seen
 * out is out, or free with its R3 still to come.
 *
 * docs/models/bulkhead.pml is the model of these steps; whoever changes one changes both. */

static uint32_t holder_of(uint32_t word)
{
    return word >> NEAP_SLOT_HOLDER_SHIFT & NEAP_HOLDER_MAX;
}

size_t neap_bulkhead_bytes(const struct neap_bulkhead_policy *policy)
{
    size_t bytes = offsetof(struct neap_bulkhead, slot) + policy->max_concurrent * sizeof(uint32_t);
    return (bytes + 7) & ~(size_t)7;
}

void neap_bulkhead_init(struct neap_bulkhead *bulkhead, const struct neap_bulkhead_policy *policy)
{
    atomic_init(&bulkhead->freed, 1);
    atomic_init(&bulkhead->full_at, 0);
    atomic_init(&bulkhead->next, 0);
    for (uint32_t i = 0; i < policy->max_concurrent; i++)
        atomic_init(&bulkhead->slot[i], 0);
}

/* The slot's word while it is out, or 0 where somebody else has it. */
static uint32_t take_slot(_Atomic uint32_t *slot, uint32_t holder, bool is_private)
{
    uint32_t seen = atomic_load(slot);
    uint32_t taken;
    do {
        if (seen & NEAP_SLOT_IS_OUT)
            return 0;
        taken = neap_slot_out(seen, holder);
    } while (!NEAP_SWAP(slot, &seen, taken, is_private));
    return taken;
}

static uint32_t next_start(struct neap_bulkhead *bulkhead,
                           const struct neap_bulkhead_policy *policy)
{
    uint32_t max = policy->max_concurrent;
    if (!policy->is_private)
        return atomic_fetch_add(&bulkhead->next, 1) % max;
    uint32_t start = atomic_load_explicit(&bulkhead->next, memory_order_relaxed);
    start = start < max ? start : 0;
    atomic_store_explicit(&bulkhead->next, start + 1, memory_order_relaxed);
    return start;
}

/* Looks at so many slots from `next` on; a permit, or 0. */
static int64_t search(struct neap_bulkhead *bulkhead, const struct neap_bulkhead_policy *policy,
                      uint32_t slots, uint32_t holder)
{
    uint32_t max = policy->max_concurrent;
    uint32_t i = next_start(bulkhead, policy);
    for (; slots > 0; slots--) {
        uint32_t taken = take_slot(&bulkhead->slot[i], holder, policy->is_private);
        if (taken)
            return neap_slot_permit(i, taken);
        i = i + 1 < max ? i + 1 : 0;
    }
    return 0;
}

/* Goes round again only where somebody gave back meanwhile. */
static int64_t take_any(struct neap_bulkhead *bulkhead, const struct neap_bulkhead_policy *policy,
                        uint32_t holder)
{
    for (;;) {
        uint64_t freed = atomic_load(&bulkhead->freed);
        bool is_full = atomic_load(&bulkhead->full_at) == freed;
        int64_t permit = search(bulkhead, policy, is_full ? 1 : policy->max_concurrent, holder);
        if (permit || is_full)
            return permit;
        if (atomic_load(&bulkhead->freed) == freed) {
            atomic_store(&bulkhead->full_at, freed);
            return 0;
        }
    }
}

int64_t neap_bulkhead_take(struct neap_bulkhead *bulkhead,
                           const struct neap_bulkhead_policy *policy, uint32_t holder)
{
    int64_t permit = policy->is_private ? neap_bulkhead_take_next(bulkhead, policy, holder) : 0;
    return permit ? permit : take_any(bulkhead, policy, holder);
}

struct neap_admission neap_bulkhead_acquire(struct neap_bulkhead *bulkhead,
                                            const struct neap_bulkhead_policy *policy,
                                            uint32_t holder, int64_t now_ns)
{
    int64_t permit = neap_bulkhead_take(bulkhead, policy, holder);
    if (!permit)
        return (struct neap_admission){.decision = NEAP_REFUSE, .until_ns = NEAP_NEVER};
    return (struct neap_admission){.decision = NEAP_ADMIT, .until_ns = now_ns, .permit = permit};
}

static bool give_back(struct neap_bulkhead *bulkhead, const struct neap_bulkhead_policy *policy,
                      uint32_t i, uint32_t word)
{
    uint32_t seen = atomic_load(&bulkhead->slot[i]);
    do {
        if (seen != word)
            return false;
    } while (!NEAP_SWAP(&bulkhead->slot[i], &seen, neap_slot_free(word), policy->is_private));
    if (atomic_load(&bulkhead->full_at) == atomic_load(&bulkhead->freed))
        atomic_store_explicit(&bulkhead->next, i, memory_order_relaxed);
    if (policy->is_private)
        NEAP_ADD(&bulkhead->freed, 1, true);
    else
        atomic_fetch_add(&bulkhead->freed, 1);
    return true;
}

bool neap_bulkhead_release(struct neap_bulkhead *bulkhead,
                           const struct neap_bulkhead_policy *policy, int64_t permit)
{
    int64_t number = permit >> NEAP_SLOT_NUMBER_SHIFT;
    uint32_t word = (uint32_t)((uint64_t)permit & UINT32_MAX);
    if (number < 1 || number > policy->max_concurrent || !(word & NEAP_SLOT_IS_OUT))
        return false;
    return give_back(bulkhead, policy, (uint32_t)number - 1, word);
}

uint32_t neap_bulkhead_place(int64_t permit)
{
    return (uint32_t)(permit >> NEAP_SLOT_NUMBER_SHIFT) - 1;
}

uint32_t neap_bulkhead_reclaim(struct neap_bulkhead *bulkhead,
                               const struct neap_bulkhead_policy *policy, uint32_t holder)
{
    uint32_t reclaimed = 0;
    for (uint32_t i = 0; i < policy->max_concurrent; i++) {
        uint32_t word = atomic_load(&bulkhead->slot[i]);
        if (word & NEAP_SLOT_IS_OUT && holder_of(word) == holder)
            reclaimed += give_back(bulkhead, policy, i, word);
    }
    atomic_fetch_add(&bulkhead->freed, 1);
    return reclaimed;
}

uint32_t neap_bulkhead_in_use(const struct neap_bulkhead *bulkhead,
                              const struct neap_bulkhead_policy *policy)
{
    uint32_t in_use = 0;
    for (uint32_t i = 0; i < policy->max_concurrent; i++)
        in_use += atomic_load(&bulkhead->slot[i]) & NEAP_SLOT_IS_OUT;
    return in_use;
}
