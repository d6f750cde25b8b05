/* The memory kind: its state, and the bytes that everything in it must share. */
#ifndef NEAP_STORE_MEMORY_STORE_H
#define NEAP_STORE_MEMORY_STORE_H

#include "base/heap.h"
#include "base/list.h"
#include "store/memory_table.h"
#include "store/store_internal.h"

struct neap_memory_claim;
struct neap_memory_cached;

struct neap_memory {
    struct neap_store store;
    size_t max_bytes;
    size_t max_entries;  /* cached answers; 0: no bound */
    size_t used_bytes;   /* by everything */
    size_t cached_bytes; /* by the cached answers, which may all go */
    struct neap_table claims, cached, outboxes, entries;
    struct neap_heap claim_ends, cached_ends; /* when they expire */
    struct neap_list cached_by_use;           /* from the one used longest ago */
    uint64_t last_id;                         /* of an outbox entry */
};

static inline struct neap_memory *neap_memory_of(struct neap_store *store)
{
    return (struct neap_memory *)store;
}

/* ---------------------------------------------------------------------------- counting bytes */

/* What a block costs beside its bytes, and a record by its places in tables and heaps: two pointers
 * each, since these grow by doubling. */
#define NEAP_MEMORY_BLOCK_BYTES 16u
#define NEAP_MEMORY_INDEX_BYTES 48u

/* Whether so many bytes more can be held. Throws out what has expired where it must. */
NEAP_MUST_CHECK bool neap_memory_fits(struct neap_memory *memory, size_t bytes, int64_t now_ns);

/* Counts bytes that fit: cached answers go until there is room for them. */
void neap_memory_charge(struct neap_memory *memory, size_t bytes);
void neap_memory_refund(struct neap_memory *memory, size_t bytes);

/* Throws out what expires first, where it has expired; false where nothing has. */
bool neap_memory_expire_one(struct neap_memory *memory, int64_t now_ns);

/* ------------------------------------------------------------------------------------- rooms */

void neap_memory_drop_claim(struct neap_memory *memory, struct neap_memory_claim *claim);
void neap_memory_drop_cached(struct neap_memory *memory, struct neap_memory_cached *cached);

/* The answer used longest ago; there is one. */
void neap_memory_drop_oldest_cached(struct neap_memory *memory);

/* NULL where none has expired. */
struct neap_memory_claim *neap_memory_expired_claim(struct neap_memory *memory, int64_t now_ns);
struct neap_memory_cached *neap_memory_expired_cached(struct neap_memory *memory, int64_t now_ns);

void neap_memory_free_claims(struct neap_memory *memory);
void neap_memory_free_cached(struct neap_memory *memory);
void neap_memory_free_outboxes(struct neap_memory *memory);

/* --------------------------------------------- the functions of the table, see store_internal.h */

enum neap_store_status neap_memory_claim(struct neap_store *store,
                                         const struct neap_claim_request *request,
                                         struct neap_claim *claim);
enum neap_store_status neap_memory_renew(struct neap_store *store, struct neap_bytes key,
                                         const uint8_t *token, int64_t now_ns,
                                         int64_t lease_end_ns);
enum neap_store_status neap_memory_finish(struct neap_store *store, struct neap_bytes key,
                                          const uint8_t *token, struct neap_bytes result,
                                          int64_t now_ns);
enum neap_store_status neap_memory_release(struct neap_store *store, struct neap_bytes key,
                                           const uint8_t *token, int64_t now_ns);

enum neap_store_status neap_memory_get(struct neap_store *store, struct neap_bytes key,
                                       int64_t now_ns, struct neap_blob *value);
enum neap_store_status neap_memory_put(struct neap_store *store, struct neap_bytes key,
                                       struct neap_bytes value, int64_t now_ns, int64_t expires_ns);
enum neap_store_status neap_memory_remove(struct neap_store *store, struct neap_bytes key);

enum neap_store_status neap_memory_outbox_put(struct neap_store *store, struct neap_bytes outbox,
                                              struct neap_bytes ordering_key,
                                              struct neap_bytes value, int64_t now_ns,
                                              uint64_t *id);
enum neap_store_status neap_memory_outbox_take(struct neap_store *store, struct neap_bytes outbox,
                                               const uint8_t *token, int64_t now_ns,
                                               int64_t lease_end_ns,
                                               struct neap_outbox_entry *entry, int64_t *next_ns);
enum neap_store_status neap_memory_outbox_renew(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t now_ns,
                                                int64_t lease_end_ns);
enum neap_store_status neap_memory_outbox_done(struct neap_store *store,
                                               struct neap_outbox_owner owner);
enum neap_store_status neap_memory_outbox_retry(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t due_ns);
enum neap_store_status neap_memory_outbox_bury(struct neap_store *store,
                                               struct neap_outbox_owner owner,
                                               struct neap_bytes reason, int64_t now_ns);
enum neap_store_status neap_memory_outbox_count(struct neap_store *store, struct neap_bytes outbox,
                                                int64_t now_ns, struct neap_outbox_counts *counts);
enum neap_store_status neap_memory_outbox_dead(struct neap_store *store, struct neap_bytes outbox,
                                               uint64_t after, struct neap_dead_letter *letter);
enum neap_store_status neap_memory_outbox_revive(struct neap_store *store, uint64_t id,
                                                 int64_t now_ns);
enum neap_store_status neap_memory_outbox_drop(struct neap_store *store, uint64_t id);

#endif
