/* Which cells of a region make room: those unpinned and idle longest.
 *
 * Looking through all cells for the one idle longest, for each cell that is made, would be
 * quadratic where keys come and go. One look keeps the oldest thousand; they serve until they
 * are used up. */
#include <stdlib.h>

#include "shared/region_places.h"

/* The list is filled up to MOST, then the younger half is thrown away. */
#define MOST 2048u
#define KEPT 1024u

static int compare(const void *left, const void *right)
{
    const struct neap_region_candidate *a = left;
    const struct neap_region_candidate *b = right;
    if (a->used_ns != b->used_ns)
        return a->used_ns < b->used_ns ? -1 : 1;
    return (int64_t)(a->serial - b->serial) < 0 ? -1 : a->serial != b->serial;
}

static void keep_oldest(struct neap_region_candidates *list)
{
    qsort(list->one, list->count, sizeof *list->one, compare);
    if (list->count > KEPT)
        list->count = KEPT;
}

static void add(struct neap_region_candidates *list, struct neap_region_candidate one, bool is_cut)
{
    if (is_cut && compare(&list->one[KEPT - 1], &one) < 0)
        return;
    list->one[list->count++] = one;
}

/* False where there is nothing to evict. */
static bool look(struct neap_region *region)
{
    struct neap_region_candidates *list = &region->candidates;
    uint32_t from = 0;
    struct neap_region_place place;
    bool is_cut = false;
    list->count = list->next = 0;
    while (neap_region_walk(region, &from, &place)) {
        /* One without a serial number has been evicted already: the chain is bent. */
        uint64_t serial = atomic_load(&place.cell->serial);
        if (serial == 0 || neap_region_is_pinned(place.cell))
            continue;
        add(list,
            (struct neap_region_candidate){atomic_load(&place.cell->used_ns), serial,
                                           place.granule},
            is_cut);
        if (list->count == MOST) {
            keep_oldest(list);
            is_cut = true;
        }
    }
    keep_oldest(list);
    return list->count > 0;
}

static bool counts(const struct neap_region_candidate *candidate,
                   const struct neap_region_place *place)
{
    return atomic_load(&place->cell->serial) == candidate->serial &&
           atomic_load(&place->cell->used_ns) == candidate->used_ns;
}

/* From the moment its serial number is wiped, whoever would pin the cell comes through the lock. */
static bool detach(struct neap_region *region, const struct neap_region_candidate *candidate,
                   const struct neap_region_place *place)
{
    atomic_store(&place->cell->serial, 0);
    if (!neap_region_is_held(region, place) &&
        atomic_load(&place->cell->used_ns) == candidate->used_ns &&
        neap_region_unlink(region, place))
        return true;
    atomic_store(&place->cell->serial, candidate->serial);
    return false;
}

/* Answers the free run that is there now; an empty one where the cell stayed. */
static struct neap_region_run evict(struct neap_region *region,
                                    const struct neap_region_candidate *candidate)
{
    struct neap_region_place place;
    if (!neap_region_place_at(region, candidate->granule, &place) || !counts(candidate, &place) ||
        !detach(region, candidate, &place))
        return (struct neap_region_run){0, 0};
    atomic_fetch_add(&region->header->evicted, 1);
    return neap_region_give_run(region, (struct neap_region_run){place.granule, place.granules});
}

/* True where the run is there and taken. */
static bool evict_listed(struct neap_region *region, uint32_t granules, uint32_t *first,
                         uint32_t *evicted)
{
    struct neap_region_candidates *list = &region->candidates;
    while (list->next < list->count) {
        uint32_t bound = atomic_load(&region->header->no_run_of);
        struct neap_region_run run = evict(region, &list->one[list->next++]);
        *evicted += run.granules > 0;
        if (run.granules >= granules) {
            *first = run.first;
            return neap_region_take_freed(region, run, granules, bound);
        }
    }
    return false;
}

bool neap_region_make_room(struct neap_region *region, uint32_t granules, uint32_t *first)
{
    struct neap_region_candidates *list = &region->candidates;
    uint32_t evicted = 1;
    if (!list->one)
        list->one = neap_alloc_array(region->alloc, MOST, sizeof *list->one);
    if (!list->one)
        return false;
    if (evict_listed(region, granules, first, &evicted))
        return true;
    while (evicted > 0 && look(region)) {
        evicted = 0;
        if (evict_listed(region, granules, first, &evicted))
            return true;
    }
    return false;
}
