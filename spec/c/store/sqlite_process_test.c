#include "store/sqlite_fixture.h"

#include <fcntl.h>

/* Several processes on one file: forks, crashes, and what is on disk when OK was said. */
#define CLAIMERS 200
#define CRASHES 40

static int ends[2]; /* a pipe from the children */

static int open_ends(void **state)
{
    return set_up(state) != 0 || pipe(ends) != 0;
}

static int close_ends(void **state)
{
    close(ends[0]);
    close(ends[1]);
    return tear_down(state);
}

static void kill_child(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* ---------------------------------------------------------------------------------------- fork */

static int use_after_fork(void)
{
    struct neap_claim claim;
    CHECK(claim_in(store, "parent", 'b', &claim) == NEAP_STORE_OK);
    CHECK(claim.state == NEAP_CLAIM_RUNNING);
    CHECK(claim_in(store, "child", 'b', &claim) == NEAP_STORE_OK);
    CHECK(claim.state == NEAP_CLAIM_NEW);
    CHECK(finish_in(store, "child", 'b', "of the child") == NEAP_STORE_OK);
    neap_store_free(store);
    return 0;
}

static void a_child_opens_a_connection_of_its_own(void **state)
{
    (void)state;
    expect_usable("parent");
    expect_well(start_child(use_after_fork));
    expect_done("child", "of the child");
    assert_int_equal(finish_in(store, "parent", 'a', "of the parent"), NEAP_STORE_OK);
    expect_done("parent", "of the parent");
}

static int free_unused(void)
{
    neap_store_free(store);
    return 0;
}

static void a_child_that_frees_the_store_closes_nothing_of_the_parents(void **state)
{
    (void)state;
    expect_usable("k");
    expect_well(start_child(free_unused));
    assert_int_equal(finish_in(store, "k", 'a', "result"), NEAP_STORE_OK);
    expect_done("k", "result");
}

/* Without locks of its own in the kernel a child would lose its write-ahead log to the parent, who
 * closes the file as if nobody else had it open. */
static int outlive_the_parents_connection(void)
{
    struct neap_claim claim;
    char byte = 'x';
    CHECK(claim_in(store, "before", 'b', &claim) == NEAP_STORE_OK);
    CHECK(write(ends[1], &byte, 1) == 1);
    CHECK(kill(getpid(), SIGSTOP) == 0);
    CHECK(claim_in(store, "after", 'b', &claim) == NEAP_STORE_OK);
    CHECK(finish_in(store, "after", 'b', "result") == NEAP_STORE_OK);
    CHECK(claim_in(store, "before", 'c', &claim) == NEAP_STORE_OK);
    CHECK(claim.state == NEAP_CLAIM_RUNNING);
    return 0;
}

static void a_childs_log_outlives_the_parents_connection(void **state)
{
    (void)state;
    char byte;
    char wal[80];
    (void)snprintf(wal, sizeof wal, "%s-wal", path);
    expect_usable("parent");
    pid_t child = start_child(outlive_the_parents_connection);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
    neap_store_free(store);
    store = NULL;
    assert_int_equal(access(wal, F_OK), 0);
    assert_int_equal(kill(child, SIGCONT), 0);
    expect_well(child);
    assert_int_equal(open_at(path, NEAP_SECOND), NEAP_STORE_OK);
    expect_done("after", "result");
}

/* --------------------------------------------------------------------------------------- racing */

/* Each with a token of its own, on a file that does not even exist yet. */
static int race(void)
{
    struct neap_claim claim = {0};
    struct neap_claim_request request;
    char byte;
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == 0); /* the start: the parent has closed its end */
    fill_request(&request, "k", 'a', NOW);
    pid_t self = getpid();
    memcpy(request.token, &self, sizeof self);
    CHECK(neap_store_claim(store, &request, &claim) == NEAP_STORE_OK);
    return claim.state == NEAP_CLAIM_NEW ? 42 : 0;
}

static void of_many_processes_exactly_one_gets_a_key(void **state)
{
    (void)state;
    static pid_t child[CLAIMERS];
    int news = 0, others = 0;
    for (int i = 0; i < CLAIMERS; i++)
        child[i] = start_child(race);
    close(ends[1]);
    for (int i = 0; i < CLAIMERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status));
        news += WEXITSTATUS(status) == 42;
        others += WEXITSTATUS(status) == 0;
    }
    assert_int_equal(news, 1);
    assert_int_equal(others, CLAIMERS - 1);
}

/* -------------------------------------------------------------------------------------- crashes */

static int finish_and_tell(void)
{
    struct neap_claim claim;
    uint64_t id;
    char byte = 'x';
    CHECK(claim_in(store, "k", 'a', &claim) == NEAP_STORE_OK);
    CHECK(finish_in(store, "k", 'a', "result") == NEAP_STORE_OK);
    CHECK(neap_store_outbox_put(store, bytes_of("o"), bytes_of(""), bytes_of("value"), NOW, &id) ==
          NEAP_STORE_OK);
    CHECK(write(ends[1], &byte, 1) == 1);
    for (;;)
        pause();
}

static void what_was_acknowledged_survives_the_process(void **state)
{
    (void)state;
    struct neap_outbox_counts counts;
    char byte;
    pid_t child = start_child(finish_and_tell);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    kill_child(child);
    expect_done("k", "result");
    assert_int_equal(neap_store_outbox_count(store, bytes_of("o"), NOW, &counts), NEAP_STORE_OK);
    assert_int_equal(counts.waiting, 1);
}

/* Results of many pages, so that a crash finds some of them written. */
static char big[256 * 1024];

static int write_for_ever(void)
{
    struct neap_claim claim;
    uint64_t id;
    char key[16];
    for (int i = 0;; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        memset(big, 'a' + i % 26, sizeof big);
        const struct neap_bytes value = {big, sizeof big};
        CHECK(claim_in(store, key, 'a', &claim) == NEAP_STORE_OK);
        if (claim.state != NEAP_CLAIM_NEW) {
            neap_blob_free(&claim.result);
            continue;
        }
        CHECK(neap_store_finish(store, bytes_of(key), token_of('a'), value, NOW) == NEAP_STORE_OK);
        CHECK(neap_store_outbox_put(store, bytes_of("o"), bytes_of("lane"), value, NOW, &id) ==
              NEAP_STORE_OK);
        CHECK(write(ends[1], &i, sizeof i) == sizeof i);
    }
}

static void expect_whole(const struct neap_blob *blob, int i)
{
    assert_int_equal(blob->bytes, sizeof big);
    memset(big, 'a' + i % 26, sizeof big);
    assert_memory_equal(blob->at, big, sizeof big);
}

/* Every acknowledged result is whole, and no result is half. */
static void check_results(int acknowledged)
{
    struct neap_claim claim;
    char key[16];
    for (int i = 0; i <= acknowledged; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        assert_int_equal(claim_in(store, key, '?', &claim), NEAP_STORE_OK);
        assert_int_equal(claim.state, NEAP_CLAIM_DONE);
        expect_whole(&claim.result, i);
        neap_blob_free(&claim.result);
    }
}

static void a_crash_in_the_middle_leaves_nothing_half(void **state)
{
    (void)state;
    struct neap_outbox_counts counts;
    int acknowledged = -1;
    for (int crash = 0; crash < CRASHES; crash++) {
        pid_t child = start_child(write_for_ever);
        assert_int_equal(read(ends[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
        for (volatile int spin = 0; spin < crash * 20000; spin++)
            continue; /* another moment of the child's step each time */
        kill_child(child);
        assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        while (read(ends[0], &acknowledged, sizeof acknowledged) > 0)
            continue;
        assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
    }
    check_results(acknowledged);
    assert_int_equal(neap_store_outbox_count(store, bytes_of("o"), NOW, &counts), NEAP_STORE_OK);
    assert_in_range(counts.waiting, acknowledged + 1 - CRASHES, acknowledged + 1 + CRASHES);
    neap_store_free(store);
    store = NULL;
    run_sql("PRAGMA integrity_check");
    assert_int_equal(open_at(path, NEAP_SECOND), NEAP_STORE_OK);
}

#define WITH_ENDS(test) cmocka_unit_test_setup_teardown(test, open_ends, close_ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENDS(a_child_opens_a_connection_of_its_own),
        WITH_ENDS(a_child_that_frees_the_store_closes_nothing_of_the_parents),
        WITH_ENDS(a_childs_log_outlives_the_parents_connection),
        WITH_ENDS(of_many_processes_exactly_one_gets_a_key),
        WITH_ENDS(what_was_acknowledged_survives_the_process),
        WITH_ENDS(a_crash_in_the_middle_leaves_nothing_half),
    };
    return cmocka_run_group_tests_name("sqlite_process", tests, NULL, NULL);
}
