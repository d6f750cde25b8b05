#include "support/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

struct fetch fetch;

static struct misbehave server;
static char ca_file[128];

int fetch_group_set_up(void **state)
{
    (void)state;
    misbehave_start(&server);
    misbehave_file(&server, "ca.pem", ca_file);
    return 0;
}

int fetch_group_tear_down(void **state)
{
    (void)state;
    misbehave_stop(&server);
    return 0;
}

int fetch_set_up(void **state)
{
    (void)state;
    fetch = (struct fetch){.server = server};
    failing_alloc_init(&fetch.memory);
    fetch.settings = (struct neap_transport_settings){
        .verify = true,
        .ca_file = ca_file,
        .min_tls = 12,
        .max_connections = 100,
        .per_host = 20,
        .ttl_ns = 300 * NEAP_SECOND,
        .idle_ns = 60 * NEAP_SECOND,
        .validate_after_ns = NEAP_SECOND,
        .http2 = true,
        .redirects = 5,
        .max_response_bytes = 1 << 20,
        .max_header_bytes = 16384,
    };
    fetch.limits = (struct neap_limits){10 * NEAP_SECOND, 10 * NEAP_SECOND, 10 * NEAP_SECOND};
    return 0;
}

int fetch_tear_down(void **state)
{
    (void)state;
    fetch_close();
    failing_alloc_assert_all_freed(&fetch.memory);
    return 0;
}

void fetch_open(void)
{
    fetch_close();
    assert_int_equal(neap_loop_new(&fetch.memory.alloc, &fetch.loop), NEAP_OK);
    assert_int_equal(neap_transport_new(&fetch.memory.alloc, fetch.loop, &fetch.settings, NULL,
                                        &fetch.transport, NULL),
                     NEAP_OK);
}

void fetch_close(void)
{
    neap_transport_free(fetch.transport);
    neap_loop_free(fetch.loop);
    fetch.transport = NULL;
    fetch.loop = NULL;
}

static bool speaks_tls(const char *port)
{
    const char *tls = strstr(server.description, "\"tls\"");
    const char *end = strchr(tls, '}');
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", port);
    const char *at = strstr(tls, key);
    return at && at < end;
}

const char *fetch_url(const char *port, const char *path)
{
    char *url = fetch.url[fetch.urls++ % 16];
    snprintf(url, sizeof fetch.url[0], "%s:%d%s",
             speaks_tls(port) ? "https://localhost" : "http://127.0.0.1",
             misbehave_port(&server, port), path);
    return url;
}

void fetch_take(void *context, const struct neap_outcome *outcome, struct neap_response *response)
{
    struct fetched *fetched = context;
    fetched->told++;
    fetched->outcome = *outcome;
    fetched->response = response;
    if (fetched->then)
        fetched->then(fetched);
}

struct neap_transfer *fetch_send(struct fetched *fetched, const char *method, const char *url)
{
    struct neap_transfer *transfer = NULL;
    struct neap_request request = fetch.request;
    request.method = method;
    request.url = url;
    fetched->told = 0;
    fetched->response = NULL;
    neap_loop_update(fetch.loop);
    assert_int_equal(neap_transport_send(fetch.transport, &request, &fetch.limits, fetch_take,
                                         fetched, &transfer),
                     NEAP_OK);
    assert_int_equal(fetched->told, 0);
    return transfer;
}

void fetch_wait(const struct fetched *fetched)
{
    while (!fetched->told)
        assert_true(neap_loop_turn(fetch.loop, NEAP_NEVER));
}

void fetch_run(struct fetched *fetched, const char *method, const char *url)
{
    if (!fetch.transport)
        fetch_open();
    *fetched = (struct fetched){.then = NULL};
    fetch_send(fetched, method, url);
    fetch_wait(fetched);
}

void fetched_free(struct fetched *fetched)
{
    neap_response_free(fetched->response);
    fetched->response = NULL;
}

const char *fetched_body(const struct fetched *fetched, int status)
{
    assert_string_equal(fetched->outcome.message, "");
    assert_int_equal(fetched->outcome.kind, NEAP_KIND_NONE);
    assert_non_null(fetched->response);
    assert_int_equal(fetched->response->status, status);
    assert_int_equal(fetched->outcome.status, status);
    return fetched->response->body.data ? fetched->response->body.data : "";
}

void fetched_assert_kind(const struct fetched *fetched, enum neap_kind kind, enum neap_phase phase)
{
    const char *name = neap_kind_name(fetched->outcome.kind);
    assert_string_equal(name ? name : "ok", neap_kind_name(kind));
    assert_int_equal(fetched->outcome.phase, phase);
    assert_null(fetched->response);
    assert_string_not_equal(fetched->outcome.message, "");
}

bool fetched_says(const struct fetched *fetched, const char *text)
{
    return fetched->response && fetched->response->body.data &&
           strstr(fetched->response->body.data, text);
}

void fetch_get(const char *port, const char *path)
{
    struct fetched fetched;
    fetch_run(&fetched, "GET", fetch_url(port, path));
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
}

struct neap_transfer *fetch_begin(struct fetched *fetched, int count, const char *port,
                                  const char *path)
{
    struct neap_transfer *first = NULL;
    for (int i = 0; i < count; i++) {
        fetched[i] = (struct fetched){.told = 0};
        struct neap_transfer *transfer = fetch_send(&fetched[i], "GET", fetch_url(port, path));
        first = first ? first : transfer;
    }
    return first;
}

void fetch_collect(struct fetched *fetched, int count)
{
    for (int i = 0; i < count; i++) {
        fetch_wait(&fetched[i]);
        fetched_body(&fetched[i], 200);
        assert_int_equal(fetched[i].told, 1);
        fetched_free(&fetched[i]);
    }
}

struct neap_transport_stats fetch_stats(void)
{
    struct neap_transport_stats stats;
    neap_transport_read(fetch.transport, &stats);
    return stats;
}

void fetch_pass(int64_t ns)
{
    int64_t until_ns = neap_loop_update(fetch.loop) + ns;
    while (neap_loop_update(fetch.loop) < until_ns)
        neap_loop_turn(fetch.loop, until_ns);
}

struct text {
    char *data;
    size_t bytes;
};

static size_t keep(char *data, size_t size, size_t count, void *context)
{
    struct text *text = context;
    text->data = realloc(text->data, text->bytes + size * count + 1);
    assert_non_null(text->data);
    memcpy(text->data + text->bytes, data, size * count);
    text->bytes += size * count;
    text->data[text->bytes] = '\0';
    return size * count;
}

static char *control(const char *path, const char *put)
{
    struct text answer = {NULL, 0};
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    curl_easy_setopt(easy, CURLOPT_URL, fetch_url("plain", path));
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    if (put) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, put);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
    }
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    curl_easy_cleanup(easy);
    return answer.data;
}

void fetch_put(const char *path, const char *text)
{
    free(control(path, text));
}

char *fetch_ledger(void)
{
    return control("/_ledger", NULL);
}

char *fetch_log(void)
{
    return control("/_log?last=4096", NULL);
}
