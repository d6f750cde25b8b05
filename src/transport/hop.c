/* Hop: the options of one request on an easy handle. A handle has carried other requests before and
 * is not reset, so each option of a request is set for each hop, to nothing where it has none,
 * unless it is known to be set so. */
#include <limits.h>
#include <string.h>

#include "base/duration.h"
#include "base/method.h"
#include "transport/transport_internal.h"

static bool is(const char *method, const char *name)
{
    return strcmp(method, name) == 0;
}

/* For these a length of 0 is sent where there is no body (RFC 9110 8.6). */
static bool anticipates_content(const char *method)
{
    return is(method, "POST") || is(method, "PUT") || is(method, "PATCH");
}

bool neap_request_has_content(const struct neap_request *request)
{
    if (is(request->method, "HEAD"))
        return false;
    return request->body || anticipates_content(request->method);
}

static CURLcode set_body(CURL *easy, const struct neap_request *request)
{
    CURLcode code =
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
    return code;
}

/* POSTFIELDS makes a POST of the request, so it is taken out first. */
static CURLcode unset_body(CURL *easy, bool head)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
    return code;
}

static CURLcode set_method(CURL *easy, const struct neap_request *request)
{
    const char *method = request->method;
    bool head = is(method, "HEAD");
    bool body = neap_request_has_content(request);
    bool implied = head || is(method, body ? "POST" : "GET");
    CURLcode code = body ? set_body(easy, request) : unset_body(easy, head);
    if (code != CURLE_OK)
        return code;
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, implied ? NULL : method);
}

/* The transfer's own timer comes first, and says which limit has passed. */
#define LIBCURL_LATER_MS 50

/* libcurl needs the limit as well: it decides how long one address is tried before the next. */
static CURLcode set_connect_limit(CURL *easy, int64_t limit_ns)
{
    int64_t ms =
        limit_ns == NEAP_NEVER ? INT_MAX : (limit_ns + NEAP_MS - 1) / NEAP_MS + LIBCURL_LATER_MS;
    return curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long)(ms < 1         ? 1
                                   : ms > INT_MAX ? INT_MAX
                                                  : ms));
}

/* Only libcurl's talk tells whether a stream of HTTP/2 was refused. It costs time, and matters only
 * where a request may not be repeated otherwise. */
static CURLcode set_talk(struct neap_transfer *transfer)
{
    bool wanted =
        neap_shards_may_multiplex(transfer) && !neap_method_is_idempotent(transfer->request.method);
    return curl_easy_setopt(transfer->easy, CURLOPT_VERBOSE, wanted ? 1L : 0L);
}

/* libcurl's own form of the URL goes before its text. The handle keeps a pointer to it, which the
 * next hop replaces before it is looked at again. */
static CURLcode set_url(CURL *easy, const struct neap_request *request)
{
    CURLU *parsed = request->resolved ? neap_url_parsed(request->resolved) : NULL;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_CURLU, parsed);
    return code != CURLE_OK || parsed ? code : curl_easy_setopt(easy, CURLOPT_URL, request->url);
}

/* What is the same for most requests. */
static CURLcode set_kind(struct neap_transfer *transfer)
{
    CURL *easy = transfer->easy;
    long no_progress = transfer->request.body_bytes > 0 ? 0L : 1L;
    CURLcode code = set_method(easy, &transfer->request);
    if (code == CURLE_OK)
        code = set_connect_limit(easy, transfer->limits.connect_ns);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_NOPROGRESS, no_progress);
    if (code == CURLE_OK)
        code = set_talk(transfer);
    return code;
}

/* One plain GET after another leaves the handle as it is. */
static CURLcode change_kind(struct neap_transfer *transfer)
{
    bool is_plain = is(transfer->request.method, "GET") && !transfer->request.body;
    int64_t plain_connect_ns = is_plain ? transfer->limits.connect_ns : -1;
    if (is_plain && transfer->plain_connect_ns == plain_connect_ns)
        return CURLE_OK;
    transfer->plain_connect_ns = -1;
    CURLcode code = set_kind(transfer);
    if (code == CURLE_OK)
        transfer->plain_connect_ns = plain_connect_ns;
    return code;
}

static CURLcode set_request(struct neap_transfer *transfer, struct curl_slist *headers)
{
    CURLcode code = set_url(transfer->easy, &transfer->request);
    if (code == CURLE_OK)
        code = curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers);
    return code == CURLE_OK ? change_kind(transfer) : code;
}

static void forget_last_hop(struct neap_transfer *transfer)
{
    transfer->fd = -1;
    transfer->denied = false;
    transfer->starved = false;
    transfer->dialled = false;
    transfer->sent = false;
    transfer->refused = false;
    transfer->stream_id = 0;
    transfer->head_done = false;
    transfer->interim = false;
    transfer->header_bytes = 0;
    transfer->body_bytes = 0;
    transfer->uploaded = 0;
    transfer->error_text[0] = '\0';
}

enum neap_status neap_hop_prepare(struct neap_transfer *transfer)
{
    forget_last_hop(transfer);
    if (!neap_stock_share(transfer))
        return NEAP_NO_MEMORY;
    neap_notice_mind_no_more(transfer);
    struct curl_slist *headers = neap_header_list(transfer);
    if (!headers)
        return NEAP_NO_MEMORY;
    if (!neap_settings_client_certificate(transfer, !transfer->foreign) ||
        !neap_sharing_prepare(transfer))
        return NEAP_NO_MEMORY;
    neap_settings_fit_buffer(transfer);
    CURLcode code = set_request(transfer, headers);
    if (code == CURLE_OK)
        return NEAP_OK;
    return code == CURLE_OUT_OF_MEMORY ? NEAP_NO_MEMORY : NEAP_SYSTEM;
}
