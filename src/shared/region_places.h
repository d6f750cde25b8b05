/* Where things lie in a region, and what lies there: small functions, in line, since the way to a
 * cell that is there is little more than these. */
#ifndef NEAP_SHARED_REGION_PLACES_H
#define NEAP_SHARED_REGION_PLACES_H

#include <string.h>

#include "shared/region_internal.h"

static inline struct neap_region_process *neap_region_entry_of(const struct neap_region *region,
                                                               uint32_t holder)
{
    return &region->header->process[holder];
}

static inline _Atomic uint32_t *neap_region_bucket_of(const struct neap_region *region,
                                                      uint32_t hash)
{
    return &region->bucket[hash & (region->bucket_count - 1)];
}

static inline struct neap_region_cell *neap_region_cell_at(const struct neap_region *region,
                                                           uint32_t granule)
{
    return (struct neap_region_cell *)(void *)(region->granule +
                                               (size_t)granule * NEAP_GRANULE_BYTES);
}

static inline uint32_t neap_region_granule_of(const struct neap_region *region,
                                              const struct neap_region_cell *cell)
{
    return (uint32_t)(((uintptr_t)cell - (uintptr_t)region->granule) / NEAP_GRANULE_BYTES);
}

static inline void *neap_region_memory(struct neap_region_cell *cell)
{
    return cell + 1;
}

/* Does a cell begin there? */
static inline bool neap_region_begins(const struct neap_region *region, uint32_t granule)
{
    return atomic_load(&region->begins[granule / 64]) >> granule % 64 & 1;
}

static inline uint32_t neap_region_granules_for(uint64_t cell_bytes, uint64_t name_bytes)
{
    uint64_t bytes = sizeof(struct neap_region_cell) + cell_bytes + name_bytes;
    uint64_t granules = (bytes + NEAP_GRANULE_BYTES - 1) / NEAP_GRANULE_BYTES;
    return granules < UINT32_MAX ? (uint32_t)granules : UINT32_MAX;
}

/* False where no cell can be there. */
NEAP_MUST_CHECK static inline bool neap_region_place_at(const struct neap_region *region,
                                                        uint32_t granule,
                                                        struct neap_region_place *place)
{
    if (granule >= region->granule_count)
        return false;
    struct neap_region_cell *cell = neap_region_cell_at(region, granule);
    uint32_t cell_bytes = atomic_load(&cell->cell_bytes);
    uint32_t name_bytes = atomic_load(&cell->name_bytes);
    uint32_t granules = neap_region_granules_for(cell_bytes, name_bytes);
    if (granules > region->granule_count - granule || name_bytes < sizeof(struct neap_cell_shape))
        return false;
    *place = (struct neap_region_place){cell, granule, granules, cell_bytes, name_bytes};
    return true;
}

/* Is it the one that is looked for? */
NEAP_MUST_CHECK static inline bool neap_region_is_wanted(const struct neap_region_place *place,
                                                         const struct neap_region_wanted *wanted)
{
    if (atomic_load(&place->cell->hash) != wanted->hash ||
        place->name_bytes - sizeof *wanted->shape != wanted->key_bytes)
        return false;
    if (wanted->cell_bytes != NEAP_ANY_BYTES && wanted->cell_bytes != place->cell_bytes)
        return false;
    const unsigned char *at = neap_region_memory(place->cell);
    at += place->cell_bytes;
    return memcmp(at, wanted->shape, sizeof *wanted->shape) == 0 &&
           memcmp(at + sizeof *wanted->shape, wanted->key, wanted->key_bytes) == 0;
}

/* The time of use, which never goes back. */
static inline void neap_region_use(struct neap_region_cell *cell, int64_t now_ns)
{
    if (atomic_load_explicit(&cell->used_ns, memory_order_relaxed) < now_ns)
        atomic_store_explicit(&cell->used_ns, now_ns, memory_order_relaxed);
}

/* What this process has pinned; NULL where there is none. Valid until the next call that pins or
 * unpins. */
static inline struct neap_region_pin *neap_region_pin_of(struct neap_region_pins *pins,
                                                         uint32_t link)
{
    for (uint32_t left = pins->full_hands; left != 0; left &= left - 1) {
        struct neap_region_pin *pin = &pins->hand[__builtin_ctz(left)];
        if (pin->link == link)
            return pin;
    }
    return pins->taken > 0 ? neap_region_pins_in_table(pins, link) : NULL;
}

#endif
