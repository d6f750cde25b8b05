#include "pipeline/cached_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "support/failing_alloc.h"

#define NOW (INT64_C(784111777) * NEAP_SECOND)
#define MOST 16

static struct failing_alloc memory;
static struct neap_stored_header headers[MOST], fresh[MOST];
static size_t count, fresh_count;
static char *blob, *next;
static size_t blob_bytes, next_bytes;
static struct neap_cached_view view;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    count = fresh_count = 0;
    blob = next = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_free(&memory.alloc, blob);
    neap_free(&memory.alloc, next);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static struct neap_text text_of(const char *text)
{
    return (struct neap_text){text, strlen(text)};
}

static void header(const char *name, const char *value)
{
    headers[count++] = (struct neap_stored_header){text_of(name), text_of(value)};
}

static void fresh_header(const char *name, const char *value)
{
    fresh[fresh_count++] = (struct neap_stored_header){text_of(name), text_of(value)};
}

static struct neap_cached_answer answer_of(int status, struct neap_text body)
{
    return (struct neap_cached_answer){.requested_ns = NOW - NEAP_MS,
                                       .received_ns = NOW,
                                       .http_version = 20,
                                       .url = text_of("https://a.example/x"),
                                       .reason = text_of("OK"),
                                       .answer = {status, headers, count, body}};
}

static void write_answer(const char *body)
{
    struct neap_cached_answer cached = answer_of(200, text_of(body));
    assert_int_equal(neap_cached_answer_write(&cached, &memory.alloc, &blob, &blob_bytes), NEAP_OK);
    assert_true(neap_cached_answer_open(blob, blob_bytes, &view));
}

static enum neap_status refresh(void)
{
    return neap_cached_answer_refresh(&view, fresh, fresh_count, NOW + 2 * NEAP_SECOND,
                                      NOW + 3 * NEAP_SECOND, &memory.alloc, &next, &next_bytes);
}

static void refresh_answer(void)
{
    assert_int_equal(refresh(), NEAP_OK);
    assert_true(neap_cached_answer_open(next, next_bytes, &view));
}

static void assert_text(struct neap_text text, const char *expected)
{
    assert_int_equal(text.bytes, strlen(expected));
    assert_memory_equal(text.text, expected, text.bytes);
}

/* All headers as "name=value;". */
static void assert_headers(const char *expected)
{
    char all[1024] = "";
    struct neap_stored_reader reader = view.answer;
    while (reader.headers_left > 0) {
        struct neap_stored_header next_header = neap_stored_answer_next(&reader);
        strncat(all, next_header.name.text, next_header.name.bytes);
        strcat(all, "=");
        strncat(all, next_header.value.text, next_header.value.bytes);
        strcat(all, ";");
    }
    assert_string_equal(all, expected);
}

/* ---- requests */

static enum neap_cache_way way(const char *method, const char *name, const char *value)
{
    count = 0;
    if (name)
        header(name, value);
    return neap_cache_read_request(text_of(method), headers, count, false).way;
}

static void get_and_head_go_through_the_cache(void **state)
{
    (void)state;
    assert_int_equal(way("GET", NULL, NULL), NEAP_CACHE_THROUGH);
    assert_int_equal(way("HEAD", "Accept", "a"), NEAP_CACHE_THROUGH);
    assert_int_equal(way("GET", "Cache-Control", "no-cache"), NEAP_CACHE_THROUGH);
    assert_int_equal(way("GET", "If", "x"), NEAP_CACHE_THROUGH);
}

static void what_a_cache_cannot_answer_goes_round_it(void **state)
{
    (void)state;
    assert_int_equal(way("GET", "Cache-Control", "max-age=5, no-store"), NEAP_CACHE_ROUND);
    assert_int_equal(way("GET", "range", "bytes=0-1"), NEAP_CACHE_ROUND);
    assert_int_equal(way("GET", "If-None-Match", "\"a\""), NEAP_CACHE_ROUND);
    assert_int_equal(way("HEAD", "if-modified-since", "x"), NEAP_CACHE_ROUND);
    assert_int_equal(way("GET", "If-Range", "x"), NEAP_CACHE_ROUND);
    assert_int_equal(way("OPTIONS", NULL, NULL), NEAP_CACHE_ROUND);
    assert_int_equal(way("TRACE", NULL, NULL), NEAP_CACHE_ROUND);
    assert_int_equal(neap_cache_read_request(text_of("GET"), NULL, 0, true).way, NEAP_CACHE_ROUND);
}

static void other_methods_change_something(void **state)
{
    (void)state;
    const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "get", "PURGE"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        assert_int_equal(way(methods[i], NULL, NULL), NEAP_CACHE_CHANGES);
        assert_int_equal(way(methods[i], "Cache-Control", "no-store"), NEAP_CACHE_CHANGES);
        assert_int_equal(neap_cache_read_request(text_of(methods[i]), NULL, 0, true).way,
                         NEAP_CACHE_CHANGES);
    }
}

static void a_requests_directives_are_read(void **state)
{
    (void)state;
    header("cache-control", "max-age=5");
    header("Cache-Control", "no-cache");
    struct neap_cache_request read = neap_cache_read_request(text_of("GET"), headers, 2, false);
    assert_true(read.control.no_cache);
    assert_int_equal(read.control.max_age_s, 5);
}

/* ---- answers */

static bool may_store(int status)
{
    struct neap_vary vary;
    struct neap_stored_answer answer = {status, headers, count, {"", 0}};
    neap_vary_init(&vary);
    return neap_cache_may_store(&answer, &vary);
}

static void some_statuses_may_be_stored(void **state)
{
    (void)state;
    const int stored[] = {200, 203, 204, 300, 301, 404, 410};
    size_t at = 0;
    for (int status = 100; status < 600; status++) {
        bool expected = at < sizeof stored / sizeof stored[0] && stored[at] == status;
        assert_int_equal(may_store(status), expected);
        at += expected;
    }
    assert_int_equal(at, sizeof stored / sizeof stored[0]);
}

static void no_store_and_vary_by_all_are_not_stored(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=5");
    header("Vary", "Accept");
    assert_true(may_store(200));
    header("cache-control", "No-Store");
    assert_false(may_store(200));
    headers[2] = (struct neap_stored_header){text_of("vary"), text_of("x, *")};
    assert_false(may_store(200));
}

static void the_names_an_answer_varies_by_are_gathered(void **state)
{
    (void)state;
    struct neap_vary vary;
    header("Vary", "Accept");
    header("Vary", "X-B");
    struct neap_stored_answer answer = {200, headers, count, {"", 0}};
    neap_vary_init(&vary);
    neap_vary_add(&vary, "x-a", 3);
    assert_true(neap_cache_may_store(&answer, &vary));
    assert_int_equal(vary.count, 3);
    assert_text(neap_vary_name(&vary, 0), "accept");
}

static void a_success_changes(void **state)
{
    (void)state;
    assert_false(neap_cache_status_changes(199));
    assert_true(neap_cache_status_changes(200));
    assert_true(neap_cache_status_changes(399));
    assert_false(neap_cache_status_changes(400));
}

/* ---- the block */

static void all_of_an_answer_comes_back(void **state)
{
    (void)state;
    header("Content-Type", "text/plain");
    header("Set-Cookie", "a=1");
    header("X-Empty", "");
    header("set-cookie", "b=2");
    write_answer("body");
    assert_int_equal(view.answer.status, 200);
    assert_int_equal(view.http_version, 20);
    assert_false(view.redirected);
    assert_text(view.url, "https://a.example/x");
    assert_text(view.reason, "OK");
    assert_text(view.answer.body, "body");
    assert_headers("Content-Type=text/plain;Set-Cookie=a=1;X-Empty=;set-cookie=b=2;");
    assert_int_equal(view.freshness.requested_ns, NOW - NEAP_MS);
    assert_int_equal(view.freshness.received_ns, NOW);
    assert_int_equal(view.etag.bytes, 0);
}

static void an_answer_of_nothing_comes_back(void **state)
{
    (void)state;
    struct neap_cached_answer bare = {.answer.status = 204,
                                      .redirected = true,
                                      .requested_ns = INT64_MIN,
                                      .received_ns = INT64_MAX};
    assert_int_equal(neap_cached_answer_write(&bare, &memory.alloc, &blob, &blob_bytes), NEAP_OK);
    assert_true(neap_cached_answer_open(blob, blob_bytes, &view));
    assert_int_equal(view.answer.status, 204);
    assert_true(view.redirected && view.freshness.redirected);
    assert_int_equal(view.freshness.requested_ns, INT64_MIN);
    assert_int_equal(view.freshness.received_ns, INT64_MAX);
    assert_int_equal(view.url.bytes + view.reason.bytes + view.answer.body.bytes, 0);
    assert_headers("");
}

static void any_bytes_of_a_body_come_back(void **state)
{
    (void)state;
    char body[256];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)i;
    struct neap_cached_answer cached = answer_of(200, (struct neap_text){body, sizeof body});
    assert_int_equal(neap_cached_answer_write(&cached, &memory.alloc, &blob, &blob_bytes), NEAP_OK);
    assert_true(neap_cached_answer_open(blob, blob_bytes, &view));
    assert_int_equal(view.answer.body.bytes, sizeof body);
    assert_memory_equal(view.answer.body.text, body, sizeof body);
}

static void freshness_and_validators_are_read(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10");
    header("Age", "3");
    header("ETag", "W/\"a\"");
    header("ETag", "\"b\"");
    header("Last-Modified", "Sun, 06 Nov 1994 08:00:00 GMT");
    write_answer("");
    const struct neap_cache_policy policy = {-1, -1, -1};
    assert_int_equal(neap_freshness_lifetime(&view.freshness, &policy), 10 * NEAP_SECOND);
    assert_int_equal(neap_freshness_age(&view.freshness, NOW), 3 * NEAP_SECOND + NEAP_MS);
    assert_text(view.etag, "W/\"a\"");
    assert_text(view.last_modified, "Sun, 06 Nov 1994 08:00:00 GMT");
    assert_true(view.freshness.can_revalidate);
}

static void what_is_of_one_connection_is_left_out(void **state)
{
    (void)state;
    header("Connection", "close, X-Hop");
    header("x-hop", "1");
    header("X-Hop2", "2");
    header("Keep-Alive", "timeout=5");
    header("Transfer-Encoding", "chunked");
    header("Proxy-Authenticate", "Basic");
    header("TE", "trailers");
    header("Upgrade", "h2c");
    header("close", "stays not");
    write_answer("");
    assert_headers("X-Hop2=2;");
}

static void what_is_no_such_block_is_told(void **state)
{
    (void)state;
    header("ETag", "\"a\"");
    write_answer("body");
    struct neap_cached_view untouched = {.http_version = 42};
    for (size_t bytes = 0; bytes < blob_bytes; bytes++) {
        char *copy = malloc(bytes + 1);
        assert_non_null(copy);
        memcpy(copy, blob, bytes);
        assert_false(neap_cached_answer_open(copy, bytes, &untouched));
        free(copy);
    }
    for (size_t i = 0; i < blob_bytes; i++) {
        blob[i] ^= 1;
        assert_false(neap_cached_answer_open(blob, blob_bytes, &untouched));
        blob[i] ^= 1;
    }
    assert_int_equal(untouched.http_version, 42);
}

static void another_sound_block_is_told(void **state)
{
    (void)state;
    static const struct neap_stored_header ours[] = {{{":answer1", 8}, {"123456789012345678", 18}},
                                                     {{":url", 4}, {"", 0}},
                                                     {{":reason", 7}, {"", 0}},
                                                     {{":answer1", 8}, {"short", 5}},
                                                     {{":answer2", 8}, {"123456789012345678", 18}}};
    const struct {
        size_t first, second, third, count;
        bool sound;
    } blocks[] = {{0, 1, 2, 3, true},  {0, 1, 2, 2, false}, {0, 2, 1, 3, false},
                  {3, 1, 2, 3, false}, {4, 1, 2, 3, false}, {0, 1, 1, 3, false}};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        headers[0] = ours[blocks[i].first];
        headers[1] = ours[blocks[i].second];
        headers[2] = ours[blocks[i].third];
        struct neap_stored_answer plain = {200, headers, blocks[i].count, {"", 0}};
        assert_int_equal(neap_stored_answer_write(&plain, &memory.alloc, &blob, &blob_bytes),
                         NEAP_OK);
        assert_int_equal(neap_cached_answer_open(blob, blob_bytes, &view), blocks[i].sound);
        neap_free(&memory.alloc, blob);
        blob = NULL;
    }
}

static void what_cannot_be_stored_is_refused(void **state)
{
    (void)state;
    struct neap_cached_answer cached = answer_of(600, text_of(""));
    assert_int_equal(neap_cached_answer_write(&cached, &memory.alloc, &blob, &blob_bytes),
                     NEAP_INVALID);
    assert_null(blob);
}

/* ---- refreshing */

static void a_304_replaces_the_headers_it_has(void **state)
{
    (void)state;
    header("Content-Type", "text/plain");
    header("Cache-Control", "max-age=10");
    header("X-List", "1");
    header("X-List", "2");
    header("X-Kept", "k");
    write_answer("body");
    fresh_header("cache-control", "max-age=20");
    fresh_header("x-list", "3");
    fresh_header("X-New", "n");
    refresh_answer();
    assert_headers("Content-Type=text/plain;X-Kept=k;cache-control=max-age=20;x-list=3;X-New=n;");
    assert_int_equal(view.answer.status, 200);
    assert_int_equal(view.http_version, 20);
    assert_text(view.answer.body, "body");
    assert_text(view.url, "https://a.example/x");
    assert_text(view.reason, "OK");
    assert_int_equal(view.freshness.requested_ns, NOW + 2 * NEAP_SECOND);
    assert_int_equal(view.freshness.received_ns, NOW + 3 * NEAP_SECOND);
}

static void how_the_body_was_sent_stays(void **state)
{
    (void)state;
    header("Content-Length", "4");
    header("Content-Encoding", "gzip");
    write_answer("body");
    fresh_header("Content-Length", "0");
    fresh_header("content-encoding", "br");
    fresh_header("Content-Range", "bytes 0-1/2");
    refresh_answer();
    assert_headers("Content-Length=4;Content-Encoding=gzip;");
}

static void date_and_age_are_the_304s_or_none(void **state)
{
    (void)state;
    header("Date", "Sun, 06 Nov 1994 08:00:00 GMT");
    header("Age", "100");
    write_answer("");
    refresh_answer();
    assert_headers("");
    assert_int_equal(neap_freshness_age(&view.freshness, NOW + 3 * NEAP_SECOND), NEAP_SECOND);
}

static void what_is_of_the_304s_connection_is_left_out(void **state)
{
    (void)state;
    header("A", "a");
    write_answer("");
    fresh_header("Connection", "close");
    fresh_header("Transfer-Encoding", "chunked");
    refresh_answer();
    assert_headers("A=a;");
}

static void a_304_of_another_answer_refreshes_nothing(void **state)
{
    (void)state;
    header("ETag", "\"a\"");
    write_answer("");
    fresh_header("ETag", "\"b\"");
    assert_int_equal(refresh(), NEAP_INVALID);
    assert_null(next);
    fresh[0].value = text_of("\"a\"");
    assert_int_equal(refresh(), NEAP_OK);
}

static void a_weak_etag_names_no_answer_for_sure(void **state)
{
    (void)state;
    header("ETag", "\"a\"");
    write_answer("");
    fresh_header("ETag", "W/\"b\"");
    refresh_answer();
    assert_headers("ETag=W/\"b\";");
}

static void each_lack_of_memory_is_told(void **state)
{
    (void)state;
    header("A", "a");
    struct neap_cached_answer cached = answer_of(200, text_of("body"));
    for (size_t n = 1; n <= 2; n++) {
        failing_alloc_fail(&memory, n);
        assert_int_equal(neap_cached_answer_write(&cached, &memory.alloc, &blob, &blob_bytes),
                         NEAP_NO_MEMORY);
        assert_null(blob);
    }
    write_answer("body");
    for (size_t n = 1; n <= 3; n++) {
        failing_alloc_fail(&memory, n);
        assert_int_equal(refresh(), NEAP_NO_MEMORY);
        assert_null(next);
    }
    assert_int_equal(refresh(), NEAP_OK);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(get_and_head_go_through_the_cache),
        SPEC(what_a_cache_cannot_answer_goes_round_it),
        SPEC(other_methods_change_something),
        SPEC(a_requests_directives_are_read),
        SPEC(some_statuses_may_be_stored),
        SPEC(no_store_and_vary_by_all_are_not_stored),
        SPEC(the_names_an_answer_varies_by_are_gathered),
        SPEC(a_success_changes),
        SPEC(all_of_an_answer_comes_back),
        SPEC(an_answer_of_nothing_comes_back),
        SPEC(any_bytes_of_a_body_come_back),
        SPEC(freshness_and_validators_are_read),
        SPEC(what_is_of_one_connection_is_left_out),
        SPEC(what_is_no_such_block_is_told),
        SPEC(another_sound_block_is_told),
        SPEC(what_cannot_be_stored_is_refused),
        SPEC(a_304_replaces_the_headers_it_has),
        SPEC(how_the_body_was_sent_stays),
        SPEC(date_and_age_are_the_304s_or_none),
        SPEC(what_is_of_the_304s_connection_is_left_out),
        SPEC(a_304_of_another_answer_refreshes_nothing),
        SPEC(a_weak_etag_names_no_answer_for_sure),
        SPEC(each_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests_name("cached_answer", tests, NULL, NULL);
}
