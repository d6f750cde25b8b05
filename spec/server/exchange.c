/* One request being answered, and the honest parts of an answer. */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {425, "Too Early"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {599, "Script Exhausted"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

static void add_date(struct text *text, long offset_s)
{
    char date[64];
    struct tm parts;
    time_t when = time(NULL) + offset_s;
    gmtime_r(&when, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    text_string(text, date);
}

/* A header's value with `{date+N}` and `{epoch+N}` replaced. */
static void add_value(struct text *text, const char *value)
{
    while (*value != '\0') {
        int is_date = strncmp(value, "{date", 5) == 0;
        int is_epoch = strncmp(value, "{epoch", 6) == 0;
        const char *end = is_date || is_epoch ? strchr(value, '}') : NULL;
        if (end == NULL) {
            text_bytes(text, value++, 1);
            continue;
        }
        long offset_s = strtol(value + (is_date ? 5 : 6), NULL, 10);
        if (is_date)
            add_date(text, offset_s);
        else
            text_format(text, "%lld", (long long)time(NULL) + offset_s);
        value = end + 1;
    }
}

static void add_header(struct text *head, const char *line)
{
    const char *colon = strchr(line, ':');
    if (colon == NULL)
        return;
    text_bytes(head, line, (size_t)(colon - line));
    text_string(head, ": ");
    add_value(head, colon + 1 + strspn(colon + 1, " "));
    text_string(head, "\r\n");
}

static int overrides(const struct query *query, const char *name)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->list[i].name, "header") == 0 &&
            strncasecmp(query->list[i].value, name, strlen(name)) == 0 &&
            query->list[i].value[strlen(name)] == ':')
            return 1;
    return 0;
}

void exchange_head(const struct exchange *exchange, int status, struct text *head)
{
    const struct query *query = &exchange->query;
    text_format(head, "HTTP/1.1 %03d %s\r\n", status,
                query_text(query, "reason", reason_of(status)));
    if (!overrides(query, "Date")) {
        text_string(head, "Date: ");
        add_date(head, 0);
        text_string(head, "\r\n");
    }
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->list[i].name, "header") == 0)
            add_header(head, query->list[i].value);
    if (exchange->close)
        text_string(head, "Connection: close\r\n");
    else if (exchange->request->minor == 0)
        text_string(head, "Connection: keep-alive\r\n");
}

int exchange_has_body(const struct exchange *exchange, int status)
{
    int never = status < 200 || status == 204 || status == 304;
    return !never && strcmp(exchange->request->method, "HEAD") != 0;
}

int exchange_text(struct exchange *exchange, struct text *text)
{
    int sent = conn_send(exchange->conn, text->data, text->bytes);
    text_free(text);
    return sent;
}

int exchange_reply(struct exchange *exchange, int status, const char *type, const char *body,
                   size_t bytes)
{
    struct text answer = {0};
    exchange_head(exchange, status, &answer);
    if (type != NULL && !overrides(&exchange->query, "Content-Type"))
        text_format(&answer, "Content-Type: %s\r\n", type);
    if (status >= 200 && status != 204 && status != 304)
        text_format(&answer, "Content-Length: %zu\r\n", bytes);
    text_string(&answer, "\r\n");
    if (exchange_has_body(exchange, status))
        text_bytes(&answer, body, bytes);
    return exchange_text(exchange, &answer);
}

int exchange_pattern(struct exchange *exchange, uint64_t from, uint64_t bytes)
{
    char buffer[16000]; /* a multiple of ten: each piece continues the last */
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (char)('0' + (from + i) % 10);
    while (bytes > 0) {
        size_t piece = bytes < sizeof buffer ? (size_t)bytes : sizeof buffer;
        if (!conn_send(exchange->conn, buffer, piece))
            return 0;
        bytes -= piece;
    }
    return 1;
}

int exchange_body(struct exchange *exchange)
{
    const char *why = NULL;
    enum http_read result = request_read_body(exchange->conn, exchange->request, &why);
    ledger_body(exchange->server->ledger, exchange->ledger_number, exchange->request);
    if (result == HTTP_OK)
        return 1;
    exchange->close = 1;
    if (result == HTTP_BAD)
        exchange_reply(exchange, 400, "text/plain", why, strlen(why));
    return 0;
}
