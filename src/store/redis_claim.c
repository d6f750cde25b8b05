/* Claims of the Redis kind. */
#include "store/redis_store.h"

#include <string.h>

#include "base/duration.h"

static enum neap_store_status read_claim(const struct neap_redis *redis, const redisReply *reply,
                                         int64_t now_ns, struct neap_claim *claim)
{
    struct neap_claim read = {0};
    bool flag = neap_reply_number(reply, 1) != 0;
    switch (reply->element[0]->str[0]) {
    case 'n':
        read.state = NEAP_CLAIM_NEW;
        read.recovered = flag;
        break;
    case 'd':
        read.state = NEAP_CLAIM_DONE;
        read.other_work = flag;
        if (!flag && neap_reply_blob(redis, reply, 2, &read.result) != NEAP_STORE_OK)
            return NEAP_STORE_NO_MEMORY;
        break;
    default:
        read.state = NEAP_CLAIM_RUNNING;
        read.other_work = flag;
        read.lease_left_ns = neap_time_since(neap_reply_number(reply, 2), now_ns);
        break;
    }
    *claim = read;
    return NEAP_STORE_OK;
}

enum neap_store_status neap_redis_claim(struct neap_store *store,
                                        const struct neap_claim_request *request,
                                        struct neap_claim *claim)
{
    struct neap_redis *redis = neap_redis_of(store);
    int64_t expires_ns = neap_store_end_ns(request->now_ns, request->ttl_ns);
    struct neap_redis_args args;
    redisReply *reply = NULL;
    neap_redis_begin(redis, NEAP_REDIS_CLAIM, &args);
    neap_args_bytes(&args, request->key);
    neap_args_bytes(&args, (struct neap_bytes){request->fingerprint, sizeof request->fingerprint});
    neap_args_token(&args, request->token);
    neap_args_moment(&args, request->now_ns);
    neap_args_moment(&args, neap_store_end_ns(request->now_ns, request->lease_ns));
    neap_args_moment(&args, expires_ns);
    neap_args_keep(&args, request->now_ns, expires_ns);
    enum neap_store_status status = neap_redis_script(redis, NEAP_REDIS_CLAIM, &args, 2, &reply);
    if (status != NEAP_STORE_OK)
        return status;
    status = read_claim(redis, reply, request->now_ns, claim);
    freeReplyObject(reply);
    return status;
}

enum neap_store_status neap_redis_renew(struct neap_store *store, struct neap_bytes key,
                                        const uint8_t *token, int64_t now_ns, int64_t lease_end_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    neap_redis_begin(redis, NEAP_REDIS_RENEW, &args);
    neap_args_bytes(&args, key);
    neap_args_token(&args, token);
    neap_args_moment(&args, now_ns);
    neap_args_moment(&args, lease_end_ns);
    return neap_redis_script(redis, NEAP_REDIS_RENEW, &args, 0, NULL);
}

enum neap_store_status neap_redis_finish(struct neap_store *store, struct neap_bytes key,
                                         const uint8_t *token, struct neap_bytes result,
                                         int64_t now_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    neap_redis_begin(redis, NEAP_REDIS_FINISH, &args);
    neap_args_bytes(&args, key);
    neap_args_token(&args, token);
    neap_args_moment(&args, now_ns);
    neap_args_bytes(&args, result);
    return neap_redis_script(redis, NEAP_REDIS_FINISH, &args, 0, NULL);
}

enum neap_store_status neap_redis_release(struct neap_store *store, struct neap_bytes key,
                                          const uint8_t *token, int64_t now_ns)
{
    struct neap_redis *redis = neap_redis_of(store);
    struct neap_redis_args args;
    neap_redis_begin(redis, NEAP_REDIS_RELEASE, &args);
    neap_args_bytes(&args, key);
    neap_args_token(&args, token);
    neap_args_moment(&args, now_ns);
    return neap_redis_script(redis, NEAP_REDIS_RELEASE, &args, 0, NULL);
}
