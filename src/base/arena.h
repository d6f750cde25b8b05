/* Arena: many small blocks with one end, for what a request consists of. */
#ifndef NEAP_BASE_ARENA_H
#define NEAP_BASE_ARENA_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/attributes.h"

struct neap_arena_chunk;

struct neap_arena {
    const struct neap_alloc *alloc;
    struct neap_arena_chunk *chunk; /* the newest */
    size_t used, capacity;          /* of the newest chunk */
};

/* Allocates nothing. */
void neap_arena_init(struct neap_arena *arena, const struct neap_alloc *alloc);

/* Releases every block at once; the arena may be used again. */
void neap_arena_deinit(struct neap_arena *arena);

/* The same, but keeps memory for the next ones where little of it was used. */
void neap_arena_clear(struct neap_arena *arena);

/* Aligned to 8, not cleared; NULL without memory. Blocks never move. */
NEAP_MUST_CHECK void *neap_arena_take(struct neap_arena *arena, size_t bytes);

/* A copy with a NUL behind it. */
NEAP_MUST_CHECK char *neap_arena_copy(struct neap_arena *arena, const char *text, size_t bytes);

/* The same of a text that ends with a NUL. */
NEAP_MUST_CHECK char *neap_arena_copy_text(struct neap_arena *arena, const char *text);

#endif
