/* Cached answers of the Redis kind; reading and removing are plain commands. */
#include "store/redis_store.h"

#include <stdlib.h>
#include <string.h>

/* NO_MEMORY. */
static enum neap_store_status make_key(const struct neap_redis *redis, struct neap_bytes key,
                                       struct neap_blob *made)
{
    static const char kind[] = {'v', ':'};
    size_t prefix_bytes = strlen(redis->settings.prefix);
    size_t bytes = prefix_bytes + sizeof kind + key.bytes;
    char *at = neap_alloc(redis->store.alloc, bytes);
    if (!at)
        return NEAP_STORE_NO_MEMORY;
    memcpy(at, redis->settings.prefix, prefix_bytes);
    memcpy(at + prefix_bytes, kind, sizeof kind);
    if (key.bytes > 0)
        memcpy(at + prefix_bytes + sizeof kind, key.at, key.bytes);
    *made = (struct neap_blob){redis->store.alloc, at, bytes};
    return NEAP_STORE_OK;
}

/* A command on that one key. */
static enum neap_store_status run(struct neap_redis *redis, struct neap_bytes key,
                                  const char *command, const char *const field[2],
                                  redisReply **reply)
{
    struct neap_blob whole = {0};
    struct neap_redis_args args = {0};
    if (make_key(redis, key, &whole) != NEAP_STORE_OK)
        return NEAP_STORE_NO_MEMORY;
    neap_args_text(&args, command);
    neap_args_bytes(&args, (struct neap_bytes){whole.at, whole.bytes});
    for (int i = 0; field && i < 2; i++)
        neap_args_text(&args, field[i]);
    enum neap_store_status status = neap_redis_command(redis, &args, reply);
    neap_blob_free(&whole);
    return status;
}

static enum neap_store_status read_value(const struct neap_redis *redis, const redisReply *reply,
                                         int64_t now_ns, struct neap_blob *value)
{
    bool is_there = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                    reply->element[0]->type == REDIS_REPLY_STRING &&
                    reply->element[1]->type == REDIS_REPLY_STRING;
    if (!is_there || now_ns >= neap_reply_number(reply, 0))
        return NEAP_STORE_NONE;
    return neap_reply_blob(redis, reply, 1, value);
}

enum neap_store_status neap_redis_get(struct neap_store *store, struct neap_bytes key,
                                      int64_t now_ns, struct neap_blob *value)
{
    static const char *const field[2] = {"x", "v"};
    struct neap_redis *redis = neap_redis_of(store);
    redisReply *reply = NULL;
    enum neap_store_status status = run(redis, key, "HMGET", field, &reply);
    if (status != NEAP_STORE_OK)
        return status;
    status = read_value(redis, reply, now_ns, value);
    freeReplyObject(reply);
    return status;
}

enum neap_store_status neap_redis_put(struct neap_store *store, struct neap_bytes key,
                                      struct neap_bytes value, int64_t now_ns, int64_t expires_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    neap_redis_begin(redis, NEAP_REDIS_PUT, &args);
    neap_args_bytes(&args, key);
    neap_args_moment(&args, expires_ns);
    neap_args_keep(&args, now_ns, expires_ns);
    neap_args_bytes(&args, value);
    return neap_redis_script(redis, NEAP_REDIS_PUT, &args, 0, NULL);
}

enum neap_store_status neap_redis_remove(struct neap_store *store, struct neap_bytes key)
{
    struct neap_redis *redis = neap_redis_of(store);
    redisReply *reply = NULL;
    enum neap_store_status status = run(redis, key, "DEL", NULL, &reply);
    if (status == NEAP_STORE_OK)
        freeReplyObject(reply);
    return status;
}
