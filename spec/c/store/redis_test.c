#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/clock.h"
#include "platform/memory.h"
#include "store/store.h"
#include "support/failing_alloc.h"
#include "support/stores.h"

#define NOW INT64_C(1767225600000000000)
#define CLAIMERS 200
#define SECRET "correct-horse-battery"

static struct redis_server server;
static bool has_options; /* the server of the present test has some of its own */
static struct neap_redis_settings settings;
static struct neap_store *store;
static char message[NEAP_MESSAGE_BYTES];

static void open_store(void)
{
    neap_store_free(store);
    store = NULL;
    assert_int_equal(neap_store_open_redis(neap_platform_alloc(), &settings, &store, message),
                     NEAP_STORE_OK);
}

static int set_up(void **state)
{
    (void)state;
    if (server.pid == 0)
        redis_server_start(&server, NULL);
    redis_server_expect(&server, "FLUSHALL", "+OK");
    settings = (struct neap_redis_settings){
        .host = server.path,
        .prefix = "p:",
        .connect_ns = 60 * NEAP_SECOND,
        .step_ns = 60 * NEAP_SECOND,
    };
    open_store();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_store_free(store);
    store = NULL;
    if (has_options)
        redis_server_stop(&server);
    has_options = false;
    return 0;
}

static void restart(const char *const *options)
{
    redis_server_stop(&server);
    redis_server_start(&server, options);
    has_options = options != NULL;
}

static enum neap_store_status claim(const char *key, char token, struct neap_claim *answer)
{
    struct neap_claim_request request;
    fill_request(&request, key, token, NOW);
    return neap_store_claim(store, &request, answer);
}

static void expect_usable(void)
{
    struct neap_claim answer;
    enum neap_store_status status = claim("k", 'a', &answer);
    if (status != NEAP_STORE_OK)
        fail_msg("status %d: %s", status, neap_store_message(store));
    assert_int_equal(answer.state, NEAP_CLAIM_NEW);
}

static void expect_unavailable(const char *words)
{
    struct neap_claim answer;
    enum neap_store_status status = claim("k", 'a', &answer);
    const char *text = neap_store_message(store);
    if (status != NEAP_STORE_UNAVAILABLE || !strstr(text, words) || strstr(text, SECRET))
        fail_msg("status %d, wanted <%s>: %s", status, words, text);
}

/* -------------------------------------------------------------------------------------- opening */

static void expect_refused(const char *words)
{
    struct neap_store *none = NULL;
    assert_int_equal(neap_store_open_redis(neap_platform_alloc(), &settings, &none, message),
                     NEAP_STORE_UNAVAILABLE);
    if (!strstr(message, words))
        fail_msg("wanted <%s>: %s", words, message);
    assert_null(none);
}

static void settings_that_cannot_work_are_refused(void **state)
{
    (void)state;
    settings.tls = true;
    expect_refused("TLS needs a host");
    settings.tls = false;
    settings.user = "somebody";
    expect_refused("a user without a password");
    settings.user = NULL;
    settings.db = -1;
    expect_refused("a database below zero");
    settings.host = "";
    expect_refused("it has no host");
    settings.host = NULL;
    expect_refused("it has no host");
}

static void without_memory_opening_leaves_nothing(void **state)
{
    (void)state;
    struct failing_alloc memory;
    enum neap_store_status status = NEAP_STORE_NO_MEMORY;
    failing_alloc_init(&memory);
    settings.user = settings.password = settings.ca_file = "x";
    for (size_t n = 1; status != NEAP_STORE_OK; n++) {
        struct neap_store *made = NULL;
        assert_true(n < 20);
        failing_alloc_fail(&memory, n);
        status = neap_store_open_redis(&memory.alloc, &settings, &made, message);
        assert_int_equal(status, made ? NEAP_STORE_OK : NEAP_STORE_NO_MEMORY);
        neap_store_free(made);
        failing_alloc_assert_all_freed(&memory);
    }
}

static void no_server_is_told_and_does_not_last(void **state)
{
    (void)state;
    redis_server_stop(&server);
    expect_unavailable("cannot be reached: Connection refused");
    redis_server_start(&server, NULL);
    expect_usable();
    settings.host = "/no/such/socket";
    open_store();
    expect_unavailable("No such file or directory");
}

static void a_port_is_reached_by_name(void **state)
{
    (void)state;
    settings.host = "localhost";
    settings.port = redis_server_listen(&server, "port");
    open_store();
    expect_usable();
    redis_server_expect(&server, "CONFIG SET port 0", "+OK");
    settings.host = "no-such-host.invalid";
    open_store();
    expect_unavailable("Redis cannot be reached: ");
}

static void keys_begin_with_the_prefix_in_the_database(void **state)
{
    (void)state;
    settings.db = 3;
    open_store();
    expect_usable();
    redis_server_expect(&server, "EXISTS p:c:k", ":0");
    redis_server_expect(&server, "MOVE p:c:k 3", ":0");
    redis_server_expect(&server, "SWAPDB 0 3", "+OK");
    redis_server_expect(&server, "EXISTS p:c:k", ":1");
    settings.db = 99;
    open_store();
    expect_unavailable("no database of that number");
}

/* ------------------------------------------------------------------------------------ passwords */

static void a_password_lets_in_and_is_never_told(void **state)
{
    (void)state;
    const char *const options[] = {"--requirepass", SECRET, NULL};
    restart(options);
    expect_unavailable("wants a password");
    settings.password = SECRET "x";
    open_store();
    expect_unavailable("refuses the user or the password");
    settings.password = SECRET;
    open_store();
    expect_usable();
    settings.user = "default";
    open_store();
    expect_usable();
    settings.user = "nobody";
    open_store();
    expect_unavailable("refuses the user or the password");
    restart(NULL);
    settings.user = NULL;
    open_store();
    expect_unavailable("a password was given, but it has none");
}

static void a_user_who_may_not_is_told(void **state)
{
    (void)state;
    redis_server_expect(&server, "ACL SETUSER reader on >" SECRET " ~* +get +select", "+OK");
    settings.user = "reader";
    settings.password = SECRET;
    open_store();
    expect_unavailable("may not do this");
}

static void a_server_that_forbids_a_command_does_not_echo_it(void **state)
{
    (void)state;
    const char *const options[] = {"--rename-command", "AUTH", "", NULL};
    restart(options);
    settings.password = SECRET;
    open_store();
    expect_unavailable("lacks a command");
    restart(NULL);
}

/* --------------------------------------------------------------------------------------- errors */

static void something_elses_key_is_told(void **state)
{
    (void)state;
    struct neap_blob value;
    redis_server_expect(&server, "SET p:c:k text", "+OK");
    expect_unavailable("something of another program");
    redis_server_expect(&server, "SET p:v:k text", "+OK");
    assert_int_equal(neap_store_get(store, bytes_of("k"), NOW, &value), NEAP_STORE_UNAVAILABLE);
    redis_server_expect(&server, "FLUSHALL", "+OK");
    expect_usable();
}

static void full_memory_is_told_and_changes_nothing(void **state)
{
    (void)state;
    struct neap_claim answer;
    uint64_t id;
    assert_int_equal(claim("before", 'a', &answer), NEAP_STORE_OK);
    redis_server_expect(&server, "CONFIG SET maxmemory 1", "+OK");
    expect_unavailable("no memory left (maxmemory)");
    redis_server_expect(&server, "EXISTS p:c:k", ":0");
    assert_int_equal(
        neap_store_outbox_put(store, bytes_of("o"), bytes_of("k"), bytes_of("v"), NOW, &id),
        NEAP_STORE_UNAVAILABLE);
    assert_int_equal(
        neap_store_finish(store, bytes_of("before"), token_of('a'), bytes_of("r"), NOW),
        NEAP_STORE_UNAVAILABLE);
    assert_int_equal(neap_store_release(store, bytes_of("before"), token_of('a'), NOW),
                     NEAP_STORE_OK);
    redis_server_expect(&server, "DBSIZE", ":0");
    redis_server_expect(&server, "CONFIG SET maxmemory 0", "+OK");
    expect_usable();
}

static void a_replica_is_told(void **state)
{
    (void)state;
    redis_server_expect(&server, "REPLICAOF 127.0.0.1 1", "+OK");
    expect_unavailable("read-only replica");
    redis_server_expect(&server, "REPLICAOF NO ONE", "+OK");
    expect_usable();
}

/* ----------------------------------------------------------------------------- lost connections */

static void a_connection_that_was_lost_is_made_again(void **state)
{
    (void)state;
    struct neap_claim answer;
    expect_usable();
    redis_server_expect(&server, "CLIENT KILL TYPE normal SKIPME yes", ":");
    assert_int_equal(claim("k", 'b', &answer), NEAP_STORE_OK);
    assert_int_equal(answer.state, NEAP_CLAIM_RUNNING);
    restart(NULL);
    expect_usable();
}

static void scripts_that_were_forgotten_are_sent_again(void **state)
{
    (void)state;
    struct neap_claim answer;
    expect_usable();
    redis_server_expect(&server, "SCRIPT FLUSH", "+OK");
    assert_int_equal(claim("k", 'b', &answer), NEAP_STORE_OK);
    assert_int_equal(answer.state, NEAP_CLAIM_RUNNING);
}

static void a_server_that_is_silent_costs_no_more_than_the_limit(void **state)
{
    (void)state;
    settings.step_ns = 50 * NEAP_MS;
    open_store();
    expect_usable();
    int64_t start_ns = neap_clock_monotonic_ns();
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    expect_unavailable("did not answer within the time limit");
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    assert_in_range(neap_clock_monotonic_ns() - start_ns, 50 * NEAP_MS, 30 * NEAP_SECOND);
    settings.step_ns = 60 * NEAP_SECOND;
    open_store();
    expect_usable();
}

static void a_login_that_is_silent_costs_no_more_than_the_limit(void **state)
{
    (void)state;
    settings.connect_ns = 50 * NEAP_MS;
    settings.db = 1;
    open_store();
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    expect_unavailable("did not let us in in time");
    assert_int_equal(kill(server.pid, SIGCONT), 0);
}

static void a_forked_child_has_a_connection_of_its_own(void **state)
{
    (void)state;
    int status = -1;
    struct neap_claim answer;
    expect_usable();
    pid_t child = fork();
    if (child == 0) {
        bool is_well = claim("k", 'b', &answer) == NEAP_STORE_OK &&
                       answer.state == NEAP_CLAIM_RUNNING &&
                       claim("child", 'b', &answer) == NEAP_STORE_OK;
        neap_store_free(store);
        _exit(is_well ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(claim("child", 'c', &answer), NEAP_STORE_OK);
    assert_int_equal(answer.state, NEAP_CLAIM_RUNNING);
}

static int claim_as(int number)
{
    struct neap_claim_request request;
    struct neap_claim answer;
    fill_request(&request, "k", 'x', NOW);
    memcpy(request.token, &number, sizeof number);
    if (neap_store_claim(store, &request, &answer) != NEAP_STORE_OK)
        return 1;
    return answer.state == NEAP_CLAIM_NEW ? 42 : 0;
}

static void of_many_processes_exactly_one_gets_a_key(void **state)
{
    (void)state;
    static pid_t child[CLAIMERS];
    int start[2], news = 0, others = 0;
    char byte;
    assert_int_equal(pipe(start), 0);
    for (int i = 0; i < CLAIMERS; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0) {
            close(start[1]);
            _exit(read(start[0], &byte, 1) == 0 ? claim_as(i) : 1);
        }
    }
    close(start[1]);
    for (int i = 0; i < CLAIMERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        news += WIFEXITED(status) && WEXITSTATUS(status) == 42;
        others += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    close(start[0]);
    assert_int_equal(news, 1);
    assert_int_equal(others, CLAIMERS - 1);
}

/* --------------------------------------------------------------------------------------- expiry */

/* The one key that fits the pattern expires within so many seconds. */
static void expect_ttl(const char *pattern, long long least, long long most)
{
    char line[256];
    (void)snprintf(line, sizeof line,
                   "EVAL \"local t = redis.call('TTL', redis.call('KEYS', '%s')[1])"
                   " return t >= %lld and t <= %lld and 1 or 0\" 0",
                   pattern, least, most);
    redis_server_expect(&server, line, ":1");
}

static void what_expires_leaves_by_itself(void **state)
{
    (void)state;
    uint64_t id;
    struct neap_outbox_entry entry;
    int64_t next_ns;
    expect_usable();
    assert_int_equal(
        neap_store_put(store, bytes_of("k"), bytes_of("v"), NOW, NOW + 5 * NEAP_SECOND),
        NEAP_STORE_OK);
    assert_int_equal(neap_store_put(store, bytes_of("l"), bytes_of("v"), NOW, INT64_MAX),
                     NEAP_STORE_OK);
    expect_ttl("p:c:k", 30, 61);
    expect_ttl("p:v:k", 35, 66);
    expect_ttl("p:v:l", 2000000000, 3000000000);
    assert_int_equal(
        neap_store_outbox_put(store, bytes_of("o"), bytes_of("k"), bytes_of("v"), NOW, &id),
        NEAP_STORE_OK);
    assert_int_equal(
        neap_store_outbox_take(store, bytes_of("o"), token_of('a'), NOW, 10, &entry, &next_ns),
        NEAP_STORE_OK);
    neap_blob_free(&entry.value);
    assert_int_equal(neap_store_outbox_done(store, id, token_of('a')), NEAP_STORE_OK);
    redis_server_expect(&server, "DEL p:c:k p:v:k p:v:l p:oi", ":4");
    redis_server_expect(&server, "DBSIZE", ":1");
    expect_ttl("p:op:*", 500, 600);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(settings_that_cannot_work_are_refused),
        SPEC(without_memory_opening_leaves_nothing),
        SPEC(no_server_is_told_and_does_not_last),
        SPEC(a_port_is_reached_by_name),
        SPEC(keys_begin_with_the_prefix_in_the_database),
        SPEC(a_password_lets_in_and_is_never_told),
        SPEC(a_user_who_may_not_is_told),
        SPEC(a_server_that_forbids_a_command_does_not_echo_it),
        SPEC(something_elses_key_is_told),
        SPEC(full_memory_is_told_and_changes_nothing),
        SPEC(a_replica_is_told),
        SPEC(a_connection_that_was_lost_is_made_again),
        SPEC(scripts_that_were_forgotten_are_sent_again),
        SPEC(a_server_that_is_silent_costs_no_more_than_the_limit),
        SPEC(a_login_that_is_silent_costs_no_more_than_the_limit),
        SPEC(a_forked_child_has_a_connection_of_its_own),
        SPEC(of_many_processes_exactly_one_gets_a_key),
        SPEC(what_expires_leaves_by_itself),
    };
    const char *lack = stores_lack(&store_kinds[2]);
    if (lack)
        return stores_skip("redis", lack);
    int failures = cmocka_run_group_tests_name("redis", tests, NULL, NULL);
    redis_server_remove(&server);
    return failures;
}
