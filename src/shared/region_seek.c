/* Finding a cell without the lock, while others make and evict cells. docs/models/region.pml is the
 * model of it; whoever changes a step changes both. */
#include "shared/region_places.h"

/* Chains are short. Whoever comes to the end of this has met a bent one, and asks under the lock.
 */
#define MOST_STEPS 64u

/* Nobody evicts what this process touches, from the next operation on. */
static void touch(struct neap_region_process *self, uint32_t granule)
{
    atomic_store(&self->touching, granule + 1);
}

static void let_go(struct neap_region_process *self)
{
    atomic_store_explicit(&self->touching, 0, memory_order_release);
}

/* Is there a cell that nobody can evict from now on? The order is what makes it true, see
 * region_internal.h. */
static bool touch_cell(const struct neap_region *region, struct neap_region_process *self,
                       uint32_t granule, struct neap_region_place *place)
{
    if (granule >= region->granule_count)
        return false;
    touch(self, granule);
    return atomic_load(&neap_region_cell_at(region, granule)->serial) != 0 &&
           neap_region_begins(region, granule) && neap_region_place_at(region, granule, place);
}

/* A cell that came or went meanwhile may lead into another chain, in which the one that is wanted
 * is not: then it seems to be missing, which the lock will tell. */
static bool follow(const struct neap_region *region, struct neap_region_process *self,
                   const struct neap_region_wanted *wanted, struct neap_region_place *place)
{
    uint32_t link = atomic_load(neap_region_bucket_of(region, wanted->hash));
    for (uint32_t steps = 0; steps < MOST_STEPS && link != 0; steps++) {
        if (!touch_cell(region, self, link - 1, place))
            return false;
        if (neap_region_is_wanted(place, wanted))
            return true;
        link = atomic_load(&place->cell->next);
    }
    return false;
}

struct neap_region_pin *neap_region_seek(struct neap_region *region,
                                         const struct neap_region_wanted *wanted)
{
    struct neap_region_process *self = neap_region_entry_of(region, region->holder);
    struct neap_region_place place;
    struct neap_region_pin *pin = NULL;
    if (follow(region, self, wanted, &place))
        pin = neap_region_grasp(region, place.granule);
    let_go(self);
    return pin;
}
