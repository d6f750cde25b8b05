#include "platform/blocks.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* malloc's blocks have 24 usable bytes at least, and of each further size 16 more. */
#define LEAST_BYTES 24u
#define STEP_BYTES 16u
#define SIZES ((NEAP_BLOCK_BYTES_MAX - LEAST_BYTES) / STEP_BYTES + 1)

struct block {
    struct block *next;
};

struct pile {
    struct block *top;
    size_t count;
};

struct piles {
    struct pile of[SIZES];
    size_t bytes;
    size_t most_bytes; /* 0 while nobody would empty them at the thread's end */
};

/* Hangs on no object: libcurl tells its functions for memory of none. */
static _Thread_local struct piles kept;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_end;
static bool has_key;

/* What the thread frees later in its end is kept, and emptied, once more. */
static void empty(void *context)
{
    struct piles *piles = context;
    for (size_t i = 0; i < SIZES; i++) {
        struct block *block;
        while ((block = piles->of[i].top) != NULL) {
            piles->of[i].top = block->next;
            free(block);
        }
        piles->of[i].count = 0;
    }
    piles->bytes = piles->most_bytes = 0;
}

static void make_key(void)
{
    has_key = pthread_key_create(&at_end, empty) == 0;
}

/* May a thread that keeps nothing yet begin to? */
NEAP_SELDOM static bool begin_to_keep(struct piles *piles)
{
    if (piles->most_bytes > 0)
        return false;
    pthread_once(&once, make_key);
    if (!has_key || pthread_setspecific(at_end, piles) != 0)
        return false;
    piles->most_bytes = NEAP_BLOCKS_BYTES_MAX;
    return true;
}

/* The least size that has room for so many bytes; SIZES or more where none is kept. */
static size_t size_with(size_t bytes)
{
    return bytes > LEAST_BYTES ? (bytes - LEAST_BYTES + STEP_BYTES - 1) / STEP_BYTES : 0;
}

/* The size of a block with so much room. */
static size_t size_of(size_t bytes)
{
    return bytes >= LEAST_BYTES ? (bytes - LEAST_BYTES) / STEP_BYTES : SIZES;
}

static size_t bytes_of(size_t size)
{
    return LEAST_BYTES + size * STEP_BYTES;
}

/* As many bytes as were asked for, so that a sanitizer sees where they end. */
NEAP_SELDOM static void *make(size_t bytes)
{
    return malloc(bytes > 0 ? bytes : 1);
}

void *neap_blocks_take(size_t bytes)
{
    size_t size = size_with(bytes);
    if (size >= SIZES)
        return make(bytes);
    struct piles *piles = &kept;
    struct pile *pile = &piles->of[size];
    struct block *block = pile->top;
    if (!block)
        return make(bytes);
    pile->top = block->next;
    pile->count--;
    piles->bytes -= bytes_of(size);
    return block;
}

void *neap_blocks_take_zeroed(size_t count, size_t bytes)
{
    if (bytes > 0 && count > NEAP_BLOCK_BYTES_MAX / bytes)
        return calloc(count, bytes);
    void *block = neap_blocks_take(count * bytes);
    return block ? memset(block, 0, count * bytes) : NULL;
}

/* Is there room for another block of that size? */
static bool may_keep(struct piles *piles, size_t size)
{
    return piles->of[size].count != NEAP_BLOCKS_OF_A_SIZE &&
           (piles->bytes + bytes_of(size) <= piles->most_bytes || begin_to_keep(piles));
}

void neap_blocks_give_back(void *block)
{
    struct piles *piles = &kept;
    if (!block)
        return;
    size_t size = size_of(malloc_usable_size(block));
    if (size >= SIZES || !may_keep(piles, size)) {
        free(block);
        return;
    }
    struct block *top = block;
    top->next = piles->of[size].top;
    piles->of[size].top = top;
    piles->of[size].count++;
    piles->bytes += bytes_of(size);
}

static void *move(void *block, size_t old_bytes, size_t bytes)
{
    void *moved = neap_blocks_take(bytes);
    if (!moved)
        return NULL;
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    neap_blocks_give_back(block);
    return moved;
}

/* What would have less than twice the room that it needs stays where it is. */
void *neap_blocks_resize(void *block, size_t bytes)
{
    if (!block)
        return neap_blocks_take(bytes);
    size_t room = malloc_usable_size(block);
    if (bytes <= room && bytes > room / 2)
        return block;
    if (room > NEAP_BLOCK_BYTES_MAX || bytes > NEAP_BLOCK_BYTES_MAX)
        return realloc(block, bytes);
    return move(block, room, bytes);
}

char *neap_blocks_copy_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = neap_blocks_take(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}
