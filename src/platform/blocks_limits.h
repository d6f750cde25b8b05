/* How much a thread keeps of the blocks that it has freed (platform/blocks.h). */
#ifndef NEAP_PLATFORM_BLOCKS_LIMITS_H
#define NEAP_PLATFORM_BLOCKS_LIMITS_H

/* clang tells by __has_feature, gcc by macros of its own. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define NEAP_BLOCKS_ARE_WATCHED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NEAP_BLOCKS_ARE_WATCHED 1
#endif

/* Of one size, as many as a busy thread gives back in one turn of its loop; and in all. Larger ones
 * than libcurl's own for a transfer are rare, and are not kept. */
#if defined(NEAP_BLOCKS_ARE_WATCHED)
#define NEAP_BLOCKS_OF_A_SIZE 0u
#else
#define NEAP_BLOCKS_OF_A_SIZE 128u
#endif
#define NEAP_BLOCKS_BYTES_MAX (512u * 1024u)
#define NEAP_BLOCK_BYTES_MAX 2560u

#endif
