/* The kinds of cells: how large the state of each policy is, how it begins, and how what a dead
 * holder had of it is given back. Only for cells.c, which knows where cells are. */
#ifndef NEAP_CLIENT_CELL_KINDS_H
#define NEAP_CLIENT_CELL_KINDS_H

#include "client/cells.h"

/* A shape holds all of the policy that the layout depends on, so that `reclaim` can do without the
 * policy. NULL: nothing to do. */
struct neap_cell_layout {
    size_t (*measure)(const void *policy, uint32_t size[3]); /* the cell's bytes */
    void (*init)(void *cell, const void *policy);
    void (*reclaim)(void *cell, const uint32_t size[3], uint32_t holder);
    bool (*fits)(const uint32_t size[3], size_t bytes); /* where the policy is done without: the
                                                           shape may have been overwritten */
};

extern const struct neap_cell_layout neap_cell_layouts[NEAP_CELL_KIND_COUNT];

#endif
