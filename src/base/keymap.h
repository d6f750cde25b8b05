/* A map from byte-string keys to cells of one size, in which the key idle longest makes room.
 *
 * The map owns keys and cells; a cell stays at its address until it is evicted. A cell that a call
 * in flight uses is pinned: it is never evicted, and its idle time begins at the last unpin. Keys
 * may be chosen by strangers if the seed is secret. One thread at a time. Memory for entries is
 * kept until the map goes. */
#ifndef NEAP_BASE_KEYMAP_H
#define NEAP_BASE_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/pool.h"

struct neap_keymap_entry; /* a key and its cell */

struct neap_keymap {
    const struct neap_alloc *alloc;
    struct neap_hash_seed seed;
    size_t cell_bytes, max_keys;
    struct neap_pool entries;
    size_t count;
    uint64_t evictions; /* while it is the same, so is what each cell is of */
    struct neap_keymap_entry **bucket;
    size_t bucket_count;           /* 0 or a power of two */
    struct neap_list idle, pinned; /* each from the entry used longest ago to the one used last */
};

/* Allocates nothing. `max_keys` is 1 or more. */
void neap_keymap_init(struct neap_keymap *map, const struct neap_alloc *alloc, size_t cell_bytes,
                      size_t max_keys);

/* All cells go, the pinned ones too. */
void neap_keymap_deinit(struct neap_keymap *map);

/* Without this call the seed is a constant. Only while the map is empty. */
void neap_keymap_seed(struct neap_keymap *map, struct neap_hash_seed seed);

/* Finds the cell of the key, or makes one: zeroed, aligned to 8, with *is_new set for the caller to
 * initialise it. Either way it is now the one used last. Where max_keys are there, the unpinned key
 * idle longest is evicted. NULL, and nothing has changed, where memory is lacking or all are
 * pinned. `is_new` may be NULL. */
NEAP_MUST_CHECK void *neap_keymap_get(struct neap_keymap *map, const void *key, size_t key_bytes,
                                      bool *is_new);

/* The cell of the key or NULL; it does not count as a use. */
void *neap_keymap_find(const struct neap_keymap *map, const void *key, size_t key_bytes);

/* Pins count: the cell may be evicted after as many unpins. An unpin too many changes nothing. */
void neap_keymap_pin(struct neap_keymap *map, void *cell);
void neap_keymap_unpin(struct neap_keymap *map, void *cell);

/* Every cell once, beginning with NULL and ending with NULL: the idle ones from the one idle
 * longest, then the pinned ones. Only `find` may be called in between. */
void *neap_keymap_next(const struct neap_keymap *map, const void *previous_cell);

/* The key of a cell, with a NUL behind it; valid as long as the cell. */
const char *neap_keymap_key(const void *cell, size_t *bytes);

#endif
