#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Most hold little. */
#define FIRST_CHUNK_BYTES 344u
#define CHUNK_BYTES 1000u

struct neap_arena_chunk {
    struct neap_arena_chunk *older;
    _Alignas(8) char data[];
};

void neap_arena_init(struct neap_arena *arena, const struct neap_alloc *alloc)
{
    *arena = (struct neap_arena){.alloc = alloc};
}

static void free_chunks(const struct neap_arena *arena, struct neap_arena_chunk *chunk)
{
    while (chunk) {
        struct neap_arena_chunk *older = chunk->older;
        neap_free(arena->alloc, chunk);
        chunk = older;
    }
}

void neap_arena_deinit(struct neap_arena *arena)
{
    free_chunks(arena, arena->chunk);
    neap_arena_init(arena, arena->alloc);
}

void neap_arena_clear(struct neap_arena *arena)
{
    bool is_little = arena->chunk && arena->capacity <= CHUNK_BYTES;
    if (!is_little) {
        neap_arena_deinit(arena);
        return;
    }
    free_chunks(arena, arena->chunk->older);
    arena->chunk->older = NULL;
    arena->used = 0;
}

static bool add_chunk(struct neap_arena *arena, size_t bytes)
{
    size_t usual = arena->chunk ? CHUNK_BYTES : FIRST_CHUNK_BYTES;
    size_t capacity = bytes > usual ? bytes : usual;
    struct neap_arena_chunk *chunk = neap_alloc(arena->alloc, sizeof *chunk + capacity);
    if (!chunk)
        return false;
    chunk->older = arena->chunk;
    arena->chunk = chunk;
    arena->used = 0;
    arena->capacity = capacity;
    return true;
}

void *neap_arena_take(struct neap_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (bytes + 7) & ~(size_t)7;
    bool fits = arena->chunk && rounded <= arena->capacity - arena->used;
    if (!fits && !add_chunk(arena, rounded))
        return NULL;
    void *block = arena->chunk->data + arena->used;
    arena->used += rounded;
    return block;
}

char *neap_arena_copy(struct neap_arena *arena, const char *text, size_t bytes)
{
    char *copy = neap_arena_take(arena, bytes + 1);
    if (!copy)
        return NULL;
    if (bytes > 0)
        memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

char *neap_arena_copy_text(struct neap_arena *arena, const char *text)
{
    return neap_arena_copy(arena, text, strlen(text));
}
