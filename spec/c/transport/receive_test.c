#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"
#include "transport/transport_internal.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)

static void assert_header(const struct fetched *fetched, const char *name, uint32_t nth,
                          const char *wanted)
{
    size_t bytes;
    const char *value = neap_response_header(fetched->response, name, nth, &bytes);
    assert_non_null(value);
    assert_int_equal(bytes, strlen(wanted));
    assert_memory_equal(value, wanted, bytes);
}

static bool has_header(const struct fetched *fetched, const char *name)
{
    size_t bytes;
    return neap_response_header(fetched->response, name, 0, &bytes) != NULL;
}

static void the_head_is_kept(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET",
              fetch_url("plain", "/status/404?reason=Not+Here&header=X-A:1&header=x-a:%20two%20"
                                 "&body=gone"));
    assert_string_equal(fetched_body(&fetched, 404), "gone");
    assert_string_equal(fetched.response->reason.data, "Not Here");
    assert_int_equal(fetched.response->http_version, 11);
    assert_header(&fetched, "X-a", 0, "1");
    assert_header(&fetched, "X-A", 1, "two");
    fetched_free(&fetched);
}

static void every_status_is_a_response(void **state)
{
    static const int statuses[] = {200, 204, 299, 304, 400, 401, 407, 417, 418, 429, 500, 503, 599};
    struct fetched fetched;
    char path[32];
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        snprintf(path, sizeof path, "/status/%d", statuses[i]);
        fetch_run(&fetched, "POST", fetch_url("plain", path));
        fetched_body(&fetched, statuses[i]);
        fetched_free(&fetched);
    }
}

static void interim_heads_are_dropped(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", fetch_url("plain", "/informational?n=3&status=103"));
    fetched_body(&fetched, 200);
    assert_false(has_header(&fetched, "Link"));
    assert_int_not_equal(fetched.response->header_count, 0);
    fetched_free(&fetched);
}

static void trailers_are_dropped(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", fetch_url("plain", "/chunked?trailer=X-Late:1"));
    assert_int_equal(strlen(fetched_body(&fetched, 200)), 10000);
    assert_false(has_header(&fetched, "X-Late"));
    fetched_free(&fetched);
}

static void a_body_is_decoded(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", fetch_url("plain", "/gzip?bytes=20000"));
    assert_int_equal(strlen(fetched_body(&fetched, 200)), 20000);
    assert_header(&fetched, "content-encoding", 0, "gzip");
    fetched_free(&fetched);
}

static void assert_too_large(const char *path)
{
    struct fetched fetched;
    fetch_run(&fetched, "GET", fetch_url("plain", path));
    fetched_assert_kind(&fetched, NEAP_KIND_TOO_LARGE, NEAP_PHASE_NONE);
    assert_false(fetched.outcome.unsent);
}

static void a_body_above_the_limit_ends_the_transfer(void **state)
{
    (void)state;
    fetch.settings.max_response_bytes = 100000;
    assert_too_large("/big?endless=1&length=0");
    assert_too_large("/big?length=close");
    assert_too_large("/drip?bytes=200000&every=0");
}

static void the_decoded_body_counts(void **state)
{
    (void)state;
    fetch.settings.max_response_bytes = 100000;
    assert_too_large("/gzip?bytes=100000000");
}

static void an_announced_length_above_the_limit_is_not_waited_for(void **state)
{
    (void)state;
    fetch.settings.max_response_bytes = 999;
    assert_too_large("/short?declared=1000&sent=0&end=stall");
}

static void a_body_of_just_the_limit_is_taken(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.settings.max_response_bytes = 1000;
    fetch_run(&fetched, "GET", fetch_url("plain", "/big?bytes=1000"));
    assert_int_equal(strlen(fetched_body(&fetched, 200)), 1000);
    fetched_free(&fetched);
    assert_too_large("/big?bytes=1001");
}

static void head_may_announce_any_length(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.settings.max_response_bytes = 1;
    fetch_run(&fetched, "HEAD", fetch_url("plain", "/big"));
    assert_header(&fetched, "Content-Length", 0, "100000000");
    fetched_free(&fetched);
}

static void heads_above_the_limit_end_the_transfer(void **state)
{
    (void)state;
    assert_too_large("/headers?bytes=20000");
    assert_too_large("/headers?endless=1");
    assert_too_large("/headers?one=1&bytes=20000");
    assert_too_large("/headers?one=1&endless=1");
    assert_too_large("/informational?endless=1");
}

/* libcurl keeps such a head to itself until it is whole, and gives up before our limit sees it. */
static void a_head_of_http2_without_end_ends_the_transfer(void **state)
{
    struct fetched fetched;
    (void)state;
    for (int used = 0; used < 2; used++) {
        fetch_put("/_h2", "flood");
        fetch_run(&fetched, "POST", fetch_url("h2", "/"));
        fetched_assert_kind(&fetched, NEAP_KIND_TOO_LARGE, NEAP_PHASE_NONE);
        fetch_run(&fetched, "GET", fetch_url("h2", "/"));
        fetched_body(&fetched, 200);
        fetched_free(&fetched);
    }
}

static void many_headers_below_the_limit_are_kept(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", fetch_url("plain", "/headers?bytes=10000"));
    fetched_body(&fetched, 200);
    assert_in_range(fetched.response->header_count, 100, 110);
    fetched_free(&fetched);
}

static void assert_protocol(const char *path)
{
    struct fetched fetched;
    fetch_run(&fetched, "GET", fetch_url("plain", path));
    fetched_assert_kind(&fetched, NEAP_KIND_PROTOCOL, NEAP_PHASE_NONE);
}

static void several_lengths_are_no_length(void **state)
{
    (void)state;
    assert_protocol("/garbage?kind=lengths");
    assert_protocol("/garbage?kind=list");
    assert_protocol("/garbage?kind=plus");
}

static void a_change_of_protocol_is_no_answer(void **state)
{
    (void)state;
    assert_protocol("/informational?status=101");
}

static void the_same_length_twice_is_one(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", fetch_url("plain", "/garbage?kind=same"));
    assert_string_equal(fetched_body(&fetched, 200), "ok");
    fetched_free(&fetched);
}

static void over_http2_a_response_is_the_same(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_put("/_h2", "status 1 503\nbody 1 10000\n");
    fetch_run(&fetched, "GET", fetch_url("h2", "/"));
    fetched_body(&fetched, 503);
    assert_int_equal(fetched.response->http_version, 20);
    assert_string_equal(fetched.response->reason.data, "");
    fetched_free(&fetched);
    fetch_run(&fetched, "GET", fetch_url("h2", "/"));
    assert_int_equal(strlen(fetched_body(&fetched, 200)), 10000);
    fetched_free(&fetched);
}

/* Bytes of the handle that the last transfer had. */
static uint32_t buffer_after(const char *port, const char *path, size_t body_bytes)
{
    struct fetched fetched;
    fetch_run(&fetched, "GET", fetch_url(port, path));
    assert_int_equal(strlen(fetched_body(&fetched, 200)), body_bytes);
    fetched_free(&fetched);
    return fetch.transport->stock->spare->receive_bytes;
}

static void the_buffer_is_small_until_a_larger_response_came(void **state)
{
    (void)state;
    assert_int_equal(buffer_after("plain", "/status/200", 3), 1024);
    assert_int_equal(buffer_after("plain", "/big?bytes=200000", 200000), 1024);
    assert_int_equal(buffer_after("plain", "/status/200", 3), 4096);
    assert_int_equal(buffer_after("plain", "/gzip?bytes=9000", 9000), 4096);
    assert_int_equal(buffer_after("plain", "/chunked?bytes=30000&chunk=700", 30000), 16384);
    assert_int_equal(buffer_after("plain", "/status/200", 3), 16384);
}

static void the_buffer_of_http2_is_never_small(void **state)
{
    (void)state;
    assert_int_equal(buffer_after("h2", "/", 43), 16384);
    assert_int_equal(buffer_after("plain", "/status/200", 3), 1024);
}

static void over_tls_a_small_buffer_gets_the_whole_of_a_large_body(void **state)
{
    (void)state;
    fetch.settings.http2 = false;
    assert_int_equal(buffer_after("good", "/big?bytes=200000", 200000), 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_head_is_kept),
        TEST(every_status_is_a_response),
        TEST(interim_heads_are_dropped),
        TEST(trailers_are_dropped),
        TEST(a_body_is_decoded),
        TEST(a_body_above_the_limit_ends_the_transfer),
        TEST(the_decoded_body_counts),
        TEST(an_announced_length_above_the_limit_is_not_waited_for),
        TEST(a_body_of_just_the_limit_is_taken),
        TEST(head_may_announce_any_length),
        TEST(heads_above_the_limit_end_the_transfer),
        TEST(a_head_of_http2_without_end_ends_the_transfer),
        TEST(many_headers_below_the_limit_are_kept),
        TEST(several_lengths_are_no_length),
        TEST(a_change_of_protocol_is_no_answer),
        TEST(the_same_length_twice_is_one),
        TEST(over_http2_a_response_is_the_same),
        TEST(the_buffer_is_small_until_a_larger_response_came),
        TEST(the_buffer_of_http2_is_never_small),
        TEST(over_tls_a_small_buffer_gets_the_whole_of_a_large_body),
    };
    return cmocka_run_group_tests_name("receive", tests, fetch_group_set_up, fetch_group_tear_down);
}
