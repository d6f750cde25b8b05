/* What a server sends before and in a body, line by line as libcurl hands it over, and where its
 * redirects lead; and headers of a request that a stranger may have written.
 *
 * Promised: all that is kept lies in the head, no value has an end of line, the limits of sizes
 * hold to the byte; whoever follows a redirect asks for http or https at a host that is allowed,
 * and from the first foreign origin on sends no header but the harmless ones; and a header that is
 * taken to be safe puts nothing else into the request. */
#include "fuzz/fuzz.h"
#include "platform/memory.h"
#include "transport/receive.c" /* its callbacks are what libcurl calls */

static struct neap_loop *loop;
static char *allowed[] = {(char *)"a.example", (char *)"*.b.example"};

static const struct neap_request_header sent[] = {
    {"Authorization", "secret"}, {"Cookie", "secret"},  {"X-Key", "secret"},
    {"Accept", "text/plain"},    {"If-None-Match", ""}, {"Content-Language", "en"}};

#define SENT (sizeof sent / sizeof *sent)
#define FIRST_URL "https://a.example:8443/b/c?d"

static struct neap_transport *open_transport(uint8_t draw)
{
    struct neap_transport *transport;
    const struct neap_transport_settings settings = {.min_tls = 12,
                                                     .max_connections = 1,
                                                     .per_host = 1,
                                                     .ttl_ns = 1,
                                                     .idle_ns = 1,
                                                     .redirects = draw % 4,
                                                     .max_response_bytes = draw & 4 ? 64 : 1 << 20,
                                                     .max_header_bytes = draw & 8 ? 256 : 1 << 20,
                                                     .allow_hosts = allowed,
                                                     .allow_host_count = draw & 16 ? 2 : 0};
    if (!loop)
        promise(neap_loop_new_virtual(neap_platform_alloc(), 0, 0, &loop) == NEAP_OK);
    promise(neap_transport_new(neap_platform_alloc(), loop, &settings, NULL, &transport, NULL) ==
            NEAP_OK);
    return transport;
}

/* ---- what is kept */

static void check_span(const struct neap_response *response, uint32_t at, uint32_t bytes)
{
    promise((size_t)at + bytes <= response->head.bytes);
    promise(bytes == 0 || !memchr(response->head.data + at, '\n', bytes));
}

static void check_response(const struct neap_transfer *transfer)
{
    const struct neap_response *response = transfer->response;
    const struct neap_transport_settings *settings = &transfer->transport->stock->settings;
    if (!response)
        return;
    promise(response->status >= 0 && response->status <= 999);
    for (uint32_t i = 0; i < response->header_count; i++) {
        check_span(response, response->header[i].name_at, response->header[i].name_bytes);
        check_span(response, response->header[i].value_at, response->header[i].value_bytes);
    }
    promise(response->body.bytes <= settings->max_response_bytes);
    promise(response->head.bytes <= 2 * settings->max_header_bytes + HEAD_BYTES);
}

/* ---- where it goes on */

static bool is_allowed(const char *origin, bool is_limited)
{
    const char *host = strstr(origin, "://") + 3;
    size_t bytes = strcspn(host, ":/");
    bool is_named = bytes == 9 && strncmp(host, "a.example", 9) == 0;
    bool is_below = bytes > 10 && strncmp(host + bytes - 10, ".b.example", 10) == 0;
    return !is_limited || is_named || is_below;
}

static void check_sent(struct neap_transfer *transfer, bool has_left)
{
    struct curl_slist *list = neap_header_list(transfer);
    promise(list);
    for (; list; list = list->next) {
        promise(!has_left || !strstr(list->data, "secret"));
        promise(!strpbrk(list->data, "\r\n"));
    }
}

/* True if another hop follows. */
static bool follow(struct neap_transfer *transfer, bool *has_left)
{
    const struct neap_transport_settings *settings = &transfer->transport->stock->settings;
    if (!transfer->redirects_to_next || transfer->verdict.kind != NEAP_KIND_NONE)
        return false;
    const char *origin = transfer->next_url.origin, *method = transfer->request.method;
    promise(strncmp(origin, "http://", 7) == 0 || strncmp(origin, "https://", 8) == 0);
    promise(is_allowed(origin, settings->allow_host_count > 0));
    *has_left |= strcmp(origin, "https://a.example:8443") != 0;
    promise(transfer->hops < settings->redirects);
    promise(neap_redirect_advance(transfer) == NEAP_OK);
    promise(transfer->foreign || !*has_left);
    promise(!transfer->request.body || strcmp(transfer->request.method, method) == 0);
    promise(neap_hop_prepare(transfer) == NEAP_OK);
    check_sent(transfer, *has_left);
    return true;
}

/* ---- lines */

/* libcurl gives a line with its end, none with a NUL, and none that is not a header's or empty;
 * then the body, in pieces. The first line that it gives is a status line. */
static bool receive_line(struct neap_transfer *transfer, const char *line, size_t bytes)
{
    char *copy = malloc(bytes + 2);
    promise(copy);
    memcpy(copy, line, bytes);
    memcpy(copy + bytes, "\r\n", 2);
    bool is_body = transfer->head_done && bytes > 0 && line[0] == '!';
    size_t taken =
        is_body ? on_body(copy, 1, bytes + 2, transfer) : on_header(copy, 1, bytes + 2, transfer);
    promise(taken == bytes + 2 || (taken == STOP && transfer->verdict.kind != NEAP_KIND_NONE));
    free(copy);
    return taken != STOP;
}

static void receive_all(struct neap_transfer *transfer, struct fuzz_input *input)
{
    bool goes_on = true, has_left = false;
    while (goes_on && fuzz_left(input) > 0) {
        size_t bytes;
        const char *line = fuzz_line(input, &bytes);
        bool is_whole = !memchr(line, '\0', bytes);
        bool ends_hop = bytes == 1 && line[0] == '~';
        if (ends_hop && !follow(transfer, &has_left))
            break;
        if (is_whole && !ends_hop)
            goes_on = receive_line(transfer, line, bytes);
    }
    check_response(transfer);
}

/* ---- headers of a request */

static void check_header(const char *line, size_t bytes)
{
    const char *colon = bytes > 0 ? memchr(line, ':', bytes) : NULL;
    if (!colon)
        return;
    size_t name_bytes = (size_t)(colon - line), value_bytes = bytes - name_bytes - 1;
    if (!neap_header_is_safe(line, name_bytes, colon + 1, value_bytes))
        return;
    promise(name_bytes > 0);
    for (size_t i = 0; i < bytes; i++)
        promise((unsigned char)line[i] >= 0x20 || line[i] == '\t');
    promise(!memchr(line, ' ', name_bytes) && !memchr(line, '\t', name_bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    size_t line_bytes;
    struct neap_transport *transport = open_transport(fuzz_byte(&input));
    uint8_t draw = fuzz_byte(&input);
    const char *line = fuzz_line(&input, &line_bytes);
    struct neap_transfer *transfer = neap_transfer_acquire(transport);
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT"};
    check_header(line, line_bytes);
    promise(transfer);
    transfer->request = (struct neap_request){.method = methods[draw % 4],
                                              .url = FIRST_URL,
                                              .headers = sent,
                                              .header_count = SENT,
                                              .body = draw & 4 ? "body" : NULL,
                                              .body_bytes = draw & 4 ? 4 : 0,
                                              .own_conditions = draw & 8};
    transfer->limits = (struct neap_limits){1, 1, 1};
    promise(neap_hop_prepare(transfer) == NEAP_OK);
    promise(neap_stage_begin(transfer) == NEAP_OK);
    receive_all(transfer, &input);
    neap_transfer_give_back(transfer);
    neap_transport_free(transport);
    return 0;
}
