#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/memory.h"
#include "store/store.h"
#include "support/stores.h"

/* Between store and server stands a go-between that loses answers: the server has done the step,
 * and nobody hears of it. */
#define NOW INT64_C(1767225600000000000)

enum mischief { NONE, LOSE_THE_ANSWER, KILL_THE_SERVER };

static struct redis_server server;
static struct neap_store *store;
static char path[108];
static int listener;
static pthread_t go_between;
static _Atomic enum mischief mischief;

/* ------------------------------------------------------------------------------- the go-between */

static struct sockaddr_un address_of(const char *at)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", at);
    return address;
}

static bool pass_on(const char *bytes, size_t count, int to)
{
    while (count > 0) {
        ssize_t sent = send(to, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static bool carry(int from, int to, bool is_answer)
{
    static char bytes[65536];
    ssize_t got = recv(from, bytes, sizeof bytes, 0);
    if (got <= 0)
        return false;
    if (is_answer && atomic_load(&mischief) == LOSE_THE_ANSWER &&
        strncmp(bytes, "-NOSCRIPT", 9) != 0) {
        atomic_store(&mischief, NONE);
        return false;
    }
    if (!is_answer && atomic_load(&mischief) == KILL_THE_SERVER) {
        atomic_store(&mischief, NONE);
        (void)kill(server.pid, SIGKILL);
    }
    return pass_on(bytes, (size_t)got, to);
}

static void serve(int client)
{
    struct sockaddr_un address = address_of(server.path);
    int redis = socket(AF_UNIX, SOCK_STREAM, 0);
    struct pollfd watched[] = {{.fd = client, .events = POLLIN}, {.fd = redis, .events = POLLIN}};
    bool goes_on = connect(redis, (const struct sockaddr *)&address, sizeof address) == 0;
    while (goes_on && poll(watched, 2, -1) > 0) {
        if (watched[0].revents)
            goes_on = carry(client, redis, false);
        if (goes_on && watched[1].revents)
            goes_on = carry(redis, client, true);
    }
    close(redis);
    close(client);
}

static void *go_between_them(void *unused)
{
    int client;
    while ((client = accept(listener, NULL, NULL)) >= 0)
        serve(client);
    return unused;
}

/* ---------------------------------------------------------------------------------------- tests */

static int set_up(void **state)
{
    (void)state;
    char message[NEAP_MESSAGE_BYTES];
    if (server.pid == 0)
        redis_server_start(&server, NULL);
    redis_server_expect(&server, "FLUSHALL", "+OK");
    (void)snprintf(path, sizeof path, "%s/between", server.directory);
    struct sockaddr_un address = address_of(path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 5), 0);
    atomic_store(&mischief, NONE);
    assert_int_equal(pthread_create(&go_between, NULL, go_between_them, NULL), 0);
    const struct neap_redis_settings settings = {
        .host = path, .connect_ns = 60 * NEAP_SECOND, .step_ns = 60 * NEAP_SECOND};
    assert_int_equal(neap_store_open_redis(neap_platform_alloc(), &settings, &store, message),
                     NEAP_STORE_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_store_free(store);
    (void)shutdown(listener, SHUT_RDWR);
    assert_int_equal(pthread_join(go_between, NULL), 0);
    close(listener);
    return unlink(path);
}

static void lose_the_answer(void)
{
    atomic_store(&mischief, LOSE_THE_ANSWER);
}

static void expect(enum neap_store_status status, enum neap_store_status wanted)
{
    if (status != wanted)
        fail_msg("status %d, wanted %d: %s", status, wanted, neap_store_message(store));
    assert_int_equal(atomic_load(&mischief), NONE);
}

static struct neap_claim claim(char token, int64_t now_ns)
{
    struct neap_claim_request request;
    struct neap_claim answer;
    fill_request(&request, "k", token, now_ns);
    expect(neap_store_claim(store, &request, &answer), NEAP_STORE_OK);
    return answer;
}

static void a_claim_is_made_once(void **state)
{
    (void)state;
    lose_the_answer();
    struct neap_claim answer = claim('a', NOW);
    assert_int_equal(answer.state, NEAP_CLAIM_NEW);
    assert_false(answer.recovered);
    lose_the_answer();
    assert_int_equal(claim('b', NOW).state, NEAP_CLAIM_RUNNING);
    lose_the_answer();
    answer = claim('b', NOW + 10);
    assert_int_equal(answer.state, NEAP_CLAIM_NEW);
    assert_true(answer.recovered);
}

static void an_owners_steps_are_done_once(void **state)
{
    (void)state;
    struct neap_bytes key = bytes_of("k");
    (void)claim('a', NOW);
    lose_the_answer();
    expect(neap_store_renew(store, key, token_of('a'), NOW, 20), NEAP_STORE_OK);
    lose_the_answer();
    expect(neap_store_release(store, key, token_of('a'), NOW), NEAP_STORE_OK);
    (void)claim('b', NOW);
    lose_the_answer();
    expect(neap_store_finish(store, key, token_of('b'), bytes_of("result"), NOW), NEAP_STORE_OK);
    lose_the_answer();
    struct neap_claim answer = claim('c', NOW);
    assert_blob(&answer.result, "result");
    neap_blob_free(&answer.result);
}

static void the_cache_is_as_it_should_be(void **state)
{
    (void)state;
    struct neap_blob value;
    struct neap_bytes key = bytes_of("k");
    lose_the_answer();
    expect(neap_store_put(store, key, bytes_of("value"), NOW, NOW + 10), NEAP_STORE_OK);
    lose_the_answer();
    expect(neap_store_get(store, key, NOW, &value), NEAP_STORE_OK);
    assert_blob(&value, "value");
    neap_blob_free(&value);
    lose_the_answer();
    expect(neap_store_remove(store, key), NEAP_STORE_OK);
    expect(neap_store_get(store, key, NOW, &value), NEAP_STORE_NONE);
}

static uint64_t put(void)
{
    uint64_t id = 0;
    expect(
        neap_store_outbox_put(store, bytes_of("o"), bytes_of("lane"), bytes_of("value"), NOW, &id),
        NEAP_STORE_OK);
    return id;
}

static uint64_t take(char token)
{
    struct neap_outbox_entry entry;
    int64_t next_ns;
    expect(neap_store_outbox_take(store, bytes_of("o"), token_of(token), NOW, 10, &entry, &next_ns),
           NEAP_STORE_OK);
    assert_blob(&entry.value, "value");
    neap_blob_free(&entry.value);
    return entry.id;
}

static void expect_counts(uint64_t waiting, uint64_t taken, uint64_t dead)
{
    struct neap_outbox_counts counts;
    lose_the_answer();
    expect(neap_store_outbox_count(store, bytes_of("o"), NOW, &counts), NEAP_STORE_OK);
    assert_int_equal(counts.waiting, waiting);
    assert_int_equal(counts.taken, taken);
    assert_int_equal(counts.dead, dead);
}

static void an_entry_is_put_taken_and_delivered_once(void **state)
{
    (void)state;
    lose_the_answer();
    uint64_t id = put();
    expect_counts(1, 0, 0);
    uint64_t second = put();
    assert_int_equal(second, id + 1);
    lose_the_answer();
    assert_int_equal(take('a'), id);
    expect_counts(1, 1, 0);
    lose_the_answer();
    expect(neap_store_outbox_renew(store, id, token_of('a'), NOW, 10), NEAP_STORE_OK);
    lose_the_answer();
    expect(neap_store_outbox_done(store, id, token_of('a')), NEAP_STORE_OK);
    expect_counts(1, 0, 0);
    assert_int_equal(take('b'), second);
}

static void an_entry_is_retried_buried_and_revived_once(void **state)
{
    (void)state;
    struct neap_dead_letter letter;
    uint64_t id = put();
    (void)take('a');
    lose_the_answer();
    expect(neap_store_outbox_retry(store, id, token_of('a'), NOW), NEAP_STORE_OK);
    (void)take('b');
    lose_the_answer();
    expect(neap_store_outbox_bury(store, id, token_of('b'), bytes_of("reason"), NOW),
           NEAP_STORE_OK);
    expect_counts(0, 0, 1);
    lose_the_answer();
    expect(neap_store_outbox_dead(store, bytes_of("o"), 0, &letter), NEAP_STORE_OK);
    assert_int_equal(letter.attempts, 1);
    neap_blob_free(&letter.value);
    neap_blob_free(&letter.reason);
    lose_the_answer();
    expect(neap_store_outbox_revive(store, id, NOW), NEAP_STORE_OK);
    expect_counts(1, 0, 0);
    (void)take('c');
    expect(neap_store_outbox_bury(store, id, token_of('c'), bytes_of(""), NOW), NEAP_STORE_OK);
    lose_the_answer();
    expect(neap_store_outbox_drop(store, id), NEAP_STORE_OK);
    expect_counts(0, 0, 0);
}

static void a_server_that_dies_in_the_middle_is_unavailable_until_it_is_back(void **state)
{
    (void)state;
    struct neap_claim_request request;
    struct neap_claim answer;
    assert_int_equal(claim('a', NOW).state, NEAP_CLAIM_NEW);
    fill_request(&request, "k", 'a', NOW);
    atomic_store(&mischief, KILL_THE_SERVER);
    expect(neap_store_claim(store, &request, &answer), NEAP_STORE_UNAVAILABLE);
    assert_non_null(strstr(neap_store_message(store), "Redis"));
    redis_server_stop(&server);
    redis_server_start(&server, NULL);
    assert_int_equal(claim('a', NOW).state, NEAP_CLAIM_NEW);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_claim_is_made_once),
        SPEC(an_owners_steps_are_done_once),
        SPEC(the_cache_is_as_it_should_be),
        SPEC(an_entry_is_put_taken_and_delivered_once),
        SPEC(an_entry_is_retried_buried_and_revived_once),
        SPEC(a_server_that_dies_in_the_middle_is_unavailable_until_it_is_back),
    };
    const char *lack = stores_lack(&store_kinds[2]);
    if (lack)
        return stores_skip("redis_lost", lack);
    int failures = cmocka_run_group_tests_name("redis_lost", tests, NULL, NULL);
    redis_server_remove(&server);
    return failures;
}
