#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/memory.h"
#include "store/store.h"
#include "support/stores.h"

#define NOW INT64_C(1767225600000000000)
#define BIG (3u * 1024 * 1024)

static struct redis_server server;
static char folder[32];
static char certificate[64], key[64], stranger[64];
static int port;
static struct neap_redis_settings settings;
static struct neap_store *store;

static void run(const char *format, const char *a, const char *b)
{
    char command[512];
    (void)snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

/* Certificates that are their own authority: for localhost and its address, and a stranger's. */
static void make_certificates(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/neap-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(certificate, sizeof certificate, "%s/certificate.pem", folder);
    (void)snprintf(key, sizeof key, "%s/key.pem", folder);
    (void)snprintf(stranger, sizeof stranger, "%s/stranger.pem", folder);
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
        " -keyout %s -out %s 2>/dev/null",
        key, certificate);
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        " -subj /CN=stranger -keyout %s -out %s 2>/dev/null",
        "/dev/null", stranger);
}

static int begin(void **state)
{
    (void)state;
    make_certificates();
    const char *const options[] = {"--tls-cert-file",
                                   certificate,
                                   "--tls-key-file",
                                   key,
                                   "--tls-ca-cert-file",
                                   certificate,
                                   "--tls-auth-clients",
                                   "no",
                                   NULL};
    redis_server_start(&server, options);
    port = redis_server_listen(&server, "tls-port");
    return 0;
}

static int end(void **state)
{
    (void)state;
    redis_server_remove(&server);
    run("rm -rf %s%s", folder, "");
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    redis_server_expect(&server, "FLUSHALL", "+OK");
    store = NULL;
    settings = (struct neap_redis_settings){
        .host = "localhost",
        .port = port,
        .tls = true,
        .ca_file = certificate,
        .connect_ns = 60 * NEAP_SECOND,
        .step_ns = 60 * NEAP_SECOND,
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_store_free(store);
    return 0;
}

static enum neap_store_status put(struct neap_bytes value)
{
    char message[NEAP_MESSAGE_BYTES];
    neap_store_free(store);
    assert_int_equal(neap_store_open_redis(neap_platform_alloc(), &settings, &store, message),
                     NEAP_STORE_OK);
    return neap_store_put(store, bytes_of("k"), value, NOW, NOW + 10);
}

static void expect_refused(const char *words)
{
    assert_int_equal(put(bytes_of("value")), NEAP_STORE_UNAVAILABLE);
    if (!strstr(neap_store_message(store), words))
        fail_msg("wanted <%s>: %s", words, neap_store_message(store));
}

static void values_go_both_ways(void **state)
{
    (void)state;
    struct neap_blob value;
    char *big = malloc(BIG);
    assert_non_null(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 + i / 4096);
    assert_int_equal(put((struct neap_bytes){big, BIG}), NEAP_STORE_OK);
    assert_int_equal(neap_store_get(store, bytes_of("k"), NOW, &value), NEAP_STORE_OK);
    assert_int_equal(value.bytes, BIG);
    assert_memory_equal(value.at, big, BIG);
    neap_blob_free(&value);
    free(big);
}

static void an_address_is_looked_for_in_the_certificate(void **state)
{
    (void)state;
    settings.host = "127.0.0.1";
    assert_int_equal(put(bytes_of("value")), NEAP_STORE_OK);
    settings.host = "127.0.0.2";
    expect_refused("IP address mismatch");
}

static void a_strangers_certificate_is_refused(void **state)
{
    (void)state;
    settings.ca_file = stranger;
    expect_refused("TLS to Redis failed: ");
    settings.ca_file = NULL;
    expect_refused("TLS to Redis failed: ");
    settings.ca_file = "/no/such/file";
    expect_refused("cannot be read");
}

static void a_server_without_tls_is_told(void **state)
{
    (void)state;
    settings.port = redis_server_listen(&server, "port");
    settings.connect_ns = 50 * NEAP_MS;
    expect_refused("did not complete the TLS handshake");
    redis_server_expect(&server, "CONFIG SET port 0", "+OK");
}

static void a_lost_connection_is_made_again(void **state)
{
    (void)state;
    struct neap_blob value;
    assert_int_equal(put(bytes_of("value")), NEAP_STORE_OK);
    redis_server_expect(&server, "CLIENT KILL TYPE normal SKIPME yes", ":1");
    assert_int_equal(neap_store_get(store, bytes_of("k"), NOW, &value), NEAP_STORE_OK);
    neap_blob_free(&value);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(values_go_both_ways),
        SPEC(an_address_is_looked_for_in_the_certificate),
        SPEC(a_strangers_certificate_is_refused),
        SPEC(a_server_without_tls_is_told),
        SPEC(a_lost_connection_is_made_again),
    };
    const char *lack = stores_lack(&store_kinds[2]);
    if (lack)
        return stores_skip("redis_tls", lack);
    if (system("ldd \"$(command -v redis-server)\" | grep -q libssl") != 0)
        return stores_skip("redis_tls", "this redis-server has no TLS");
    return cmocka_run_group_tests_name("redis_tls", tests, begin, end);
}
