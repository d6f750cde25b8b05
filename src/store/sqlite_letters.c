/* Outboxes of the SQLite kind: dead letters and counts. */
#include "store/sqlite_outbox.h"

static enum neap_store_status bury_inside(struct neap_sqlite *sqlite,
                                          struct neap_outbox_owner owner, struct neap_bytes reason,
                                          int64_t now_ns)
{
    enum neap_sqlite_state state;
    enum neap_store_status status = neap_sqlite_owned_state(sqlite, owner, &state);
    if (status != NEAP_STORE_OK || state == NEAP_SQLITE_DEAD)
        return status;
    if (state != NEAP_SQLITE_TAKEN)
        return NEAP_STORE_LOST;
    status = neap_sqlite_run_on(sqlite, NEAP_SQL_OUTBOX_PROMOTE, owner.id);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_BURY);
    neap_query_number(&query, (int64_t)owner.id);
    neap_query_number(&query, now_ns);
    neap_query_bytes(&query, reason);
    return neap_query_run(&query, NULL);
}

enum neap_store_status neap_sqlite_outbox_bury(struct neap_store *store,
                                               struct neap_outbox_owner owner,
                                               struct neap_bytes reason, int64_t now_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, bury_inside(sqlite, owner, reason, now_ns));
}

enum neap_store_status neap_sqlite_outbox_count(struct neap_store *store, struct neap_bytes outbox,
                                                int64_t now_ns, struct neap_outbox_counts *counts)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_connect(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_COUNT);
    neap_query_bytes(&query, outbox);
    neap_query_number(&query, now_ns);
    status = neap_query_row(&query);
    if (status == NEAP_STORE_OK) {
        counts->taken = (uint64_t)neap_column_number(&query, 1);
        counts->dead = (uint64_t)neap_column_number(&query, 2);
        counts->waiting = (uint64_t)neap_column_number(&query, 0) - counts->taken - counts->dead;
    }
    neap_query_end(&query);
    return neap_sqlite_after(sqlite, status);
}

static enum neap_store_status read_letter(const struct neap_query *query,
                                          struct neap_dead_letter *letter)
{
    struct neap_dead_letter read = {
        .id = (uint64_t)neap_column_number(query, 0),
        .attempts = (uint32_t)neap_column_number(query, 1),
        .put_ns = neap_column_number(query, 2),
        .died_ns = neap_column_number(query, 3),
    };
    enum neap_store_status status = neap_column_blob(query, 4, &read.value);
    if (status == NEAP_STORE_OK)
        status = neap_column_blob(query, 5, &read.reason);
    if (status == NEAP_STORE_OK)
        *letter = read;
    else
        neap_blob_free(&read.value);
    return status;
}

enum neap_store_status neap_sqlite_outbox_dead(struct neap_store *store, struct neap_bytes outbox,
                                               uint64_t after, struct neap_dead_letter *letter)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_connect(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_DEAD);
    neap_query_bytes(&query, outbox);
    neap_query_number(&query, (int64_t)(after < INT64_MAX ? after : INT64_MAX));
    status = neap_query_row(&query);
    if (status == NEAP_STORE_OK)
        status = read_letter(&query, letter);
    neap_query_end(&query);
    return neap_sqlite_after(sqlite, status);
}

static enum neap_store_status revive_inside(struct neap_sqlite *sqlite, uint64_t id, int64_t now_ns)
{
    int changes = 0;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_REVIVE);
    neap_query_number(&query, (int64_t)id);
    neap_query_number(&query, now_ns);
    enum neap_store_status status = neap_query_run(&query, &changes);
    if (status != NEAP_STORE_OK)
        return status;
    return changes > 0 ? neap_sqlite_run_on(sqlite, NEAP_SQL_OUTBOX_DEMOTE, id) : NEAP_STORE_NONE;
}

enum neap_store_status neap_sqlite_outbox_revive(struct neap_store *store, uint64_t id,
                                                 int64_t now_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, revive_inside(sqlite, id, now_ns));
}

enum neap_store_status neap_sqlite_outbox_drop(struct neap_store *store, uint64_t id)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    int changes = 0;
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_OUTBOX_DROP);
    neap_query_number(&query, (int64_t)id);
    status = neap_query_run(&query, &changes);
    if (status == NEAP_STORE_OK && changes == 0)
        status = NEAP_STORE_NONE;
    return neap_sqlite_end(sqlite, status);
}
