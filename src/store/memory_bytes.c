/* How the memory kind keeps within its bound: what has expired goes, then cached answers. */
#include "store/memory_store.h"

bool neap_memory_expire_one(struct neap_memory *memory, int64_t now_ns)
{
    struct neap_memory_claim *claim = neap_memory_expired_claim(memory, now_ns);
    struct neap_memory_cached *cached = neap_memory_expired_cached(memory, now_ns);
    if (claim)
        neap_memory_drop_claim(memory, claim);
    if (cached)
        neap_memory_drop_cached(memory, cached);
    return claim || cached;
}

static size_t left(const struct neap_memory *memory)
{
    return memory->max_bytes - memory->used_bytes;
}

bool neap_memory_fits(struct neap_memory *memory, size_t bytes, int64_t now_ns)
{
    while (bytes > left(memory) && neap_memory_expire_one(memory, now_ns))
        continue;
    return bytes <= left(memory) + memory->cached_bytes;
}

void neap_memory_charge(struct neap_memory *memory, size_t bytes)
{
    while (bytes > left(memory))
        neap_memory_drop_oldest_cached(memory);
    memory->used_bytes += bytes;
}

void neap_memory_refund(struct neap_memory *memory, size_t bytes)
{
    memory->used_bytes -= bytes;
}
