#include "store/store.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/duration.h"
#include "store/store_internal.h"

void neap_blob_free(struct neap_blob *blob)
{
    if (blob->at)
        neap_free(blob->alloc, blob->at);
    *blob = (struct neap_blob){0};
}

bool neap_blob_copy(const struct neap_alloc *alloc, const void *at, size_t bytes,
                    struct neap_blob *blob)
{
    char *copy = neap_copy_text(alloc, at ? at : "", bytes);
    if (!copy)
        return false;
    *blob = (struct neap_blob){.alloc = alloc, .at = copy, .bytes = bytes};
    return true;
}

int64_t neap_store_end_ns(int64_t now_ns, int64_t length_ns)
{
    return neap_time_min(neap_time_add(now_ns, length_ns), NEAP_STORE_LAST_NS);
}

enum neap_store_status neap_store_unavailable(struct neap_store *store, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(store->message, sizeof store->message, format, arguments);
    va_end(arguments);
    return NEAP_STORE_UNAVAILABLE;
}

const char *neap_store_message(const struct neap_store *store)
{
    return store->message;
}

void neap_store_free(struct neap_store *store)
{
    if (store)
        store->kind->free(store);
}

/* ------------------------------------------------------------------------------------- checks */

static bool is_addressed(struct neap_bytes bytes)
{
    return bytes.at || bytes.bytes == 0;
}

static bool is_key(struct neap_bytes key)
{
    return is_addressed(key) && key.bytes <= NEAP_STORE_KEY_MAX;
}

static enum neap_store_status check(struct neap_store *store, bool holds)
{
    store->message[0] = '\0';
    return holds ? NEAP_STORE_OK : NEAP_STORE_INVALID;
}

/* The same for a step that brings a blob. */
static enum neap_store_status check_blob(struct neap_store *store, bool holds,
                                         struct neap_bytes blob)
{
    enum neap_store_status status = check(store, holds && is_addressed(blob));
    bool is_too_long = blob.bytes > NEAP_STORE_BLOB_MAX;
    return status == NEAP_STORE_OK && is_too_long ? NEAP_STORE_FULL : status;
}

static int64_t within(int64_t when_ns)
{
    return neap_time_min(neap_time_max(when_ns, 0), NEAP_STORE_LAST_NS);
}

/* ------------------------------------------------------------------------------------- claims */

enum neap_store_status neap_store_claim(struct neap_store *store,
                                        const struct neap_claim_request *request,
                                        struct neap_claim *claim)
{
    bool holds = is_key(request->key) && request->now_ns >= 0 && request->lease_ns >= 0 &&
                 request->ttl_ns >= 0;
    enum neap_store_status status = check(store, holds);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_claim_request bounded = *request;
    bounded.now_ns = within(request->now_ns);
    return store->kind->claim(store, &bounded, claim);
}

enum neap_store_status neap_store_renew(struct neap_store *store, struct neap_bytes key,
                                        const uint8_t *token, int64_t now_ns, int64_t lease_ns)
{
    enum neap_store_status status = check(store, is_key(key) && now_ns >= 0 && lease_ns >= 0);
    if (status != NEAP_STORE_OK)
        return status;
    return store->kind->renew(store, key, token, within(now_ns),
                              neap_store_end_ns(now_ns, lease_ns));
}

enum neap_store_status neap_store_finish(struct neap_store *store, struct neap_bytes key,
                                         const uint8_t *token, struct neap_bytes result,
                                         int64_t now_ns)
{
    enum neap_store_status status = check_blob(store, is_key(key) && now_ns >= 0, result);
    if (status != NEAP_STORE_OK)
        return status;
    return store->kind->finish(store, key, token, result, within(now_ns));
}

enum neap_store_status neap_store_release(struct neap_store *store, struct neap_bytes key,
                                          const uint8_t *token, int64_t now_ns)
{
    enum neap_store_status status = check(store, is_key(key) && now_ns >= 0);
    if (status != NEAP_STORE_OK)
        return status;
    return store->kind->release(store, key, token, within(now_ns));
}

/* -------------------------------------------------------------------------------------- cache */

enum neap_store_status neap_store_get(struct neap_store *store, struct neap_bytes key,
                                      int64_t now_ns, struct neap_blob *value)
{
    enum neap_store_status status = check(store, is_key(key) && now_ns >= 0);
    if (status != NEAP_STORE_OK)
        return status;
    return store->kind->get(store, key, within(now_ns), value);
}

/* What has expired already is not stored, but takes the place of what was there. */
enum neap_store_status neap_store_put(struct neap_store *store, struct neap_bytes key,
                                      struct neap_bytes value, int64_t now_ns, int64_t expires_ns)
{
    enum neap_store_status status = check_blob(store, is_key(key) && now_ns >= 0, value);
    if (status != NEAP_STORE_OK)
        return status;
    if (within(expires_ns) <= within(now_ns))
        return store->kind->remove(store, key);
    return store->kind->put(store, key, value, within(now_ns), within(expires_ns));
}

enum neap_store_status neap_store_remove(struct neap_store *store, struct neap_bytes key)
{
    enum neap_store_status status = check(store, is_key(key));
    return status == NEAP_STORE_OK ? store->kind->remove(store, key) : status;
}

/* ------------------------------------------------------------------------------------- outbox */

enum neap_store_status neap_store_outbox_put(struct neap_store *store, struct neap_bytes outbox,
                                             struct neap_bytes ordering_key,
                                             struct neap_bytes value, int64_t now_ns, uint64_t *id)
{
    bool holds = is_key(outbox) && is_key(ordering_key) && now_ns >= 0;
    enum neap_store_status status = check_blob(store, holds, value);
    if (status != NEAP_STORE_OK)
        return status;
    return store->kind->outbox_put(store, outbox, ordering_key, value, within(now_ns), id);
}

enum neap_store_status neap_store_outbox_take(struct neap_store *store, struct neap_bytes outbox,
                                              const uint8_t *token, int64_t now_ns,
                                              int64_t lease_ns, struct neap_outbox_entry *entry,
                                              int64_t *next_ns)
{
    enum neap_store_status status = check(store, is_key(outbox) && now_ns >= 0 && lease_ns >= 0);
    if (status != NEAP_STORE_OK)
        return status;
    return store->kind->outbox_take(store, outbox, token, within(now_ns),
                                    neap_store_end_ns(now_ns, lease_ns), entry, next_ns);
}

enum neap_store_status neap_store_outbox_renew(struct neap_store *store, uint64_t id,
                                               const uint8_t *token, int64_t now_ns,
                                               int64_t lease_ns)
{
    enum neap_store_status status = check(store, now_ns >= 0 && lease_ns >= 0);
    if (status != NEAP_STORE_OK)
        return status;
    const struct neap_outbox_owner owner = {id, token};
    return store->kind->outbox_renew(store, owner, within(now_ns),
                                     neap_store_end_ns(now_ns, lease_ns));
}

enum neap_store_status neap_store_outbox_done(struct neap_store *store, uint64_t id,
                                              const uint8_t *token)
{
    store->message[0] = '\0';
    return store->kind->outbox_done(store, (struct neap_outbox_owner){id, token});
}

enum neap_store_status neap_store_outbox_retry(struct neap_store *store, uint64_t id,
                                               const uint8_t *token, int64_t due_ns)
{
    store->message[0] = '\0';
    return store->kind->outbox_retry(store, (struct neap_outbox_owner){id, token}, within(due_ns));
}

enum neap_store_status neap_store_outbox_bury(struct neap_store *store, uint64_t id,
                                              const uint8_t *token, struct neap_bytes reason,
                                              int64_t now_ns)
{
    enum neap_store_status status = check_blob(store, now_ns >= 0, reason);
    if (status != NEAP_STORE_OK)
        return status;
    const struct neap_outbox_owner owner = {id, token};
    return store->kind->outbox_bury(store, owner, reason, within(now_ns));
}

enum neap_store_status neap_store_outbox_count(struct neap_store *store, struct neap_bytes outbox,
                                               int64_t now_ns, struct neap_outbox_counts *counts)
{
    enum neap_store_status status = check(store, is_key(outbox) && now_ns >= 0);
    if (status != NEAP_STORE_OK)
        return status;
    return store->kind->outbox_count(store, outbox, within(now_ns), counts);
}

enum neap_store_status neap_store_outbox_dead(struct neap_store *store, struct neap_bytes outbox,
                                              uint64_t after, struct neap_dead_letter *letter)
{
    enum neap_store_status status = check(store, is_key(outbox));
    return status == NEAP_STORE_OK ? store->kind->outbox_dead(store, outbox, after, letter)
                                   : status;
}

enum neap_store_status neap_store_outbox_revive(struct neap_store *store, uint64_t id,
                                                int64_t now_ns)
{
    enum neap_store_status status = check(store, now_ns >= 0);
    return status == NEAP_STORE_OK ? store->kind->outbox_revive(store, id, within(now_ns)) : status;
}

enum neap_store_status neap_store_outbox_drop(struct neap_store *store, uint64_t id)
{
    store->message[0] = '\0';
    return store->kind->outbox_drop(store, id);
}

/* ------------------------------------------------------------------------------- housekeeping */

enum neap_store_status neap_store_sweep(struct neap_store *store, int64_t now_ns, bool *more)
{
    enum neap_store_status status = check(store, now_ns >= 0);
    return status == NEAP_STORE_OK ? store->kind->sweep(store, within(now_ns), more) : status;
}
