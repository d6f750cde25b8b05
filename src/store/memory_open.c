/* The memory kind: making it, its table of functions, sweeping. */
#include "platform/entropy.h"
#include "store/memory_store.h"

#define SWEEP_MOST 100

static enum neap_store_status sweep(struct neap_store *store, int64_t now_ns, bool *more)
{
    struct neap_memory *memory = neap_memory_of(store);
    for (int i = 0; i < SWEEP_MOST && neap_memory_expire_one(memory, now_ns); i++)
        continue;
    *more = neap_memory_expired_claim(memory, now_ns) || neap_memory_expired_cached(memory, now_ns);
    return NEAP_STORE_OK;
}

static void free_memory(struct neap_store *store)
{
    struct neap_memory *memory = neap_memory_of(store);
    neap_memory_free_claims(memory);
    neap_memory_free_cached(memory);
    neap_memory_free_outboxes(memory);
    neap_free(store->alloc, memory);
}

static const struct neap_store_kind memory_kind = {
    .claim = neap_memory_claim,
    .renew = neap_memory_renew,
    .finish = neap_memory_finish,
    .release = neap_memory_release,
    .get = neap_memory_get,
    .put = neap_memory_put,
    .remove = neap_memory_remove,
    .outbox_put = neap_memory_outbox_put,
    .outbox_take = neap_memory_outbox_take,
    .outbox_renew = neap_memory_outbox_renew,
    .outbox_done = neap_memory_outbox_done,
    .outbox_retry = neap_memory_outbox_retry,
    .outbox_bury = neap_memory_outbox_bury,
    .outbox_count = neap_memory_outbox_count,
    .outbox_dead = neap_memory_outbox_dead,
    .outbox_revive = neap_memory_outbox_revive,
    .outbox_drop = neap_memory_outbox_drop,
    .sweep = sweep,
    .free = free_memory,
};

enum neap_store_status neap_store_open_memory(const struct neap_alloc *alloc,
                                              const struct neap_memory_settings *settings,
                                              struct neap_store **store)
{
    struct neap_hash_seed seed;
    if (neap_entropy_fill(&seed, sizeof seed) != NEAP_OK)
        return NEAP_STORE_UNAVAILABLE;
    struct neap_memory *memory = neap_alloc_zeroed(alloc, sizeof *memory);
    if (!memory)
        return NEAP_STORE_NO_MEMORY;
    memory->store.kind = &memory_kind;
    memory->store.alloc = alloc;
    memory->max_bytes = settings->max_bytes;
    memory->max_entries = settings->max_entries;
    neap_table_init(&memory->claims, alloc, seed);
    neap_table_init(&memory->cached, alloc, seed);
    neap_table_init(&memory->outboxes, alloc, seed);
    neap_table_init(&memory->entries, alloc, seed);
    neap_heap_init(&memory->claim_ends, alloc);
    neap_heap_init(&memory->cached_ends, alloc);
    *store = &memory->store;
    return NEAP_STORE_OK;
}
