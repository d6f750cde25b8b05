/* The state of a policy that stands alone: memory of its own or, by a name, the cell of the region
 * that clients of that name use too.
 *
 * Belongs to one thread. A shared one goes on in a forked child; neap_standalone_adopt comes before
 * each use. */
#ifndef NEAP_CLIENT_STANDALONE_H
#define NEAP_CLIENT_STANDALONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/status.h"
#include "client/cells.h"
#include "policy/bulkhead.h"

/* Zeroed memory is one that was closed. */
struct neap_standalone {
    struct neap_cells cells; /* whose region is held; NULL: private */
    enum neap_cell_kind kind;
    char *name; /* owned; NULL: private */
    size_t name_bytes;
    void *cell;      /* the state; NULL: closed */
    uint32_t holder; /* in whose name permits are out */
    int64_t process; /* which has the cell pinned */
    int64_t *taken;  /* shared bulkhead: the last permit of each place that went out from here */
};

/* `from` says where it may live; without a name it is private. `policy` is what the kind wants, see
 * cells.h, and is equal in every call. NEAP_NO_MEMORY; NEAP_NOT_FOUND where the region has no room.
 * On failure it is closed. */
NEAP_MUST_CHECK enum neap_status neap_standalone_open(struct neap_standalone *alone,
                                                      const struct neap_cells *from,
                                                      enum neap_cell_kind kind, const char *name,
                                                      size_t name_bytes, const void *policy,
                                                      int64_t now_ns);

/* Unpins or frees the state. Places of a shared bulkhead that were taken here and are still out are
 * given back, but for those of a parent before a fork. A second time changes nothing. */
void neap_standalone_close(struct neap_standalone *alone, const void *policy, int64_t now_ns);

/* Is it a parent's, and this a forked child that has not adopted it? */
bool neap_standalone_is_inherited(const struct neap_standalone *alone);

/* Makes an inherited one this process's own: the same cell, in the name of its own holder. Permits
 * that were out stay the parent's. NEAP_NOT_FOUND where the region has no room for another process;
 * to be tried again then. */
NEAP_MUST_CHECK enum neap_status neap_standalone_adopt(struct neap_standalone *alone,
                                                       const void *policy, int64_t now_ns);

/* neap_bulkhead_acquire and neap_bulkhead_release, with a note of what is to be given back. */
struct neap_admission neap_standalone_take(struct neap_standalone *alone,
                                           const struct neap_bulkhead_policy *policy,
                                           int64_t now_ns);
bool neap_standalone_give(struct neap_standalone *alone, const struct neap_bulkhead_policy *policy,
                          int64_t permit);

#endif
