#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"

#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)
#define SHORT (200 * NEAP_MS)

/* Stands before the C library's, for libcurl too: the name "hang.test" is not answered until the
 * test says so. */
static sem_t may_answer, has_answered;
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (strcmp(name, "hang.test") == 0) {
        sem_wait(&may_answer);
        sem_post(&has_answered);
        return EAI_FAIL;
    }
    *(void **)(&real) = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, result);
}

static void assert_timeout(const char *method, const char *url, enum neap_phase phase, bool unsent)
{
    struct fetched fetched;
    int64_t began_ns, took_ns;
    if (!fetch.transport)
        fetch_open();
    began_ns = neap_loop_update(fetch.loop);
    fetch_run(&fetched, method, url);
    took_ns = neap_loop_now(fetch.loop) - began_ns;
    fetched_assert_kind(&fetched, NEAP_KIND_TIMEOUT, phase);
    assert_int_equal(fetched.outcome.unsent, unsent);
    assert_in_range(took_ns, SHORT, 10 * SHORT);
}

static void connecting_has_a_limit(void **state)
{
    (void)state;
    fetch.limits.connect_ns = SHORT;
    assert_timeout("GET", fetch_url("stall", "/"), NEAP_PHASE_CONNECT, true);
}

static void a_handshake_is_part_of_connecting(void **state)
{
    (void)state;
    fetch.limits.connect_ns = SHORT;
    assert_timeout("GET", fetch_url("tlsstall", "/"), NEAP_PHASE_CONNECT, true);
}

static void resolving_is_part_of_connecting_and_is_not_waited_for(void **state)
{
    (void)state;
    sem_init(&may_answer, 0, 0);
    sem_init(&has_answered, 0, 0);
    fetch.limits.connect_ns = SHORT;
    assert_timeout("GET", "http://hang.test/", NEAP_PHASE_CONNECT, true);
    sem_post(&may_answer);
    sem_wait(&has_answered);
}

static void silence_before_the_head_has_a_limit(void **state)
{
    (void)state;
    fetch.limits.read_ns = SHORT;
    assert_timeout("GET", fetch_url("plain", "/slow?headers=5"), NEAP_PHASE_READ, false);
    assert_timeout("POST", fetch_url("plain", "/slow?headers=5"), NEAP_PHASE_READ, false);
    fetch_put("/_h2", "stall");
    assert_timeout("GET", fetch_url("h2", "/"), NEAP_PHASE_READ, false);
}

static void silence_in_the_body_has_a_limit(void **state)
{
    (void)state;
    fetch.limits.read_ns = SHORT;
    assert_timeout("GET", fetch_url("plain", "/slow?body=5"), NEAP_PHASE_READ, false);
    assert_timeout("GET", fetch_url("plain", "/short?end=stall"), NEAP_PHASE_READ, false);
}

static void silence_while_sending_has_a_limit(void **state)
{
    static char body[20 << 20];
    (void)state;
    fetch.limits.write_ns = SHORT;
    fetch.request.body = body;
    fetch.request.body_bytes = sizeof body;
    assert_timeout("POST", fetch_url("plain", "/stallread?read=1000"), NEAP_PHASE_WRITE, false);
}

static void a_small_body_does_not_stretch_the_read_limit(void **state)
{
    (void)state;
    fetch.limits.read_ns = SHORT;
    fetch.request.body = "small";
    fetch.request.body_bytes = 5;
    assert_timeout("POST", fetch_url("plain", "/slow?headers=5"), NEAP_PHASE_READ, false);
}

static void bytes_that_keep_coming_are_no_silence(void **state)
{
    static const char *const paths[] = {"/drip?bytes=10&every=0.05", "/slow?head_byte=0.01&bytes=1",
                                        "/informational?n=8&every=0.05"};
    struct fetched fetched;
    (void)state;
    fetch.limits.read_ns = SHORT;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        fetch_run(&fetched, "GET", fetch_url("plain", paths[i]));
        fetched_body(&fetched, 200);
        fetched_free(&fetched);
    }
}

static void a_body_that_keeps_going_is_no_silence(void **state)
{
    static char body[8 << 20];
    struct fetched fetched;
    (void)state;
    fetch.limits.write_ns = SHORT;
    fetch.limits.read_ns = 5 * SHORT;
    fetch.request.body = body;
    fetch.request.body_bytes = sizeof body;
    fetch_run(&fetched, "POST", fetch_url("plain", "/slowread?piece=500000&every=0.04"));
    assert_true(fetched_says(&fetched, "\"body_bytes\":8388608"));
    fetched_free(&fetched);
}

static void waiting_for_a_connection_is_not_connecting(void **state)
{
    struct fetched fetched[3] = {{.told = 0}};
    (void)state;
    fetch.settings.per_host = 1;
    fetch.limits.connect_ns = SHORT;
    fetch_open();
    for (int i = 0; i < 3; i++)
        fetch_send(&fetched[i], "GET", fetch_url("plain", "/slow?headers=0.3"));
    for (int i = 0; i < 3; i++) {
        fetch_wait(&fetched[i]);
        fetched_body(&fetched[i], 200);
        fetched_free(&fetched[i]);
    }
}

static void each_hop_has_its_own_limits(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.limits.read_ns = 2 * SHORT;
    fetch_run(&fetched, "GET", fetch_url("plain", "/redirect?n=3&after=0.2"));
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
}

static void no_limit_is_no_limit(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.limits = (struct neap_limits){NEAP_NEVER, NEAP_NEVER, NEAP_NEVER};
    fetch_run(&fetched, "GET", fetch_url("plain", "/slow?headers=0.3"));
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
}

static void a_short_limit_after_a_long_one_is_kept(void **state)
{
    (void)state;
    fetch.limits.connect_ns = 60 * NEAP_SECOND;
    fetch.limits.write_ns = 60 * NEAP_SECOND;
    fetch.limits.read_ns = SHORT;
    assert_timeout("GET", fetch_url("good", "/slow?headers=5"), NEAP_PHASE_READ, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connecting_has_a_limit),
        TEST(a_handshake_is_part_of_connecting),
        TEST(resolving_is_part_of_connecting_and_is_not_waited_for),
        TEST(silence_before_the_head_has_a_limit),
        TEST(silence_in_the_body_has_a_limit),
        TEST(silence_while_sending_has_a_limit),
        TEST(a_small_body_does_not_stretch_the_read_limit),
        TEST(bytes_that_keep_coming_are_no_silence),
        TEST(a_body_that_keeps_going_is_no_silence),
        TEST(waiting_for_a_connection_is_not_connecting),
        TEST(each_hop_has_its_own_limits),
        TEST(no_limit_is_no_limit),
        TEST(a_short_limit_after_a_long_one_is_kept),
    };
    return cmocka_run_group_tests_name("stage", tests, fetch_group_set_up, fetch_group_tear_down);
}
