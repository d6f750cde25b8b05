/* Outboxes of the memory kind: dead letters and counts. */
#include "store/memory_outbox.h"

#include <string.h>

#include "base/secret.h"

static size_t reason_cost(size_t bytes)
{
    return bytes + 1 + NEAP_MEMORY_BLOCK_BYTES;
}

static struct neap_memory_entry *find_dead(const struct neap_memory *memory, uint64_t id)
{
    struct neap_memory_entry *entry = neap_memory_find_entry(memory, id);
    return entry && entry->state == NEAP_ENTRY_DEAD ? entry : NULL;
}

static void die(struct neap_memory_entry *entry, struct neap_blob reason, int64_t now_ns)
{
    neap_memory_leave(entry);
    entry->state = NEAP_ENTRY_DEAD;
    entry->reason = reason;
    entry->died_ns = now_ns;
    neap_memory_list_insert(&entry->outbox->dead, entry);
    entry->outbox->dead_count++;
}

static void leave_the_dead(struct neap_memory *memory, struct neap_memory_entry *entry)
{
    neap_list_take_out(&entry->outbox->dead, &entry->listed);
    entry->outbox->dead_count--;
    neap_memory_refund(memory, reason_cost(entry->reason.bytes));
    neap_blob_free(&entry->reason);
}

enum neap_store_status neap_memory_outbox_bury(struct neap_store *store,
                                               struct neap_outbox_owner owner,
                                               struct neap_bytes reason, int64_t now_ns)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_entry *entry = neap_memory_find_entry(memory, owner.id);
    if (!entry || entry->state == NEAP_ENTRY_WAITING ||
        !neap_is_same_secret(entry->token, owner.token, sizeof entry->token))
        return NEAP_STORE_LOST;
    if (entry->state == NEAP_ENTRY_DEAD)
        return NEAP_STORE_OK;
    if (!neap_memory_fits(memory, reason_cost(reason.bytes), now_ns))
        return NEAP_STORE_FULL;
    struct neap_blob copy;
    if (!neap_blob_copy(store->alloc, reason.at, reason.bytes, &copy))
        return NEAP_STORE_NO_MEMORY;
    neap_memory_charge(memory, reason_cost(reason.bytes));
    die(entry, copy, now_ns);
    return NEAP_STORE_OK;
}

/* Taken entries whose lease has not ended are in `later`, all of them. */
enum neap_store_status neap_memory_outbox_count(struct neap_store *store, struct neap_bytes name,
                                                int64_t now_ns, struct neap_outbox_counts *counts)
{
    const struct neap_memory_outbox *outbox = neap_memory_find_outbox(neap_memory_of(store), name);
    *counts = (struct neap_outbox_counts){0};
    if (!outbox)
        return NEAP_STORE_OK;
    for (size_t i = 0; i < outbox->later.count; i++) {
        const struct neap_memory_entry *entry =
            (const struct neap_memory_entry *)((const char *)outbox->later.slot[i] -
                                               offsetof(struct neap_memory_entry, timer));
        counts->taken += entry->state == NEAP_ENTRY_TAKEN && entry->due_ns > now_ns;
    }
    counts->waiting = outbox->living_count - counts->taken;
    counts->dead = outbox->dead_count;
    return NEAP_STORE_OK;
}

/* Beginning behind `after` where that is still there, so that a walk over all is one pass. */
static const struct neap_memory_entry *dead_after(const struct neap_memory *memory,
                                                  const struct neap_memory_outbox *outbox,
                                                  uint64_t after)
{
    const struct neap_memory_entry *known = find_dead(memory, after);
    struct neap_listed *listed =
        known && known->outbox == outbox ? known->listed.next : outbox->dead.first;
    while (listed && neap_memory_listed(listed)->id <= after)
        listed = listed->next;
    return neap_memory_listed(listed);
}

enum neap_store_status neap_memory_outbox_dead(struct neap_store *store, struct neap_bytes name,
                                               uint64_t after, struct neap_dead_letter *letter)
{
    const struct neap_memory *memory = neap_memory_of(store);
    const struct neap_memory_outbox *outbox = neap_memory_find_outbox(memory, name);
    const struct neap_memory_entry *entry = outbox ? dead_after(memory, outbox, after) : NULL;
    if (!entry)
        return NEAP_STORE_NONE;
    struct neap_dead_letter copy = {.id = entry->id,
                                    .attempts = entry->attempts,
                                    .put_ns = entry->put_ns,
                                    .died_ns = entry->died_ns};
    if (!neap_blob_copy(store->alloc, entry->value, entry->value_bytes, &copy.value))
        return NEAP_STORE_NO_MEMORY;
    if (!neap_blob_copy(store->alloc, entry->reason.at, entry->reason.bytes, &copy.reason)) {
        neap_blob_free(&copy.value);
        return NEAP_STORE_NO_MEMORY;
    }
    *letter = copy;
    return NEAP_STORE_OK;
}

enum neap_store_status neap_memory_outbox_revive(struct neap_store *store, uint64_t id,
                                                 int64_t now_ns)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_entry *entry = find_dead(memory, id);
    if (!entry)
        return NEAP_STORE_NONE;
    leave_the_dead(memory, entry);
    entry->state = NEAP_ENTRY_WAITING;
    memset(entry->token, 0, sizeof entry->token);
    entry->attempts = 0;
    entry->due_ns = now_ns;
    neap_memory_enter(entry, now_ns);
    return NEAP_STORE_OK;
}

enum neap_store_status neap_memory_outbox_drop(struct neap_store *store, uint64_t id)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_entry *entry = find_dead(memory, id);
    if (!entry)
        return NEAP_STORE_NONE;
    leave_the_dead(memory, entry);
    neap_memory_drop_entry(memory, entry);
    return NEAP_STORE_OK;
}
