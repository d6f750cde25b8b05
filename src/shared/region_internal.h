/* Region, inside: what lies in the shared memory, and what one process has pinned of it.
 *
 *     header | processes | buckets | two bitmaps | granules
 *
 * The granules are 64 bytes each and hold the cells. One bitmap has a bit for each granule in use,
 * the other for each that begins a cell: to walk the cells in the order of the memory is ten times
 * as fast as along the chains. A bucket leads to a chain of cells. Links are granule numbers, never
 * pointers; where the tables begin follows from the region's size and is never read from the shared
 * memory. Nothing that is read there is believed: what a stranger wrote may hide cells, but leads
 * nowhere outside.
 *
 * Under the lock: every change of chains, bitmaps and process table, and every walk. Without it:
 * the bits of holders, `touching`, the hands, `used_ns`, `serial` to compare, and the counters.
 *
 * Whoever looks for a cell that is there takes no lock either (region_seek.c), and what it comes by
 * may be something else by then. So it announces in `touching` which granule it is about to touch,
 * and only then looks whether a cell is there: a serial number that is not wiped, and after that
 * the bit in `begins` (a hazard pointer: M. Michael, "Hazard Pointers", 2004). Whoever evicts wipes
 * the serial number first, looks at `touching` and the bits of holders after that, and takes the
 * bit in `begins` away before the memory becomes something else. In the one order of all these
 * operations, one of the two sees the other.
 *
 * A cell is pinned by a hand of a process or, where all its hands are full, by the process's bit in
 * the cell. A hand costs a plain store where a bit costs two locked operations, on a cache line
 * that others may want. `touching` is taken back after the hand has closed, and looked at before
 * hands are: so a cell that is held is seen to be held by one of them. */
#ifndef NEAP_SHARED_REGION_INTERNAL_H
#define NEAP_SHARED_REGION_INTERNAL_H

#include <stdatomic.h>

#include "base/hash.h"
#include "platform/shared_lock.h"
#include "shared/region.h"

#define NEAP_GRANULE_BYTES 64u
#define NEAP_HOLDER_WORDS 4u /* of 64 bits: one for each holder, and 0 for nobody */
#define NEAP_REGION_HANDS 8u
#define NEAP_REGION_ALL_HANDS ((1u << NEAP_REGION_HANDS) - 1)

_Static_assert(NEAP_HOLDER_MAX < NEAP_HOLDER_WORDS * 64, "a holder lacks its bit");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes cannot share an atomic that has a lock");

/* ---- in the shared memory ---- */

/* The first bytes, alike in all layouts to come. */
struct neap_region_title {
    char magic[8];
    uint32_t layout, make;  /* `make`: what else those who share the memory must agree on */
    uint64_t bytes;         /* of the whole region */
    _Atomic uint32_t ready; /* 1: the header is whole; written last */
    uint32_t unused;
};

enum { NEAP_PROCESS_FREE, NEAP_PROCESS_ATTACHED };

/* Its place in the table is its holder number. */
struct neap_region_process {
    _Alignas(64) _Atomic int64_t pid;
    _Atomic uint64_t start, pid_namespace;
    _Atomic uint32_t state;
    _Atomic uint32_t touching;                /* number of a granule plus 1; 0: none */
    _Atomic uint32_t hand[NEAP_REGION_HANDS]; /* likewise: what it has pinned */
};
_Static_assert(sizeof(struct neap_region_process) == 64, "a process has one cache line");

struct neap_region_header {
    struct neap_region_title title;
    struct neap_hash_seed seed; /* of the buckets */
    struct neap_shared_lock lock;
    _Atomic uint64_t last_serial;
    _Atomic uint32_t cells, used_granules;
    _Atomic uint32_t no_run_of; /* no free run of granules is as long as this */
    _Atomic uint64_t evicted, refused;
    _Atomic int64_t next_reap_ns;
    struct neap_region_process process[NEAP_HOLDER_MAX + 1];
};

/* A link is the number of a granule plus 1; 0 ends the chain. The memory of `cell_bytes` bytes
 * follows, and then the name: the shape and the key. */
struct neap_region_cell {
    _Atomic uint32_t next;
    _Atomic uint32_t hash;
    _Atomic uint32_t cell_bytes, name_bytes;
    _Atomic uint64_t serial; /* never the same for two cells; 0 while it is about to be evicted */
    _Atomic int64_t used_ns;
    _Atomic uint64_t holders[NEAP_HOLDER_WORDS]; /* who has it pinned */
};
_Static_assert(sizeof(struct neap_region_cell) == NEAP_GRANULE_BYTES, "a cell's head fills one");

/* ---- one process's own ---- */

/* A cell that this process has pinned. */
struct neap_region_pin {
    uint32_t link; /* the number of its granule plus 1; 0: none */
    uint32_t count;
    bool is_used; /* since it was pinned, by more than being looked for */
};

/* Those that hands hold, and a table of those that bits do. */
struct neap_region_pins {
    const struct neap_alloc *alloc;
    struct neap_region_pin hand[NEAP_REGION_HANDS];
    uint32_t full_hands; /* a bit for each */
    struct neap_region_pin *slot;
    uint32_t slots, taken; /* `slots` is 0 or a power of two */
};

/* Some of the cells idle longest, the oldest first. One that was used meanwhile does not count; as
 * cells only get younger, those that count are still the oldest. */
struct neap_region_candidate {
    int64_t used_ns;
    uint64_t serial;
    uint32_t granule;
};
struct neap_region_candidates {
    struct neap_region_candidate *one;
    size_t count, next;
};

struct neap_region {
    const struct neap_alloc *alloc;
    char name[NEAP_REGION_NAME_MAX + 1];
    uint32_t references;
    int64_t process; /* whose number and pins these are */

    size_t bytes;
    struct neap_region_header *header;
    _Atomic uint32_t *bucket;
    uint32_t bucket_count;             /* a power of two */
    _Atomic uint64_t *in_use, *begins; /* a bit for each granule */
    unsigned char *granule;
    uint32_t granule_count;

    struct neap_hash_seed seed;
    uint32_t holder;
    bool was_late; /* the lock could not be had the last time */
    uint32_t next_granule;
    struct neap_region_pins pins;
    struct neap_region_candidates candidates;
};

/* ---- region_file.c: the shared memory object ---- */

/* Opens or makes it, and sets what follows from its size. NEAP_SYSTEM with a message. */
NEAP_MUST_CHECK enum neap_status neap_region_map(struct neap_region *region, size_t bytes,
                                                 char message[NEAP_MESSAGE_BYTES]);
void neap_region_unmap(struct neap_region *region);

/* ---- region_cells.c: the index of cells, under the lock ---- */

/* Waits a short time. Where the former owner died, the index has been put in order. */
NEAP_MUST_CHECK bool neap_region_lock(struct neap_region *region);
void neap_region_unlock(struct neap_region *region);

/* Who is looked for. */
struct neap_region_wanted {
    const struct neap_cell_shape *shape;
    const void *key;
    uint32_t key_bytes;
    uint64_t cell_bytes; /* NEAP_ANY_BYTES where it does not matter */
    uint32_t hash;
};
#define NEAP_ANY_BYTES UINT64_MAX

/* A cell whose sizes, read once, lie within the region. */
struct neap_region_place {
    struct neap_region_cell *cell;
    uint32_t granule, granules;
    uint32_t cell_bytes, name_bytes;
};

/* The cell whose memory begins there; NULL where none can. */
struct neap_region_cell *neap_region_cell_of(const struct neap_region *region, const void *memory);

NEAP_MUST_CHECK bool neap_region_lookup(struct neap_region *region,
                                        const struct neap_region_wanted *wanted,
                                        struct neap_region_place *place);

/* Adds a cell whose memory has been laid out; one store publishes it. */
void neap_region_publish(struct neap_region *region, struct neap_region_cell *cell);

/* False where no chain leads to it. */
NEAP_MUST_CHECK bool neap_region_unlink(struct neap_region *region,
                                        const struct neap_region_place *place);

uint64_t neap_region_new_serial(struct neap_region *region);

/* Every cell once, in the order of the memory; `from` begins as 0. */
NEAP_MUST_CHECK bool neap_region_walk(const struct neap_region *region, uint32_t *from,
                                      struct neap_region_place *place);

/* ---- region_space.c: the granules, under the lock ---- */

struct neap_region_run {
    uint32_t first, granules;
};

/* Finds and takes a run of so many. */
NEAP_MUST_CHECK bool neap_region_take_space(struct neap_region *region, uint32_t granules,
                                            uint32_t *first);

/* Takes these; false, and nothing has changed, where one of them is in use. */
NEAP_MUST_CHECK bool neap_region_take_run(struct neap_region *region, struct neap_region_run run);

/* Answers the whole free run that they are part of now. */
struct neap_region_run neap_region_give_run(struct neap_region *region, struct neap_region_run run);

/* Takes the first granules of a free run; `bound` is what no free run was as long as before the run
 * became free. */
NEAP_MUST_CHECK bool neap_region_take_freed(struct neap_region *region, struct neap_region_run run,
                                            uint32_t granules, uint32_t bound);

/* All granules are free, and no cell begins anywhere. */
void neap_region_clear_space(struct neap_region *region);

void neap_region_set_begin(struct neap_region *region, uint32_t granule, bool begins);

/* The first granule from there on that begins a cell; the region's granule_count where none does.
 */
uint32_t neap_region_next_begin(const struct neap_region *region, uint32_t from);

/* ---- region_evict.c: under the lock ---- */

/* Evicts unpinned cells, those idle longest first, until a run of so many granules is free, and
 * takes it. */
NEAP_MUST_CHECK bool neap_region_make_room(struct neap_region *region, uint32_t granules,
                                           uint32_t *first);

/* ---- region_seek.c: finding without the lock ---- */

/* The cell, pinned; NULL where it is not there, or has to be looked for under the lock. */
NEAP_MUST_CHECK struct neap_region_pin *neap_region_seek(struct neap_region *region,
                                                         const struct neap_region_wanted *wanted);

/* ---- region_pins.c: what this process has pinned ---- */

/* Allocates nothing. */
void neap_region_pins_init(struct neap_region_pins *pins, const struct neap_alloc *alloc);
void neap_region_pins_deinit(struct neap_region_pins *pins);

/* Makes room for one more in the table; false where memory is lacking. */
NEAP_MUST_CHECK bool neap_region_pins_reserve(struct neap_region_pins *pins);

/* NULL where there is none. Valid until the next call that pins or unpins. */
struct neap_region_pin *neap_region_pins_in_table(const struct neap_region_pins *pins,
                                                  uint32_t link);

/* In the table, in which it is not, and for which there is room. */
struct neap_region_pin *neap_region_pins_add(struct neap_region_pins *pins, uint32_t link);
void neap_region_pins_remove(struct neap_region_pins *pins, struct neap_region_pin *pin);

/* The first one from that number on, whatever holds it; NULL after the last. */
struct neap_region_pin *neap_region_pins_next(struct neap_region_pins *pins, uint32_t *number);

/* ---- region_holders.c: the table of processes ---- */

/* Pins for this process what nobody can evict at the moment, and for which there is room; one more
 * time where it is pinned already. */
struct neap_region_pin *neap_region_grasp(struct neap_region *region, uint32_t granule);

/* Gives up what grasp gave, however often. */
void neap_region_drop(struct neap_region *region, struct neap_region_pin *pin);
void neap_region_drop_all(struct neap_region *region);

/* Somebody has it pinned by his bit. */
bool neap_region_is_pinned(const struct neap_region_cell *cell);

/* Somebody has it pinned, or is about to. */
bool neap_region_is_held(const struct neap_region *region, const struct neap_region_place *place);

/* Gives this process's number back; its bits must be cleared. */
void neap_region_leave(struct neap_region *region);

#endif
