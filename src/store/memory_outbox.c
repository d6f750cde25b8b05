/* Outboxes of the memory kind: from put to done, retry or bury. */
#include "store/memory_outbox.h"

#include <string.h>

#include "base/secret.h"

/* ------------------------------------------------------------------------------ finding, bytes */

static struct neap_bytes id_key(const uint64_t *id)
{
    return (struct neap_bytes){id, sizeof *id};
}

struct neap_memory_outbox *neap_memory_find_outbox(const struct neap_memory *memory,
                                                   struct neap_bytes name)
{
    return (struct neap_memory_outbox *)neap_table_find(&memory->outboxes, name);
}

struct neap_memory_entry *neap_memory_find_entry(const struct neap_memory *memory, uint64_t id)
{
    return (struct neap_memory_entry *)neap_table_find(&memory->entries, id_key(&id));
}

static struct neap_memory_entry *find_owned(const struct neap_memory *memory,
                                            struct neap_outbox_owner owner)
{
    struct neap_memory_entry *entry = neap_memory_find_entry(memory, owner.id);
    return entry && neap_is_same_secret(entry->token, owner.token, sizeof entry->token) ? entry
                                                                                        : NULL;
}

static size_t entry_cost(size_t value_bytes)
{
    return sizeof(struct neap_memory_entry) + value_bytes + NEAP_MEMORY_BLOCK_BYTES +
           NEAP_MEMORY_INDEX_BYTES;
}

/* The table and the heaps of an outbox, as small as they are made. */
#define OUTBOX_INDEX_BYTES 512u

static size_t outbox_cost(size_t name_bytes)
{
    return sizeof(struct neap_memory_outbox) + name_bytes + NEAP_MEMORY_BLOCK_BYTES +
           OUTBOX_INDEX_BYTES;
}

static size_t lane_cost(size_t key_bytes)
{
    return sizeof(struct neap_memory_lane) + key_bytes + NEAP_MEMORY_BLOCK_BYTES +
           NEAP_MEMORY_INDEX_BYTES;
}

/* ---------------------------------------------------------------------------------------- put */

/* A zeroed struct that begins with a node, with the key behind it; NULL without memory. */
static struct neap_table_node *make_node(struct neap_table *table, size_t struct_bytes,
                                         struct neap_bytes key)
{
    char *made = neap_table_reserve(table)
                     ? neap_alloc_zeroed(table->alloc, struct_bytes + key.bytes)
                     : NULL;
    if (!made)
        return NULL;
    if (key.bytes > 0)
        memcpy(made + struct_bytes, key.at, key.bytes);
    struct neap_table_node *node = (struct neap_table_node *)made;
    neap_table_add(table, node, (struct neap_bytes){made + struct_bytes, key.bytes});
    return node;
}

static struct neap_memory_outbox *make_outbox(struct neap_memory *memory, struct neap_bytes name)
{
    struct neap_memory_outbox *outbox = (struct neap_memory_outbox *)make_node(
        &memory->outboxes, sizeof(struct neap_memory_outbox), name);
    if (!outbox)
        return NULL;
    neap_table_init(&outbox->lanes, memory->store.alloc, memory->outboxes.seed);
    neap_heap_init(&outbox->ready, memory->store.alloc);
    neap_heap_init(&outbox->later, memory->store.alloc);
    neap_memory_charge(memory, outbox_cost(name.bytes));
    return outbox;
}

static struct neap_memory_lane *make_lane(struct neap_memory *memory,
                                          struct neap_memory_outbox *outbox, struct neap_bytes key)
{
    struct neap_memory_lane *lane =
        (struct neap_memory_lane *)make_node(&outbox->lanes, sizeof(struct neap_memory_lane), key);
    if (lane)
        neap_memory_charge(memory, lane_cost(key.bytes));
    return lane;
}

static void drop_empty_lane(struct neap_memory *memory, struct neap_memory_outbox *outbox,
                            struct neap_memory_lane *lane)
{
    if (!lane || lane->members > 0)
        return;
    neap_memory_refund(memory, lane_cost(lane->node.key.bytes));
    neap_table_remove(&outbox->lanes, &lane->node);
    neap_free(memory->store.alloc, lane);
}

/* Room in both heaps for one living entry more, counting the dead, who may be revived. */
static bool reserve_heaps(struct neap_memory_outbox *outbox)
{
    size_t wanted = outbox->living_count + outbox->dead_count + 1;
    size_t capacity = outbox->later.capacity;
    if (wanted <= capacity)
        return true;
    wanted = capacity * 2 + 16;
    return neap_heap_reserve(&outbox->ready, wanted) == NEAP_OK &&
           neap_heap_reserve(&outbox->later, wanted) == NEAP_OK;
}

static struct neap_memory_entry *make_entry(struct neap_memory *memory, struct neap_bytes value)
{
    struct neap_memory_entry *entry =
        neap_table_reserve(&memory->entries)
            ? neap_alloc_zeroed(memory->store.alloc, sizeof *entry + value.bytes)
            : NULL;
    if (!entry)
        return NULL;
    if (value.bytes > 0)
        memcpy(entry->value, value.at, value.bytes);
    entry->value_bytes = value.bytes;
    entry->id = ++memory->last_id;
    neap_table_add(&memory->entries, &entry->node, id_key(&entry->id));
    neap_memory_charge(memory, entry_cost(value.bytes));
    return entry;
}

static struct neap_memory_entry *add(struct neap_memory *memory, struct neap_memory_outbox *outbox,
                                     struct neap_bytes ordering_key, struct neap_bytes value)
{
    struct neap_memory_lane *lane = NULL;
    if (ordering_key.bytes > 0) {
        lane = (struct neap_memory_lane *)neap_table_find(&outbox->lanes, ordering_key);
        lane = lane ? lane : make_lane(memory, outbox, ordering_key);
        if (!lane)
            return NULL;
    }
    struct neap_memory_entry *entry = make_entry(memory, value);
    if (!entry) {
        drop_empty_lane(memory, outbox, lane);
        return NULL;
    }
    entry->outbox = outbox;
    entry->lane = lane;
    if (lane)
        lane->members++;
    return entry;
}

enum neap_store_status neap_memory_outbox_put(struct neap_store *store, struct neap_bytes name,
                                              struct neap_bytes ordering_key,
                                              struct neap_bytes value, int64_t now_ns, uint64_t *id)
{
    struct neap_memory *memory = neap_memory_of(store);
    size_t cost = entry_cost(value.bytes) + outbox_cost(name.bytes) + lane_cost(ordering_key.bytes);
    (void)neap_memory_expire_one(memory, now_ns);
    if (!neap_memory_fits(memory, cost, now_ns))
        return NEAP_STORE_FULL;
    struct neap_memory_outbox *outbox = neap_memory_find_outbox(memory, name);
    outbox = outbox ? outbox : make_outbox(memory, name);
    if (!outbox || !reserve_heaps(outbox))
        return NEAP_STORE_NO_MEMORY;
    struct neap_memory_entry *entry = add(memory, outbox, ordering_key, value);
    if (!entry)
        return NEAP_STORE_NO_MEMORY;
    entry->put_ns = entry->due_ns = now_ns;
    neap_memory_enter(entry, now_ns);
    *id = entry->id;
    return NEAP_STORE_OK;
}

/* ------------------------------------------------------------------------------- while taken */

enum neap_store_status neap_memory_outbox_take(struct neap_store *store, struct neap_bytes name,
                                               const uint8_t *token, int64_t now_ns,
                                               int64_t lease_end_ns,
                                               struct neap_outbox_entry *taken, int64_t *next_ns)
{
    struct neap_memory_outbox *outbox = neap_memory_find_outbox(neap_memory_of(store), name);
    int64_t next = INT64_MAX;
    struct neap_memory_entry *entry = outbox ? neap_memory_next_entry(outbox, now_ns, &next) : NULL;
    if (!entry) {
        *next_ns = next;
        return NEAP_STORE_NONE;
    }
    struct neap_blob value;
    if (!neap_blob_copy(store->alloc, entry->value, entry->value_bytes, &value))
        return NEAP_STORE_NO_MEMORY;
    entry->state = NEAP_ENTRY_TAKEN;
    entry->due_ns = lease_end_ns;
    memcpy(entry->token, token, sizeof entry->token);
    neap_memory_schedule_lease(entry);
    *taken = (struct neap_outbox_entry){
        .id = entry->id, .value = value, .attempts = entry->attempts, .put_ns = entry->put_ns};
    memcpy(taken->token, token, sizeof taken->token);
    return NEAP_STORE_OK;
}

enum neap_store_status neap_memory_outbox_renew(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t now_ns,
                                                int64_t lease_end_ns)
{
    struct neap_memory_entry *entry = find_owned(neap_memory_of(store), owner);
    if (!entry || entry->state != NEAP_ENTRY_TAKEN || !neap_memory_is_next(entry, now_ns))
        return NEAP_STORE_LOST;
    entry->due_ns = lease_end_ns;
    neap_memory_schedule_lease(entry);
    return NEAP_STORE_OK;
}

void neap_memory_drop_entry(struct neap_memory *memory, struct neap_memory_entry *entry)
{
    struct neap_memory_lane *lane = entry->lane;
    if (lane) {
        lane->members--;
        drop_empty_lane(memory, entry->outbox, lane);
    }
    neap_memory_refund(memory, entry_cost(entry->value_bytes));
    neap_table_remove(&memory->entries, &entry->node);
    neap_free(memory->store.alloc, entry);
}

enum neap_store_status neap_memory_outbox_done(struct neap_store *store,
                                               struct neap_outbox_owner owner)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_entry *entry = find_owned(memory, owner);
    if (!entry || entry->state != NEAP_ENTRY_TAKEN)
        return NEAP_STORE_LOST;
    neap_memory_leave(entry);
    neap_memory_drop_entry(memory, entry);
    return NEAP_STORE_OK;
}

enum neap_store_status neap_memory_outbox_retry(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t due_ns)
{
    struct neap_memory_entry *entry = find_owned(neap_memory_of(store), owner);
    if (entry && entry->state == NEAP_ENTRY_WAITING)
        return NEAP_STORE_OK;
    if (!entry || entry->state != NEAP_ENTRY_TAKEN)
        return NEAP_STORE_LOST;
    entry->state = NEAP_ENTRY_WAITING;
    entry->due_ns = due_ns;
    entry->attempts += entry->attempts < UINT32_MAX;
    neap_memory_schedule_again(entry);
    return NEAP_STORE_OK;
}

/* ----------------------------------------------------------------------------------------- end */

static void free_outbox(const struct neap_alloc *alloc, struct neap_memory_outbox *outbox)
{
    struct neap_table_node *lane = neap_table_next(&outbox->lanes, NULL);
    while (lane) {
        struct neap_table_node *next = neap_table_next(&outbox->lanes, lane);
        neap_free(alloc, lane);
        lane = next;
    }
    neap_table_deinit(&outbox->lanes);
    neap_heap_deinit(&outbox->ready);
    neap_heap_deinit(&outbox->later);
    neap_free(alloc, outbox);
}

void neap_memory_free_outboxes(struct neap_memory *memory)
{
    const struct neap_alloc *alloc = memory->store.alloc;
    struct neap_table_node *node = neap_table_next(&memory->outboxes, NULL);
    while (node) {
        struct neap_table_node *next = neap_table_next(&memory->outboxes, node);
        free_outbox(alloc, (struct neap_memory_outbox *)node);
        node = next;
    }
    node = neap_table_next(&memory->entries, NULL);
    while (node) {
        struct neap_table_node *next = neap_table_next(&memory->entries, node);
        neap_blob_free(&((struct neap_memory_entry *)node)->reason);
        neap_free(alloc, node);
        node = next;
    }
    neap_table_deinit(&memory->outboxes);
    neap_table_deinit(&memory->entries);
}
