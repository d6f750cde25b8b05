/* Receive: head and body of a response, as libcurl hands them over, into the response; with the
 * limits of their sizes. Interim heads and trailers are dropped. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "transport/transport_internal.h"

/* What a callback answers to end the transfer. */
#define STOP 0

/* Names and values of a usual head. */
#define HEAD_BYTES 500

struct text {
    const char *data;
    size_t bytes;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool ends_line(char c)
{
    return c == '\r' || c == '\n' || is_blank(c);
}

static struct text trim(struct text text)
{
    while (text.bytes > 0 && ends_line(text.data[text.bytes - 1]))
        text.bytes--;
    while (text.bytes > 0 && is_blank(text.data[0])) {
        text.data++;
        text.bytes--;
    }
    return text;
}

static bool fail_for_memory(struct neap_transfer *transfer)
{
    neap_verdict_starve(transfer, "not enough memory");
    return false;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200". */
static int version_of(const char *line, size_t bytes)
{
    if (bytes < 8 || line[5] < '0' || line[5] > '9')
        return 0;
    int major = line[5] - '0';
    bool has_minor = line[6] == '.' && line[7] >= '0' && line[7] <= '9';
    return major * 10 + (has_minor ? line[7] - '0' : 0);
}

static struct text after_space(struct text text)
{
    const char *space = memchr(text.data, ' ', text.bytes);
    if (!space)
        return (struct text){text.data + text.bytes, 0};
    size_t skipped = (size_t)(space - text.data) + 1;
    return (struct text){space + 1, text.bytes - skipped};
}

static int status_of(struct text text)
{
    int status = 0;
    for (size_t i = 0; i < 3 && i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        status = status * 10 + (text.data[i] - '0');
    }
    return status;
}

static struct neap_response *take_empty(struct neap_transfer *transfer)
{
    struct neap_response_shelf *shelf = transfer->transport->shelf;
    struct neap_response *given = transfer->given;
    transfer->given = NULL;
    return given || !shelf ? given : neap_response_shelf_take(shelf);
}

static bool start_response(struct neap_transfer *transfer)
{
    if (transfer->response)
        neap_response_clear(transfer->response);
    else
        transfer->response = take_empty(transfer);
    if (!transfer->response &&
        neap_response_new(transfer->transport->alloc, &transfer->response) != NEAP_OK)
        return false;
    return neap_buffer_reserve(&transfer->response->head, HEAD_BYTES) == NEAP_OK;
}

static bool take_status_line(struct neap_transfer *transfer, struct text line)
{
    if (!start_response(transfer))
        return fail_for_memory(transfer);
    struct neap_response *response = transfer->response;
    struct text rest = after_space(line);
    struct text reason = trim(after_space(rest));
    response->http_version = version_of(line.data, line.bytes);
    response->status = status_of(rest);
    neap_sockets_note_protocol(transfer->transport, transfer->fd, response->http_version >= 20);
    neap_sharing_note(transfer);
    transfer->interim = response->status < 200;
    if (response->status == 101) { /* what would follow is no HTTP */
        neap_verdict_fail(transfer, NEAP_KIND_PROTOCOL, NEAP_PHASE_NONE,
                          "the server changes to a protocol that nobody has asked for");
        return false;
    }
    if (transfer->interim)
        return true;
    if (neap_buffer_append(&response->reason, reason.data, reason.bytes) != NEAP_OK)
        return fail_for_memory(transfer);
    return true;
}

static bool take_field(struct neap_transfer *transfer, struct text line)
{
    const char *colon = memchr(line.data, ':', line.bytes);
    if (!colon)
        return true; /* libcurl has refused what is no header */
    struct text name = trim((struct text){line.data, (size_t)(colon - line.data)});
    struct text value =
        trim((struct text){colon + 1, line.bytes - (size_t)(colon - line.data) - 1});
    size_t bytes = (size_t)(value.data - name.data) + value.bytes;
    if (neap_response_add_line(transfer->response, name.data, bytes, name.bytes, value.bytes) !=
        NEAP_OK)
        return fail_for_memory(transfer);
    return true;
}

static bool take_folded(struct neap_transfer *transfer, struct text line)
{
    struct text more = trim(line);
    if (neap_response_extend_header(transfer->response, more.data, more.bytes) == NEAP_NO_MEMORY)
        return fail_for_memory(transfer);
    return true;
}

static bool fail_for_size(struct neap_transfer *transfer, const char *what, uint64_t limit)
{
    neap_verdict_fail(transfer, NEAP_KIND_TOO_LARGE, NEAP_PHASE_NONE,
                      "%s of the response has more than %llu bytes", what,
                      (unsigned long long)limit);
    return false;
}

static bool has_body(const struct neap_transfer *transfer)
{
    int status = transfer->response->status;
    return strcmp(transfer->request.method, "HEAD") != 0 && status != 204 && status != 304;
}

static struct text field(const struct neap_transfer *transfer, const char *name, uint32_t nth)
{
    struct text value = {NULL, 0};
    value.data = neap_response_header(transfer->response, name, nth, &value.bytes);
    return value;
}

static bool is_same(struct text a, struct text b)
{
    return a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0;
}

/* libcurl takes the last of several lengths; which one is right, nobody knows (RFC 9112 6.3). */
static bool check_single_length(struct neap_transfer *transfer, struct text length)
{
    for (uint32_t nth = 1;; nth++) {
        struct text other = field(transfer, "Content-Length", nth);
        if (!other.data)
            return true;
        if (!is_same(length, other))
            break;
    }
    neap_verdict_fail(transfer, NEAP_KIND_PROTOCOL, NEAP_PHASE_NONE,
                      "the response has several lengths");
    return false;
}

static bool is_digits(struct text text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.bytes > 0;
}

/* libcurl takes a sign, and the first of a list. A list of the same number is one (RFC 9110 8.6).
 */
static bool check_number(struct neap_transfer *transfer, struct text length)
{
    struct text first = {NULL, 0}, rest = length;
    bool is_number = true;
    while (is_number && rest.data) {
        const char *comma = memchr(rest.data, ',', rest.bytes);
        size_t bytes = comma ? (size_t)(comma - rest.data) : rest.bytes;
        struct text one = trim((struct text){rest.data, bytes});
        first = first.data ? first : one;
        is_number = is_digits(one) && is_same(first, one);
        rest = comma ? (struct text){comma + 1, rest.bytes - bytes - 1} : (struct text){NULL, 0};
    }
    if (!is_number)
        neap_verdict_fail(transfer, NEAP_KIND_PROTOCOL, NEAP_PHASE_NONE,
                          "the length of the response is no number");
    return is_number;
}

/* An announced length is refused before the body is waited for. */
static bool check_length(struct neap_transfer *transfer)
{
    char digits[24] = "";
    uint64_t limit = transfer->transport->stock->settings.max_response_bytes;
    struct text length = field(transfer, "Content-Length", 0);
    if (!length.data || !has_body(transfer))
        return true;
    if (!check_single_length(transfer, length) || !check_number(transfer, length))
        return false;
    if (length.bytes >= sizeof digits)
        return true; /* more than libcurl lets pass */
    memcpy(digits, length.data, length.bytes);
    if (strtoull(digits, NULL, 10) <= limit)
        return true;
    return fail_for_size(transfer, "the body", limit);
}

/* What is to be known of this connection before another request goes over it. libcurl counts the
 * bytes of a body whose length is told, and nothing but those. Chunks beside a length, or by
 * HTTP/1.0, may have come through somebody who goes by the length (RFC 9112 6.1). */
static void mind_connection(struct neap_transfer *transfer)
{
    int version = transfer->response->http_version;
    struct text length = field(transfer, "Content-Length", 0);
    bool coded = field(transfer, "Transfer-Encoding", 0).data != NULL;
    bool counted =
        has_body(transfer) && !coded && length.data && !is_same(length, (struct text){"0", 1});
    if (version >= 20)
        return;
    if (coded && (length.data || version < 11))
        neap_notice_leave_connection(transfer);
    else if (!counted)
        neap_notice_watch_end(transfer);
}

static bool finish_head(struct neap_transfer *transfer)
{
    if (transfer->interim)
        return true;
    transfer->head_done = true;
    mind_connection(transfer);
    if (transfer->stage == NEAP_STAGE_WRITE)
        neap_stage_enter(transfer, NEAP_STAGE_READ);
    transfer->redirects_to_next = neap_redirect_decide(transfer);
    return transfer->verdict.kind == NEAP_KIND_NONE && check_length(transfer);
}

static bool take_line(struct neap_transfer *transfer, struct text line)
{
    if (line.bytes >= 5 && line.data[4] == '/' && strncasecmp(line.data, "HTTP", 4) == 0)
        return take_status_line(transfer, line);
    if (!transfer->response)
        return true;
    if (ends_line(line.data[0]) && trim(line).bytes == 0)
        return finish_head(transfer);
    if (transfer->interim)
        return true;
    return is_blank(line.data[0]) ? take_folded(transfer, line) : take_field(transfer, line);
}

/* False where it is more than the limit. */
static bool count_bytes(struct neap_transfer *transfer, uint64_t *counted, size_t bytes,
                        uint64_t limit, const char *what)
{
    neap_stage_progress(transfer);
    *counted += bytes;
    if (*counted > limit)
        fail_for_size(transfer, what, limit);
    return *counted <= limit;
}

/* libcurl gives one line a call; what comes after the head is trailers. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct neap_transfer *transfer = context;
    uint64_t limit = transfer->transport->stock->settings.max_header_bytes;
    size_t bytes = size * count;
    if (!count_bytes(transfer, &transfer->header_bytes, bytes, limit, "the head"))
        return STOP;
    if (transfer->head_done)
        return bytes;
    return take_line(transfer, (struct text){data, bytes}) ? bytes : STOP;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct neap_transfer *transfer = context;
    uint64_t limit = transfer->transport->stock->settings.max_response_bytes;
    size_t bytes = size * count;
    if (!count_bytes(transfer, &transfer->body_bytes, bytes, limit, "the body"))
        return STOP;
    if (transfer->redirects_to_next || !transfer->response)
        return bytes;
    if (neap_buffer_append(&transfer->response->body, data, bytes) == NEAP_OK)
        return bytes;
    fail_for_memory(transfer);
    return STOP;
}

void neap_receive_install(struct neap_transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}
