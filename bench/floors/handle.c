#include "handle.h"

#include <string.h>

#include "result.h"

static size_t append(char *buffer, size_t *filled, size_t room, const char *data, size_t bytes)
{
    if (bytes > room - *filled)
        return 0;
    memcpy(buffer + *filled, data, bytes);
    *filled += bytes;
    return bytes;
}

static size_t on_head(char *data, size_t size, size_t count, void *context)
{
    struct bench_answer *answer = context;
    return append(answer->head, &answer->head_bytes, sizeof answer->head, data, size * count);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct bench_answer *answer = context;
    return append(answer->body, &answer->body_bytes, sizeof answer->body, data, size * count);
}

static void clear(struct bench_answer *answer)
{
    answer->head_bytes = 0;
    answer->body_bytes = 0;
}

void bench_handle_minimal(CURL *easy, struct bench_answer *answer, const char *url)
{
    clear(answer);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
}

static void set_connections(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, 300L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 60L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void set_http(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "bench");
}

static void set_tls(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
}

void bench_handle_all(CURL *easy, struct bench_answer *answer)
{
    set_connections(easy);
    set_http(easy);
    set_tls(easy);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, answer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
}

void bench_handle_per_call(CURL *easy, struct bench_answer *answer, const char *url)
{
    static struct curl_slist type = {.data = (char *)"Content-Type:"};
    static struct curl_slist headers = {.data = (char *)"Expect:", .next = &type};
    clear(answer);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, &headers);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 2000L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30000L);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
}

void bench_handle_check(CURL *easy, CURLcode code, const struct bench_answer *answer,
                        const char *body)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200)
        bench_fail("%s, status %ld", curl_easy_strerror(code), status);
    if (answer->body_bytes != strlen(body) || memcmp(answer->body, body, answer->body_bytes) != 0)
        bench_fail("another body: %.*s", (int)answer->body_bytes, answer->body);
}
