/* What one process knows of a region's cells: where it has seen them, and how often it has each
 * pinned. */
#include <string.h>

#include "shared/region_internal.h"

/* So many names are remembered; the pinned ones are among them. */
#define MOST_NAMES 65536u
#define FIRST_PLACES 64u

void neap_region_view_init(struct neap_region_view *view, const struct neap_alloc *alloc,
                           struct neap_hash_seed seed)
{
    *view = (struct neap_region_view){.alloc = alloc};
    neap_keymap_init(&view->by_name, alloc, sizeof(struct neap_region_known), MOST_NAMES);
    neap_keymap_seed(&view->by_name, seed);
}

void neap_region_view_deinit(struct neap_region_view *view)
{
    struct neap_hash_seed seed = view->by_name.seed;
    neap_keymap_deinit(&view->by_name);
    neap_free(view->alloc, view->by_place);
    neap_region_view_init(view, view->alloc, seed);
}

/* ---- by place ---- */

static struct neap_region_known **place_of(const struct neap_region_view *view,
                                           const struct neap_region_cell *cell)
{
    return &view->by_place[(uintptr_t)cell / NEAP_GRANULE_BYTES & (view->places - 1)];
}

static void put(struct neap_region_view *view, struct neap_region_known *known)
{
    struct neap_region_known **place = place_of(view, known->cell);
    known->next = *place;
    *place = known;
}

static void take_out(struct neap_region_view *view, struct neap_region_known *known)
{
    if (!known->cell)
        return;
    struct neap_region_known **link = place_of(view, known->cell);
    while (*link != known)
        link = &(*link)->next;
    *link = known->next;
    known->cell = NULL;
    view->placed--;
}

/* Too few places only cost time, so a failure counts only where there are none at all. */
static bool make_places(struct neap_region_view *view)
{
    if (view->placed < view->places)
        return true;
    size_t wanted = view->places > 0 ? view->places * 2 : FIRST_PLACES;
    struct neap_region_known **by_place =
        neap_alloc_array(view->alloc, wanted, sizeof(struct neap_region_known *));
    if (!by_place)
        return view->places > 0;
    neap_free(view->alloc, view->by_place);
    view->by_place = by_place;
    view->places = wanted;
    struct neap_region_known *known = neap_keymap_next(&view->by_name, NULL);
    for (; known; known = neap_keymap_next(&view->by_name, known))
        if (known->cell)
            put(view, known);
    return true;
}

void neap_region_view_place(struct neap_region_view *view, struct neap_region_known *known,
                            const struct neap_region_place *place)
{
    take_out(view, known);
    known->cell = place->cell;
    known->cell_bytes = place->cell_bytes;
    known->serial = atomic_load(&place->cell->serial);
    put(view, known);
    view->placed++;
}

/* Where a cell was evicted and another one made, both may be known by that place; only one of them
 * can have pins. */
struct neap_region_known *neap_region_view_pinned(const struct neap_region_view *view,
                                                  const struct neap_region_cell *cell)
{
    struct neap_region_known *known = view->places > 0 && cell ? *place_of(view, cell) : NULL;
    while (known && (known->cell != cell || known->pins == 0))
        known = known->next;
    return known;
}

/* ---- by name ---- */

struct neap_region_known *neap_region_view_find(const struct neap_region_view *view,
                                                const void *name, size_t name_bytes)
{
    return neap_keymap_find(&view->by_name, name, name_bytes);
}

/* The map is about to evict the name idle longest, of which `by_place` must not know then. */
static void forget_oldest(struct neap_region_view *view)
{
    struct neap_region_known *oldest = neap_keymap_next(&view->by_name, NULL);
    if (view->by_name.count >= MOST_NAMES && oldest && oldest->pins == 0)
        take_out(view, oldest);
}

struct neap_region_known *neap_region_view_get(struct neap_region_view *view, const void *name,
                                               size_t name_bytes)
{
    struct neap_region_known *known = neap_region_view_find(view, name, name_bytes);
    if (!make_places(view))
        return NULL;
    if (known)
        return known;
    forget_oldest(view);
    return neap_keymap_get(&view->by_name, name, name_bytes, NULL);
}
