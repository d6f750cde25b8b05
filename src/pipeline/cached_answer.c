/* The block is a stored answer whose first headers are ours: no header on the wire can begin with a
 * colon. */
#include "pipeline/cached_answer.h"

#include <string.h>
#include <strings.h>

#define CALL_NAME ":answer1" /* the number is the version */
#define CALL_BYTES 18u       /* both moments, 8 each; version of HTTP, 1; redirected, 1 */
#define URL_NAME ":url"
#define REASON_NAME ":reason"
#define OUR_HEADERS 3u

static bool equal(struct neap_text one, struct neap_text other)
{
    return one.bytes == other.bytes &&
           (one.bytes == 0 || memcmp(one.text, other.text, one.bytes) == 0);
}

static bool is_named(struct neap_text name, const char *wanted)
{
    return name.bytes == strlen(wanted) && strncasecmp(name.text, wanted, name.bytes) == 0;
}

static bool is_among(struct neap_text name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_named(name, list[i]))
            return true;
    return false;
}

#define AMONG(name, list) is_among(name, list, sizeof(list) / sizeof(list)[0])

/* ---- requests and answers */

static bool is_own_condition(struct neap_text name)
{
    return is_named(name, "range") || (name.bytes > 3 && strncasecmp(name.text, "if-", 3) == 0);
}

static enum neap_cache_way way_of(struct neap_text method)
{
    if (equal(method, neap_text_of("GET")) || equal(method, neap_text_of("HEAD")))
        return NEAP_CACHE_THROUGH;
    bool safe = equal(method, neap_text_of("OPTIONS")) || equal(method, neap_text_of("TRACE"));
    return safe ? NEAP_CACHE_ROUND : NEAP_CACHE_CHANGES;
}

struct neap_cache_request neap_cache_read_request(struct neap_text method,
                                                  const struct neap_stored_header *headers,
                                                  size_t count, bool has_body)
{
    struct neap_cache_request request = {.way = way_of(method)};
    bool goes_round = has_body;
    neap_cache_control_init(&request.control);
    for (size_t i = 0; i < count; i++) {
        if (is_named(headers[i].name, "cache-control"))
            neap_cache_control_add(&request.control, headers[i].value.text, headers[i].value.bytes);
        goes_round = goes_round || is_own_condition(headers[i].name);
    }
    if (request.way == NEAP_CACHE_THROUGH && (goes_round || request.control.no_store))
        request.way = NEAP_CACHE_ROUND;
    return request;
}

bool neap_cache_may_store(const struct neap_stored_answer *answer, struct neap_vary *vary)
{
    static const int statuses[] = {200, 203, 204, 300, 301, 404, 410};
    struct neap_cache_control control;
    bool known = false;
    neap_cache_control_init(&control);
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct neap_stored_header *header = &answer->headers[i];
        if (is_named(header->name, "vary"))
            neap_vary_add(vary, header->value.text, header->value.bytes);
        if (is_named(header->name, "cache-control"))
            neap_cache_control_add(&control, header->value.text, header->value.bytes);
    }
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        known = known || answer->status == statuses[i];
    return known && !control.no_store && !vary->matches_nothing;
}

bool neap_cache_status_changes(int status)
{
    return status >= 200 && status < 400;
}

/* ---- writing */

static void put_number(char *at, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (char)(number >> (8 * i));
}

static void put_call(char at[CALL_BYTES], const struct neap_cached_answer *cached)
{
    put_number(at, (uint64_t)cached->requested_ns, 8);
    put_number(at + 8, (uint64_t)cached->received_ns, 8);
    at[16] = (char)cached->http_version;
    at[17] = (char)cached->redirected;
}

static bool is_listed(struct neap_text list, struct neap_text name)
{
    const char *at = list.text, *end = list.bytes > 0 ? list.text + list.bytes : list.text;
    while (at < end) {
        const char *begin = at;
        while (at < end && *at != ',' && *at != ' ' && *at != '\t')
            at++;
        size_t bytes = (size_t)(at - begin);
        if (bytes > 0 && bytes == name.bytes && strncasecmp(begin, name.text, bytes) == 0)
            return true;
        at++;
    }
    return false;
}

/* Of one connection only, by its name or because a Connection header says so. */
static bool is_hop_by_hop(const struct neap_stored_answer *answer, struct neap_text name)
{
    static const char *const always[] = {"connection",
                                         "keep-alive",
                                         "proxy-authenticate",
                                         "proxy-authentication-info",
                                         "proxy-authorization",
                                         "proxy-connection",
                                         "te",
                                         "transfer-encoding",
                                         "upgrade"};
    if (AMONG(name, always))
        return true;
    for (size_t i = 0; i < answer->header_count; i++)
        if (is_named(answer->headers[i].name, "connection") &&
            is_listed(answer->headers[i].value, name))
            return true;
    return false;
}

enum neap_status neap_cached_answer_write(const struct neap_cached_answer *cached,
                                          const struct neap_alloc *alloc, char **blob,
                                          size_t *blob_bytes)
{
    char call[CALL_BYTES];
    const struct neap_stored_answer *answer = &cached->answer;
    struct neap_stored_header *headers =
        neap_alloc_array(alloc, OUR_HEADERS + answer->header_count, sizeof *headers);
    if (!headers)
        return NEAP_NO_MEMORY;
    put_call(call, cached);
    headers[0] = (struct neap_stored_header){neap_text_of(CALL_NAME), {call, CALL_BYTES}};
    headers[1] = (struct neap_stored_header){neap_text_of(URL_NAME), cached->url};
    headers[2] = (struct neap_stored_header){neap_text_of(REASON_NAME), cached->reason};
    size_t count = OUR_HEADERS;
    for (size_t i = 0; i < answer->header_count; i++)
        if (!is_hop_by_hop(answer, answer->headers[i].name))
            headers[count++] = answer->headers[i];
    struct neap_stored_answer whole = {answer->status, headers, count, answer->body};
    enum neap_status status = neap_stored_answer_write(&whole, alloc, blob, blob_bytes);
    neap_free(alloc, headers);
    return status;
}

/* ---- reading */

static uint64_t get_number(const char *at, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)(uint8_t)at[i] << (8 * i);
    return number;
}

static bool take_ours(struct neap_stored_reader *reader, const char *name, struct neap_text *value)
{
    struct neap_stored_header header = neap_stored_answer_next(reader);
    *value = header.value;
    return equal(header.name, neap_text_of(name));
}

/* The first of its name, if it is not empty. */
static void keep_first(struct neap_text *kept, const struct neap_stored_header *header,
                       const char *name)
{
    if (kept->bytes == 0 && is_named(header->name, name))
        *kept = header->value;
}

static void read_headers(struct neap_cached_view *view)
{
    struct neap_stored_reader headers = view->answer;
    while (headers.headers_left > 0) {
        struct neap_stored_header header = neap_stored_answer_next(&headers);
        neap_freshness_read(&view->freshness, header.name.text, header.name.bytes,
                            header.value.text, header.value.bytes);
        keep_first(&view->etag, &header, "etag");
        keep_first(&view->last_modified, &header, "last-modified");
    }
}

bool neap_cached_answer_open(const void *blob, size_t bytes, struct neap_cached_view *view)
{
    struct neap_stored_reader reader;
    struct neap_text call, url, reason;
    if (neap_stored_answer_open(blob, bytes, &reader) != NEAP_STORED_FAULT_NONE ||
        reader.headers_left < OUR_HEADERS)
        return false;
    if (!take_ours(&reader, CALL_NAME, &call) || call.bytes != CALL_BYTES ||
        !take_ours(&reader, URL_NAME, &url) || !take_ours(&reader, REASON_NAME, &reason))
        return false;
    *view = (struct neap_cached_view){.http_version = (uint8_t)call.text[16],
                                      .redirected = call.text[17] != 0,
                                      .url = url,
                                      .reason = reason,
                                      .answer = reader};
    neap_freshness_init(&view->freshness, (int64_t)get_number(call.text, 8),
                        (int64_t)get_number(call.text + 8, 8));
    view->freshness.redirected = view->redirected;
    read_headers(view);
    return true;
}

/* ---- refreshing */

static bool is_weak(struct neap_text etag)
{
    return etag.bytes >= 2 && etag.text[0] == 'W' && etag.text[1] == '/';
}

static bool speaks_of_another(const struct neap_cached_view *stored,
                              const struct neap_stored_header *headers, size_t count)
{
    struct neap_text etag = {"", 0};
    for (size_t i = 0; i < count; i++)
        keep_first(&etag, &headers[i], "etag");
    return etag.bytes > 0 && !is_weak(etag) && !equal(etag, stored->etag);
}

static bool is_replaceable(struct neap_text name)
{
    static const char *const of_the_body[] = {"content-length", "content-encoding",
                                              "content-range"};
    return !AMONG(name, of_the_body);
}

static bool outlives(struct neap_text name, const struct neap_stored_header *headers, size_t count)
{
    if (!is_replaceable(name))
        return true;
    for (size_t i = 0; i < count; i++)
        if (name.bytes == headers[i].name.bytes &&
            strncasecmp(name.text, headers[i].name.text, name.bytes) == 0)
            return false;
    return !is_named(name, "age") && !is_named(name, "date");
}

/* `merged` has room for both. */
static size_t merge(const struct neap_cached_view *stored, const struct neap_stored_header *headers,
                    size_t count, struct neap_stored_header *merged)
{
    struct neap_stored_reader reader = stored->answer;
    size_t kept = 0;
    while (reader.headers_left > 0) {
        struct neap_stored_header header = neap_stored_answer_next(&reader);
        if (outlives(header.name, headers, count))
            merged[kept++] = header;
    }
    for (size_t i = 0; i < count; i++)
        if (is_replaceable(headers[i].name))
            merged[kept++] = headers[i];
    return kept;
}

enum neap_status neap_cached_answer_refresh(const struct neap_cached_view *stored,
                                            const struct neap_stored_header *headers, size_t count,
                                            int64_t requested_ns, int64_t received_ns,
                                            const struct neap_alloc *alloc, char **blob,
                                            size_t *blob_bytes)
{
    if (speaks_of_another(stored, headers, count))
        return NEAP_INVALID;
    struct neap_stored_header *merged =
        neap_alloc_array(alloc, stored->answer.headers_left + count + 1, sizeof *merged);
    if (!merged)
        return NEAP_NO_MEMORY;
    struct neap_cached_answer fresh = {
        .requested_ns = requested_ns,
        .received_ns = received_ns,
        .http_version = stored->http_version,
        .redirected = stored->redirected,
        .url = stored->url,
        .reason = stored->reason,
        .answer = {.status = stored->answer.status,
                   .headers = merged,
                   .header_count = merge(stored, headers, count, merged),
                   .body = stored->answer.body},
    };
    enum neap_status status = neap_cached_answer_write(&fresh, alloc, blob, blob_bytes);
    neap_free(alloc, merged);
    return status;
}
