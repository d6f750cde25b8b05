/* The Redis kind: its state, and what its steps are made of.
 *
 * A step is one script or one command. Where the connection is lost before the answer has come,
 * nobody knows whether the step was done; it is tried once more on a new connection, and the script
 * is told so: it then finds what the first try did, by its token, and gives the answer that was
 * lost. */
#ifndef NEAP_STORE_REDIS_STORE_H
#define NEAP_STORE_REDIS_STORE_H

#include <hiredis.h>

#include "store/redis_link.h"
#include "store/redis_scripts.h"
#include "store/store_internal.h"

#define NEAP_REDIS_SHA_BYTES 41u

struct neap_redis {
    struct neap_store store;
    struct neap_redis_settings settings; /* its texts are this object's */
    struct neap_link link;
    redisReader *reader; /* NULL: not connected */
    int64_t owner_pid;   /* whose connection it is */
    char sha[NEAP_REDIS_SCRIPTS][NEAP_REDIS_SHA_BYTES];
};

static inline struct neap_redis *neap_redis_of(struct neap_store *store)
{
    return (struct neap_redis *)store;
}

/* ----------------------------------------------------------------------------------- arguments */

#define NEAP_REDIS_ARGUMENTS 16
#define NEAP_REDIS_NUMBERS 8
#define NEAP_REDIS_DIGITS 19 /* of a moment */

/* Points at what the caller has, and holds the numbers itself; it is not to be moved. */
struct neap_redis_args {
    const char *at[NEAP_REDIS_ARGUMENTS];
    size_t bytes[NEAP_REDIS_ARGUMENTS];
    int count;
    char number[NEAP_REDIS_NUMBERS][24];
    int numbers;
};

void neap_args_text(struct neap_redis_args *args, const char *text);
void neap_args_bytes(struct neap_redis_args *args, struct neap_bytes bytes);
void neap_args_token(struct neap_redis_args *args, const uint8_t *token);
void neap_args_moment(struct neap_redis_args *args, int64_t moment_ns);
void neap_args_number(struct neap_redis_args *args, uint64_t number);

/* How many milliseconds Redis keeps what expires then: a minute longer than it counts, since the
 * clocks of machines differ. */
void neap_args_keep(struct neap_redis_args *args, int64_t now_ns, int64_t expires_ns);

/* ---------------------------------------------------------------------------------- connection */

/* UNAVAILABLE with the message set. */
NEAP_MUST_CHECK enum neap_store_status neap_redis_connect(struct neap_redis *redis);
void neap_redis_disconnect(struct neap_redis *redis);

/* Sends one command and reads one answer, which freeReplyObject frees. */
NEAP_MUST_CHECK enum neap_link_status neap_redis_exchange(struct neap_redis *redis,
                                                          const struct neap_redis_args *args,
                                                          int64_t end_ns, redisReply **reply);

/* What an answer that is an error means: UNAVAILABLE with a message without credentials. */
NEAP_MUST_CHECK enum neap_store_status neap_redis_refused(struct neap_redis *redis,
                                                          const redisReply *reply);

/* --------------------------------------------------------------------------------------- steps */

/* The beginning of a script's arguments, and of a key as `kind` says. */
void neap_redis_begin(const struct neap_redis *redis, enum neap_redis_script script,
                      struct neap_redis_args *args);

/* Carries out a script: OK, LOST, NONE as it says, with its answer of `columns` elements behind the
 * first in *reply, which the caller frees by freeReplyObject; *reply may be NULL, and is then not
 * wanted. UNAVAILABLE. */
NEAP_MUST_CHECK enum neap_store_status neap_redis_script(struct neap_redis *redis,
                                                         enum neap_redis_script script,
                                                         struct neap_redis_args *args,
                                                         size_t columns, redisReply **reply);

/* Carries out a command that may be repeated. UNAVAILABLE. */
NEAP_MUST_CHECK enum neap_store_status neap_redis_command(struct neap_redis *redis,
                                                          const struct neap_redis_args *args,
                                                          redisReply **reply);

/* The number that is the element at that place, or 0. */
int64_t neap_reply_number(const redisReply *reply, size_t element);

/* NO_MEMORY. */
NEAP_MUST_CHECK enum neap_store_status neap_reply_blob(const struct neap_redis *redis,
                                                       const redisReply *reply, size_t element,
                                                       struct neap_blob *blob);

/* --------------------------------------------- the functions of the table, see store_internal.h */

enum neap_store_status neap_redis_claim(struct neap_store *store,
                                        const struct neap_claim_request *request,
                                        struct neap_claim *claim);
enum neap_store_status neap_redis_renew(struct neap_store *store, struct neap_bytes key,
                                        const uint8_t *token, int64_t now_ns, int64_t lease_end_ns);
enum neap_store_status neap_redis_finish(struct neap_store *store, struct neap_bytes key,
                                         const uint8_t *token, struct neap_bytes result,
                                         int64_t now_ns);
enum neap_store_status neap_redis_release(struct neap_store *store, struct neap_bytes key,
                                          const uint8_t *token, int64_t now_ns);

enum neap_store_status neap_redis_get(struct neap_store *store, struct neap_bytes key,
                                      int64_t now_ns, struct neap_blob *value);
enum neap_store_status neap_redis_put(struct neap_store *store, struct neap_bytes key,
                                      struct neap_bytes value, int64_t now_ns, int64_t expires_ns);
enum neap_store_status neap_redis_remove(struct neap_store *store, struct neap_bytes key);

enum neap_store_status neap_redis_outbox_put(struct neap_store *store, struct neap_bytes outbox,
                                             struct neap_bytes ordering_key,
                                             struct neap_bytes value, int64_t now_ns, uint64_t *id);
enum neap_store_status neap_redis_outbox_take(struct neap_store *store, struct neap_bytes outbox,
                                              const uint8_t *token, int64_t now_ns,
                                              int64_t lease_end_ns, struct neap_outbox_entry *entry,
                                              int64_t *next_ns);
enum neap_store_status neap_redis_outbox_renew(struct neap_store *store,
                                               struct neap_outbox_owner owner, int64_t now_ns,
                                               int64_t lease_end_ns);
enum neap_store_status neap_redis_outbox_done(struct neap_store *store,
                                              struct neap_outbox_owner owner);
enum neap_store_status neap_redis_outbox_retry(struct neap_store *store,
                                               struct neap_outbox_owner owner, int64_t due_ns);
enum neap_store_status neap_redis_outbox_bury(struct neap_store *store,
                                              struct neap_outbox_owner owner,
                                              struct neap_bytes reason, int64_t now_ns);
enum neap_store_status neap_redis_outbox_count(struct neap_store *store, struct neap_bytes outbox,
                                               int64_t now_ns, struct neap_outbox_counts *counts);
enum neap_store_status neap_redis_outbox_dead(struct neap_store *store, struct neap_bytes outbox,
                                              uint64_t after, struct neap_dead_letter *letter);
enum neap_store_status neap_redis_outbox_revive(struct neap_store *store, uint64_t id,
                                                int64_t now_ns);
enum neap_store_status neap_redis_outbox_drop(struct neap_store *store, uint64_t id);

#endif
