#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/child.h"
#include "support/fetch.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)

static void assert_kind(const char *port, const char *path, enum neap_kind kind, bool unsent)
{
    struct fetched fetched;
    fetch_run(&fetched, "GET", fetch_url(port, path));
    fetched_assert_kind(&fetched, kind, NEAP_PHASE_NONE);
    assert_int_equal(fetched.outcome.unsent, unsent);
    assert_false(fetched.outcome.certificate);
}

static void a_name_without_an_address_is_resolve(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", "http://nosuch.invalid/");
    fetched_assert_kind(&fetched, NEAP_KIND_RESOLVE, NEAP_PHASE_NONE);
    assert_true(fetched.outcome.unsent);
}

/* Names are looked up on a thread of libcurl's, which tells by a descriptor that it is done. */
static void a_name_that_we_cannot_look_up_is_our_own_fault(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_open();
    limit_descriptors(0);
    fetch_run(&fetched, "GET", "http://nosuch.invalid/");
    allow_descriptors();
    fetched_assert_kind(&fetched, NEAP_KIND_ERROR, NEAP_PHASE_NONE);
    assert_true(fetched.outcome.ours && fetched.outcome.unsent);
    fetch_close();
    fetch.settings.proxy = "nosuch.invalid:3128";
    fetch_open();
    limit_descriptors(0);
    fetch_run(&fetched, "GET", "http://127.0.0.1/");
    allow_descriptors();
    fetched_assert_kind(&fetched, NEAP_KIND_ERROR, NEAP_PHASE_NONE);
    assert_true(fetched.outcome.ours && fetched.outcome.unsent);
}

static void a_refused_connection_is_connect(void **state)
{
    (void)state;
    assert_kind("refused", "/", NEAP_KIND_CONNECT, true);
}

static void a_handshake_of_garbage_is_tls(void **state)
{
    (void)state;
    assert_kind("tlsgarbage", "/", NEAP_KIND_TLS, true);
}

static void assert_certificate(const char *port, bool unsent)
{
    struct fetched fetched;
    fetch_run(&fetched, "GET", fetch_url(port, "/echo"));
    fetched_assert_kind(&fetched, NEAP_KIND_TLS, NEAP_PHASE_NONE);
    assert_true(fetched.outcome.certificate);
    assert_int_equal(fetched.outcome.unsent, unsent);
}

static void a_certificate_that_proves_nothing_is_refused(void **state)
{
    (void)state;
    assert_certificate("selfsigned", true);
    assert_certificate("expired", true);
    assert_certificate("wrongname", true);
}

static void a_server_that_wants_our_certificate_is_told_apart_from_a_reset(void **state)
{
    (void)state;
    assert_certificate("clientauth", false);
}

static void a_certificate_of_ours_that_is_not_there_is_tls(void **state)
{
    (void)state;
    fetch.settings.cert = "/nosuch.pem";
    fetch.settings.key = "/nosuch.key";
    assert_certificate("good", true);
}

static void an_early_end_is_reset(void **state)
{
    static const char *const paths[] = {
        "/reset?at=accept", "/reset?at=request", "/reset?at=headers",   "/reset?at=body",
        "/close?at=accept", "/close?at=request", "/close?at=headers",   "/close?at=body",
        "/short?end=close", "/short?end=reset",  "/chunked?broken=end",
    };
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_kind("plain", paths[i], NEAP_KIND_RESET, false);
        assert_kind("good", paths[i], NEAP_KIND_RESET, false);
    }
}

static void what_is_no_http_is_protocol(void **state)
{
    static const char *const paths[] = {
        "/garbage?kind=binary",  "/garbage?kind=version",
        "/garbage?kind=code",    "/garbage?kind=header",
        "/garbage?kind=length",  "/garbage?kind=negative",
        "/garbage?kind=lengths", "/http09",
        "/chunked?broken=size",  "/chunked?broken=huge",
        "/chunked?broken=data",  "/gzip?broken=data",
        "/gzip?broken=crc",
    };
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_kind("plain", paths[i], NEAP_KIND_PROTOCOL, false);
}

static void a_proxy_is_part_of_connecting(void **state)
{
    char proxy[64];
    (void)state;
    snprintf(proxy, sizeof proxy, "http://user:secret@127.0.0.1:%d",
             misbehave_port(&fetch.server, "refused"));
    fetch.settings.proxy = proxy;
    assert_kind("plain", "/", NEAP_KIND_CONNECT, true);
    fetch_close();
    fetch.settings.proxy = "nosuch.invalid:3128";
    assert_kind("plain", "/", NEAP_KIND_RESOLVE, true);
    fetch_close();
    snprintf(proxy, sizeof proxy, "127.0.0.1:%d", misbehave_port(&fetch.server, "plain"));
    fetch.settings.proxy = proxy;
    assert_kind("good", "/", NEAP_KIND_CONNECT, true);
}

static void a_message_holds_no_credential(void **state)
{
    struct fetched fetched;
    char url[128];
    (void)state;
    snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%d/?token=secret",
             misbehave_port(&fetch.server, "refused"));
    fetch_run(&fetched, "GET", url);
    fetched_assert_kind(&fetched, NEAP_KIND_CONNECT, NEAP_PHASE_NONE);
    assert_null(strstr(fetched.outcome.message, "secret"));
}

static void over_http2_an_early_end_is_reset(void **state)
{
    static const char *const actions[] = {"calm", "reset", "partial", "drop", "kill", "garbage"};
    (void)state;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        fetch_put("/_h2", actions[i]);
        assert_kind("h2", "/", NEAP_KIND_RESET, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_without_an_address_is_resolve),
        TEST(a_name_that_we_cannot_look_up_is_our_own_fault),
        TEST(a_refused_connection_is_connect),
        TEST(a_handshake_of_garbage_is_tls),
        TEST(a_certificate_that_proves_nothing_is_refused),
        TEST(a_server_that_wants_our_certificate_is_told_apart_from_a_reset),
        TEST(a_certificate_of_ours_that_is_not_there_is_tls),
        TEST(an_early_end_is_reset),
        TEST(what_is_no_http_is_protocol),
        TEST(a_proxy_is_part_of_connecting),
        TEST(a_message_holds_no_credential),
        TEST(over_http2_an_early_end_is_reset),
    };
    return cmocka_run_group_tests_name("verdict", tests, fetch_group_set_up, fetch_group_tear_down);
}
