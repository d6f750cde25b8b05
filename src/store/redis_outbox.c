/* Outboxes of the Redis kind. */
#include "store/redis_store.h"

#include <stdlib.h>
#include <string.h>

#include "platform/entropy.h"

/* The token finds the entry again where the answer to the first try was lost. */
enum neap_store_status neap_redis_outbox_put(struct neap_store *store, struct neap_bytes outbox,
                                             struct neap_bytes ordering_key,
                                             struct neap_bytes value, int64_t now_ns, uint64_t *id)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    redisReply *reply = NULL;
    uint8_t token[NEAP_STORE_TOKEN_BYTES];
    if (neap_entropy_fill(token, sizeof token) != NEAP_OK)
        return neap_store_unavailable(store, "the system gives no random bytes");
    neap_redis_begin(redis, NEAP_REDIS_OUTBOX_PUT, &args);
    neap_args_bytes(&args, outbox);
    neap_args_bytes(&args, ordering_key);
    neap_args_bytes(&args, value);
    neap_args_moment(&args, now_ns);
    neap_args_token(&args, token);
    enum neap_store_status status =
        neap_redis_script(redis, NEAP_REDIS_OUTBOX_PUT, &args, 1, &reply);
    if (status != NEAP_STORE_OK)
        return status;
    *id = (uint64_t)neap_reply_number(reply, 1);
    freeReplyObject(reply);
    return NEAP_STORE_OK;
}

/* --------------------------------------------------------------------------------------- take */

static enum neap_store_status read_entry(const struct neap_redis *redis, const redisReply *reply,
                                         struct neap_outbox_entry *entry)
{
    entry->id = (uint64_t)neap_reply_number(reply, 1);
    entry->attempts = (uint32_t)neap_reply_number(reply, 3);
    entry->put_ns = neap_reply_number(reply, 4);
    return neap_reply_blob(redis, reply, 2, &entry->value);
}

/* As if it had not been taken: its lease ends at once. If that fails, it ends by itself. */
static void give_back(struct neap_store *store, struct neap_outbox_owner owner, int64_t now_ns)
{
    enum neap_store_status ignored = neap_redis_outbox_renew(store, owner, now_ns, now_ns);
    (void)ignored;
}

enum neap_store_status neap_redis_outbox_take(struct neap_store *store, struct neap_bytes outbox,
                                              const uint8_t *token, int64_t now_ns,
                                              int64_t lease_end_ns, struct neap_outbox_entry *entry,
                                              int64_t *next_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_outbox_entry taken = {0};
    struct neap_redis_args args;
    redisReply *reply = NULL;
    neap_redis_begin(redis, NEAP_REDIS_OUTBOX_TAKE, &args);
    neap_args_bytes(&args, outbox);
    neap_args_token(&args, token);
    neap_args_moment(&args, now_ns);
    neap_args_moment(&args, lease_end_ns);
    enum neap_store_status status =
        neap_redis_script(redis, NEAP_REDIS_OUTBOX_TAKE, &args, 4, &reply);
    if (status == NEAP_STORE_NONE) {
        bool is_empty = reply->elements < 2 || reply->element[1]->len == 0;
        *next_ns = is_empty ? INT64_MAX : neap_reply_number(reply, 1);
    }
    if (status == NEAP_STORE_OK)
        status = read_entry(redis, reply, &taken);
    freeReplyObject(reply);
    if (status == NEAP_STORE_NO_MEMORY && taken.id != 0)
        give_back(store, (struct neap_outbox_owner){taken.id, token}, now_ns);
    if (status != NEAP_STORE_OK)
        return status;
    memcpy(taken.token, token, sizeof taken.token);
    *entry = taken;
    return NEAP_STORE_OK;
}

/* -------------------------------------------------------------------------------- while taken */

static void begin_as_owner(const struct neap_redis *redis, enum neap_redis_script script,
                           struct neap_outbox_owner owner, struct neap_redis_args *args)
{
    neap_redis_begin(redis, script, args);
    neap_args_number(args, owner.id);
    neap_args_token(args, owner.token);
}

enum neap_store_status neap_redis_outbox_renew(struct neap_store *store,
                                               struct neap_outbox_owner owner, int64_t now_ns,
                                               int64_t lease_end_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    begin_as_owner(redis, NEAP_REDIS_OUTBOX_RENEW, owner, &args);
    neap_args_moment(&args, now_ns);
    neap_args_moment(&args, lease_end_ns);
    return neap_redis_script(redis, NEAP_REDIS_OUTBOX_RENEW, &args, 0, NULL);
}

enum neap_store_status neap_redis_outbox_done(struct neap_store *store,
                                              struct neap_outbox_owner owner)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    begin_as_owner(redis, NEAP_REDIS_OUTBOX_DONE, owner, &args);
    return neap_redis_script(redis, NEAP_REDIS_OUTBOX_DONE, &args, 0, NULL);
}

enum neap_store_status neap_redis_outbox_retry(struct neap_store *store,
                                               struct neap_outbox_owner owner, int64_t due_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    begin_as_owner(redis, NEAP_REDIS_OUTBOX_RETRY, owner, &args);
    neap_args_moment(&args, due_ns);
    return neap_redis_script(redis, NEAP_REDIS_OUTBOX_RETRY, &args, 0, NULL);
}

enum neap_store_status neap_redis_outbox_bury(struct neap_store *store,
                                              struct neap_outbox_owner owner,
                                              struct neap_bytes reason, int64_t now_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    begin_as_owner(redis, NEAP_REDIS_OUTBOX_BURY, owner, &args);
    neap_args_bytes(&args, reason);
    neap_args_moment(&args, now_ns);
    return neap_redis_script(redis, NEAP_REDIS_OUTBOX_BURY, &args, 0, NULL);
}
