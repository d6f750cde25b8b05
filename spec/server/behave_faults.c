/* Behaviours that break the protocol or the connection. */
#include "behaviours.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* --- cut off: /reset and /close ------------------------------------------------------------ */

/* Sends as much of an answer as `at` says. */
static void send_until(struct exchange *exchange, const char *at)
{
    uint64_t bytes = query_count(&exchange->query, "bytes", 1000);
    struct text head = {0};
    exchange_head(exchange, 200, &head);
    text_format(&head, "Content-Length: %llu\r\n\r\n", (unsigned long long)bytes);
    int half = strcmp(at, "headers") == 0;
    int sent = conn_send(exchange->conn, head.data, half ? head.bytes / 2 : head.bytes);
    text_free(&head);
    if (sent && !half && exchange_has_body(exchange, 200))
        exchange_pattern(exchange, 0, bytes / 2);
}

static void cut_off(struct exchange *exchange, void (*end)(struct conn *))
{
    const char *at = query_text(&exchange->query, "at", "request");
    if (strcmp(at, "accept") != 0 && !exchange_body(exchange))
        return;
    if (!conn_wait(exchange->conn, query_number(&exchange->query, "after", 0)))
        return;
    if (strcmp(at, "headers") == 0 || strcmp(at, "body") == 0)
        send_until(exchange, at);
    end(exchange->conn);
}

void behave_reset(struct exchange *exchange, const char *rest)
{
    (void)rest;
    cut_off(exchange, conn_reset);
}

void behave_close(struct exchange *exchange, const char *rest)
{
    (void)rest;
    cut_off(exchange, query_flag(&exchange->query, "abrupt") ? conn_drop : conn_finish);
}

/* --- bodies of requests -------------------------------------------------------------------- */

static void set_receive_buffer(const struct conn *conn, int bytes)
{
    setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static void let_it_come(struct exchange *exchange)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (exchange->request->expects_continue)
        conn_send(exchange->conn, go_on, sizeof go_on - 1);
    exchange->request->expects_continue = 0;
}

/* A client that gave up cannot be noticed while its bytes are unread: hence the limit. */
void behave_stallread(struct exchange *exchange, const char *rest)
{
    (void)rest;
    char buffer[16384];
    uint64_t left = query_count(&exchange->query, "read", 0);
    set_receive_buffer(exchange->conn, 1024);
    let_it_come(exchange);
    while (left > 0) {
        size_t room = left < sizeof buffer ? (size_t)left : sizeof buffer;
        size_t bytes = conn_read(exchange->conn, buffer, room);
        if (bytes == 0)
            return;
        left -= bytes;
    }
    conn_wait(exchange->conn, query_number(&exchange->query, "for", 3));
    conn_reset(exchange->conn);
}

void behave_slowread(struct exchange *exchange, const char *rest)
{
    const struct query *query = &exchange->query;
    struct request *request = exchange->request;
    double every_s = query_number(query, "every", 0.1);
    uint64_t piece = query_count(query, "piece", 65536);
    uint64_t whole = request->content_length;
    set_receive_buffer(exchange->conn, 65536); /* with less, the kernels wait for each other */
    let_it_come(exchange);
    for (uint64_t left = whole; left > 0; left -= request->content_length) {
        request->content_length = left < piece ? left : piece;
        if (!exchange_body(exchange) || !conn_wait(exchange->conn, every_s))
            return;
    }
    request->content_length = whole;
    if (request->chunked && !exchange_body(exchange))
        return;
    behave_echo(exchange, rest);
}

void behave_early(struct exchange *exchange, const char *rest)
{
    (void)rest;
    int status = (int)query_count(&exchange->query, "status", 413);
    if (!conn_wait(exchange->conn, query_number(&exchange->query, "after", 0)))
        return;
    exchange->close = 1;
    exchange_reply(exchange, status, "text/plain", "early", 5);
    if (query_flag(&exchange->query, "rude"))
        conn_drop(exchange->conn);
}

/* --- heads and lengths --------------------------------------------------------------------- */

void behave_short(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct query *query = &exchange->query;
    uint64_t declared = query_count(query, "declared", 1000);
    uint64_t sent = query_count(query, "sent", 500);
    const char *end = query_text(query, "end", sent < declared ? "close" : "keep");
    struct text head = {0};
    exchange_head(exchange, 200, &head);
    text_format(&head, "Content-Length: %llu\r\n\r\n", (unsigned long long)declared);
    if (!exchange_has_body(exchange, 200)) {
        exchange_text(exchange, &head);
        return;
    }
    if (!exchange_text(exchange, &head) || !exchange_pattern(exchange, 0, sent))
        return;
    if (strcmp(end, "reset") == 0)
        conn_reset(exchange->conn);
    else if (strcmp(end, "stall") == 0)
        conn_wait(exchange->conn, query_number(query, "for", 3600));
    exchange->close = strcmp(end, "keep") != 0;
}

static void add_body(struct exchange *exchange, int status, struct text *answer)
{
    const char *body = query_text(&exchange->query, "body", "ok");
    int chunked = query_flag(&exchange->query, "chunked");
    int has_body = exchange_has_body(exchange, status);
    if (chunked)
        text_string(answer, "Transfer-Encoding: chunked\r\n\r\n");
    else if (status == 204 || status == 304)
        text_string(answer, "\r\n");
    else
        text_format(answer, "Content-Length: %zu\r\n\r\n", strlen(body));
    if (has_body && chunked)
        text_format(answer, "%zx\r\n%s\r\n0\r\n\r\n", strlen(body), body);
    else if (has_body)
        text_string(answer, body);
}

/* In one piece, so that no client can have done with the answer before the rest is there. */
void behave_surplus(struct exchange *exchange, const char *rest)
{
    (void)rest;
    static const char another[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";
    const struct query *query = &exchange->query;
    int status = (int)query_count(query, "status", 200);
    struct text answer = {0};
    exchange_head(exchange, status, &answer);
    add_body(exchange, status, &answer);
    if (strcmp(query_text(query, "kind", "body"), "answer") == 0)
        text_string(&answer, another);
    else
        text_string(&answer, query_text(query, "body", "ok"));
    exchange_text(exchange, &answer);
}

/* One header line of `bytes` bytes, or somewhat more where its name needs them. */
static void filler(struct text *line, uint64_t number, uint64_t bytes)
{
    text_format(line, "X-Filler-%llu: ", (unsigned long long)number);
    while (line->bytes + 2 < bytes)
        text_string(line, "x");
    text_string(line, "\r\n");
}

static void endless_line(struct exchange *exchange)
{
    static const char name[] = "X-Endless: ";
    int going = conn_send(exchange->conn, name, sizeof name - 1);
    while (going)
        going = exchange_pattern(exchange, 0, 1000) &&
                conn_wait(exchange->conn, query_number(&exchange->query, "every", 0));
}

static int send_fillers(struct exchange *exchange, uint64_t bytes, uint64_t piece)
{
    double every_s = query_number(&exchange->query, "every", 0);
    for (uint64_t number = 1; bytes > 0; number++) {
        struct text line = {0};
        filler(&line, number, bytes < piece ? bytes : piece);
        bytes -= line.bytes < bytes ? line.bytes : bytes;
        if (!exchange_text(exchange, &line) || !conn_wait(exchange->conn, every_s))
            return 0;
    }
    return 1;
}

void behave_headers(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct query *query = &exchange->query;
    int one = query_flag(query, "one");
    int endless = query_flag(query, "endless");
    uint64_t bytes = query_count(query, "bytes", 100000);
    struct text head = {0};
    exchange_head(exchange, 200, &head);
    if (!exchange_text(exchange, &head))
        return;
    if (one && endless)
        endless_line(exchange);
    else if (send_fillers(exchange, endless ? UINT64_MAX : bytes,
                          one ? bytes : query_count(query, "line", 100)))
        conn_send(exchange->conn, "Content-Length: 2\r\n\r\nok", 23);
}

void behave_informational(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct query *query = &exchange->query;
    uint64_t left = query_flag(query, "endless") ? UINT64_MAX : query_count(query, "n", 1);
    struct text head = {0};
    text_format(&head, "HTTP/1.1 %llu Informational\r\nX-Early: 1\r\n\r\n",
                (unsigned long long)query_count(query, "status", 103));
    int going = 1;
    for (; going && left > 0; left--)
        going = conn_send(exchange->conn, head.data, head.bytes) &&
                conn_wait(exchange->conn, query_number(query, "every", 0));
    text_free(&head);
    if (going)
        exchange_reply(exchange, 200, "text/plain", "ok", 2);
}

static void random_bytes(struct text *text, uint64_t bytes)
{
    uint32_t state = 12345; /* the same garbage each time */
    for (uint64_t i = 0; i < bytes; i++) {
        state = state * 1664525u + 1013904223u;
        char byte = (char)(state >> 24);
        text_bytes(text, &byte, 1);
    }
}

void behave_garbage(struct exchange *exchange, const char *rest)
{
    (void)rest;
    static const struct {
        const char *kind;
        const char *answer;
    } kinds[] = {
        {"version", "HTTP/7.3 200 OK\r\nContent-Length: 2\r\n\r\nok"},
        {"code", "HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok"},
        {"header", "HTTP/1.1 200 OK\r\nthis line has no colon\r\nContent-Length: 2\r\n\r\nok"},
        {"length", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"},
        {"negative", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"},
        {"lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nok"},
        {"same", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"},
        {"list", "HTTP/1.1 200 OK\r\nContent-Length: 2, 5\r\n\r\nok"},
        {"huge", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok"},
        {"plus", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"},
        {"old", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
                "2\r\nok\r\n0\r\n\r\n"},
        {"both", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "2\r\nok\r\n0\r\n\r\n"},
    };
    const char *kind = query_text(&exchange->query, "kind", "binary");
    struct text answer = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            text_string(&answer, kinds[i].answer);
    if (answer.bytes == 0)
        random_bytes(&answer, query_count(&exchange->query, "bytes", 512));
    exchange_text(exchange, &answer);
    exchange->close = !query_flag(&exchange->query, "keep");
}

void behave_http09(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const char *body = query_text(&exchange->query, "body", "<html>an answer of 1991</html>\n");
    conn_send(exchange->conn, body, strlen(body));
    exchange->close = 1;
}
