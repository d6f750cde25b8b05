/* The Redis kind: its connection, logging in, one command and its answer, what errors mean. */
#include "store/redis_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "platform/clock.h"
#include "platform/process.h"

#define RECEIVE_BYTES 16384
#define LOGIN_WORDS 3 /* AUTH user password */

/* ------------------------------------------------------------------------------------ errors */

static const struct {
    const char *word, *meaning;
} errors[] = {
    {"OOM ", "it has no memory left (maxmemory)"},
    {"READONLY ", "it is a read-only replica"},
    {"LOADING ", "it is still loading its data"},
    {"NOAUTH ", "it wants a password"},
    {"unauthenticated", "it wants a password"}, /* of a command with many arguments */
    {"WRONGPASS ", "it refuses the user or the password"},
    {"NOPERM ", "the user may not do this"},
    {"WRONGTYPE ", "a key of neap's holds something of another program"},
    {"MISCONF ", "it cannot save to its disk"},
    {"NOREPLICAS ", "it has too few replicas"},
    {"MASTERDOWN ", "it has lost its primary"},
    {"CLUSTERDOWN ", "Redis Cluster is not supported"},
    {"CROSSSLOT ", "Redis Cluster is not supported"},
    {"MOVED ", "Redis Cluster is not supported"},
    {"BUSY ", "it is busy with another script"},
    {"invalid password", "it refuses the user or the password"},
    {"without any password configured", "a password was given, but it has none"},
    {"DB index", "it has no database of that number"},
    {"max number of clients", "it has too many clients"},
    {"unknown command", "it lacks a command, or forbids it"},
};

/* The answer's own text is never repeated: it may hold what was sent, a password too. */
enum neap_store_status neap_redis_refused(struct neap_redis *redis, const redisReply *reply)
{
    const char *meaning = "it answers with an error that neap does not know";
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    for (size_t i = 0; is_error && i < sizeof errors / sizeof errors[0]; i++)
        if (strstr(reply->str, errors[i].word)) {
            meaning = errors[i].meaning;
            break;
        }
    if (!is_error)
        meaning = "it answers what neap does not understand";
    return neap_store_unavailable(&redis->store, "Redis cannot be used: %s: %s", meaning,
                                  redis->settings.host);
}

/* ---------------------------------------------------------------------------------- exchange */

/* OK with *reply at NULL where the answer is not complete yet. */
static enum neap_link_status read_more(struct neap_redis *redis, int64_t end_ns, redisReply **reply)
{
    char bytes[RECEIVE_BYTES];
    size_t received = 0;
    void *answer = NULL;
    enum neap_link_status status =
        neap_link_receive(&redis->link, bytes, sizeof bytes, end_ns, &received);
    if (status != NEAP_LINK_OK)
        return status;
    if (redisReaderFeed(redis->reader, bytes, received) != REDIS_OK ||
        redisReaderGetReply(redis->reader, &answer) != REDIS_OK)
        return NEAP_LINK_LOST;
    *reply = answer;
    return NEAP_LINK_OK;
}

static enum neap_link_status send_command(struct neap_redis *redis,
                                          const struct neap_redis_args *args, int64_t end_ns)
{
    char *command = NULL;
    long long bytes =
        redisFormatCommandArgv(&command, args->count, (const char **)args->at, args->bytes);
    if (bytes < 0)
        return NEAP_LINK_LOST;
    enum neap_link_status status = neap_link_send(&redis->link, command, (size_t)bytes, end_ns);
    if (args->count <= LOGIN_WORDS)
        explicit_bzero(command, (size_t)bytes); /* perhaps a password */
    redisFreeCommand(command);
    return status;
}

enum neap_link_status neap_redis_exchange(struct neap_redis *redis,
                                          const struct neap_redis_args *args, int64_t end_ns,
                                          redisReply **reply)
{
    redisReply *answer = NULL;
    enum neap_link_status status = send_command(redis, args, end_ns);
    while (status == NEAP_LINK_OK && !answer)
        status = read_more(redis, end_ns, &answer);
    if (status == NEAP_LINK_OK)
        *reply = answer;
    return status;
}

/* -------------------------------------------------------------------------------- connecting */

/* AUTH or SELECT. */
static enum neap_store_status introduce(struct neap_redis *redis,
                                        const struct neap_redis_args *args, int64_t end_ns)
{
    redisReply *reply = NULL;
    if (neap_redis_exchange(redis, args, end_ns, &reply) != NEAP_LINK_OK)
        return neap_store_unavailable(&redis->store,
                                      "Redis was reached, but did not let us in in time: %s",
                                      redis->settings.host);
    enum neap_store_status status =
        reply->type == REDIS_REPLY_STATUS ? NEAP_STORE_OK : neap_redis_refused(redis, reply);
    freeReplyObject(reply);
    return status;
}

static enum neap_store_status log_in(struct neap_redis *redis, int64_t end_ns)
{
    const struct neap_redis_settings *settings = &redis->settings;
    struct neap_redis_args auth = {0}, select = {0};
    enum neap_store_status status = NEAP_STORE_OK;
    if (settings->password) {
        neap_args_text(&auth, "AUTH");
        if (settings->user)
            neap_args_text(&auth, settings->user);
        neap_args_text(&auth, settings->password);
        status = introduce(redis, &auth, end_ns);
    }
    if (status == NEAP_STORE_OK && settings->db != 0) {
        neap_args_text(&select, "SELECT");
        neap_args_number(&select, (uint64_t)settings->db);
        status = introduce(redis, &select, end_ns);
    }
    return status;
}

static enum neap_store_status open_connection(struct neap_redis *redis)
{
    int64_t end_ns = neap_time_add(neap_clock_monotonic_ns(), redis->settings.connect_ns);
    if (neap_link_open(&redis->link, &redis->settings, end_ns, redis->store.message) !=
        NEAP_LINK_OK)
        return NEAP_STORE_UNAVAILABLE;
    redis->owner_pid = neap_process_id();
    redis->reader = redisReaderCreate();
    if (!redis->reader)
        return neap_store_unavailable(&redis->store, "no memory for a connection to Redis");
    return log_in(redis, end_ns);
}

/* To close a parent's connection says nothing to the server, and the parent keeps its own. */
enum neap_store_status neap_redis_connect(struct neap_redis *redis)
{
    if (redis->reader && redis->owner_pid != neap_process_id())
        neap_redis_disconnect(redis);
    if (redis->reader)
        return NEAP_STORE_OK;
    enum neap_store_status status = open_connection(redis);
    if (status != NEAP_STORE_OK)
        neap_redis_disconnect(redis);
    return status;
}

void neap_redis_disconnect(struct neap_redis *redis)
{
    if (redis->reader)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
    neap_link_close(&redis->link);
}
