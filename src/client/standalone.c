#include "client/standalone.h"

#include <string.h>

#include "platform/process.h"

static bool pin(struct neap_standalone *alone, const void *policy, int64_t now_ns)
{
    void *cell = neap_cells_acquire(&alone->cells, alone->kind, alone->name, alone->name_bytes,
                                    policy, now_ns);
    if (!cell)
        return false;
    alone->cell = cell;
    alone->holder = neap_cells_holder(&alone->cells);
    alone->process = neap_process_id();
    return true;
}

static uint32_t places_of(const struct neap_standalone *alone, const void *policy)
{
    if (alone->kind != NEAP_CELL_BULKHEAD)
        return 0;
    return ((const struct neap_bulkhead_policy *)policy)->max_concurrent;
}

/* What a shared one needs besides the cell. */
static enum neap_status join(struct neap_standalone *alone, struct neap_region *region,
                             const char *name, size_t name_bytes, uint32_t places)
{
    const struct neap_alloc *alloc = alone->cells.alloc;
    alone->cells.region = neap_region_hold(region);
    neap_region_after_fork(region);
    alone->name = neap_copy_text(alloc, name, name_bytes);
    alone->name_bytes = name_bytes;
    if (places > 0)
        alone->taken = neap_alloc_array(alloc, places, sizeof *alone->taken);
    return alone->name && (places == 0 || alone->taken) ? NEAP_OK : NEAP_NO_MEMORY;
}

static void drop(struct neap_standalone *alone)
{
    neap_free(alone->cells.alloc, alone->taken);
    neap_free(alone->cells.alloc, alone->name);
    neap_region_release(alone->cells.region);
    *alone = (struct neap_standalone){.cell = NULL};
}

enum neap_status neap_standalone_open(struct neap_standalone *alone, const struct neap_cells *from,
                                      enum neap_cell_kind kind, const char *name, size_t name_bytes,
                                      const void *policy, int64_t now_ns)
{
    enum neap_status status = NEAP_OK;
    *alone = (struct neap_standalone){.cells.alloc = from->alloc, .kind = kind};
    if (name && from->region)
        status = join(alone, from->region, name, name_bytes, places_of(alone, policy));
    if (status == NEAP_OK && !pin(alone, policy, now_ns))
        status = alone->cells.region ? NEAP_NOT_FOUND : NEAP_NO_MEMORY;
    if (status != NEAP_OK)
        drop(alone);
    return status;
}

/* One that was given back elsewhere is not out any more, and stays so. */
static void give_back_taken(struct neap_standalone *alone, const void *policy)
{
    uint32_t places = alone->taken ? places_of(alone, policy) : 0;
    for (uint32_t i = 0; i < places; i++)
        (void)neap_bulkhead_release(alone->cell, policy, alone->taken[i]);
}

/* In a child that never used it the pin and the permits are the parent's. */
void neap_standalone_close(struct neap_standalone *alone, const void *policy, int64_t now_ns)
{
    if (!alone->cell)
        return;
    if (!neap_standalone_is_inherited(alone)) {
        give_back_taken(alone, policy);
        neap_cells_release(&alone->cells, alone->cell, now_ns);
    }
    drop(alone);
}

bool neap_standalone_is_inherited(const struct neap_standalone *alone)
{
    return alone->cells.region && alone->process != neap_process_id();
}

enum neap_status neap_standalone_adopt(struct neap_standalone *alone, const void *policy,
                                       int64_t now_ns)
{
    if (!neap_standalone_is_inherited(alone))
        return NEAP_OK;
    neap_region_after_fork(alone->cells.region);
    if (!pin(alone, policy, now_ns))
        return NEAP_NOT_FOUND;
    if (alone->taken)
        memset(alone->taken, 0, places_of(alone, policy) * sizeof *alone->taken);
    return NEAP_OK;
}

struct neap_admission neap_standalone_take(struct neap_standalone *alone,
                                           const struct neap_bulkhead_policy *policy,
                                           int64_t now_ns)
{
    struct neap_admission answer =
        neap_bulkhead_acquire(alone->cell, policy, alone->holder, now_ns);
    if (answer.decision == NEAP_ADMIT && alone->taken)
        alone->taken[neap_bulkhead_place(answer.permit)] = answer.permit;
    return answer;
}

bool neap_standalone_give(struct neap_standalone *alone, const struct neap_bulkhead_policy *policy,
                          int64_t permit)
{
    if (!neap_bulkhead_release(alone->cell, policy, permit))
        return false;
    if (alone->taken && alone->taken[neap_bulkhead_place(permit)] == permit)
        alone->taken[neap_bulkhead_place(permit)] = 0;
    return true;
}
