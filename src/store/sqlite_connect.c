/* The SQLite kind: a connection to its file. */
#include "store/sqlite_store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/duration.h"
#include "platform/clock.h"
#include "platform/process.h"

#define RETRY_MS 5

/* By mknod, which opens nothing: to close a descriptor would drop every lock that this process has
 * on the file (fcntl(2)), also those of another store object. SQLite gives the files beside it the
 * same mode. */
static enum neap_store_status make_file(struct neap_sqlite *sqlite)
{
    char reason[64];
    struct stat file;
    if (mknod(sqlite->path, S_IFREG | S_IRUSR | S_IWUSR, 0) == 0)
        return NEAP_STORE_OK;
    int error = errno; /* where a file is there, opening it will tell what it is good for */
    if (stat(sqlite->path, &file) == 0)
        return (file.st_mode & S_IWOTH) == 0
                   ? NEAP_STORE_OK
                   : neap_store_unavailable(&sqlite->store,
                                            "the SQLite file may be written by anybody: %s",
                                            sqlite->path);
    return neap_store_unavailable(&sqlite->store, "the SQLite file cannot be made: %s: %s",
                                  strerror_r(error, reason, sizeof reason), sqlite->path);
}

static int milliseconds(int64_t ns)
{
    int64_t ms = (neap_time_max(ns, 0) + NEAP_MS - 1) / NEAP_MS;
    return (int)neap_time_min(ms, INT_MAX);
}

static int expect_text(sqlite3 *connection, const char *sql, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        result = text && strcmp((const char *)text, expected) == 0 ? SQLITE_OK : SQLITE_MISUSE;
    }
    (void)sqlite3_finalize(statement);
    return result;
}

/* SQLite does not wait where several processes make a new file's log at once. */
static int switch_to_wal(struct neap_sqlite *sqlite)
{
    int64_t end_ns = neap_time_add(neap_clock_monotonic_ns(), sqlite->busy_ns);
    for (;;) {
        int result = expect_text(sqlite->connection, "PRAGMA journal_mode = WAL", "wal");
        if ((result & 0xff) != SQLITE_BUSY || neap_clock_monotonic_ns() >= end_ns)
            return result;
        (void)sqlite3_sleep(RETRY_MS);
    }
}

static enum neap_store_status configure(struct neap_sqlite *sqlite)
{
    sqlite3 *connection = sqlite->connection;
    (void)sqlite3_extended_result_codes(connection, 1);
    (void)sqlite3_busy_timeout(connection, milliseconds(sqlite->busy_ns));
    int result = switch_to_wal(sqlite);
    if (result == SQLITE_MISUSE)
        return neap_store_unavailable(
            &sqlite->store, "SQLite cannot keep a write-ahead log in this file system: %s",
            sqlite->path);
    if (result == SQLITE_OK)
        result = sqlite3_exec(connection,
                              "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
                              "PRAGMA journal_size_limit = 67108864",
                              NULL, NULL, NULL);
    if (result != SQLITE_OK)
        return neap_sqlite_failed(sqlite, result);
    return neap_sqlite_make_tables(sqlite);
}

/* No SQLITE_OPEN_CREATE: make_file has made it, with its mode. */
static enum neap_store_status open_connection(struct neap_sqlite *sqlite)
{
    enum neap_store_status status = make_file(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    int result = sqlite3_open_v2(
        sqlite->path, &sqlite->connection,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    sqlite->owner_pid = neap_process_id();
    return result == SQLITE_OK ? configure(sqlite) : neap_sqlite_failed(sqlite, result);
}

/* Whoever goes on writing into a file that was deleted or replaced stores into nothing. */
static bool has_moved(struct neap_sqlite *sqlite)
{
    int moved = 0;
    int result = sqlite3_file_control(sqlite->connection, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return result == SQLITE_OK && moved;
}

bool neap_sqlite_is_own(const struct neap_sqlite *sqlite)
{
    return sqlite->owner_pid == neap_process_id();
}

enum neap_store_status neap_sqlite_connect(struct neap_sqlite *sqlite)
{
    if (sqlite->connection && !neap_sqlite_is_own(sqlite))
        neap_sqlite_disown(sqlite);
    if (sqlite->connection && has_moved(sqlite))
        neap_sqlite_disconnect(sqlite);
    if (sqlite->connection)
        return NEAP_STORE_OK;
    enum neap_store_status status = open_connection(sqlite);
    if (status != NEAP_STORE_OK)
        neap_sqlite_disconnect(sqlite);
    return status;
}

void neap_sqlite_disconnect(struct neap_sqlite *sqlite)
{
    for (int i = 0; i < NEAP_STATEMENTS; i++) {
        (void)sqlite3_finalize(sqlite->statement[i]);
        sqlite->statement[i] = NULL;
    }
    (void)sqlite3_close(sqlite->connection);
    sqlite->connection = NULL;
}
