/* Claims of the SQLite kind. */
#include "store/sqlite_store.h"

#include "store/claim_rules.h"

/* How many expired rows a step that adds one takes away. */
#define SWEEP_A_LITTLE 2

static bool read_columns(const struct neap_query *query, struct neap_claim_record *record)
{
    record->lease_end_ns = neap_column_number(query, 2);
    record->expires_ns = neap_column_number(query, 3);
    record->recovered = neap_column_number(query, 4) != 0;
    record->done = neap_column_number(query, 5) != 0;
    return neap_column_digest(query, 0, record->fingerprint, sizeof record->fingerprint) &&
           neap_column_digest(query, 1, record->token, sizeof record->token);
}

/* NONE where there is no such claim. */
static enum neap_store_status read_record(struct neap_sqlite *sqlite, struct neap_bytes key,
                                          struct neap_claim_record *record)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CLAIM_READ);
    neap_query_bytes(&query, key);
    enum neap_store_status status = neap_query_row(&query);
    if (status == NEAP_STORE_OK && !read_columns(&query, record))
        status = neap_sqlite_failed(sqlite, SQLITE_CORRUPT);
    neap_query_end(&query);
    return status;
}

static enum neap_store_status read_result(struct neap_sqlite *sqlite, struct neap_bytes key,
                                          struct neap_blob *result)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CLAIM_RESULT);
    neap_query_bytes(&query, key);
    enum neap_store_status status = neap_query_row(&query);
    if (status == NEAP_STORE_OK)
        status = neap_column_blob(&query, 0, result);
    neap_query_end(&query);
    return status;
}

static enum neap_store_status expire(struct neap_sqlite *sqlite, int64_t now_ns)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CLAIM_EXPIRE);
    neap_query_number(&query, now_ns);
    neap_query_number(&query, SWEEP_A_LITTLE);
    return neap_query_run(&query, NULL);
}

static enum neap_store_status write_first(struct neap_sqlite *sqlite,
                                          const struct neap_claim_request *request,
                                          const struct neap_claim_record *record)
{
    enum neap_store_status status = expire(sqlite, request->now_ns);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CLAIM_WRITE);
    neap_query_bytes(&query, request->key);
    neap_query_digest(&query, record->fingerprint, sizeof record->fingerprint);
    neap_query_digest(&query, record->token, sizeof record->token);
    neap_query_number(&query, record->lease_end_ns);
    neap_query_number(&query, record->expires_ns);
    return neap_query_run(&query, NULL);
}

static enum neap_store_status write_owner(struct neap_sqlite *sqlite, struct neap_bytes key,
                                          const struct neap_claim_record *record)
{
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CLAIM_TAKE);
    neap_query_bytes(&query, key);
    neap_query_digest(&query, record->token, sizeof record->token);
    neap_query_number(&query, record->lease_end_ns);
    neap_query_number(&query, record->recovered);
    return neap_query_run(&query, NULL);
}

static enum neap_store_status claim_inside(struct neap_sqlite *sqlite,
                                           const struct neap_claim_request *request,
                                           struct neap_claim *claim)
{
    struct neap_claim_record record;
    enum neap_store_status status = read_record(sqlite, request->key, &record);
    if (status != NEAP_STORE_OK && status != NEAP_STORE_NONE)
        return status;
    switch (neap_claim_judge(&record, status == NEAP_STORE_OK, request, claim)) {
    case NEAP_CLAIM_FIRST:
        return write_first(sqlite, request, &record);
    case NEAP_CLAIM_TAKEN:
        return write_owner(sqlite, request->key, &record);
    case NEAP_CLAIM_REFUSED:
        break;
    }
    return claim->state == NEAP_CLAIM_DONE && !claim->other_work
               ? read_result(sqlite, request->key, &claim->result)
               : NEAP_STORE_OK;
}

enum neap_store_status neap_sqlite_claim(struct neap_store *store,
                                         const struct neap_claim_request *request,
                                         struct neap_claim *claim)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    struct neap_claim judged = {0};
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    status = neap_sqlite_end(sqlite, claim_inside(sqlite, request, &judged));
    if (status == NEAP_STORE_OK)
        *claim = judged;
    else
        neap_blob_free(&judged.result);
    return status;
}

/* ------------------------------------------------------------------------------------- owners */

/* LOST where it is not the token's. */
static enum neap_store_status read_owned(struct neap_sqlite *sqlite, struct neap_bytes key,
                                         const uint8_t *token, int64_t now_ns,
                                         struct neap_claim_record *record)
{
    enum neap_store_status status = read_record(sqlite, key, record);
    if (status == NEAP_STORE_NONE)
        return NEAP_STORE_LOST;
    if (status == NEAP_STORE_OK && !neap_claim_is_of(record, token, now_ns))
        return NEAP_STORE_LOST;
    return status;
}

static enum neap_store_status renew_inside(struct neap_sqlite *sqlite, struct neap_bytes key,
                                           const uint8_t *token, int64_t now_ns,
                                           int64_t lease_end_ns)
{
    struct neap_claim_record record;
    enum neap_store_status status = read_owned(sqlite, key, token, now_ns, &record);
    if (status != NEAP_STORE_OK)
        return status;
    if (record.done)
        return NEAP_STORE_LOST;
    record.lease_end_ns = lease_end_ns;
    return write_owner(sqlite, key, &record);
}

enum neap_store_status neap_sqlite_renew(struct neap_store *store, struct neap_bytes key,
                                         const uint8_t *token, int64_t now_ns, int64_t lease_end_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, renew_inside(sqlite, key, token, now_ns, lease_end_ns));
}

static enum neap_store_status finish_inside(struct neap_sqlite *sqlite, struct neap_bytes key,
                                            const uint8_t *token, struct neap_bytes result,
                                            int64_t now_ns)
{
    struct neap_claim_record record;
    enum neap_store_status status = read_owned(sqlite, key, token, now_ns, &record);
    if (status != NEAP_STORE_OK || record.done)
        return status;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CLAIM_FINISH);
    neap_query_bytes(&query, key);
    neap_query_bytes(&query, result);
    return neap_query_run(&query, NULL);
}

enum neap_store_status neap_sqlite_finish(struct neap_store *store, struct neap_bytes key,
                                          const uint8_t *token, struct neap_bytes result,
                                          int64_t now_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, finish_inside(sqlite, key, token, result, now_ns));
}

static enum neap_store_status release_inside(struct neap_sqlite *sqlite, struct neap_bytes key,
                                             const uint8_t *token, int64_t now_ns)
{
    struct neap_claim_record record;
    enum neap_store_status status = read_owned(sqlite, key, token, now_ns, &record);
    if (status != NEAP_STORE_OK)
        return status;
    if (record.done)
        return NEAP_STORE_LOST;
    struct neap_query query = neap_query(sqlite, NEAP_SQL_CLAIM_DELETE);
    neap_query_bytes(&query, key);
    return neap_query_run(&query, NULL);
}

enum neap_store_status neap_sqlite_release(struct neap_store *store, struct neap_bytes key,
                                           const uint8_t *token, int64_t now_ns)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    return neap_sqlite_end(sqlite, release_inside(sqlite, key, token, now_ns));
}
