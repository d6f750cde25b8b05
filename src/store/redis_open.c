/* The Redis kind: making it and its table of functions. */
#include "store/redis_store.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "store/redis_tls.h"

/* Redis does it by itself. */
static enum neap_store_status sweep(struct neap_store *store, int64_t now_ns, bool *more)
{
    (void)store;
    (void)now_ns;
    *more = false;
    return NEAP_STORE_OK;
}

static void free_text(const struct neap_alloc *alloc, const char *text)
{
    neap_free(alloc, (char *)(uintptr_t)text);
}

static void free_redis(struct neap_store *store)
{
    struct neap_redis *redis = neap_redis_of(store);
    const struct neap_redis_settings *settings = &redis->settings;
    const struct neap_alloc *alloc = store->alloc;
    neap_redis_disconnect(redis);
    if (settings->password)
        explicit_bzero((char *)(uintptr_t)settings->password, strlen(settings->password));
    free_text(alloc, settings->host);
    free_text(alloc, settings->user);
    free_text(alloc, settings->password);
    free_text(alloc, settings->prefix);
    free_text(alloc, settings->ca_file);
    neap_free(alloc, redis);
}

static const struct neap_store_kind redis_kind = {
    .claim = neap_redis_claim,
    .renew = neap_redis_renew,
    .finish = neap_redis_finish,
    .release = neap_redis_release,
    .get = neap_redis_get,
    .put = neap_redis_put,
    .remove = neap_redis_remove,
    .outbox_put = neap_redis_outbox_put,
    .outbox_take = neap_redis_outbox_take,
    .outbox_renew = neap_redis_outbox_renew,
    .outbox_done = neap_redis_outbox_done,
    .outbox_retry = neap_redis_outbox_retry,
    .outbox_bury = neap_redis_outbox_bury,
    .outbox_count = neap_redis_outbox_count,
    .outbox_dead = neap_redis_outbox_dead,
    .outbox_revive = neap_redis_outbox_revive,
    .outbox_drop = neap_redis_outbox_drop,
    .sweep = sweep,
    .free = free_redis,
};

/* ------------------------------------------------------------------------------------- making */

/* The name by which Redis knows a script: SHA-1 of its text, in lower-case hex. */
static bool name_script(const char *text, char sha[NEAP_REDIS_SHA_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    if (EVP_Digest(text, strlen(text), digest, &bytes, EVP_sha1(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < bytes; i++)
        (void)snprintf(sha + (size_t)i * 2, 3, "%02x", digest[i]);
    return true;
}

static bool name_scripts(struct neap_redis *redis)
{
    for (int i = 0; i < NEAP_REDIS_SCRIPTS; i++)
        if (!name_script(neap_redis_text[i], redis->sha[i]))
            return false;
    return true;
}

/* NULL stays NULL. */
static bool copy_text(const struct neap_alloc *alloc, const char *text, const char **copy)
{
    if (text)
        *copy = neap_copy_text(alloc, text, strlen(text));
    return !text || *copy;
}

static bool copy_settings(struct neap_redis *redis, const struct neap_redis_settings *settings)
{
    const struct neap_alloc *alloc = redis->store.alloc;
    struct neap_redis_settings *own = &redis->settings;
    *own = *settings;
    own->host = own->user = own->password = own->prefix = own->ca_file = NULL;
    return copy_text(alloc, settings->host, &own->host) &&
           copy_text(alloc, settings->user, &own->user) &&
           copy_text(alloc, settings->password, &own->password) &&
           copy_text(alloc, settings->prefix ? settings->prefix : "", &own->prefix) &&
           copy_text(alloc, settings->ca_file, &own->ca_file);
}

static const char *find_fault(const struct neap_redis_settings *settings)
{
    if (!settings->host || settings->host[0] == '\0')
        return "it has no host";
    if (settings->host[0] == '/' && settings->tls)
        return "TLS needs a host, not a path";
    if (settings->user && !settings->password)
        return "a user without a password";
    if (settings->db < 0)
        return "a database below zero";
    return NULL;
}

const bool neap_store_has_redis = true;

enum neap_store_status neap_store_open_redis(const struct neap_alloc *alloc,
                                             const struct neap_redis_settings *settings,
                                             struct neap_store **store,
                                             char message[NEAP_MESSAGE_BYTES])
{
    const char *fault = find_fault(settings);
    if (fault) {
        (void)snprintf(message, NEAP_MESSAGE_BYTES, "Redis cannot be used: %s", fault);
        return NEAP_STORE_UNAVAILABLE;
    }
    struct neap_redis *redis = neap_alloc_zeroed(alloc, sizeof *redis);
    if (!redis)
        return NEAP_STORE_NO_MEMORY;
    redis->store.kind = &redis_kind;
    redis->store.alloc = alloc;
    redis->link.fd = -1;
    if (!copy_settings(redis, settings) || !name_scripts(redis)) {
        free_redis(&redis->store);
        return NEAP_STORE_NO_MEMORY;
    }
    if (settings->tls)
        neap_redis_tls_set_up();
    *store = &redis->store;
    return NEAP_STORE_OK;
}
