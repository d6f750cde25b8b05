/* Outboxes of the SQLite kind: from put to done or retry. */
#include "store/sqlite_outbox.h"

#include <string.h>

enum neap_store_status neap_sqlite_outbox_put(struct neap_store *store, struct neap_bytes outbox,
                                              struct neap_bytes ordering_key,
                                              struct neap_bytes value, int64_t now_ns, uint64_t *id)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_PUT);
    neap_query_bytes(&query, outbox);
    neap_query_bytes(&query, ordering_key);
    neap_query_number(&query, now_ns);
    neap_query_bytes(&query, value);
    status = neap_query_run(&query, NULL);
    int64_t made = sqlite3_last_insert_rowid(sqlite->connection);
    status = neap_sqlite_end(sqlite, status);
    if (status == NEAP_STORE_OK)
        *id = (uint64_t)made;
    return status;
}

/* --------------------------------------------------------------------------------------- take */

/* NONE where nothing is due. */
static enum neap_store_status read_next(struct neap_sqlite *sqlite, struct neap_bytes outbox,
                                        int64_t now_ns, struct neap_outbox_entry *entry)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_NEXT);
    neap_query_bytes(&query, outbox);
    neap_query_number(&query, now_ns);
    enum neap_store_status status = neap_query_row(&query);
    if (status == NEAP_STORE_OK) {
        entry->id = (uint64_t)neap_column_number(&query, 0);
        entry->attempts = (uint32_t)neap_column_number(&query, 1);
        entry->put_ns = neap_column_number(&query, 2);
        status = neap_column_blob(&query, 3, &entry->value);
    }
    neap_query_end(&query);
    return status;
}

/* NONE, with the moment, where all goes well. */
static enum neap_store_status read_when(struct neap_sqlite *sqlite, struct neap_bytes outbox,
                                        int64_t *next_ns)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_WHEN);
    neap_query_bytes(&query, outbox);
    enum neap_store_status status = neap_query_row(&query);
    if (status == NEAP_STORE_OK) {
        bool is_empty = sqlite3_column_type(query.statement, 0) == SQLITE_NULL;
        *next_ns = is_empty ? INT64_MAX : neap_column_number(&query, 0);
        status = NEAP_STORE_NONE;
    }
    neap_query_end(&query);
    return status;
}

static enum neap_store_status give(struct neap_sqlite *sqlite, uint64_t id, const uint8_t *token,
                                   int64_t lease_end_ns)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_GIVE);
    neap_query_number(&query, (int64_t)id);
    neap_query_digest(&query, token, NEAP_STORE_TOKEN_BYTES);
    neap_query_number(&query, lease_end_ns);
    return neap_query_run(&query, NULL);
}

enum neap_store_status neap_sqlite_outbox_take(struct neap_store *store, struct neap_bytes outbox,
                                               const uint8_t *token, int64_t now_ns,
                                               int64_t lease_end_ns,
                                               struct neap_outbox_entry *entry, int64_t *next_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    struct neap_outbox_entry next = {0};
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    status = read_next(sqlite, outbox, now_ns, &next);
    if (status == NEAP_STORE_NONE)
        status = read_when(sqlite, outbox, next_ns);
    else if (status == NEAP_STORE_OK)
        status = give(sqlite, next.id, token, lease_end_ns);
    status = neap_sqlite_end(sqlite, status);
    if (status != NEAP_STORE_OK) {
        neap_blob_free(&next.value);
        return status;
    }
    memcpy(next.token, token, sizeof next.token);
    *entry = next;
    return NEAP_STORE_OK;
}

/* -------------------------------------------------------------------------------- while taken */

enum neap_store_status neap_sqlite_outbox_renew(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t now_ns,
                                                int64_t lease_end_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    int changes = 0;
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_RENEW);
    neap_query_number(&query, (int64_t)owner.id);
    neap_query_digest(&query, owner.token, NEAP_STORE_TOKEN_BYTES);
    neap_query_number(&query, now_ns);
    neap_query_number(&query, lease_end_ns);
    status = neap_query_run(&query, &changes);
    if (status == NEAP_STORE_OK && changes == 0)
        status = NEAP_STORE_LOST;
    return neap_sqlite_end(sqlite, status);
}

enum neap_store_status neap_sqlite_owned_state(struct neap_sqlite *sqlite,
                                               struct neap_outbox_owner owner,
                                               enum neap_sqlite_state *state)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_OWNED);
    neap_query_number(&query, (int64_t)owner.id);
    neap_query_digest(&query, owner.token, NEAP_STORE_TOKEN_BYTES);
    enum neap_store_status status = neap_query_row(&query);
    if (status == NEAP_STORE_OK)
        *state = (enum neap_sqlite_state)neap_column_number(&query, 0);
    neap_query_end(&query);
    return status == NEAP_STORE_NONE ? NEAP_STORE_LOST : status;
}

enum neap_store_status neap_sqlite_run_on(struct neap_sqlite *sqlite, enum neap_statement which,
                                          uint64_t id)
{
    struct neap_query query = neap_query(sqlite, which);
    neap_query_number(&query, (int64_t)id);
    return neap_query_run(&query, NULL);
}

static enum neap_store_status done_inside(struct neap_sqlite *sqlite,
                                          struct neap_outbox_owner owner)
{
    enum neap_sqlite_state state;
    enum neap_store_status status = neap_sqlite_owned_state(sqlite, owner, &state);
    if (status == NEAP_STORE_OK && state != NEAP_SQLITE_TAKEN)
        status = NEAP_STORE_LOST;
    if (status == NEAP_STORE_OK)
        status = neap_sqlite_run_on(sqlite, NEAP_SQL_OUTBOX_PROMOTE, owner.id);
    if (status == NEAP_STORE_OK)
        status = neap_sqlite_run_on(sqlite, NEAP_SQL_OUTBOX_DELETE, owner.id);
    return status;
}

enum neap_store_status neap_sqlite_outbox_done(struct neap_store *store,
                                               struct neap_outbox_owner owner)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, done_inside(sqlite, owner));
}

static enum neap_store_status retry_inside(struct neap_sqlite *sqlite,
                                           struct neap_outbox_owner owner, int64_t due_ns)
{
    enum neap_sqlite_state state;
    enum neap_store_status status = neap_sqlite_owned_state(sqlite, owner, &state);
    if (status != NEAP_STORE_OK || state == NEAP_SQLITE_WAITING)
        return status;
    if (state != NEAP_SQLITE_TAKEN)
        return NEAP_STORE_LOST;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_RETRY);
    neap_query_number(&query, (int64_t)owner.id);
    neap_query_number(&query, due_ns);
    return neap_query_run(&query, NULL);
}

enum neap_store_status neap_sqlite_outbox_retry(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t due_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, retry_inside(sqlite, owner, due_ns));
}
