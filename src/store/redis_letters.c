/* Outboxes of the Redis kind: dead letters and counts. */
#include "store/redis_store.h"

#include <stdlib.h>

enum neap_store_status neap_redis_outbox_count(struct neap_store *store, struct neap_bytes outbox,
                                               int64_t now_ns, struct neap_outbox_counts *counts)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    redisReply *reply = NULL;
    neap_redis_begin(redis, NEAP_REDIS_OUTBOX_COUNT, &args);
    neap_args_bytes(&args, outbox);
    neap_args_moment(&args, now_ns);
    enum neap_store_status status =
        neap_redis_script(redis, NEAP_REDIS_OUTBOX_COUNT, &args, 3, &reply);
    if (status != NEAP_STORE_OK)
        return status;
    counts->waiting = (uint64_t)neap_reply_number(reply, 1);
    counts->taken = (uint64_t)neap_reply_number(reply, 2);
    counts->dead = (uint64_t)neap_reply_number(reply, 3);
    freeReplyObject(reply);
    return NEAP_STORE_OK;
}

static enum neap_store_status read_letter(const struct neap_redis *redis, const redisReply *reply,
                                          struct neap_dead_letter *letter)
{
    struct neap_dead_letter read = {
        .id = (uint64_t)neap_reply_number(reply, 1),
        .attempts = (uint32_t)neap_reply_number(reply, 4),
        .put_ns = neap_reply_number(reply, 5),
        .died_ns = neap_reply_number(reply, 6),
    };
    enum neap_store_status status = neap_reply_blob(redis, reply, 2, &read.value);
    if (status == NEAP_STORE_OK)
        status = neap_reply_blob(redis, reply, 3, &read.reason);
    if (status == NEAP_STORE_OK)
        *letter = read;
    else
        neap_blob_free(&read.value);
    return status;
}

enum neap_store_status neap_redis_outbox_dead(struct neap_store *store, struct neap_bytes outbox,
                                              uint64_t after, struct neap_dead_letter *letter)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    redisReply *reply = NULL;
    neap_redis_begin(redis, NEAP_REDIS_OUTBOX_DEAD, &args);
    neap_args_bytes(&args, outbox);
    neap_args_number(&args, after);
    enum neap_store_status status =
        neap_redis_script(redis, NEAP_REDIS_OUTBOX_DEAD, &args, 6, &reply);
    if (status == NEAP_STORE_OK)
        status = read_letter(redis, reply, letter);
    freeReplyObject(reply);
    return status;
}

enum neap_store_status neap_redis_outbox_revive(struct neap_store *store, uint64_t id,
                                                int64_t now_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    neap_redis_begin(redis, NEAP_REDIS_OUTBOX_REVIVE, &args);
    neap_args_number(&args, id);
    neap_args_moment(&args, now_ns);
    return neap_redis_script(redis, NEAP_REDIS_OUTBOX_REVIVE, &args, 0, NULL);
}

enum neap_store_status neap_redis_outbox_drop(struct neap_store *store, uint64_t id)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    neap_redis_begin(redis, NEAP_REDIS_OUTBOX_DROP, &args);
    neap_args_number(&args, id);
    return neap_redis_script(redis, NEAP_REDIS_OUTBOX_DROP, &args, 0, NULL);
}
