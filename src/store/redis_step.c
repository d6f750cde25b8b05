/* The Redis kind: a step as a script or a command, tried once more where its answer was lost. */
#include "store/redis_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "platform/clock.h"

/* EVALSHA sha 0 prefix again ... */
#define PLACE_OF_COMMAND 0
#define PLACE_OF_SCRIPT 1
#define PLACE_OF_AGAIN 4

static void place(struct neap_redis_args *args, int at, const char *text, size_t bytes)
{
    args->at[at] = text;
    args->bytes[at] = bytes;
}

void neap_redis_begin(const struct neap_redis *redis, enum neap_redis_script script,
                      struct neap_redis_args *args)
{
    args->count = 0;
    args->numbers = 0;
    neap_args_text(args, "EVALSHA");
    neap_args_text(args, redis->sha[script]);
    neap_args_text(args, "0");
    neap_args_text(args, redis->settings.prefix);
    neap_args_text(args, "0");
}

static bool is_error(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

/* The server does not know the script: it is sent along, and known from then on. */
static enum neap_link_status exchange_whole(struct neap_redis *redis, enum neap_redis_script script,
                                            const struct neap_redis_args *args, int64_t end_ns,
                                            redisReply **reply)
{
    struct neap_redis_args whole = *args;
    place(&whole, PLACE_OF_COMMAND, "EVAL", strlen("EVAL"));
    place(&whole, PLACE_OF_SCRIPT, neap_redis_text[script], strlen(neap_redis_text[script]));
    return neap_redis_exchange(redis, &whole, end_ns, reply);
}

static enum neap_link_status exchange_script(struct neap_redis *redis,
                                             enum neap_redis_script script,
                                             const struct neap_redis_args *args, int64_t end_ns,
                                             redisReply **reply)
{
    enum neap_link_status status = neap_redis_exchange(redis, args, end_ns, reply);
    if (status != NEAP_LINK_OK || !is_error(*reply, "NOSCRIPT"))
        return status;
    freeReplyObject(*reply);
    *reply = NULL;
    return exchange_whole(redis, script, args, end_ns, reply);
}

/* One try: OK with a reply; UNAVAILABLE, where *is_lost says whether to try again. */
static enum neap_store_status try_once(struct neap_redis *redis,
                                       const enum neap_redis_script *script,
                                       const struct neap_redis_args *args, redisReply **reply,
                                       bool *is_lost)
{
    enum neap_store_status status = neap_redis_connect(redis);
    *is_lost = false;
    if (status != NEAP_STORE_OK)
        return status;
    int64_t end_ns = neap_time_add(neap_clock_monotonic_ns(), redis->settings.step_ns);
    enum neap_link_status link = script ? exchange_script(redis, *script, args, end_ns, reply)
                                        : neap_redis_exchange(redis, args, end_ns, reply);
    if (link == NEAP_LINK_OK)
        return NEAP_STORE_OK;
    neap_redis_disconnect(redis);
    *is_lost = link == NEAP_LINK_LOST;
    return neap_store_unavailable(&redis->store, "Redis %s: %s",
                                  *is_lost ? "closed the connection in the middle of a step"
                                           : "did not answer within the time limit",
                                  redis->settings.host);
}

/* A connection that met an error is closed: after a failover, a new one may lead elsewhere. */
static enum neap_store_status refuse(struct neap_redis *redis, redisReply *reply)
{
    enum neap_store_status status = neap_redis_refused(redis, reply);
    freeReplyObject(reply);
    neap_redis_disconnect(redis);
    return status;
}

static const struct {
    const char *word;
    enum neap_store_status status;
} words[] = {
    {"OK", NEAP_STORE_OK},  {"LOST", NEAP_STORE_LOST}, {"NONE", NEAP_STORE_NONE},
    {"new", NEAP_STORE_OK}, {"done", NEAP_STORE_OK},   {"running", NEAP_STORE_OK},
};

static bool is_word(const redisReply *element, const char *word)
{
    return strcmp(element->str, word) == 0;
}

/* Of an answer whose elements must all be texts; UNAVAILABLE where it is something else. */
static enum neap_store_status status_of(const redisReply *reply, size_t columns)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1)
        return NEAP_STORE_UNAVAILABLE;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type != REDIS_REPLY_STRING)
            return NEAP_STORE_UNAVAILABLE;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (is_word(reply->element[0], words[i].word))
            return words[i].status == NEAP_STORE_OK && reply->elements <= columns
                       ? NEAP_STORE_UNAVAILABLE
                       : words[i].status;
    return NEAP_STORE_UNAVAILABLE;
}

enum neap_store_status neap_redis_script(struct neap_redis *redis, enum neap_redis_script script,
                                         struct neap_redis_args *args, size_t columns,
                                         redisReply **reply)
{
    redisReply *answer = NULL;
    bool is_lost = false;
    enum neap_store_status status = try_once(redis, &script, args, &answer, &is_lost);
    if (is_lost) {
        place(args, PLACE_OF_AGAIN, "1", 1);
        status = try_once(redis, &script, args, &answer, &is_lost);
    }
    if (status != NEAP_STORE_OK)
        return status;
    status = status_of(answer, columns);
    if (status == NEAP_STORE_UNAVAILABLE)
        return refuse(redis, answer);
    if (reply)
        *reply = answer;
    else
        freeReplyObject(answer);
    return status;
}

enum neap_store_status neap_redis_command(struct neap_redis *redis,
                                          const struct neap_redis_args *args, redisReply **reply)
{
    redisReply *answer = NULL;
    bool is_lost = false;
    enum neap_store_status status = try_once(redis, NULL, args, &answer, &is_lost);
    if (is_lost)
        status = try_once(redis, NULL, args, &answer, &is_lost);
    if (status != NEAP_STORE_OK)
        return status;
    if (answer->type == REDIS_REPLY_ERROR)
        return refuse(redis, answer);
    *reply = answer;
    return NEAP_STORE_OK;
}

int64_t neap_reply_number(const redisReply *reply, size_t element)
{
    return strtoll(reply->element[element]->str, NULL, 10);
}

enum neap_store_status neap_reply_blob(const struct neap_redis *redis, const redisReply *reply,
                                       size_t element, struct neap_blob *blob)
{
    const redisReply *text = reply->element[element];
    return neap_blob_copy(redis->store.alloc, text->str, (size_t)text->len, blob)
               ? NEAP_STORE_OK
               : NEAP_STORE_NO_MEMORY;
}
