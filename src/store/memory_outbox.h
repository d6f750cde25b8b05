/* Outboxes of the memory kind: entries, and which of them is next.
 *
 * Entries of one ordering key form a lane, ordered by id. Of each lane with living entries exactly
 * one is scheduled: the taken one, else the first; an entry without a lane is always scheduled.
 * `later` holds those whose moment (due, or the end of a lease) is to come, `ready` the others by
 * id. An entry that is scheduled nowhere waits for its lane. */
#ifndef NEAP_STORE_MEMORY_OUTBOX_H
#define NEAP_STORE_MEMORY_OUTBOX_H

#include "base/owner.h"
#include "store/memory_store.h"

enum neap_entry_state { NEAP_ENTRY_WAITING, NEAP_ENTRY_TAKEN, NEAP_ENTRY_DEAD };

struct neap_memory_entry;

struct neap_memory_lane {
    struct neap_table_node node; /* the ordering key lies behind the struct */
    struct neap_list list;       /* the living, ordered by id */
    size_t members;              /* the living and the dead */
};

struct neap_memory_outbox {
    struct neap_table_node node; /* the name lies behind the struct */
    struct neap_table lanes;
    struct neap_heap ready, later;
    struct neap_list dead; /* ordered by id */
    uint64_t living_count, dead_count;
};

struct neap_memory_entry {
    struct neap_table_node node;
    uint64_t id;
    struct neap_memory_outbox *outbox;
    struct neap_memory_lane *lane; /* NULL: none */
    struct neap_listed listed;     /* in its lane, or among the dead */
    struct neap_timer timer;
    struct neap_heap *scheduled; /* where its timer is; NULL: nowhere */
    enum neap_entry_state state;
    int64_t due_ns; /* taken: when the lease ends */
    uint8_t token[NEAP_STORE_TOKEN_BYTES];
    uint32_t attempts;
    int64_t put_ns, died_ns;
    struct neap_blob reason;
    size_t value_bytes;
    char value[];
};

/* The entry that is listed there; NULL for NULL. */
static inline struct neap_memory_entry *neap_memory_listed(struct neap_listed *listed)
{
    return listed ? NEAP_OWNER(listed, struct neap_memory_entry, listed) : NULL;
}

void neap_memory_list_insert(struct neap_list *list, struct neap_memory_entry *entry);

/* The entry joins the living, and is scheduled if its lane has nobody before it. */
void neap_memory_enter(struct neap_memory_entry *entry, int64_t now_ns);

/* The entry leaves the living; the next one of its lane is scheduled. */
void neap_memory_leave(struct neap_memory_entry *entry);

/* Whether a taken entry still has its lane: its lease has not ended, or nobody is before it. */
bool neap_memory_is_next(const struct neap_memory_entry *entry, int64_t now_ns);

/* Taken or renewed: only its lease's end matters. */
void neap_memory_schedule_lease(struct neap_memory_entry *entry);

/* It waits again: the first of its lane is scheduled. */
void neap_memory_schedule_again(struct neap_memory_entry *entry);

/* The oldest entry that may be given out at `now_ns`; NULL: none, and *next_ns says when. */
struct neap_memory_entry *neap_memory_next_entry(struct neap_memory_outbox *outbox, int64_t now_ns,
                                                 int64_t *next_ns);

/* NULL where there is none. */
struct neap_memory_outbox *neap_memory_find_outbox(const struct neap_memory *memory,
                                                   struct neap_bytes name);
struct neap_memory_entry *neap_memory_find_entry(const struct neap_memory *memory, uint64_t id);

/* Takes the entry, which is scheduled nowhere, in no list and without a reason, out of the store.
 */
void neap_memory_drop_entry(struct neap_memory *memory, struct neap_memory_entry *entry);

#endif
