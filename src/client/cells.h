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

/* What a holder has of a client at the moment, which goes with it when it is killed. */
struct neap_holding {
    _Atomic int32_t in_flight;   /* calls begun and not ended */
    _Atomic int32_t connections; /* open ones, as of its last attempt */
};

/* What is counted for one client, by all holders together, and what each of them has of it. */
struct neap_board {
    struct neap_counters counters;
    _Atomic uint64_t connections_opened, connections_reused; /* see neap_transport_stats */
    _Atomic bool chaos_off;                                  /* the kill switch of all processes */
    uint32_t holders;
    struct neap_holding holding[];
};

/* Of all holders together. */
struct neap_board_sums {
    uint64_t in_flight, connections;
};
struct neap_board_sums neap_board_add_up(const struct neap_board *board);

/* The cell must not be changed. */
typedef void neap_cell_look(const void *cell, const char *key, size_t key_bytes, void *context);

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

/* May a cell that was made by one policy be used by the other? */
bool neap_cells_fit(enum neap_cell_kind kind, const void *policy, const void *other);

/* A private cell once more, for as many neap_cells_release. The cell itself. */
void *neap_cells_share(void *cell);

/* The shared cell of that name if there is one, pinned; NULL too where there is no region. */
NEAP_MUST_CHECK void *neap_cells_find(const struct neap_cells *cells, enum neap_cell_kind kind,
                                      const char *name, size_t name_bytes, const void *policy,
                                      int64_t now_ns);

/* Has each shared cell of that kind and layout looked at whose name begins with these bytes, as by
 * neap_region_each; the key is what follows them. */
NEAP_MUST_CHECK bool neap_cells_each(const struct neap_cells *cells, enum neap_cell_kind kind,
                                     const char *prefix, size_t prefix_bytes, const void *policy,
                                     neap_cell_look *look, void *context);

/* The cell must not be changed; the key is the cell's whole name. */
typedef void neap_cell_survey(enum neap_cell_kind kind, const void *cell, const char *key,
                              size_t key_bytes, void *context);

/* Has each shared breaker, bulkhead, board and alerts looked at, whosever and of whatever layout,
 * as by neap_region_each. */
NEAP_MUST_CHECK bool neap_cells_survey(const struct neap_cells *cells, neap_cell_survey *survey,
                                       void *context);

void neap_cells_release(const struct neap_cells *cells, void *cell, int64_t now_ns);

/* The number in whose name permits of these cells are out. */
uint32_t neap_cells_holder(const struct neap_cells *cells);

/* Gives back what processes that have died held of the region, if it is time to look. */
void neap_cells_reap(const struct neap_cells *cells, int64_t now_ns);

#endif
