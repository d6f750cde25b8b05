#include "metrics/open_keys.h"

#include <stdbool.h>
#include <stddef.h>

/* An entry is 48 bits of the hash and 16 of the number of the window in which the key was last
 * noted. */
#define STAMP_MASK UINT64_C(0xFFFF)

static uint64_t entry_of(uint64_t hash, int64_t window)
{
    uint64_t name = hash & ~STAMP_MASK;
    return (name != 0 ? name : STAMP_MASK + 1) | ((uint64_t)window & STAMP_MASK);
}

static bool is_of(uint64_t entry, uint64_t other)
{
    return (entry & ~STAMP_MASK) == (other & ~STAMP_MASK);
}

/* One that was noted by somebody whose clock is a little ahead is as good as new. */
static bool is_known(uint64_t entry, uint64_t now)
{
    uint64_t age = (now - entry) & STAMP_MASK;
    return entry != 0 &&
           (age <= NEAP_OPEN_KEY_WINDOWS || age >= STAMP_MASK - NEAP_OPEN_KEY_WINDOWS);
}

/* The first place where the entry may stand: its own, or one that is free by now. */
static _Atomic uint64_t *find_place(struct neap_open_keys *keys, uint64_t entry, uint64_t *seen)
{
    _Atomic uint64_t *free_place = NULL;
    for (uint32_t i = 0; i < NEAP_OPEN_KEYS; i++) {
        uint64_t there = atomic_load_explicit(&keys->entry[i], memory_order_relaxed);
        if (there != 0 && is_of(there, entry)) {
            *seen = there;
            return &keys->entry[i];
        }
        if (!free_place && !is_known(there, entry)) {
            free_place = &keys->entry[i];
            *seen = there;
        }
    }
    return free_place;
}

/* Where somebody else takes the place at this very moment the key is noted the next time. */
void neap_open_keys_note(struct neap_open_keys *keys, uint64_t hash, int64_t window)
{
    uint64_t entry = entry_of(hash, window);
    uint64_t seen = 0;
    _Atomic uint64_t *found = find_place(keys, entry, &seen);
    if (found && seen != entry)
        atomic_compare_exchange_strong(found, &seen, entry);
}

void neap_open_keys_forget(struct neap_open_keys *keys, uint64_t hash, int64_t window)
{
    uint64_t entry = entry_of(hash, window);
    for (uint32_t i = 0; i < NEAP_OPEN_KEYS; i++) {
        uint64_t there = atomic_load_explicit(&keys->entry[i], memory_order_relaxed);
        if (there != 0 && is_of(there, entry))
            atomic_compare_exchange_strong(&keys->entry[i], &there, 0);
    }
}

uint32_t neap_open_keys_count(const struct neap_open_keys *keys, int64_t window)
{
    uint64_t now = entry_of(0, window);
    uint32_t known = 0;
    for (uint32_t i = 0; i < NEAP_OPEN_KEYS; i++)
        known += is_known(atomic_load_explicit(&keys->entry[i], memory_order_relaxed), now);
    return known;
}
