#include "transport/remote.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/clock.h"
#include "support/child.h"
#include "support/fetch.h"
#include "support/visitor.h"

#define LIMIT_NS (30 * NEAP_SECOND)

static struct neap_helper *helper;
static struct neap_remote *remote;
static int visitor;

static bool open_remote(void)
{
    char message[NEAP_MESSAGE_BYTES] = "";
    if (neap_helper_new(&fetch.memory.alloc, &helper) != NEAP_OK ||
        neap_remote_new(&fetch.memory.alloc, helper, &fetch.settings, &remote, message) != NEAP_OK)
        return false;
    visitor = visit(neap_helper_doorbell(helper));
    return visitor >= 0;
}

static void close_remote(void)
{
    neap_remote_free(remote);
    neap_helper_free(helper);
    remote = NULL;
    helper = NULL;
    if (visitor >= 0)
        close(visitor);
    visitor = -1;
}

static int set_up(void **state)
{
    visitor = -1;
    helper = NULL;
    remote = NULL;
    return fetch_set_up(state);
}

static int tear_down(void **state)
{
    close_remote();
    return fetch_tear_down(state);
}

static struct neap_parcel *send_by(struct neap_remote *carrier, struct fetched *fetched,
                                   const char *method, const char *url)
{
    struct neap_parcel *parcel = NULL;
    struct neap_request request = fetch.request;
    request.method = method;
    request.url = url;
    fetched->told = 0;
    fetched->response = NULL;
    assert_int_equal(
        neap_remote_send(carrier, &request, &fetch.limits, fetch_take, fetched, &parcel), NEAP_OK);
    neap_helper_flush(helper);
    assert_int_equal(fetched->told, 0);
    return parcel;
}

static struct neap_parcel *send_parcel(struct fetched *fetched, const char *method, const char *url)
{
    return send_by(remote, fetched, method, url);
}

static bool is_told(const struct fetched *fetched)
{
    int64_t until_ns = neap_clock_monotonic_ns() + LIMIT_NS;
    while (!fetched->told && neap_clock_monotonic_ns() < until_ns) {
        if (neap_helper_collect(helper) || !neap_helper_arm(helper))
            continue;
        hears(visitor, 1000);
        count_rings(visitor);
    }
    return fetched->told > 0;
}

static void wait_for(const struct fetched *fetched)
{
    assert_true(is_told(fetched));
    assert_int_equal(fetched->told, 1);
}

static void run(struct fetched *fetched, const char *method, const char *url)
{
    if (!remote)
        assert_true(open_remote());
    *fetched = (struct fetched){.then = NULL};
    send_parcel(fetched, method, url);
    wait_for(fetched);
}

static void get(const char *port, const char *path)
{
    struct fetched fetched;
    run(&fetched, "GET", fetch_url(port, path));
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
}

static struct neap_transport_stats stats(void)
{
    struct neap_transport_stats read;
    neap_remote_read(remote, &read);
    return read;
}

/* ------------------------------------------------------------------------------------ exit() */

static _Atomic bool thread_has_ended;

static void note_end(void *unused)
{
    (void)unused;
    atomic_store(&thread_has_ended, true);
}

static void watch_end(struct neap_errand *errand)
{
    pthread_key_t key;
    pthread_key_create(&key, note_end);
    pthread_setspecific(key, errand);
}

static void when_tls_is_torn_down(void)
{
    _exit(atomic_load(&thread_has_ended) ? 0 : 2);
}

static bool exit_with_transfers_under_way(void)
{
    static struct neap_errand watcher = {.run = watch_end};
    static struct fetched fetched[8], first;
    if (!open_remote())
        return false;
    neap_helper_post(helper, &watcher);
    send_parcel(&first, "GET", fetch_url("good", "/echo"));
    for (int i = 0; i < 8; i++)
        send_parcel(&fetched[i], "GET", fetch_url("good", "/drip?endless=1&every=0"));
    if (!is_told(&first))
        return false;
    OPENSSL_atexit(when_tls_is_torn_down);
    exit(1);
}

/* The first test, since libcurl must be new to the process. */
static void exit_stops_the_thread_before_tls_is_torn_down(void **state)
{
    (void)state;
    assert_true(in_child(exit_with_transfers_under_way));
}

/* --------------------------------------------------------------------------------- carrying */

static void a_request_is_carried_as_it_was_given(void **state)
{
    static const struct neap_request_header headers[] = {{"X-First", "one"}, {"X-Second", "two"}};
    struct fetched fetched;
    (void)state;
    fetch.request.headers = headers;
    fetch.request.header_count = 2;
    run(&fetched, "GET", fetch_url("plain", "/echo/there"));
    fetched_body(&fetched, 200);
    assert_true(fetched_says(&fetched, "[\"X-First\",\"one\"]"));
    assert_true(fetched_says(&fetched, "[\"X-Second\",\"two\"]"));
    assert_true(fetched_says(&fetched, "/echo/there"));
    fetched_free(&fetched);
}

static uint32_t crc_of(const char *data, size_t bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~crc;
}

/* What the request names is copied: it may go as soon as it is sent. */
static void a_large_body_arrives_whole(void **state)
{
    const size_t bytes = 1 << 20;
    char *body = malloc(bytes), *url = strdup(fetch_url("plain", "/echo")), expected[64];
    struct fetched fetched = {.told = 0};
    (void)state;
    assert_non_null(body);
    assert_true(open_remote());
    for (size_t i = 0; i < bytes; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    snprintf(expected, sizeof expected, "\"body_crc32\":\"%08x\"", crc_of(body, bytes));
    fetch.request.body = body;
    fetch.request.body_bytes = bytes;
    send_parcel(&fetched, "POST", url);
    memset(body, 0, bytes);
    memset(url, 0, strlen(url));
    free(body);
    free(url);
    wait_for(&fetched);
    fetched_body(&fetched, 200);
    assert_true(fetched_says(&fetched, expected));
    fetched_free(&fetched);
}

static void an_empty_body_is_a_body(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.request.body = "";
    run(&fetched, "POST", fetch_url("plain", "/echo"));
    fetched_body(&fetched, 200);
    assert_true(fetched_says(&fetched, "\"body_bytes\":0"));
    fetched_free(&fetched);
}

static void tls_and_http2_are_carried(void **state)
{
    (void)state;
    get("good", "/echo");
    get("h2", "/");
}

static void many_go_at_once(void **state)
{
    static struct fetched fetched[200];
    char path[32];
    (void)state;
    fetch.settings.max_connections = fetch.settings.per_host = 200;
    assert_true(open_remote());
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "/echo/number-%d-", i);
        send_parcel(&fetched[i], "GET", fetch_url("plain", path));
    }
    assert_int_equal(stats().in_flight, 200);
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "/echo/number-%d-", i);
        wait_for(&fetched[i]);
        fetched_body(&fetched[i], 200);
        assert_true(fetched_says(&fetched[i], path));
        fetched_free(&fetched[i]);
    }
    assert_int_equal(stats().in_flight, 0);
    assert_int_equal(stats().opened + stats().reused, 200);
}

static void connections_are_counted_and_used_again(void **state)
{
    (void)state;
    get("plain", "/echo");
    get("plain", "/echo");
    get("plain", "/echo");
    assert_int_equal(stats().opened, 1);
    assert_int_equal(stats().reused, 2);
    assert_int_equal(stats().in_flight, 0);
}

static void two_on_one_helper_have_connections_of_their_own(void **state)
{
    struct neap_remote *other;
    struct fetched here = {.told = 0}, there = {.told = 0};
    struct neap_transport_stats read;
    (void)state;
    get("plain", "/echo");
    assert_int_equal(neap_remote_new(&fetch.memory.alloc, helper, &fetch.settings, &other, NULL),
                     NEAP_OK);
    for (int i = 0; i < 10; i++) {
        send_parcel(&here, "GET", fetch_url("plain", "/echo/here"));
        send_by(other, &there, "GET", fetch_url("plain", "/echo/there"));
        wait_for(&here);
        wait_for(&there);
        assert_true(fetched_says(&here, "/echo/here"));
        assert_true(fetched_says(&there, "/echo/there"));
        fetched_free(&here);
        fetched_free(&there);
    }
    neap_remote_read(other, &read);
    assert_int_equal(read.opened, 1);
    assert_int_equal(stats().opened, 1);
    neap_remote_free(other);
    get("plain", "/echo");
}

/* ---------------------------------------------------------------------------------- failing */

static void a_refused_connection_is_proved_unsent(void **state)
{
    struct fetched fetched;
    (void)state;
    run(&fetched, "POST", fetch_url("refused", "/"));
    fetched_assert_kind(&fetched, NEAP_KIND_CONNECT, NEAP_PHASE_NONE);
    assert_true(fetched.outcome.unsent);
}

static void limits_are_kept_over_there(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.limits.connect_ns = fetch.limits.read_ns = 30 * NEAP_MS;
    run(&fetched, "GET", fetch_url("stall", "/"));
    fetched_assert_kind(&fetched, NEAP_KIND_TIMEOUT, NEAP_PHASE_CONNECT);
    assert_true(fetched.outcome.unsent);
    run(&fetched, "GET", fetch_url("plain", "/slow?headers=30"));
    fetched_assert_kind(&fetched, NEAP_KIND_TIMEOUT, NEAP_PHASE_READ);
    assert_false(fetched.outcome.unsent);
}

static void settings_that_libcurl_refuses_are_named(void **state)
{
    static struct fetched fetched[20];
    char message[NEAP_MESSAGE_BYTES] = "";
    struct neap_remote *none;
    (void)state;
    assert_true(open_remote());
    for (int i = 0; i < 20; i++)
        send_parcel(&fetched[i], "GET", fetch_url("plain", "/slow?headers=0.01"));
    fetch.settings.proxy = "gopher://user:secret@host";
    for (int i = 0; i < 20; i++) {
        assert_int_equal(
            neap_remote_new(&fetch.memory.alloc, helper, &fetch.settings, &none, message),
            NEAP_SYSTEM);
        assert_non_null(strstr(message, "proxy"));
        assert_null(strstr(message, "secret"));
    }
    assert_int_equal(neap_remote_new(&fetch.memory.alloc, helper, &fetch.settings, &none, NULL),
                     NEAP_SYSTEM);
    for (int i = 0; i < 20; i++) {
        wait_for(&fetched[i]);
        fetched_body(&fetched[i], 200);
        fetched_free(&fetched[i]);
    }
}

static void one_without_a_thread_says_so(void **state)
{
    pthread_attr_t usual, huge;
    char message[NEAP_MESSAGE_BYTES] = "";
    (void)state;
    pthread_getattr_default_np(&usual);
    huge = usual;
    pthread_attr_setstacksize(&huge, (size_t)1 << 46);
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    assert_int_equal(neap_helper_new(&fetch.memory.alloc, &helper), NEAP_OK);
    enum neap_status status =
        neap_remote_new(&fetch.memory.alloc, helper, &fetch.settings, &remote, message);
    pthread_setattr_default_np(&usual);
    assert_int_equal(status, NEAP_NO_MEMORY);
    assert_non_null(strstr(message, "thread"));
    remote = NULL;
}

/* ------------------------------------------------------------------------------- cancelling */

static bool was_received(const char *log, const char *path)
{
    char target[128];
    snprintf(target, sizeof target, "\"target\":\"%s\"", path);
    return strstr(log, target) != NULL;
}

static void one_cancelled_at_once_is_not_told(void **state)
{
    struct fetched fetched = {.told = 0};
    (void)state;
    assert_true(open_remote());
    neap_remote_cancel(remote, send_parcel(&fetched, "GET", fetch_url("plain", "/echo")));
    assert_int_equal(stats().in_flight, 0);
    get("plain", "/echo");
    assert_int_equal(fetched.told, 0);
}

/* Behind an errand that holds the thread up. */
static _Atomic bool may_end;

static void hold_up(struct neap_errand *errand)
{
    (void)errand;
    while (!atomic_load(&may_end))
        continue;
}

static void one_cancelled_before_it_is_sent_is_proved_unsent(void **state)
{
    struct neap_errand obstacle = {.run = hold_up};
    struct fetched fetched = {.told = 0};
    (void)state;
    get("plain", "/echo");
    atomic_store(&may_end, false);
    neap_helper_post(helper, &obstacle);
    struct neap_parcel *parcel = send_parcel(&fetched, "POST", fetch_url("plain", "/echo/never"));
    assert_true(neap_remote_cancel(remote, parcel));
    atomic_store(&may_end, true);
    get("plain", "/echo");
    char *log = fetch_log();
    assert_false(was_received(log, "/echo/never"));
    free(log);
}

static void one_cancelled_while_it_connects_is_proved_unsent(void **state)
{
    struct fetched fetched = {.told = 0};
    (void)state;
    assert_true(open_remote());
    struct neap_parcel *parcel = send_parcel(&fetched, "POST", fetch_url("stall", "/"));
    get("plain", "/echo");
    assert_true(neap_remote_cancel(remote, parcel));
    get("plain", "/echo");
    assert_int_equal(fetched.told, 0);
}

/* Until the server has the request. */
static void wait_until_received(const char *path)
{
    int64_t until_ns = neap_clock_monotonic_ns() + LIMIT_NS;
    for (bool received = false; !received;) {
        char *log = fetch_log();
        received = was_received(log, path);
        free(log);
        assert_true(neap_clock_monotonic_ns() < until_ns);
    }
}

static void one_cancelled_while_the_server_is_silent_is_not(void **state)
{
    struct fetched fetched = {.told = 0};
    (void)state;
    assert_true(open_remote());
    struct neap_parcel *parcel =
        send_parcel(&fetched, "POST", fetch_url("plain", "/echo/silent?gate=never"));
    wait_until_received("/echo/silent?gate=never");
    assert_false(neap_remote_cancel(remote, parcel));
    get("plain", "/echo");
    assert_int_equal(fetched.told, 0);
}

/* It has come back, and nobody was told yet. */
static void one_cancelled_when_its_answer_is_here_is_not_told(void **state)
{
    struct fetched fetched = {.told = 0};
    (void)state;
    assert_true(open_remote());
    for (int i = 0; i < 20; i++) {
        struct neap_parcel *parcel = send_parcel(&fetched, "GET", fetch_url("plain", "/echo"));
        while (neap_helper_arm(helper))
            continue;
        assert_false(neap_remote_cancel(remote, parcel));
        neap_helper_collect(helper);
        get("plain", "/echo");
    }
    assert_int_equal(fetched.told, 0);
}

static void one_that_failed_to_connect_is_proved_unsent(void **state)
{
    struct fetched fetched = {.told = 0};
    (void)state;
    assert_true(open_remote());
    struct neap_parcel *parcel = send_parcel(&fetched, "POST", fetch_url("refused", "/"));
    while (neap_helper_arm(helper))
        continue;
    assert_true(neap_remote_cancel(remote, parcel));
    get("plain", "/echo");
    assert_int_equal(fetched.told, 0);
}

#define MOMENTS 600

static void spin(int64_t length_ns)
{
    int64_t end_ns = neap_clock_monotonic_ns() + length_ns;
    while (neap_clock_monotonic_ns() < end_ns)
        continue;
}

/* On a connection of the pool, and on one that is to be made. What is called unsent must never have
 * reached the server. */
static void at_every_moment_unsent_means_unsent(void **state)
{
    static struct fetched fetched[MOMENTS];
    static bool unsent[MOMENTS];
    char path[64];
    int proved = 0;
    (void)state;
    assert_true(open_remote());
    for (int i = 0; i < MOMENTS; i++) {
        if (i % 2)
            get("plain", "/echo");
        snprintf(path, sizeof path, "/echo/moment/%d", i);
        struct neap_parcel *parcel = send_parcel(&fetched[i], "POST", fetch_url("plain", path));
        spin((i * INT64_C(1009) % MOMENTS) * 1000);
        unsent[i] = neap_remote_cancel(remote, parcel);
        proved += unsent[i];
    }
    get("plain", "/echo");
    char *log = fetch_log();
    for (int i = 0; i < MOMENTS; i++) {
        snprintf(path, sizeof path, "/echo/moment/%d", i);
        assert_false(unsent[i] && was_received(log, path));
        assert_int_equal(fetched[i].told, 0);
    }
    free(log);
    assert_in_range(proved, 1, MOMENTS - 1);
    assert_int_equal(stats().in_flight, 0);
}

/* ------------------------------------------------------------------------ what `done` may do */

static struct fetched second;
static struct neap_parcel *to_cancel;

static void send_second(struct fetched *fetched)
{
    (void)fetched;
    send_parcel(&second, "GET", fetch_url("plain", "/echo/second"));
}

static void done_may_send(void **state)
{
    struct fetched fetched = {.then = send_second};
    (void)state;
    second = (struct fetched){.told = 0};
    assert_true(open_remote());
    send_parcel(&fetched, "GET", fetch_url("plain", "/echo"));
    wait_for(&second);
    assert_true(fetched_says(&second, "/echo/second"));
    fetched_free(&fetched);
    fetched_free(&second);
}

static void cancel_other(struct fetched *fetched)
{
    (void)fetched;
    assert_false(neap_remote_cancel(remote, to_cancel));
}

/* Both have come back when the first is told of. */
static void done_may_cancel_others_that_are_here(void **state)
{
    struct fetched fetched = {.then = cancel_other}, other = {.told = 0}, last = {.told = 0};
    (void)state;
    assert_true(open_remote());
    send_parcel(&fetched, "GET", fetch_url("plain", "/echo"));
    while (neap_helper_arm(helper))
        continue;
    to_cancel = send_parcel(&other, "GET", fetch_url("plain", "/echo/other"));
    wait_until_received("/echo/other");
    send_parcel(&last, "GET", fetch_url("plain", "/echo"));
    wait_for(&last);
    assert_int_equal(fetched.told, 1);
    assert_int_equal(other.told, 0);
    fetched_free(&fetched);
    fetched_free(&last);
}

/* ---------------------------------------------------------------------------------- freeing */

static void the_helper_may_be_freed_while_cancelled_ones_are_under_way(void **state)
{
    static struct fetched fetched[30];
    static const char *const ports[] = {"plain", "good", "stall"};
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct neap_parcel *parcel[30];
        assert_true(open_remote());
        for (int i = 0; i < 30; i++)
            parcel[i] = send_parcel(&fetched[i], "GET", fetch_url(ports[i % 3], "/slow?headers=9"));
        if (round % 2)
            get("plain", "/echo");
        for (int i = 0; i < 30; i++)
            neap_remote_cancel(remote, parcel[i]);
        close_remote();
        failing_alloc_assert_all_freed(&fetch.memory);
    }
}

static void its_memory_goes_at_a_later_collect(void **state)
{
    struct fetched fetched = {.told = 0};
    struct neap_remote *other;
    (void)state;
    get("plain", "/echo");
    size_t blocks = fetch.memory.outstanding;
    assert_int_equal(neap_remote_new(&fetch.memory.alloc, helper, &fetch.settings, &other, NULL),
                     NEAP_OK);
    neap_remote_cancel(other, send_by(other, &fetched, "GET", fetch_url("plain", "/echo")));
    neap_remote_free(other);
    get("plain", "/echo");
    assert_int_equal(fetch.memory.outstanding, blocks);
    neap_remote_free(NULL);
}

/* Each allocation of both threads fails in turn. */
static bool survives_without(size_t nth)
{
    struct neap_request request = {.method = "POST",
                                   .url = fetch_url("plain", "/redirect?n=1"),
                                   .body = "body",
                                   .body_bytes = 4};
    struct neap_parcel *parcel;
    bool complete = false;
    second = (struct fetched){.told = 0};
    failing_alloc_fail(&fetch.memory, nth);
    if (open_remote() && neap_remote_send(remote, &request, &fetch.limits, fetch_take, &second,
                                          &parcel) == NEAP_OK) {
        assert_true(is_told(&second));
        complete = second.response != NULL;
        fetched_free(&second);
    }
    close_remote();
    return complete;
}

static void memory_may_run_out_anywhere(void **state)
{
    size_t nth = 1, failed = 0;
    (void)state;
    for (; fetch.memory.fail_at == 0 || fetch.memory.allocations >= fetch.memory.fail_at; nth++) {
        failed += !survives_without(nth);
        failing_alloc_assert_all_freed(&fetch.memory);
    }
    assert_in_range(failed, 10, nth);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exit_stops_the_thread_before_tls_is_torn_down),
        TEST(a_request_is_carried_as_it_was_given),
        TEST(a_large_body_arrives_whole),
        TEST(an_empty_body_is_a_body),
        TEST(tls_and_http2_are_carried),
        TEST(many_go_at_once),
        TEST(connections_are_counted_and_used_again),
        TEST(two_on_one_helper_have_connections_of_their_own),
        TEST(a_refused_connection_is_proved_unsent),
        TEST(limits_are_kept_over_there),
        TEST(settings_that_libcurl_refuses_are_named),
        TEST(one_without_a_thread_says_so),
        TEST(one_cancelled_at_once_is_not_told),
        TEST(one_cancelled_before_it_is_sent_is_proved_unsent),
        TEST(one_cancelled_while_it_connects_is_proved_unsent),
        TEST(one_cancelled_while_the_server_is_silent_is_not),
        TEST(one_cancelled_when_its_answer_is_here_is_not_told),
        TEST(one_that_failed_to_connect_is_proved_unsent),
        TEST(at_every_moment_unsent_means_unsent),
        TEST(done_may_send),
        TEST(done_may_cancel_others_that_are_here),
        TEST(the_helper_may_be_freed_while_cancelled_ones_are_under_way),
        TEST(its_memory_goes_at_a_later_collect),
        TEST(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, fetch_group_set_up, fetch_group_tear_down);
}
