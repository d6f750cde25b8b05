#include "support/stores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/memory.h"

static char directory[32];
static char path[64];
static struct redis_server redis;

/* --------------------------------------------------------------------------------------- kinds */

static enum neap_store_status open_memory(const struct neap_alloc *alloc, struct neap_store **store,
                                          char message[NEAP_MESSAGE_BYTES])
{
    const struct neap_memory_settings settings = {.max_bytes = 64u * 1024 * 1024};
    message[0] = '\0';
    return neap_store_open_memory(alloc, &settings, store);
}

static enum neap_store_status open_sqlite(const struct neap_alloc *alloc, struct neap_store **store,
                                          char message[NEAP_MESSAGE_BYTES])
{
    const struct neap_sqlite_settings settings = {
        .path = stores_path(),
        .busy_ns = 60 * NEAP_SECOND,
    };
    return neap_store_open_sqlite(alloc, &settings, store, message);
}

static enum neap_store_status open_redis(const struct neap_alloc *alloc, struct neap_store **store,
                                         char message[NEAP_MESSAGE_BYTES])
{
    const struct neap_redis_settings settings = {
        .host = redis.path[0] != '\0' ? redis.path : "/nowhere",
        .prefix = "neap:",
        .connect_ns = 60 * NEAP_SECOND,
        .step_ns = 60 * NEAP_SECOND,
    };
    return neap_store_open_redis(alloc, &settings, store, message);
}

const struct store_kind store_kinds[STORE_KINDS] = {
    {"memory", false, open_memory},
    {"SQLite", true, open_sqlite},
    {"Redis", true, open_redis},
};

const char *stores_lack(const struct store_kind *kind)
{
    static char message[NEAP_MESSAGE_BYTES];
    struct neap_store *store = NULL;
    if (kind->open(neap_platform_alloc(), &store, message) != NEAP_STORE_OK)
        return message;
    neap_store_free(store);
    if (kind->open == open_redis && !redis_server_exists())
        return "there is no redis-server (Debian: redis-server)";
    return NULL;
}

const char *stores_path(void)
{
    if (directory[0] == '\0') {
        (void)snprintf(directory, sizeof directory, "/tmp/neap-store-XXXXXX");
        assert_non_null(mkdtemp(directory));
        (void)snprintf(path, sizeof path, "%s/store.db", directory);
    }
    return path;
}

struct redis_server *stores_redis(void)
{
    return &redis;
}

static void remove_files(void)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char name[80];
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        (void)unlink(name);
    }
}

void stores_prepare(const struct store_kind *kind)
{
    if (kind->open == open_sqlite) {
        (void)stores_path();
        remove_files();
    }
    if (kind->open == open_redis) {
        if (redis.pid == 0)
            redis_server_start(&redis, NULL);
        redis_server_expect(&redis, "FLUSHALL", "+OK");
    }
}

struct neap_store *stores_open(const struct store_kind *kind, const struct neap_alloc *alloc)
{
    char message[NEAP_MESSAGE_BYTES] = "";
    struct neap_store *store = NULL;
    if (kind->open(alloc, &store, message) != NEAP_STORE_OK)
        fail_msg("%s: %s", kind->name, message);
    return store;
}

void stores_remove(void)
{
    redis_server_remove(&redis);
    if (directory[0] == '\0')
        return;
    remove_files();
    (void)rmdir(directory);
    directory[0] = '\0';
}

int stores_skip(const char *what, const char *why)
{
    bool is_failure = getenv("CI") && getenv("CI")[0] != '\0';
    (void)fprintf(stderr, "[check] %s %s: %s\n", is_failure ? "FAIL" : "SKIP", what, why);
    return is_failure;
}

/* ----------------------------------------------------------------------------------- shorthand */

struct neap_bytes bytes_of(const char *text)
{
    return (struct neap_bytes){text, strlen(text)};
}

const uint8_t *token_of(char byte)
{
    static uint8_t token[256][NEAP_STORE_TOKEN_BYTES];
    memset(token[(uint8_t)byte], byte, NEAP_STORE_TOKEN_BYTES);
    return token[(uint8_t)byte];
}

void fill_request(struct neap_claim_request *request, const char *key, char token, int64_t now_ns)
{
    *request = (struct neap_claim_request){
        .key = bytes_of(key), .now_ns = now_ns, .lease_ns = 10, .ttl_ns = 100};
    memset(request->fingerprint, 'f', sizeof request->fingerprint);
    memcpy(request->token, token_of(token), sizeof request->token);
}

void assert_blob(const struct neap_blob *blob, const char *text)
{
    assert_non_null(blob->at);
    assert_int_equal(blob->bytes, strlen(text));
    assert_memory_equal(blob->at, text, blob->bytes);
}
