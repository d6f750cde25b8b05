/* Store: what must outlive a call: claims on idempotency keys with their results, cached answers,
 * and the requests of an outbox.
 *
 * One interface, several kinds: memory (this process only, bounded), SQLite (one machine, survives
 * it), Redis (several machines). Every function may block on a disk or a network and is called on
 * one thread at a time, the store's own; several store objects, threads, processes and machines may
 * work on the same data at once, and each function is one atomic step of it.
 *
 * Times are wall-clock nanoseconds since 1970 that the caller passes in, since they must mean the
 * same to the next process and to other machines; `now_ns` is read once for each step. Keys and
 * blobs are any bytes, keys up to NEAP_STORE_KEY_MAX, blobs up to NEAP_STORE_BLOB_MAX. What is
 * stored under different uses (claims, cache, outbox) never meets, whatever its keys.
 *
 * Results leave through pointers and are untouched unless OK is returned, or what a function says
 * beside it. A moment counts as past when it has come: at `now == end` a lease has ended. */
#ifndef NEAP_STORE_STORE_H
#define NEAP_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/outcome.h"

#define NEAP_STORE_KEY_MAX 4096u
#define NEAP_STORE_BLOB_MAX (256u * 1024 * 1024) /* within the limits of SQLite and Redis */
#define NEAP_STORE_TOKEN_BYTES 16u               /* random, made anew for each claim */
#define NEAP_STORE_DIGEST_BYTES 32u

enum neap_store_status {
    NEAP_STORE_OK,
    NEAP_STORE_NONE,       /* there is nothing of that key, or nothing to take */
    NEAP_STORE_LOST,       /* it is no longer the caller's: another owner has it, or nobody */
    NEAP_STORE_FULL,       /* a bound of the store's, or a blob too long; nothing has changed */
    NEAP_STORE_INVALID,    /* a key too long, bytes without an address, a moment before 1970 or a
                              length below zero; nothing has changed */
    NEAP_STORE_NO_MEMORY,  /* nothing has changed */
    NEAP_STORE_UNAVAILABLE /* it is down or broken, see the message; whether something has changed
                              is unknown */
};

/* After UNAVAILABLE the same step may be repeated with the same token. What the first time may have
 * done is then found done: claim answers NEW again, finish, outbox_retry and outbox_bury answer OK
 * again. release, outbox_done, outbox_revive and outbox_drop may answer LOST or NONE because they
 * had worked. outbox_put may have put twice, and the entry of an outbox_take that was lost stays
 * taken until its lease ends. */

struct neap_store;

struct neap_bytes {
    const void *at;
    size_t bytes;
};

/* A block of the store's allocator that the caller frees by neap_blob_free. */
struct neap_blob {
    const struct neap_alloc *alloc;
    char *at; /* NULL: none */
    size_t bytes;
};
void neap_blob_free(struct neap_blob *blob);

/* ------------------------------------------------------------------------------------- claims */

enum neap_claim_state {
    NEAP_CLAIM_NEW,     /* it is the caller's now, until the lease ends or is renewed */
    NEAP_CLAIM_RUNNING, /* somebody else has it; see lease_left_ns */
    NEAP_CLAIM_DONE     /* it has a result */
};

struct neap_claim {
    enum neap_claim_state state;
    bool recovered;  /* NEW: an earlier owner's lease ended without a result */
    bool other_work; /* the stored fingerprint is another one; RUNNING or DONE, and nothing was
                        claimed, also where that owner's lease has ended */
    int64_t lease_left_ns;   /* RUNNING: 0 where the lease has ended (other_work) */
    struct neap_blob result; /* DONE, unless other_work */
};

struct neap_claim_request {
    struct neap_bytes key;
    uint8_t fingerprint[NEAP_STORE_DIGEST_BYTES];
    uint8_t token[NEAP_STORE_TOKEN_BYTES];
    int64_t now_ns, lease_ns, ttl_ns; /* a key is new again at `ttl_ns` after its first claim */
};

/* Says "new", "running" or "done" and claims what is new, in one atomic step. What was claimed is
 * claimed again by the same token, with the same `recovered` and a lease that begins anew, as long
 * as it is still that token's and has no result. The ttl rules over everything: from `ttl_ns` after
 * its first claim a key is new for anybody, and its owner of before has lost it. */
NEAP_MUST_CHECK enum neap_store_status neap_store_claim(struct neap_store *store,
                                                        const struct neap_claim_request *request,
                                                        struct neap_claim *claim);

/* The owner's lease ends `lease_ns` after now. LOST where the claim is not its any more, also where
 * it has a result. A lease that has ended, and that nobody else has claimed since, is renewed. */
NEAP_MUST_CHECK enum neap_store_status neap_store_renew(struct neap_store *store,
                                                        struct neap_bytes key, const uint8_t *token,
                                                        int64_t now_ns, int64_t lease_ns);

/* The owner's result, kept until the ttl of the claim. LOST as for renew, but OK again, and nothing
 * changes, where the result is of the same token. On OK it survives a crash (as far as the kind of
 * store survives anything). FULL leaves the claim as it is. */
NEAP_MUST_CHECK enum neap_store_status neap_store_finish(struct neap_store *store,
                                                         struct neap_bytes key,
                                                         const uint8_t *token,
                                                         struct neap_bytes result, int64_t now_ns);

/* The key is free as if it had never been claimed. LOST as for renew. */
NEAP_MUST_CHECK enum neap_store_status neap_store_release(struct neap_store *store,
                                                          struct neap_bytes key,
                                                          const uint8_t *token, int64_t now_ns);

/* -------------------------------------------------------------------------------------- cache */

/* NONE, also where `expires_ns` has come. What was stored may be gone earlier. */
NEAP_MUST_CHECK enum neap_store_status neap_store_get(struct neap_store *store,
                                                      struct neap_bytes key, int64_t now_ns,
                                                      struct neap_blob *value);
NEAP_MUST_CHECK enum neap_store_status neap_store_put(struct neap_store *store,
                                                      struct neap_bytes key,
                                                      struct neap_bytes value, int64_t now_ns,
                                                      int64_t expires_ns);
/* OK also where there was nothing. */
NEAP_MUST_CHECK enum neap_store_status neap_store_remove(struct neap_store *store,
                                                         struct neap_bytes key);

/* ------------------------------------------------------------------------------------- outbox */

/* One entry that was taken to be delivered. Entries of one ordering key are given out one at a
 * time, oldest first; entries without an ordering key (0 bytes) in order of age, any number. */
struct neap_outbox_entry {
    uint64_t id; /* grows with age, never 0, below 2^53 */
    uint8_t token[NEAP_STORE_TOKEN_BYTES];
    struct neap_blob value;
    uint32_t attempts; /* rounds that ended in neap_store_outbox_retry */
    int64_t put_ns;
};

/* OK means that it survives a crash (as far as the kind of store does). `outbox` names one of the
 * store's outboxes. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_put(struct neap_store *store,
                                                             struct neap_bytes outbox,
                                                             struct neap_bytes ordering_key,
                                                             struct neap_bytes value,
                                                             int64_t now_ns, uint64_t *id);

/* Takes the oldest entry that is due, of no other owner, and first of its ordering key; it is the
 * owner's for `lease_ns`, then free again. NONE: `*next_ns` says when one may be due, INT64_MAX
 * where the outbox is empty. Each take has a token of its own. */
NEAP_MUST_CHECK enum neap_store_status
neap_store_outbox_take(struct neap_store *store, struct neap_bytes outbox, const uint8_t *token,
                       int64_t now_ns, int64_t lease_ns, struct neap_outbox_entry *entry,
                       int64_t *next_ns);

/* The owner's lease goes on, also one that has ended, unless the entry has been given out since, or
 * an older one of its ordering key was revived. LOST where it is not the owner's any more. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_renew(struct neap_store *store,
                                                               uint64_t id, const uint8_t *token,
                                                               int64_t now_ns, int64_t lease_ns);

/* Delivered: it is gone. LOST where it is not the owner's any more; the same in the next two, which
 * answer OK again to the same token as long as nothing else has happened to the entry. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_done(struct neap_store *store, uint64_t id,
                                                              const uint8_t *token);

/* Not delivered: due again at `due_ns`, with one attempt more. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_retry(struct neap_store *store,
                                                               uint64_t id, const uint8_t *token,
                                                               int64_t due_ns);

/* Given up: a dead letter with its reason; the next one of its ordering key is free to go. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_bury(struct neap_store *store, uint64_t id,
                                                              const uint8_t *token,
                                                              struct neap_bytes reason,
                                                              int64_t now_ns);

struct neap_outbox_counts {
    uint64_t waiting, taken, dead;
};
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_count(struct neap_store *store,
                                                               struct neap_bytes outbox,
                                                               int64_t now_ns,
                                                               struct neap_outbox_counts *counts);

struct neap_dead_letter {
    uint64_t id;
    struct neap_blob value, reason;
    uint32_t attempts;
    int64_t put_ns, died_ns;
};

/* The dead letter with the smallest id above `after` (0: the first). NONE at the end. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_dead(struct neap_store *store,
                                                              struct neap_bytes outbox,
                                                              uint64_t after,
                                                              struct neap_dead_letter *letter);

/* The dead letter waits again, due now, without attempts, at its old place in the order. NONE where
 * there is no such dead letter. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_revive(struct neap_store *store,
                                                                uint64_t id, int64_t now_ns);
/* Throws the dead letter away. NONE where there is no such dead letter. */
NEAP_MUST_CHECK enum neap_store_status neap_store_outbox_drop(struct neap_store *store,
                                                              uint64_t id);

/* -------------------------------------------------------------------------------- housekeeping */

/* Removes what has expired, a bounded amount at a time; `*more` says whether there is more. Steps
 * do a little of it by themselves. */
NEAP_MUST_CHECK enum neap_store_status neap_store_sweep(struct neap_store *store, int64_t now_ns,
                                                        bool *more);

/* Why the last step of this store was UNAVAILABLE, for people; holds no credential. */
const char *neap_store_message(const struct neap_store *store);

void neap_store_free(struct neap_store *store);

/* --------------------------------------------------------------------------------------- kinds */

/* Bounded: over `max_bytes` what has expired goes, then the cached answers, the one used longest
 * ago first; a claim or an entry without room is FULL, since forgetting a result that counts would
 * pay twice. Counted are keys, blobs and all that belongs to them. Of cached answers there are
 * never more than `max_entries` (0: no bound of their own), the one used longest ago makes room.
 * UNAVAILABLE where the system gives no random bytes. */
struct neap_memory_settings {
    size_t max_bytes;
    size_t max_entries;
};
NEAP_MUST_CHECK enum neap_store_status
neap_store_open_memory(const struct neap_alloc *alloc, const struct neap_memory_settings *settings,
                       struct neap_store **store);

/* WAL, synchronous = FULL: an accepted write is on disk before it is acknowledged. The file is made
 * with mode 0600. Several processes at once; who waits for another's write waits `busy_ns` at most.
 * The connection is opened at the first step, and anew after a fork or where the file was replaced.
 * A fork while a step is under way is safe only for a child that executes another program; and of
 * one file a process that forks has one store object, see sqlite_fork.c. UNAVAILABLE with a message
 * in `message` where the path cannot be used, or neap was built without SQLite. */
struct neap_sqlite_settings {
    const char *path;
    int64_t busy_ns;
};
NEAP_MUST_CHECK enum neap_store_status
neap_store_open_sqlite(const struct neap_alloc *alloc, const struct neap_sqlite_settings *settings,
                       struct neap_store **store, char message[NEAP_MESSAGE_BYTES]);

/* Was neap built with that library? */
extern const bool neap_store_has_sqlite, neap_store_has_redis;

/* Texts may be NULL for "not set". A connection is made at the first step, again after it was lost,
 * and anew after a fork; a step that finds it lost is tried once more on a new one, in a way that
 * is safe: whatever the first try did is done once, and the answer is the one that was lost. Every
 * step is one atomic script or command. Keys begin with `prefix`.
 *
 * One Redis 5 or newer, or a primary with its replicas; no Redis Cluster, since a script makes the
 * names of its keys. It must not evict (maxmemory-policy noeviction), and what it has acknowledged
 * survives its crash as far as its appendfsync goes. All but waiting entries, dead letters and the
 * counter of ids expires by itself, about a minute after it has ceased to count. */
struct neap_redis_settings {
    const char *host; /* or a path that begins with '/' */
    int port;
    int db;
    const char *user, *password, *prefix;
    bool tls;            /* the certificate must be valid for `host` */
    const char *ca_file; /* NULL: the system's */
    int64_t connect_ns;  /* for connecting and logging in; the look-up of a name is not counted */
    int64_t step_ns;     /* for each of the two tries of a step */
};
NEAP_MUST_CHECK enum neap_store_status
neap_store_open_redis(const struct neap_alloc *alloc, const struct neap_redis_settings *settings,
                      struct neap_store **store, char message[NEAP_MESSAGE_BYTES]);

#endif
