/* POST /payments: takes the money, and may lose the answer. */
#include "behaviours.h"

#include <stdlib.h>
#include <string.h>

static enum mishap mishap_of(const struct query *query)
{
    if (strcmp(query_text(query, "lose", ""), "after") == 0)
        return MISHAP_AFTER;
    if (strcmp(query_text(query, "fail", ""), "before") == 0)
        return MISHAP_BEFORE;
    return MISHAP_NONE;
}

/* How the answer gets lost: reset (as a rule), close, stall, or a status in its place. */
static void lose(struct exchange *exchange)
{
    const char *how = query_text(&exchange->query, "how", "reset");
    if (how[0] >= '1' && how[0] <= '9') {
        exchange_reply(exchange, (int)strtol(how, NULL, 10), "text/plain", how, strlen(how));
    } else if (strcmp(how, "stall") == 0) {
        conn_wait(exchange->conn, query_number(&exchange->query, "for", 3600));
        conn_reset(exchange->conn);
    } else if (strcmp(how, "close") == 0) {
        conn_finish(exchange->conn);
    } else {
        conn_reset(exchange->conn);
    }
}

static void receipt(struct exchange *exchange, struct payment payment)
{
    struct text body = {0};
    struct text answer = {0};
    text_format(&body, "{\"id\":\"pay_%llu\",\"replayed\":%s}", (unsigned long long)payment.id,
                payment.replayed ? "true" : "false");
    exchange_head(exchange, 201, &answer);
    if (payment.replayed)
        text_string(&answer, "Idempotent-Replayed: true\r\n");
    text_format(&answer, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                body.bytes, body.data);
    text_free(&body);
    exchange_text(exchange, &answer);
}

void behave_payments(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct request *request = exchange->request;
    if (strcmp(request->method, "POST") != 0) {
        exchange_reply(exchange, 405, "text/plain", "only POST", 9);
        return;
    }
    struct payment payment =
        payments_attempt(exchange->server->payments, request_header(request, "Idempotency-Key"),
                         request->body_crc, mishap_of(&exchange->query));
    if (!conn_wait(exchange->conn, query_number(&exchange->query, "delay", 0)))
        return;
    if (payment.mishap)
        lose(exchange);
    else
        receipt(exchange, payment);
}
