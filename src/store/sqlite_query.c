/* The SQLite kind: queries, transactions, and what SQLite's failures mean. */
#include "store/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------- failures */

static const char *explain(int result)
{
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "the SQLite file is locked by another process, longer than this one may wait";
    case SQLITE_FULL:
        return "the disk of the SQLite file is full";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return "the SQLite file, or its directory, is read-only";
    case SQLITE_CORRUPT:
        return "the SQLite file is damaged";
    case SQLITE_NOTADB:
        return "the file is not an SQLite database";
    case SQLITE_IOERR:
        return "the SQLite file cannot be read or written (input/output error)";
    case SQLITE_CANTOPEN:
        return "the SQLite file cannot be opened";
    default:
        return NULL;
    }
}

/* What SQLite only calls impossible, because its log cannot be made either: may this process write
 * the file and its directory? NULL where it may. */
static const char *explain_system(const struct neap_sqlite *sqlite, char *reason, size_t bytes)
{
    char directory[PATH_MAX];
    (void)snprintf(directory, sizeof directory, "%s", sqlite->path); /* absolute, and fits */
    strrchr(directory, '/')[1] = '\0';
    bool may = faccessat(AT_FDCWD, sqlite->path, R_OK | W_OK, AT_EACCESS) == 0 &&
               faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0;
    return may ? NULL : strerror_r(errno, reason, bytes);
}

enum neap_store_status neap_sqlite_failed(struct neap_sqlite *sqlite, int result)
{
    char buffer[64];
    const char *explanation = explain(result);
    const char *reason =
        (result & 0xff) == SQLITE_CANTOPEN ? explain_system(sqlite, buffer, sizeof buffer) : NULL;
    if ((result & 0xff) == SQLITE_NOMEM)
        return NEAP_STORE_NO_MEMORY;
    if ((result & 0xff) == SQLITE_TOOBIG)
        return NEAP_STORE_FULL;
    if (explanation && reason)
        return neap_store_unavailable(&sqlite->store, "%s: %s: %s", explanation, reason,
                                      sqlite->path);
    if (explanation)
        return neap_store_unavailable(&sqlite->store, "%s: %s", explanation, sqlite->path);
    return neap_store_unavailable(&sqlite->store, "SQLite failed (%s): %s", sqlite3_errstr(result),
                                  sqlite->path);
}

/* ----------------------------------------------------------------------------------- queries */

static void note(struct neap_query *query, int result)
{
    if (query->result == SQLITE_OK)
        query->result = result;
}

struct neap_query neap_query(struct neap_sqlite *sqlite, enum neap_statement which)
{
    struct neap_query query = {.sqlite = sqlite, .result = SQLITE_OK};
    sqlite3_stmt **kept = &sqlite->statement[which];
    if (!*kept)
        note(&query, sqlite3_prepare_v3(sqlite->connection, neap_statement_text[which], -1,
                                        SQLITE_PREPARE_PERSISTENT, kept, NULL));
    query.statement = *kept;
    return query;
}

void neap_query_bytes(struct neap_query *query, struct neap_bytes bytes)
{
    const void *at = bytes.bytes > 0 ? bytes.at : ""; /* NULL would be SQL's NULL */
    note(query,
         sqlite3_bind_blob64(query->statement, ++query->bound, at, bytes.bytes, SQLITE_STATIC));
}

void neap_query_digest(struct neap_query *query, const uint8_t *bytes, size_t count)
{
    neap_query_bytes(query, (struct neap_bytes){bytes, count});
}

void neap_query_number(struct neap_query *query, int64_t number)
{
    note(query, sqlite3_bind_int64(query->statement, ++query->bound, number));
}

enum neap_store_status neap_query_row(struct neap_query *query)
{
    if (query->result == SQLITE_OK)
        query->result = sqlite3_step(query->statement);
    if (query->result == SQLITE_ROW)
        return NEAP_STORE_OK;
    if (query->result == SQLITE_DONE)
        return NEAP_STORE_NONE;
    return neap_sqlite_failed(query->sqlite, query->result);
}

/* There is no statement where it could not be prepared. */
void neap_query_end(struct neap_query *query)
{
    if (!query->statement)
        return;
    (void)sqlite3_reset(query->statement);
    (void)sqlite3_clear_bindings(query->statement);
}

enum neap_store_status neap_query_run(struct neap_query *query, int *changes)
{
    enum neap_store_status status = neap_query_row(query);
    if (changes)
        *changes = sqlite3_changes(query->sqlite->connection);
    neap_query_end(query);
    return status == NEAP_STORE_NONE ? NEAP_STORE_OK : status;
}

int64_t neap_column_number(const struct neap_query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

bool neap_column_digest(const struct neap_query *query, int column, uint8_t *bytes, size_t count)
{
    const void *at = sqlite3_column_blob(query->statement, column);
    if (!at || (size_t)sqlite3_column_bytes(query->statement, column) != count)
        return false;
    memcpy(bytes, at, count);
    return true;
}

enum neap_store_status neap_column_blob(const struct neap_query *query, int column,
                                        struct neap_blob *blob)
{
    const void *at = sqlite3_column_blob(query->statement, column);
    size_t bytes = (size_t)sqlite3_column_bytes(query->statement, column);
    if (!at && sqlite3_errcode(query->sqlite->connection) == SQLITE_NOMEM)
        return NEAP_STORE_NO_MEMORY;
    return neap_blob_copy(query->sqlite->store.alloc, at, bytes, blob) ? NEAP_STORE_OK
                                                                       : NEAP_STORE_NO_MEMORY;
}

/* ------------------------------------------------------------------------------ transactions */

enum neap_store_status neap_sqlite_after(struct neap_sqlite *sqlite, enum neap_store_status status)
{
    if (status == NEAP_STORE_UNAVAILABLE)
        neap_sqlite_disconnect(sqlite);
    return status;
}

static enum neap_store_status run(struct neap_sqlite *sqlite, enum neap_statement which)
{
    struct neap_query query = neap_query(sqlite, which);
    return neap_query_run(&query, NULL);
}

enum neap_store_status neap_sqlite_begin(struct neap_sqlite *sqlite)
{
    enum neap_store_status status = neap_sqlite_connect(sqlite);
    if (status == NEAP_STORE_OK)
        status = run(sqlite, NEAP_SQL_BEGIN);
    return neap_sqlite_after(sqlite, status);
}

/* SQLite may have rolled back by itself, where the disk is full for instance. */
static void roll_back(struct neap_sqlite *sqlite)
{
    if (!sqlite3_get_autocommit(sqlite->connection) &&
        run(sqlite, NEAP_SQL_ROLLBACK) != NEAP_STORE_OK)
        neap_sqlite_disconnect(sqlite);
}

enum neap_store_status neap_sqlite_end(struct neap_sqlite *sqlite, enum neap_store_status status)
{
    if (status == NEAP_STORE_OK)
        status = run(sqlite, NEAP_SQL_COMMIT);
    if (status == NEAP_STORE_OK)
        return status;
    char message[NEAP_MESSAGE_BYTES];
    memcpy(message, sqlite->store.message, sizeof message);
    roll_back(sqlite);
    memcpy(sqlite->store.message, message, sizeof message);
    return neap_sqlite_after(sqlite, status);
}
