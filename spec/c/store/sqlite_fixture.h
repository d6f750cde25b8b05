/* A folder of the test's own with an SQLite store in it, and children that use it too. */
#ifndef NEAP_SPEC_STORE_SQLITE_FIXTURE_H
#define NEAP_SPEC_STORE_SQLITE_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/memory.h"
#include "store/store.h"
#include "support/stores.h"

#define NOW INT64_C(1767225600000000000)

static char folder[32];
static char path[64];
static struct neap_store *store;
static char message[NEAP_MESSAGE_BYTES];

static inline enum neap_store_status open_at(const char *at, int64_t busy_ns)
{
    const struct neap_sqlite_settings settings = {.path = at, .busy_ns = busy_ns};
    message[0] = '\0';
    return neap_store_open_sqlite(neap_platform_alloc(), &settings, &store, message);
}

static inline int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/neap-sqlite-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/store.db", folder);
    store = NULL;
    assert_int_equal(open_at(path, 60 * NEAP_SECOND), NEAP_STORE_OK);
    return 0;
}

static inline int tear_down(void **state)
{
    char command[64];
    (void)state;
    neap_store_free(store);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static inline enum neap_store_status claim_in(struct neap_store *in, const char *key, char token,
                                              struct neap_claim *claim)
{
    struct neap_claim_request request;
    fill_request(&request, key, token, NOW);
    return neap_store_claim(in, &request, claim);
}

static inline enum neap_store_status finish_in(struct neap_store *in, const char *key, char token,
                                               const char *result)
{
    return neap_store_finish(in, bytes_of(key), token_of(token), bytes_of(result), NOW);
}

static inline void expect_done(const char *key, const char *result)
{
    struct neap_claim claim;
    assert_int_equal(claim_in(store, key, '?', &claim), NEAP_STORE_OK);
    assert_int_equal(claim.state, NEAP_CLAIM_DONE);
    assert_blob(&claim.result, result);
    neap_blob_free(&claim.result);
}

/* A step that must find the store unusable, for a reason that says so. */
static inline void expect_unavailable(const char *words)
{
    struct neap_claim claim;
    enum neap_store_status status = claim_in(store, "k", 'a', &claim);
    if (status != NEAP_STORE_UNAVAILABLE || !strstr(neap_store_message(store), words))
        fail_msg("status %d, wanted <%s>: %s", status, words, neap_store_message(store));
}

/* Whether the store answers again, as it should when what was wrong is over. */
static inline void expect_usable(const char *key)
{
    struct neap_claim claim;
    enum neap_store_status status = claim_in(store, key, 'a', &claim);
    if (status != NEAP_STORE_OK)
        fail_msg("status %d: %s", status, neap_store_message(store));
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
}

/* Runs in a child, which reports by its status: 0 is well. */
static inline pid_t start_child(int (*work)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(work());
    }
    return child;
}

static inline void expect_well(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a child, where an assertion would end in the wrong process. */
#define CHECK(holds)                                                                               \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            (void)fprintf(stderr, "child, line %d: %s: %s\n", __LINE__, #holds,                    \
                          neap_store_message(store));                                              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static inline void run_sql(const char *sql)
{
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
