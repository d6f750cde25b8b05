/* The SQLite kind: the tables of its file, and their version.
 *
 * `user_version` is the version of the tables: 0 in a file that is new. Blobs that may be long are
 * the last columns, since SQLite reads a row from its beginning. `first` in the outbox marks each
 * entry that has nobody living before it in its lane, the entries of one ordering key. */
#include "store/sqlite_store.h"

#define VERSION 1

static const char tables[] =
    "CREATE TABLE claim (key BLOB NOT NULL UNIQUE, fingerprint BLOB NOT NULL, token BLOB NOT NULL,"
    " lease_end_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL, recovered INTEGER NOT NULL,"
    " done INTEGER NOT NULL, result BLOB);"
    "CREATE INDEX claim_expires ON claim (expires_ns);"

    "CREATE TABLE cache (key BLOB NOT NULL UNIQUE, expires_ns INTEGER NOT NULL,"
    " value BLOB NOT NULL);"
    "CREATE INDEX cache_expires ON cache (expires_ns);"

    /* state: 0 waiting, 1 taken, 2 dead. due_ns of a taken one is the end of its lease. */
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, outbox BLOB NOT NULL, lane BLOB,"
    " state INTEGER NOT NULL, first INTEGER NOT NULL, due_ns INTEGER NOT NULL, token BLOB,"
    " attempts INTEGER NOT NULL, put_ns INTEGER NOT NULL, died_ns INTEGER,"
    " value BLOB NOT NULL, reason BLOB);"
    "CREATE INDEX outbox_first ON outbox (outbox, id) WHERE first AND state < 2;"
    "CREATE INDEX outbox_lane ON outbox (outbox, lane, id) WHERE lane IS NOT NULL AND state < 2;"
    "CREATE INDEX outbox_taken ON outbox (outbox, lane) WHERE state = 1;"
    "CREATE INDEX outbox_dead ON outbox (outbox, id) WHERE state = 2;"
    "CREATE INDEX outbox_state ON outbox (outbox, state, due_ns);"
    "PRAGMA user_version = 1;";

static int read_number(sqlite3 *connection, const char *sql, int *number)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        *number = sqlite3_column_int(statement, 0);
        result = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    return result;
}

/* In a transaction. */
static enum neap_store_status make_in_empty_file(struct neap_sqlite *sqlite)
{
    int version = 0, strangers = 0;
    int result = read_number(sqlite->connection, "PRAGMA user_version", &version);
    if (result == SQLITE_OK && version == VERSION)
        return NEAP_STORE_OK;
    if (result == SQLITE_OK)
        result = read_number(sqlite->connection, "SELECT count(*) FROM sqlite_master", &strangers);
    if (result == SQLITE_OK && version != 0)
        return neap_store_unavailable(
            &sqlite->store, "the SQLite file is of version %d, this neap knows version %d: %s",
            version, VERSION, sqlite->path);
    if (result == SQLITE_OK && strangers > 0)
        return neap_store_unavailable(
            &sqlite->store, "the SQLite file belongs to another program: %s", sqlite->path);
    if (result == SQLITE_OK)
        result = sqlite3_exec(sqlite->connection, tables, NULL, NULL, NULL);
    return result == SQLITE_OK ? NEAP_STORE_OK : neap_sqlite_failed(sqlite, result);
}

enum neap_store_status neap_sqlite_make_tables(struct neap_sqlite *sqlite)
{
    int version = 0;
    int result = read_number(sqlite->connection, "PRAGMA user_version", &version);
    if (result == SQLITE_OK && version == VERSION)
        return NEAP_STORE_OK;
    if (result == SQLITE_OK)
        result = sqlite3_exec(sqlite->connection, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (result != SQLITE_OK)
        return neap_sqlite_failed(sqlite, result);
    enum neap_store_status status = make_in_empty_file(sqlite);
    if (status != NEAP_STORE_OK)
        return status; /* the connection is closed, and the transaction with it */
    result = sqlite3_exec(sqlite->connection, "COMMIT", NULL, NULL, NULL);
    return result == SQLITE_OK ? NEAP_STORE_OK : neap_sqlite_failed(sqlite, result);
}
