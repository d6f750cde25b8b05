/* The SQLite kind: its state, and what its steps are made of.
 *
 * A step that writes is one transaction, begun at once as a writer (BEGIN IMMEDIATE): what it reads
 * cannot change before it writes. */
#ifndef NEAP_STORE_SQLITE_STORE_H
#define NEAP_STORE_SQLITE_STORE_H

#include <limits.h>
#include <sqlite3.h>

#include "store/store_internal.h"

enum neap_statement {
    NEAP_SQL_BEGIN,
    NEAP_SQL_COMMIT,
    NEAP_SQL_ROLLBACK,

    NEAP_SQL_CLAIM_READ,
    NEAP_SQL_CLAIM_RESULT,
    NEAP_SQL_CLAIM_WRITE,
    NEAP_SQL_CLAIM_TAKE,
    NEAP_SQL_CLAIM_FINISH,
    NEAP_SQL_CLAIM_DELETE,
    NEAP_SQL_CLAIM_EXPIRE,

    NEAP_SQL_CACHE_READ,
    NEAP_SQL_CACHE_WRITE,
    NEAP_SQL_CACHE_DELETE,
    NEAP_SQL_CACHE_EXPIRE,

    NEAP_SQL_OUTBOX_PUT,
    NEAP_SQL_OUTBOX_NEXT,
    NEAP_SQL_OUTBOX_WHEN,
    NEAP_SQL_OUTBOX_GIVE,
    NEAP_SQL_OUTBOX_RENEW,
    NEAP_SQL_OUTBOX_OWNED,
    NEAP_SQL_OUTBOX_DELETE,
    NEAP_SQL_OUTBOX_RETRY,
    NEAP_SQL_OUTBOX_BURY,
    NEAP_SQL_OUTBOX_PROMOTE,
    NEAP_SQL_OUTBOX_COUNT,
    NEAP_SQL_OUTBOX_DEAD,
    NEAP_SQL_OUTBOX_REVIVE,
    NEAP_SQL_OUTBOX_DEMOTE,
    NEAP_SQL_OUTBOX_DROP,

    NEAP_STATEMENTS
};
extern const char *const neap_statement_text[NEAP_STATEMENTS];

struct neap_sqlite {
    struct neap_store store;
    char *path; /* absolute */
    int64_t busy_ns;
    sqlite3 *connection;                      /* NULL: not open */
    int64_t owner_pid;                        /* whose connection it is */
    sqlite3 *inherited;                       /* of a parent process: never used nor closed here */
    sqlite3_stmt *statement[NEAP_STATEMENTS]; /* prepared at first use */
};

static inline struct neap_sqlite *neap_sqlite_of(struct neap_store *store)
{
    return (struct neap_sqlite *)store;
}

/* ------------------------------------------------------------------------------- connection */

/* Opens the connection where this process has none, or where its file is not the one at the path
 * any more. UNAVAILABLE, NO_MEMORY. */
NEAP_MUST_CHECK enum neap_store_status neap_sqlite_connect(struct neap_sqlite *sqlite);
void neap_sqlite_disconnect(struct neap_sqlite *sqlite);

/* Whether the connection was opened by this process. */
bool neap_sqlite_is_own(const struct neap_sqlite *sqlite);

/* Lets go of what the parent process had open, see sqlite_fork.c. */
void neap_sqlite_disown(struct neap_sqlite *sqlite);

/* Tables of this version where the file is empty. UNAVAILABLE where the file is of another version
 * or another program. */
NEAP_MUST_CHECK enum neap_store_status neap_sqlite_make_tables(struct neap_sqlite *sqlite);

/* What a result of SQLite means: UNAVAILABLE with a message, NO_MEMORY or FULL. */
NEAP_MUST_CHECK enum neap_store_status neap_sqlite_failed(struct neap_sqlite *sqlite, int result);

/* ------------------------------------------------------------------------------------- steps */

/* Connects and begins a transaction. */
NEAP_MUST_CHECK enum neap_store_status neap_sqlite_begin(struct neap_sqlite *sqlite);

/* Ends it: what `status` calls OK is committed, anything else is undone. The status, or why it
 * could not be committed. */
NEAP_MUST_CHECK enum neap_store_status neap_sqlite_end(struct neap_sqlite *sqlite,
                                                       enum neap_store_status status);

/* After a step without a transaction: a connection that met something broken is closed, so that the
 * next step begins with a new one. The status. */
enum neap_store_status neap_sqlite_after(struct neap_sqlite *sqlite, enum neap_store_status status);

/* A statement at work, with its parameters bound from 1 on. */
struct neap_query {
    struct neap_sqlite *sqlite;
    sqlite3_stmt *statement;
    int bound;
    int result; /* of SQLite; the first failure stays */
};

struct neap_query neap_query(struct neap_sqlite *sqlite, enum neap_statement which);
void neap_query_bytes(struct neap_query *query, struct neap_bytes bytes); /* stays till the end */
void neap_query_digest(struct neap_query *query, const uint8_t *bytes, size_t count);
void neap_query_number(struct neap_query *query, int64_t number);

/* OK where there is a row, which stays until the query ends; NONE where there is none; or why it
 * failed. */
NEAP_MUST_CHECK enum neap_store_status neap_query_row(struct neap_query *query);
void neap_query_end(struct neap_query *query);

/* For a statement without rows: carries it out and ends it. `changes` may be NULL. */
NEAP_MUST_CHECK enum neap_store_status neap_query_run(struct neap_query *query, int *changes);

/* Of the present row, columns from 0 on. */
int64_t neap_column_number(const struct neap_query *query, int column);

/* False where the column does not hold that many bytes: the file is damaged. */
NEAP_MUST_CHECK bool neap_column_digest(const struct neap_query *query, int column, uint8_t *bytes,
                                        size_t count);

/* NO_MEMORY. */
NEAP_MUST_CHECK enum neap_store_status neap_column_blob(const struct neap_query *query, int column,
                                                        struct neap_blob *blob);

/* --------------------------------------------- the functions of the table, see store_internal.h */

enum neap_store_status neap_sqlite_claim(struct neap_store *store,
                                         const struct neap_claim_request *request,
                                         struct neap_claim *claim);
enum neap_store_status neap_sqlite_renew(struct neap_store *store, struct neap_bytes key,
                                         const uint8_t *token, int64_t now_ns,
                                         int64_t lease_end_ns);
enum neap_store_status neap_sqlite_finish(struct neap_store *store, struct neap_bytes key,
                                          const uint8_t *token, struct neap_bytes result,
                                          int64_t now_ns);
enum neap_store_status neap_sqlite_release(struct neap_store *store, struct neap_bytes key,
                                           const uint8_t *token, int64_t now_ns);

enum neap_store_status neap_sqlite_get(struct neap_store *store, struct neap_bytes key,
                                       int64_t now_ns, struct neap_blob *value);
enum neap_store_status neap_sqlite_put(struct neap_store *store, struct neap_bytes key,
                                       struct neap_bytes value, int64_t now_ns, int64_t expires_ns);
enum neap_store_status neap_sqlite_remove(struct neap_store *store, struct neap_bytes key);

enum neap_store_status neap_sqlite_outbox_put(struct neap_store *store, struct neap_bytes outbox,
                                              struct neap_bytes ordering_key,
                                              struct neap_bytes value, int64_t now_ns,
                                              uint64_t *id);
enum neap_store_status neap_sqlite_outbox_take(struct neap_store *store, struct neap_bytes outbox,
                                               const uint8_t *token, int64_t now_ns,
                                               int64_t lease_end_ns,
                                               struct neap_outbox_entry *entry, int64_t *next_ns);
enum neap_store_status neap_sqlite_outbox_renew(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t now_ns,
                                                int64_t lease_end_ns);
enum neap_store_status neap_sqlite_outbox_done(struct neap_store *store,
                                               struct neap_outbox_owner owner);
enum neap_store_status neap_sqlite_outbox_retry(struct neap_store *store,
                                                struct neap_outbox_owner owner, int64_t due_ns);
enum neap_store_status neap_sqlite_outbox_bury(struct neap_store *store,
                                               struct neap_outbox_owner owner,
                                               struct neap_bytes reason, int64_t now_ns);
enum neap_store_status neap_sqlite_outbox_count(struct neap_store *store, struct neap_bytes outbox,
                                                int64_t now_ns, struct neap_outbox_counts *counts);
enum neap_store_status neap_sqlite_outbox_dead(struct neap_store *store, struct neap_bytes outbox,
                                               uint64_t after, struct neap_dead_letter *letter);
enum neap_store_status neap_sqlite_outbox_revive(struct neap_store *store, uint64_t id,
                                                 int64_t now_ns);
enum neap_store_status neap_sqlite_outbox_drop(struct neap_store *store, uint64_t id);

#endif
