/* Cells: the state of policies, each in memory of its own, which is the client's alone or, with a
 * region, shared with every process that has a cell of the same name.
 *
 * Belongs to the engine's thread. */
#ifndef NEAP_CLIENT_CELLS_H
#define NEAP_CLIENT_CELLS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "metrics/counters.h"
#include "shared/region.h"

/* What lives in a cell, and the policy that says how large it is and how it begins. */
enum neap_cell_kind {
    NEAP_CELL_BREAKER,  /* struct neap_breaker_policy */
    NEAP_CELL_LIMITER,  /* none */
    NEAP_CELL_BULKHEAD, /* struct neap_bulkhead_policy */
    NEAP_CELL_BUDGET,   /* struct neap_retry_budget_policy */
    NEAP_CELL_GATE,     /* none */
    NEAP_CELL_BOARD,    /* uint32_t: the number of holders */
    NEAP_CELL_ALERTS,   /* struct neap_alert_policy */
    NEAP_CELL_KIND_COUNT
};

/* What is counted for one client, and how many of its calls are in flight, holder by holder: what a
 * killed process had in flight is given back. */
struct neap_board {
    struct neap_counters counters;
    uint32_t holders;
    _Atomic int64_t in_flight[];
};

/* Of all holders together. */
int64_t neap_board_in_flight(const struct neap_board *board);

/* Where cells come from: `region` NULL for private memory. */
struct neap_cells {
    const struct neap_alloc *alloc;
    struct neap_region *region;
};

/* A cell of its own, or the shared one of that name, pinned until neap_cells_release. NULL where
 * memory is lacking, or the region has no room. A name may hold any bytes. */
NEAP_MUST_CHECK void *neap_cells_acquire(const struct neap_cells *cells, enum neap_cell_kind kind,
                                         const char *name, size_t name_bytes, const void *policy,
                                         int64_t now_ns);

/* The shared cell of that name if there is one, pinned; NULL too where there is no region. */
NEAP_MUST_CHECK void *neap_cells_find(const struct neap_cells *cells, enum neap_cell_kind kind,
                                      const char *name, size_t name_bytes, const void *policy,
                                      int64_t now_ns);

void neap_cells_release(const struct neap_cells *cells, void *cell, int64_t now_ns);

/* The number in whose name permits of these cells are out. */
uint32_t neap_cells_holder(const struct neap_cells *cells);

/* Gives back what processes that have died held of the region, if it is time to look. */
void neap_cells_reap(const struct neap_cells *cells, int64_t now_ns);

#endif
