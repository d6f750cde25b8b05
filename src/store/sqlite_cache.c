/* Cached answers of the SQLite kind. */
#include "store/sqlite_store.h"

#define SWEEP_A_LITTLE 2

enum neap_store_status neap_sqlite_get(struct neap_store *store, struct neap_bytes key,
                                       int64_t now_ns, struct neap_blob *value)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_connect(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CACHE_READ);
    neap_query_bytes(&query, key);
    neap_query_number(&query, now_ns);
    status = neap_query_row(&query);
    if (status == NEAP_STORE_OK)
        status = neap_column_blob(&query, 0, value);
    neap_query_end(&query);
    return neap_sqlite_after(sqlite, status);
}

static enum neap_store_status put_inside(struct neap_sqlite *sqlite, struct neap_bytes key,
                                         struct neap_bytes value, int64_t now_ns,
                                         int64_t expires_ns)
{
    struct neap_query expire = neap_query(sqlite, NEAP_SQL_CACHE_EXPIRE);
    neap_query_number(&expire, now_ns);
    neap_query_number(&expire, SWEEP_A_LITTLE);
    enum neap_store_status status = neap_query_run(&expire, NULL);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query write = neap_query(sqlite, NEAP_SQL_CACHE_WRITE);
    neap_query_bytes(&write, key);
    neap_query_number(&write, expires_ns);
    neap_query_bytes(&write, value);
    return neap_query_run(&write, NULL);
}

enum neap_store_status neap_sqlite_put(struct neap_store *store, struct neap_bytes key,
                                       struct neap_bytes value, int64_t now_ns, int64_t expires_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, put_inside(sqlite, key, value, now_ns, expires_ns));
}

enum neap_store_status neap_sqlite_remove(struct neap_store *store, struct neap_bytes key)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CACHE_DELETE);
    neap_query_bytes(&query, key);
    return neap_sqlite_end(sqlite, neap_query_run(&query, NULL));
}
