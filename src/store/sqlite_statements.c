/* The SQLite kind: the text of its statements.
 *
 * INDEXED BY, because without statistics SQLite prefers an index that makes it read a whole outbox
 * for each entry. */
#include "store/sqlite_store.h"

/* Until when the lane of an entry `e` is busy with another one: a younger one, given out before `e`
 * was revived. */
#define BUSY_UNTIL                                                                                 \
    "(SELECT max(f.due_ns) FROM outbox f INDEXED BY outbox_taken WHERE f.outbox = e.outbox"        \
    " AND f.lane = e.lane AND f.state = 1 AND f.id <> e.id)"

/* The living entries `f` of the lane of entry ?1, which is `e`. */
#define LANE_OF_1                                                                                  \
    " FROM outbox e, outbox f INDEXED BY outbox_lane WHERE e.id = ?1 AND f.outbox = e.outbox"      \
    " AND f.lane = e.lane AND f.lane IS NOT NULL AND f.state < 2"

const char *const neap_statement_text[NEAP_STATEMENTS] = {
    [NEAP_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [NEAP_SQL_COMMIT] = "COMMIT",
    [NEAP_SQL_ROLLBACK] = "ROLLBACK",

    [NEAP_SQL_CLAIM_READ] = "SELECT fingerprint, token, lease_end_ns, expires_ns, recovered, done"
                            " FROM claim WHERE key = ?1",
    [NEAP_SQL_CLAIM_RESULT] = "SELECT result FROM claim WHERE key = ?1",
    [NEAP_SQL_CLAIM_WRITE] = "INSERT OR REPLACE INTO claim (key, fingerprint, token, lease_end_ns,"
                             " expires_ns, recovered, done) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)",
    [NEAP_SQL_CLAIM_TAKE] =
        "UPDATE claim SET token = ?2, lease_end_ns = ?3, recovered = ?4 WHERE key = ?1",
    [NEAP_SQL_CLAIM_FINISH] = "UPDATE claim SET done = 1, result = ?2 WHERE key = ?1",
    [NEAP_SQL_CLAIM_DELETE] = "DELETE FROM claim WHERE key = ?1",
    [NEAP_SQL_CLAIM_EXPIRE] = "DELETE FROM claim WHERE rowid IN (SELECT rowid FROM claim"
                              " WHERE expires_ns <= ?1 ORDER BY expires_ns LIMIT ?2)",

    [NEAP_SQL_CACHE_READ] = "SELECT value FROM cache WHERE key = ?1 AND expires_ns > ?2",
    [NEAP_SQL_CACHE_WRITE] =
        "INSERT OR REPLACE INTO cache (key, expires_ns, value) VALUES (?1, ?2, ?3)",
    [NEAP_SQL_CACHE_DELETE] = "DELETE FROM cache WHERE key = ?1",
    [NEAP_SQL_CACHE_EXPIRE] = "DELETE FROM cache WHERE rowid IN (SELECT rowid FROM cache"
                              " WHERE expires_ns <= ?1 ORDER BY expires_ns LIMIT ?2)",

    [NEAP_SQL_OUTBOX_PUT] =
        "INSERT INTO outbox (outbox, lane, state, first, due_ns, attempts, put_ns, value)"
        " VALUES (?1, nullif(?2, x''), 0, NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_lane "
        "WHERE outbox = ?1"
        " AND lane = nullif(?2, x'') AND lane IS NOT NULL AND state < 2), ?3, 0, ?3, ?4)",
    [NEAP_SQL_OUTBOX_NEXT] =
        "SELECT id, attempts, put_ns, value FROM outbox e INDEXED BY outbox_first WHERE outbox = "
        "?1 AND first"
        " AND state < 2 AND due_ns <= ?2 AND (lane IS NULL OR coalesce(" BUSY_UNTIL ", 0) <= ?2)"
        " ORDER BY id LIMIT 1",
    [NEAP_SQL_OUTBOX_WHEN] =
        "SELECT min(max(due_ns, CASE WHEN lane IS NULL THEN 0 ELSE coalesce(" BUSY_UNTIL ", 0)"
        " END)) FROM outbox e INDEXED BY outbox_first WHERE outbox = ?1 AND first AND state < 2",
    [NEAP_SQL_OUTBOX_GIVE] = "UPDATE outbox SET state = 1, token = ?2, due_ns = ?3 WHERE id = ?1",
    [NEAP_SQL_OUTBOX_RENEW] =
        "UPDATE outbox SET due_ns = ?4 WHERE id = ?1 AND token = ?2 AND state = 1"
        " AND (first OR due_ns > ?3)",
    [NEAP_SQL_OUTBOX_OWNED] = "SELECT state FROM outbox WHERE id = ?1 AND token = ?2",
    [NEAP_SQL_OUTBOX_DELETE] = "DELETE FROM outbox WHERE id = ?1",
    [NEAP_SQL_OUTBOX_RETRY] =
        "UPDATE outbox SET state = 0, due_ns = ?2, attempts = min(attempts + 1, 4294967295)"
        " WHERE id = ?1",
    [NEAP_SQL_OUTBOX_BURY] =
        "UPDATE outbox SET state = 2, first = 0, died_ns = ?2, reason = ?3 WHERE id = ?1",
    [NEAP_SQL_OUTBOX_PROMOTE] = "UPDATE outbox SET first = 1 WHERE id = (SELECT f.id" LANE_OF_1
                                " AND f.id <> e.id ORDER BY f.id LIMIT 1)",
    [NEAP_SQL_OUTBOX_COUNT] =
        "SELECT count(*), coalesce(sum(state = 1 AND due_ns > ?2), 0), coalesce(sum(state = 2), 0)"
        " FROM outbox WHERE outbox = ?1",
    [NEAP_SQL_OUTBOX_DEAD] = "SELECT id, attempts, put_ns, died_ns, value, reason FROM outbox"
                             " WHERE outbox = ?1 AND state = 2 AND id > ?2 ORDER BY id LIMIT 1",
    [NEAP_SQL_OUTBOX_REVIVE] =
        "UPDATE outbox SET state = 0, first = NOT EXISTS (SELECT 1" LANE_OF_1 " AND f.id < e.id),"
        " due_ns = ?2, token = NULL, attempts = 0, died_ns = NULL, reason = NULL"
        " WHERE id = ?1 AND state = 2",
    [NEAP_SQL_OUTBOX_DEMOTE] =
        "UPDATE outbox SET first = 0 WHERE first AND id = (SELECT f.id" LANE_OF_1
        " AND f.id > e.id ORDER BY f.id LIMIT 1)",
    [NEAP_SQL_OUTBOX_DROP] = "DELETE FROM outbox WHERE id = ?1 AND state = 2",
};
