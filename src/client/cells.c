#include "client/cells.h"

#include <stddef.h>
#include <string.h>

#include "base/holder.h"
#include "client/cell_kinds.h"

/* --------------------------------------------------------------------------------- the region */

/* In the region kinds count from 1: a cell of zeros is of none. The cell's bytes. */
static size_t measure(enum neap_cell_kind kind, const void *policy, struct neap_cell_shape *shape)
{
    *shape = (struct neap_cell_shape){.kind = (uint32_t)kind + 1};
    return neap_cell_layouts[kind].measure(policy, shape->size);
}

static void make(void *cell, const struct neap_cell_shape *shape, const void *policy)
{
    neap_cell_layouts[shape->kind - 1].init(cell, policy);
}

/* NULL where it is none of those that are known without a policy. */
static const struct neap_cell_layout *layout_of(const struct neap_cell_shape *shape, size_t bytes)
{
    bool is_known = shape->kind >= 1 && shape->kind <= NEAP_CELL_KIND_COUNT;
    const struct neap_cell_layout *layout = is_known ? &neap_cell_layouts[shape->kind - 1] : NULL;
    return layout && layout->fits && layout->fits(shape->size, bytes) ? layout : NULL;
}

static void reclaim(void *cell, const struct neap_cell_shape *shape, uint32_t holder,
                    int64_t now_ns, void *context)
{
    const struct neap_region *region = context;
    (void)now_ns;
    const struct neap_cell_layout *layout = layout_of(shape, neap_region_cell_bytes(region, cell));
    if (layout && layout->reclaim)
        layout->reclaim(cell, shape->size, holder);
}

/* ------------------------------------------------------------------------------ private memory */

/* In front of each private cell. */
union head {
    uint32_t holders; /* how many have it */
    max_align_t alignment;
};

static union head *head_of(void *cell)
{
    return (union head *)cell - 1;
}

static void *acquire_private(const struct neap_cells *cells, enum neap_cell_kind kind,
                             const void *policy)
{
    struct neap_cell_shape shape;
    union head *head = neap_alloc(cells->alloc, sizeof *head + measure(kind, policy, &shape));
    if (!head)
        return NULL;
    head->holders = 1;
    neap_cell_layouts[kind].init(head + 1, policy);
    return head + 1;
}

static void release_private(const struct neap_cells *cells, void *cell)
{
    if (--head_of(cell)->holders == 0)
        neap_free(cells->alloc, head_of(cell));
}

void *neap_cells_share(void *cell)
{
    head_of(cell)->holders++;
    return cell;
}

/* ------------------------------------------------------------------------------ either of both */

bool neap_cells_fit(enum neap_cell_kind kind, const void *policy, const void *other)
{
    struct neap_cell_shape shape, others;
    return measure(kind, policy, &shape) == measure(kind, other, &others) &&
           memcmp(&shape, &others, sizeof shape) == 0;
}

void *neap_cells_acquire(const struct neap_cells *cells, enum neap_cell_kind kind, const char *name,
                         size_t name_bytes, const void *policy, int64_t now_ns)
{
    if (!cells->region)
        return acquire_private(cells, kind, policy);
    struct neap_cell_shape shape;
    size_t cell_bytes = measure(kind, policy, &shape);
    return neap_region_pin(cells->region, name, name_bytes, &shape, cell_bytes, now_ns, make,
                           policy);
}

void *neap_cells_find(const struct neap_cells *cells, enum neap_cell_kind kind, const char *name,
                      size_t name_bytes, const void *policy, int64_t now_ns)
{
    if (!cells->region)
        return NULL;
    struct neap_cell_shape shape;
    size_t cell_bytes = measure(kind, policy, &shape);
    void *cell = neap_region_find(cells->region, name, name_bytes, &shape);
    if (!cell || neap_region_cell_bytes(cells->region, cell) == cell_bytes)
        return cell;
    neap_region_unpin(cells->region, cell, now_ns); /* overwritten by a stranger */
    return NULL;
}

struct search {
    struct neap_cell_shape shape;
    size_t cell_bytes;
    const char *prefix;
    size_t prefix_bytes;
    neap_cell_look *look;
    void *context;
};

static void look_if_wanted(const void *cell, size_t cell_bytes, const struct neap_cell_shape *shape,
                           const void *key, size_t key_bytes, void *context)
{
    const struct search *search = context;
    bool is_wanted =
        cell_bytes == search->cell_bytes && memcmp(shape, &search->shape, sizeof *shape) == 0 &&
        key_bytes >= search->prefix_bytes && memcmp(key, search->prefix, search->prefix_bytes) == 0;
    if (is_wanted)
        search->look(cell, (const char *)key + search->prefix_bytes,
                     key_bytes - search->prefix_bytes, search->context);
}

bool neap_cells_each(const struct neap_cells *cells, enum neap_cell_kind kind, const char *prefix,
                     size_t prefix_bytes, const void *policy, neap_cell_look *look, void *context)
{
    struct search search = {
        .prefix = prefix, .prefix_bytes = prefix_bytes, .look = look, .context = context};
    search.cell_bytes = measure(kind, policy, &search.shape);
    return !cells->region || neap_region_each(cells->region, look_if_wanted, &search);
}

struct survey {
    neap_cell_survey *survey;
    void *context;
};

static void survey_known(const void *cell, size_t cell_bytes, const struct neap_cell_shape *shape,
                         const void *key, size_t key_bytes, void *context)
{
    const struct survey *survey = context;
    if (layout_of(shape, cell_bytes))
        survey->survey((enum neap_cell_kind)(shape->kind - 1), cell, key, key_bytes,
                       survey->context);
}

bool neap_cells_survey(const struct neap_cells *cells, neap_cell_survey *survey, void *context)
{
    struct survey asked = {survey, context};
    return !cells->region || neap_region_each(cells->region, survey_known, &asked);
}

void neap_cells_release(const struct neap_cells *cells, void *cell, int64_t now_ns)
{
    if (!cell)
        return;
    if (cells->region)
        neap_region_unpin(cells->region, cell, now_ns);
    else
        release_private(cells, cell);
}

uint32_t neap_cells_holder(const struct neap_cells *cells)
{
    return cells->region ? neap_region_holder(cells->region) : NEAP_HOLDER_NONE;
}

void neap_cells_reap(const struct neap_cells *cells, int64_t now_ns)
{
    if (cells->region)
        neap_region_reap(cells->region, now_ns, reclaim, cells->region);
}
