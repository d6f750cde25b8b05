/* HTTP/1 on one connection: request after request, each sent to its behaviour. */
#include "serve.h"

#include "behaviours.h"
#include "control.h"

#include <stdlib.h>
#include <string.h>

struct route {
    const char *path; /* ends with '/': a prefix */
    behaviour *run;
    int takes_body; /* reads the body itself, or does not */
};

static const struct route routes[] = {
    {"/status/", behave_status, 0},      {"/echo", behave_echo, 0},
    {"/echo/", behave_echo, 0},          {"/etag", behave_etag, 0},
    {"/auth", behave_auth, 0},           {"/redirect", behave_redirect, 0},
    {"/keepalive", behave_keepalive, 0}, {"/slow", behave_slow, 0},
    {"/drip", behave_drip, 0},           {"/big", behave_big, 0},
    {"/chunked", behave_chunked, 0},     {"/gzip", behave_gzip, 0},
    {"/short", behave_short, 0},         {"/surplus", behave_surplus, 0},
    {"/headers", behave_headers, 0},     {"/informational", behave_informational, 0},
    {"/garbage", behave_garbage, 0},     {"/http09", behave_http09, 0},
    {"/payments", behave_payments, 0},   {"/reset", behave_reset, 1},
    {"/close", behave_close, 1},         {"/stallread", behave_stallread, 1},
    {"/slowread", behave_slowread, 1},   {"/early", behave_early, 1},
};

static const struct route *find_route(const char *path, const char **rest)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t bytes = strlen(routes[i].path);
        int prefix = routes[i].path[bytes - 1] == '/';
        *rest = path + bytes;
        if (prefix ? strncmp(path, routes[i].path, bytes) == 0 : strcmp(path, routes[i].path) == 0)
            return &routes[i];
    }
    return NULL;
}

static void answer_plainly(struct exchange *exchange, int status, const char *body)
{
    if (exchange_body(exchange))
        exchange_reply(exchange, status, "text/plain", body, strlen(body));
}

static int wait_as_asked(struct exchange *exchange)
{
    const char *gate = query_get(&exchange->query, "gate");
    if (gate != NULL && !gates_wait(exchange->server->gates, gate, exchange->conn))
        return 0;
    return conn_wait(exchange->conn, query_number(&exchange->query, "after", 0));
}

static void behave(struct exchange *exchange)
{
    const char *rest = NULL;
    const struct route *route = find_route(exchange->query.path, &rest);
    if (query_flag(&exchange->query, "close"))
        exchange->close = 1;
    if (route == NULL) {
        answer_plainly(exchange, 404, "no such behaviour");
        return;
    }
    if (!route->takes_body && (!exchange_body(exchange) || !wait_as_asked(exchange)))
        return;
    route->run(exchange, rest);
}

/* The line's target, with what the request itself asked for in the place of `{query}`. */
static char *target_of(const char *line, const char *request_target)
{
    static const char place[] = "{query}";
    const char *at = strstr(line, place);
    const char *query = strchr(request_target, '?');
    struct text target = {0};
    text_bytes(&target, line, at != NULL ? (size_t)(at - line) : strlen(line));
    if (at != NULL) {
        text_string(&target, query != NULL ? query + 1 : "");
        text_string(&target, at + sizeof place - 1);
    }
    return target.data;
}

/* `/s/NAME/anything`: the next line of the script takes the target's place. */
static int take_script_line(struct exchange *exchange)
{
    const char *name = exchange->query.path + 3;
    struct step step = {0};
    char *wanted = memory_string(name, strcspn(name, "/"));
    int found = scripts_next(exchange->server->scripts, wanted, &step);
    free(wanted);
    if (!found)
        return 0;
    char *target = target_of(step.what, exchange->request->target);
    free(step.what);
    query_free(&exchange->query);
    query_parse(&exchange->query, target);
    free(target);
    return 1;
}

static void answer(struct exchange *exchange)
{
    query_parse(&exchange->query, exchange->request->target);
    int scripted = strncmp(exchange->query.path, "/s/", 3) == 0;
    if (scripted && !take_script_line(exchange))
        answer_plainly(exchange, 599, "the script is exhausted, or there is none of that name");
    else
        behave(exchange);
    query_free(&exchange->query);
}

/* 1 if another request may follow. */
static int say_farewell(struct conn *conn, const struct farewell *farewell)
{
    void (*end)(struct conn *) = farewell->by_reset ? conn_reset : conn_drop;
    if (farewell->end_idle && conn_fill(conn, farewell->idle_s) == CONN_TIMEOUT)
        end(conn);
    if (farewell->end_at_next && conn_fill(conn, -1) == CONN_DATA)
        end(conn);
    return !conn->gone;
}

/* 1 if another request may follow. */
static int serve_request(struct exchange *exchange)
{
    struct ledger *ledger = exchange->server->ledger;
    struct conn *conn = exchange->conn;
    exchange->close = !exchange->request->keep_alive;
    exchange->ledger_number = ledger_request(ledger, conn, exchange->request);
    answer(exchange);
    ledger_done(ledger);
    if (exchange->close)
        conn_finish(conn);
    return say_farewell(conn, &exchange->farewell);
}

static int serve_control(struct exchange *exchange, int *counted)
{
    if (exchange->request->number == 1 && *counted) {
        ledger_forget_connection(exchange->server->ledger, exchange->port);
        *counted = 0;
    }
    exchange->close = !exchange->request->keep_alive;
    control_answer(exchange);
    return !exchange->close && !exchange->conn->gone;
}

static void refuse(struct exchange *exchange, const char *why)
{
    struct text answer = {0};
    text_format(&answer,
                "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                strlen(why), why);
    exchange_text(exchange, &answer);
    conn_finish(exchange->conn);
}

/* 1 if another request may follow. */
static int serve_one(struct server *server, struct conn *conn, const char *port, int *counted)
{
    struct request request;
    const char *why = NULL;
    struct exchange exchange = {.server = server, .conn = conn, .port = port, .request = &request};
    enum http_read result = request_read_head(conn, &request, &why);
    int more = 0;
    if (result == HTTP_BAD)
        refuse(&exchange, why);
    else if (result == HTTP_OK && strncmp(request.target, "/_", 2) == 0)
        more = serve_control(&exchange, counted);
    else if (result == HTTP_OK)
        more = serve_request(&exchange);
    request_free(&request);
    return more;
}

void serve_http(struct server *server, struct conn *conn, const char *port, int *counted)
{
    while (serve_one(server, conn, port, counted))
        continue;
}
