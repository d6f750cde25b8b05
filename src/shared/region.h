/* Region: memory that the processes of one machine share, found by its name.
 *
 * A region is one POSIX shared memory object of mode 0600, /dev/shm/neap-<name>, that belongs to
 * the user of whoever made it; another user's is refused. It holds named cells: blocks of memory
 * without pointers that several processes use at once by atomics of their own. A cell stays where
 * it is while somebody has it pinned; where the region is full, the unpinned cell idle longest
 * makes room.
 *
 * Each process has a number in the region, its holder number, with its pid and start time beside
 * it. What a process holds in cells (permits, probes) it marks with that number, and its pins are
 * one bit for each holder: a process that died is found out by the others, its pins go, and what it
 * held is given back by the reclaim function of whoever finds it.
 *
 * Pinning a cell that is there is a few atomic operations and no lock, whoever made it. Making and
 * evicting a cell take the region's one lock, a robust mutex with a bounded wait: a process that is
 * killed in the middle leaves the index whole, since each change of it is published by one store.
 *
 * The memory itself lives until it is removed by hand or the machine restarts. One region object
 * belongs to one thread; any number of processes, and of objects in one process, may be attached.
 */
#ifndef NEAP_SHARED_REGION_H
#define NEAP_SHARED_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/holder.h"
#include "base/outcome.h"
#include "base/status.h"

#define NEAP_REGION_BYTES_MIN ((size_t)64 * 1024)
#define NEAP_REGION_BYTES_MAX (UINT64_C(64) * 1024 * 1024 * 1024)
#define NEAP_REGION_NAME_MAX 64 /* letters, digits, '.', '_' and '-' */

struct neap_region;

/* What a cell is: two cells of one key and different shapes are two cells, so that a process with
 * another policy never reads a layout that is not its own. `kind` and the sizes are the user's. */
struct neap_cell_shape {
    uint32_t kind;
    uint32_t size[3];
};

/* Can a region have that name? */
bool neap_region_is_name(const char *name, size_t bytes);

/* Makes the region of that name or joins the one that is there, whose size then stays what it is.
 * NEAP_NO_MEMORY; NEAP_INVALID for a name or size out of range; NEAP_SYSTEM with a message for
 * people where the system refuses, where the region belongs to another user or is open to others,
 * was made by another version of neap, or is no region. What a process that died during the making
 * left behind is made anew. */
NEAP_MUST_CHECK enum neap_status neap_region_open(const struct neap_alloc *alloc, const char *name,
                                                  size_t bytes, struct neap_region **region,
                                                  char message[NEAP_MESSAGE_BYTES]);

struct neap_region *neap_region_hold(struct neap_region *region);

/* With the last reference this process's pins and number are given up and the memory is unmapped;
 * it stays for others. What is still marked with the number in cells would be its next owner's:
 * call neap_region_reclaim_own before. NULL is harmless. */
void neap_region_release(struct neap_region *region);

/* The name it was opened by. */
const char *neap_region_name(const struct neap_region *region);

/* This process's number, 1 to NEAP_HOLDER_MAX; claimed at the first call. NEAP_HOLDER_NONE where
 * all are taken, by living processes or by dead ones that nobody has reaped yet, or where the lock
 * cannot be had in time: then nothing can be pinned. */
uint32_t neap_region_holder(struct neap_region *region);

/* In a forked child, before anything else: forgets the parent's number and pins, which stay the
 * parent's. Cells that the child wants to go on using it pins again. In the process that used the
 * object last it does nothing, so whoever uses it may call it for himself. */
void neap_region_after_fork(struct neap_region *region);

/* Lays out a new cell: called with zeroed memory, aligned to 8, before anybody else can see it, and
 * under the region's lock: it calls nothing of the region. */
typedef void neap_cell_make(void *cell, const struct neap_cell_shape *shape, const void *context);

/* The cell of that key and shape, made if it is not there, pinned until it is unpinned as often.
 * The size is a function of the shape. NULL where no number is to be had, where the region is full
 * of pinned cells, where its lock cannot be had in time, or where memory is lacking; nothing has
 * changed then, but that idle cells may have been evicted in vain. A region whose bytes a stranger
 * wrote over loses cells, which are then made anew. */
NEAP_MUST_CHECK void *neap_region_pin(struct neap_region *region, const void *key, size_t key_bytes,
                                      const struct neap_cell_shape *shape, size_t cell_bytes,
                                      int64_t now_ns, neap_cell_make *make, const void *context);
void neap_region_unpin(struct neap_region *region, void *cell, int64_t now_ns);

/* Pins once more what is pinned already. */
void neap_region_pin_again(struct neap_region *region, void *cell);

/* The cell of that key and shape, pinned as above, or NULL if there is none: nothing is made, and
 * it does not count as a use. Its size is what its maker said, see neap_region_cell_bytes. */
NEAP_MUST_CHECK void *neap_region_find(struct neap_region *region, const void *key,
                                       size_t key_bytes, const struct neap_cell_shape *shape);

/* How many bytes there are at a cell, never past the region's end; 0 where none can be there. One
 * that this process did not make is to be held against the size that its shape should have, before
 * it is read as such. */
size_t neap_region_cell_bytes(const struct neap_region *region, const void *cell);

/* Looks at one cell; called under the region's lock, so it calls nothing of the region. Others may
 * be writing to the cell; it stays where it is until this returns. */
typedef void neap_cell_visit(const void *cell, size_t cell_bytes,
                             const struct neap_cell_shape *shape, const void *key, size_t key_bytes,
                             void *context);

/* Has every cell of the region looked at once, pinned or not, in no order. False where the lock
 * cannot be had in time. Meanwhile nobody makes a cell: less than a millisecond for 10,000.
 */
NEAP_MUST_CHECK bool neap_region_each(struct neap_region *region, neap_cell_visit *visit,
                                      void *context);

/* Gives back what a holder had of one cell; called under the region's lock, so it calls nothing of
 * the region but neap_region_cell_bytes. May come twice for the same, where the first who called it
 * died over it. */
typedef void neap_cell_reclaim(void *cell, const struct neap_cell_shape *shape, uint32_t holder,
                               int64_t now_ns, void *context);

/* Looks whether attached processes have died, at most every NEAP_REAP_EVERY_NS among all processes,
 * and has what they held given back; their numbers are free afterwards. The number of processes
 * found dead. Cheap where it is not time. */
#define NEAP_REAP_EVERY_NS (INT64_C(500) * 1000 * 1000)
uint32_t neap_region_reap(struct neap_region *region, int64_t now_ns, neap_cell_reclaim *reclaim,
                          void *context);

/* What this process holds of all cells that it has pinned is given back at once, as if it had died;
 * its pins stay. */
void neap_region_reclaim_own(struct neap_region *region, int64_t now_ns, neap_cell_reclaim *reclaim,
                             void *context);

struct neap_region_stats {
    size_t bytes, used_bytes; /* both with the region's own tables */
    uint64_t cells, evicted;
    uint64_t refused; /* pins that found no room */
    uint32_t processes;
};
void neap_region_read(struct neap_region *region, struct neap_region_stats *stats);

#endif
