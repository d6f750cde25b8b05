/* Behaviours that answer well, with whatever status, headers and connection was asked for. */
#include "behaviours.h"

#include <stdlib.h>
#include <string.h>

/* The body of so many bytes follows, its length told or chunked. */
static void status_with_bytes(struct exchange *exchange, int status, uint64_t bytes)
{
    struct text head = {0};
    exchange_head(exchange, status, &head);
    text_format(&head, "Content-Length: %llu\r\n\r\n", (unsigned long long)bytes);
    if (exchange_text(exchange, &head) && exchange_has_body(exchange, status))
        exchange_pattern(exchange, 0, bytes);
}

void behave_status(struct exchange *exchange, const char *rest)
{
    const struct query *query = &exchange->query;
    int status = (int)strtol(rest, NULL, 10);
    if (status < 100 || status > 999)
        status = 500;
    if (query_get(query, "bytes") != NULL) {
        status_with_bytes(exchange, status, query_count(query, "bytes", 0));
        return;
    }
    char number[16] = {0};
    for (size_t i = 0; i < 3 && rest[i] >= '0' && rest[i] <= '9'; i++)
        number[i] = rest[i];
    const char *body = query_text(query, "body", number);
    exchange_reply(exchange, status, "text/plain", body, strlen(body));
}

static void echo_tls(const struct exchange *exchange, struct text *json)
{
    SSL *ssl = exchange->conn->ssl;
    if (ssl == NULL)
        return;
    text_format(json, ",\"tls\":\"%s\",\"resumed\":%s", SSL_get_version(ssl),
                SSL_session_reused(ssl) ? "true" : "false");
    X509 *client = SSL_get0_peer_certificate(ssl);
    if (client == NULL)
        return;
    char name[256];
    X509_NAME_get_text_by_NID(X509_get_subject_name(client), NID_commonName, name, sizeof name);
    text_string(json, ",\"client\":");
    text_json(json, name, strlen(name));
}

void behave_echo(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct request *request = exchange->request;
    struct text json = {0};
    text_string(&json, "{\"method\":");
    text_json(&json, request->method, strlen(request->method));
    text_string(&json, ",\"path\":");
    text_json(&json, request->target, strlen(request->target));
    text_string(&json, ",\"headers\":");
    request_headers_json(request, &json);
    if (request->body_bytes < 65536 && utf8_valid(request->body.data, request->body.bytes)) {
        text_string(&json, ",\"body\":");
        text_json(&json, request->body.data, request->body.bytes);
    }
    text_format(&json, ",\"body_bytes\":%llu,\"body_crc32\":\"%08x\",\"chunked\":%s",
                (unsigned long long)request->body_bytes, request->body_crc,
                request->chunked ? "true" : "false");
    text_format(&json, ",\"connection\":%llu,\"request_on_connection\":%u,\"port\":\"%s\"",
                (unsigned long long)exchange->conn->id, request->number, exchange->port);
    text_format(&json, ",\"http_version\":\"1.%d\"", request->minor);
    echo_tls(exchange, &json);
    text_string(&json, "}");
    int status = (int)query_count(&exchange->query, "status", 200);
    exchange_reply(exchange, status, "application/json", json.data, json.bytes);
    text_free(&json);
}

void behave_etag(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const char *tag = query_text(&exchange->query, "tag", "v1");
    const char *known = request_header(exchange->request, "If-None-Match");
    struct text quoted = {0};
    text_format(&quoted, "\"%s\"", tag);
    int same = known != NULL && strstr(known, quoted.data) != NULL;

    struct text answer = {0};
    exchange_head(exchange, same ? 304 : 200, &answer);
    text_format(&answer, "ETag: %s\r\n", quoted.data);
    if (!same)
        text_format(&answer, "Content-Length: %zu\r\n", strlen(tag));
    text_string(&answer, "\r\n");
    if (exchange_has_body(exchange, same ? 304 : 200))
        text_string(&answer, tag);
    text_free(&quoted);
    exchange_text(exchange, &answer);
}

void behave_auth(struct exchange *exchange, const char *rest)
{
    const char *given = request_header(exchange->request, "Authorization");
    const char *token = query_text(&exchange->query, "token", "good");
    if (given != NULL && strncmp(given, "Bearer ", 7) == 0 && strcmp(given + 7, token) == 0)
        behave_echo(exchange, rest);
    else
        exchange_reply(exchange, 401, "text/plain", "401", 3);
}

static void add_escaped(struct text *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (strchr("-._~/:", *value) != NULL || (*value >= '0' && *value <= '9') ||
            (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z'))
            text_bytes(text, value, 1);
        else
            text_format(text, "%%%02X", (unsigned char)*value);
    }
}

static void next_location(const struct exchange *exchange, uint64_t left, struct text *location)
{
    const struct query *query = &exchange->query;
    const char *to = query_get(query, "to");
    const char *host = request_header(exchange->request, "Host");
    if (query_flag(query, "absolute") && host != NULL)
        text_format(location, "http%s://%s", exchange->conn->ssl != NULL ? "s" : "", host);
    if (query_flag(query, "loop")) {
        text_string(location, exchange->request->target);
        return;
    }
    if (left <= 1 && to != NULL) {
        location->bytes = 0;
        text_string(location, to);
        return;
    }
    text_format(location, "/redirect?n=%llu&status=%s", (unsigned long long)left - 1,
                query_text(query, "status", "302"));
    if (query_flag(query, "absolute"))
        text_string(location, "&absolute=1");
    if (to != NULL) {
        text_string(location, "&to=");
        add_escaped(location, to);
    }
}

void behave_redirect(struct exchange *exchange, const char *rest)
{
    const struct query *query = &exchange->query;
    uint64_t left = query_count(query, "n", 1);
    if (left == 0 && !query_flag(query, "loop")) {
        struct query echo; /* the end of the chain is an ordinary 200 */
        query_parse(&echo, "/echo");
        query_free(&exchange->query);
        exchange->query = echo;
        behave_echo(exchange, rest);
        return;
    }
    struct text location = {0};
    struct text answer = {0};
    next_location(exchange, left, &location);
    exchange_head(exchange, (int)query_count(query, "status", 302), &answer);
    if (location.bytes > 0)
        text_format(&answer, "Location: %s\r\n", location.data);
    text_string(&answer, "Content-Length: 0\r\n\r\n");
    text_free(&location);
    exchange_text(exchange, &answer);
}

void behave_keepalive(struct exchange *exchange, const char *rest)
{
    const struct query *query = &exchange->query;
    const char *next = query_get(query, "next");
    exchange->farewell = (struct farewell){
        .end_idle = query_flag(query, "close_idle") || query_flag(query, "reset_idle") ||
                    query_get(query, "idle") != NULL,
        .end_at_next = next != NULL,
        .by_reset = query_flag(query, "reset_idle") || (next != NULL && strcmp(next, "reset") == 0),
        .idle_s = query_number(query, "idle", 0),
    };
    behave_echo(exchange, rest);
}
