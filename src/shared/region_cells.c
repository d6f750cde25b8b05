/* The index of a region's cells, and the lock around it. */
#include "base/duration.h"
#include "shared/region_internal.h"
#include "shared/region_places.h"

/* After one wait in vain, others are short until the lock has been had: a stopped owner costs the
 * first who comes 50 ms, and not everyone. */
#define WAIT_NS (50 * NEAP_MS)
#define WAIT_AGAIN_NS (1 * NEAP_MS)

struct neap_region_cell *neap_region_cell_of(const struct neap_region *region, const void *memory)
{
    uintptr_t first = (uintptr_t)region->granule;
    uintptr_t offset = (uintptr_t)memory - sizeof(struct neap_region_cell) - first;
    if ((uintptr_t)memory < first + sizeof(struct neap_region_cell) ||
        offset % NEAP_GRANULE_BYTES != 0 || offset / NEAP_GRANULE_BYTES >= region->granule_count)
        return NULL;
    return neap_region_cell_at(region, (uint32_t)(offset / NEAP_GRANULE_BYTES));
}

/* ---- chains ---- */

static bool follow(const struct neap_region *region, const _Atomic uint32_t *link,
                   struct neap_region_place *place)
{
    uint32_t next = atomic_load(link);
    return next != 0 && neap_region_place_at(region, next - 1, place);
}

/* A chain that a stranger bent into a ring has more steps than there can be cells. */
bool neap_region_lookup(struct neap_region *region, const struct neap_region_wanted *wanted,
                        struct neap_region_place *place)
{
    const _Atomic uint32_t *link = neap_region_bucket_of(region, wanted->hash);
    struct neap_region_place seen;
    for (uint32_t steps = 0; steps < region->granule_count && follow(region, link, &seen);
         steps++) {
        if (neap_region_is_wanted(&seen, wanted)) {
            *place = seen;
            return true;
        }
        link = &seen.cell->next;
    }
    return false;
}

void neap_region_publish(struct neap_region *region, struct neap_region_cell *cell)
{
    uint32_t granule = neap_region_granule_of(region, cell);
    _Atomic uint32_t *bucket = neap_region_bucket_of(region, atomic_load(&cell->hash));
    atomic_store(&cell->next, atomic_load(bucket));
    atomic_store(bucket, granule + 1);
    neap_region_set_begin(region, granule, true);
    atomic_fetch_add(&region->header->cells, 1);
}

bool neap_region_unlink(struct neap_region *region, const struct neap_region_place *place)
{
    _Atomic uint32_t *link = neap_region_bucket_of(region, atomic_load(&place->cell->hash));
    struct neap_region_place seen;
    for (uint32_t steps = 0; steps < region->granule_count && follow(region, link, &seen);
         steps++) {
        if (seen.cell == place->cell) {
            atomic_store(link, atomic_load(&seen.cell->next));
            neap_region_set_begin(region, seen.granule, false);
            atomic_fetch_sub(&region->header->cells, 1);
            return true;
        }
        link = &seen.cell->next;
    }
    return false;
}

bool neap_region_walk(const struct neap_region *region, uint32_t *from,
                      struct neap_region_place *place)
{
    for (;;) {
        uint32_t granule = neap_region_next_begin(region, *from);
        if (granule >= region->granule_count)
            return false;
        *from = granule + 1;
        if (neap_region_place_at(region, granule, place))
            return true;
    }
}

/* ---- the lock ---- */

uint64_t neap_region_new_serial(struct neap_region *region)
{
    uint64_t serial;
    do
        serial = atomic_fetch_add(&region->header->last_serial, 1) + 1;
    while (serial == 0);
    return serial;
}

/* A cell that lies where another one does already is none: the chain ends before it. */
static void mend_chain(struct neap_region *region, _Atomic uint32_t *link)
{
    struct neap_region_place place;
    while (follow(region, link, &place) &&
           neap_region_take_run(region, (struct neap_region_run){place.granule, place.granules})) {
        if (atomic_load(&place.cell->serial) == 0)
            atomic_store(&place.cell->serial, neap_region_new_serial(region));
        neap_region_set_begin(region, place.granule, true);
        atomic_fetch_add(&region->header->cells, 1);
        link = &place.cell->next;
    }
    if (atomic_load(link) != 0)
        atomic_store(link, 0);
}

/* The chains are whole at each moment, see neap_region_publish and neap_region_unlink. What a dead
 * owner of the lock may have left behind is memory that is in use by nobody, and a cell that he
 * was about to evict. */
static void mend(struct neap_region *region)
{
    neap_region_clear_space(region);
    atomic_store(&region->header->cells, 0);
    for (uint32_t i = 0; i < region->bucket_count; i++)
        mend_chain(region, &region->bucket[i]);
}

bool neap_region_lock(struct neap_region *region)
{
    struct neap_shared_lock *lock = &region->header->lock;
    enum neap_taken taken = neap_shared_lock_take(lock, region->was_late ? WAIT_AGAIN_NS : WAIT_NS);
    region->was_late = taken == NEAP_NOT_TAKEN;
    if (taken == NEAP_TAKEN_FROM_A_DEAD_ONE) {
        mend(region);
        neap_shared_lock_mended(lock);
    }
    return taken != NEAP_NOT_TAKEN;
}

void neap_region_unlock(struct neap_region *region)
{
    neap_shared_lock_give(&region->header->lock);
}
