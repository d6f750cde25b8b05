/* Blocks: the C library's memory, where small blocks that a thread frees are kept for what it asks
 * for next.
 *
 * A call over HTTP takes and gives back some fifty small blocks, of which libcurl clears every
 * fourth. What glibc keeps at hand for a thread are seven blocks of a size, and none for calloc, so
 * that a thread with a dozen calls under way splits and merges most of them anew. Blocks are
 * malloc's own: one may be freed by free(), or on another thread, whose it is then. What a thread
 * keeps goes back when it ends.
 *
 * Where a sanitizer watches over memory nothing is kept, so that it sees each block. */
#ifndef NEAP_PLATFORM_BLOCKS_H
#define NEAP_PLATFORM_BLOCKS_H

#include <stddef.h>

#include "base/attributes.h"
#include "platform/blocks_limits.h"

/* Any thread. As malloc and its like: NULL where the memory is not there, and freeing NULL is
 * harmless. What `resize` returns may have more room than before, never less than was asked for. */
NEAP_MUST_CHECK void *neap_blocks_take(size_t bytes);
NEAP_MUST_CHECK void *neap_blocks_take_zeroed(size_t count, size_t bytes);
NEAP_MUST_CHECK void *neap_blocks_resize(void *block, size_t bytes);
NEAP_MUST_CHECK char *neap_blocks_copy_text(const char *text);
void neap_blocks_give_back(void *block);

#endif
