/* What the kinds of store share: the table of functions that each fills, and small helpers.
 *
 * store.c has checked the arguments before a function of the table is called: keys and blobs are
 * within their bounds, moments are from 1970 to NEAP_STORE_LAST_NS, and lengths of time have become
 * moments. */
#ifndef NEAP_STORE_STORE_INTERNAL_H
#define NEAP_STORE_STORE_INTERNAL_H

#include "store/store.h"

/* One below "never", which a heap of timers would not hold. */
#define NEAP_STORE_LAST_NS (INT64_MAX - 1)

/* Who wants to do something with an entry of an outbox. */
struct neap_outbox_owner {
    uint64_t id;
    const uint8_t *token;
};

/* The functions of store.h of the same names. */
struct neap_store_kind {
    enum neap_store_status (*claim)(struct neap_store *store,
                                    const struct neap_claim_request *request,
                                    struct neap_claim *claim);
    enum neap_store_status (*renew)(struct neap_store *store, struct neap_bytes key,
                                    const uint8_t *token, int64_t now_ns, int64_t lease_end_ns);
    enum neap_store_status (*finish)(struct neap_store *store, struct neap_bytes key,
                                     const uint8_t *token, struct neap_bytes result,
                                     int64_t now_ns);
    enum neap_store_status (*release)(struct neap_store *store, struct neap_bytes key,
                                      const uint8_t *token, int64_t now_ns);

    enum neap_store_status (*get)(struct neap_store *store, struct neap_bytes key, int64_t now_ns,
                                  struct neap_blob *value);
    enum neap_store_status (*put)(struct neap_store *store, struct neap_bytes key,
                                  struct neap_bytes value, int64_t now_ns, int64_t expires_ns);
    enum neap_store_status (*remove)(struct neap_store *store, struct neap_bytes key);

    enum neap_store_status (*outbox_put)(struct neap_store *store, struct neap_bytes outbox,
                                         struct neap_bytes ordering_key, struct neap_bytes value,
                                         int64_t now_ns, uint64_t *id);
    enum neap_store_status (*outbox_take)(struct neap_store *store, struct neap_bytes outbox,
                                          const uint8_t *token, int64_t now_ns,
                                          int64_t lease_end_ns, struct neap_outbox_entry *entry,
                                          int64_t *next_ns);
    enum neap_store_status (*outbox_renew)(struct neap_store *store, struct neap_outbox_owner owner,
                                           int64_t now_ns, int64_t lease_end_ns);
    enum neap_store_status (*outbox_done)(struct neap_store *store, struct neap_outbox_owner owner);
    enum neap_store_status (*outbox_retry)(struct neap_store *store, struct neap_outbox_owner owner,
                                           int64_t due_ns);
    enum neap_store_status (*outbox_bury)(struct neap_store *store, struct neap_outbox_owner owner,
                                          struct neap_bytes reason, int64_t now_ns);
    enum neap_store_status (*outbox_count)(struct neap_store *store, struct neap_bytes outbox,
                                           int64_t now_ns, struct neap_outbox_counts *counts);
    enum neap_store_status (*outbox_dead)(struct neap_store *store, struct neap_bytes outbox,
                                          uint64_t after, struct neap_dead_letter *letter);
    enum neap_store_status (*outbox_revive)(struct neap_store *store, uint64_t id, int64_t now_ns);
    enum neap_store_status (*outbox_drop)(struct neap_store *store, uint64_t id);

    enum neap_store_status (*sweep)(struct neap_store *store, int64_t now_ns, bool *more);
    void (*free)(struct neap_store *store);
};

/* The first member of each kind's own struct. */
struct neap_store {
    const struct neap_store_kind *kind;
    const struct neap_alloc *alloc;
    char message[NEAP_MESSAGE_BYTES];
};

/* `length_ns` after now, at most NEAP_STORE_LAST_NS. */
int64_t neap_store_end_ns(int64_t now_ns, int64_t length_ns);

/* A blob with a copy, never at NULL where there are 0 bytes; false without memory. */
NEAP_MUST_CHECK bool neap_blob_copy(const struct neap_alloc *alloc, const void *at, size_t bytes,
                                    struct neap_blob *blob);

/* Sets the store's message; UNAVAILABLE. */
NEAP_PRINTF(2, 3)
enum neap_store_status neap_store_unavailable(struct neap_store *store, const char *format, ...);

#endif
