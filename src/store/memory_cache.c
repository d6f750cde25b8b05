/* Cached answers of the memory kind, in the order of their last use. */
#include "store/memory_store.h"

#include <string.h>

#include "base/owner.h"

struct neap_memory_cached {
    struct neap_table_node node; /* the key lies behind the struct, the value behind the key */
    struct neap_timer end;
    struct neap_listed by_use;
    int64_t expires_ns;
    const char *value;
    size_t value_bytes;
};

static struct neap_memory_cached *of_node(struct neap_table_node *node)
{
    return (struct neap_memory_cached *)node;
}

static struct neap_memory_cached *of_timer(struct neap_timer *timer)
{
    return NEAP_OWNER(timer, struct neap_memory_cached, end);
}

static size_t cost_of(size_t key_bytes, size_t value_bytes)
{
    return sizeof(struct neap_memory_cached) + key_bytes + value_bytes + NEAP_MEMORY_BLOCK_BYTES +
           NEAP_MEMORY_INDEX_BYTES;
}

void neap_memory_drop_cached(struct neap_memory *memory, struct neap_memory_cached *cached)
{
    size_t cost = cost_of(cached->node.key.bytes, cached->value_bytes);
    neap_memory_refund(memory, cost);
    memory->cached_bytes -= cost;
    neap_list_take_out(&memory->cached_by_use, &cached->by_use);
    neap_heap_remove(&memory->cached_ends, &cached->end);
    neap_table_remove(&memory->cached, &cached->node);
    neap_free(memory->store.alloc, cached);
}

void neap_memory_drop_oldest_cached(struct neap_memory *memory)
{
    struct neap_listed *oldest = memory->cached_by_use.first;
    neap_memory_drop_cached(memory, NEAP_OWNER(oldest, struct neap_memory_cached, by_use));
}

struct neap_memory_cached *neap_memory_expired_cached(struct neap_memory *memory, int64_t now_ns)
{
    struct neap_timer *first = neap_heap_first(&memory->cached_ends);
    return first && first->when_ns <= now_ns ? of_timer(first) : NULL;
}

void neap_memory_free_cached(struct neap_memory *memory)
{
    while (memory->cached_by_use.first)
        neap_memory_drop_oldest_cached(memory);
    neap_heap_deinit(&memory->cached_ends);
    neap_table_deinit(&memory->cached);
}

enum neap_store_status neap_memory_get(struct neap_store *store, struct neap_bytes key,
                                       int64_t now_ns, struct neap_blob *value)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_cached *cached = of_node(neap_table_find(&memory->cached, key));
    if (!cached || now_ns >= cached->expires_ns)
        return NEAP_STORE_NONE;
    if (!neap_blob_copy(store->alloc, cached->value, cached->value_bytes, value))
        return NEAP_STORE_NO_MEMORY;
    neap_list_take_out(&memory->cached_by_use, &cached->by_use);
    neap_list_append(&memory->cached_by_use, &cached->by_use);
    return NEAP_STORE_OK;
}

static struct neap_memory_cached *make(const struct neap_alloc *alloc, struct neap_bytes key,
                                       struct neap_bytes value)
{
    struct neap_memory_cached *made = neap_alloc(alloc, sizeof *made + key.bytes + value.bytes);
    if (!made)
        return NULL;
    char *behind = (char *)(made + 1);
    *made = (struct neap_memory_cached){
        .node.key = {behind, key.bytes},
        .value = behind + key.bytes,
        .value_bytes = value.bytes,
    };
    if (key.bytes > 0)
        memcpy(behind, key.at, key.bytes);
    if (value.bytes > 0)
        memcpy(behind + key.bytes, value.at, value.bytes);
    return made;
}

static bool reserve(struct neap_memory *memory)
{
    struct neap_heap *ends = &memory->cached_ends;
    size_t wanted = ends->count < ends->capacity ? ends->capacity : ends->capacity * 2 + 16;
    return neap_table_reserve(&memory->cached) && neap_heap_reserve(ends, wanted) == NEAP_OK;
}

/* What has expired goes before what is merely old. */
static void make_room_for_one(struct neap_memory *memory, int64_t now_ns)
{
    while (memory->max_entries > 0 && memory->cached.count >= memory->max_entries) {
        struct neap_memory_cached *expired = neap_memory_expired_cached(memory, now_ns);
        if (expired)
            neap_memory_drop_cached(memory, expired);
        else
            neap_memory_drop_oldest_cached(memory);
    }
}

/* All that can fail comes before the old answer goes. */
enum neap_store_status neap_memory_put(struct neap_store *store, struct neap_bytes key,
                                       struct neap_bytes value, int64_t now_ns, int64_t expires_ns)
{
    struct neap_memory *memory = neap_memory_of(store);
    size_t cost = cost_of(key.bytes, value.bytes);
    (void)neap_memory_expire_one(memory, now_ns);
    if (!neap_memory_fits(memory, cost, now_ns))
        return NEAP_STORE_FULL;
    struct neap_memory_cached *made = reserve(memory) ? make(store->alloc, key, value) : NULL;
    if (!made)
        return NEAP_STORE_NO_MEMORY;
    (void)neap_memory_remove(store, key);
    make_room_for_one(memory, now_ns);
    neap_memory_charge(memory, cost);
    memory->cached_bytes += cost;
    made->expires_ns = expires_ns;
    neap_list_append(&memory->cached_by_use, &made->by_use);
    neap_table_add(&memory->cached, &made->node, made->node.key);
    return neap_heap_set(&memory->cached_ends, &made->end, expires_ns) == NEAP_OK
               ? NEAP_STORE_OK
               : NEAP_STORE_NO_MEMORY;
}

enum neap_store_status neap_memory_remove(struct neap_store *store, struct neap_bytes key)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_cached *cached = of_node(neap_table_find(&memory->cached, key));
    if (cached)
        neap_memory_drop_cached(memory, cached);
    return NEAP_STORE_OK;
}
