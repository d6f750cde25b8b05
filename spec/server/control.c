/* Control requests: those whose path starts with `/_`. */
#include "control.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void reply_json(struct exchange *exchange, struct text *json)
{
    exchange_reply(exchange, 200, "application/json", json->data, json->bytes);
    text_free(json);
}

static void reply_done(struct exchange *exchange)
{
    exchange_reply(exchange, 200, "application/json", "{}", 2);
}

static const char *lines_of(const struct request *request)
{
    return request->body.data != NULL ? request->body.data : "";
}

static void control_ledger(struct exchange *exchange, const char *rest)
{
    (void)rest;
    struct text json = {0};
    text_string(&json, "{");
    ledger_report(exchange->server->ledger, &json);
    text_string(&json, ",");
    payments_report(exchange->server->payments, &json);
    text_string(&json, "}");
    reply_json(exchange, &json);
}

static void control_log(struct exchange *exchange, const char *rest)
{
    (void)rest;
    struct text json = {0};
    uint64_t last = query_count(&exchange->query, "last", 100);
    ledger_log(exchange->server->ledger, (size_t)last, &json);
    reply_json(exchange, &json);
}

static void control_reset(struct exchange *exchange, const char *rest)
{
    (void)rest;
    ledger_reset(exchange->server->ledger);
    payments_reset(exchange->server->payments);
    scripts_reset(exchange->server->scripts);
    scripts_reset(exchange->server->actions);
    gates_reset(exchange->server->gates);
    reply_done(exchange);
}

/* PUT replaces the script, anything else asks how far it is. */
static void script_of(struct exchange *exchange, struct scripts *scripts, const char *name)
{
    if (strcmp(exchange->request->method, "PUT") == 0)
        scripts_put(scripts, name, lines_of(exchange->request));
    struct text json = {0};
    if (scripts_report(scripts, name, &json))
        reply_json(exchange, &json);
    else
        exchange_reply(exchange, 404, "text/plain", "no such script", 14);
}

static void control_script(struct exchange *exchange, const char *rest)
{
    script_of(exchange, exchange->server->scripts, rest);
}

static void control_h2(struct exchange *exchange, const char *rest)
{
    (void)rest;
    script_of(exchange, exchange->server->actions, "h2");
}

static void control_accept(struct exchange *exchange, const char *rest)
{
    (void)rest;
    script_of(exchange, exchange->server->actions, "accept");
}

static void control_release(struct exchange *exchange, const char *rest)
{
    gates_release(exchange->server->gates, rest);
    reply_done(exchange);
}

static void control_stop(struct exchange *exchange, const char *rest)
{
    (void)rest;
    uint64_t one = 1;
    exchange->close = 1;
    reply_done(exchange);
    if (write(exchange->server->stop_fd, &one, sizeof one) < 0)
        abort();
}

static void run(struct exchange *exchange)
{
    static const struct {
        const char *path; /* ends with '/': a prefix */
        void (*run)(struct exchange *exchange, const char *rest);
    } routes[] = {
        {"/_ledger", control_ledger}, {"/_log", control_log},
        {"/_reset", control_reset},   {"/_script/", control_script},
        {"/_h2", control_h2},         {"/_accept", control_accept},
        {"/_stop", control_stop},     {"/_release/", control_release},
    };
    const char *path = exchange->query.path;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t bytes = strlen(routes[i].path);
        int prefix = routes[i].path[bytes - 1] == '/';
        if (strncmp(path, routes[i].path, bytes) == 0 && (prefix || path[bytes] == '\0')) {
            routes[i].run(exchange, path + bytes);
            return;
        }
    }
    exchange_reply(exchange, 404, "text/plain", "no such control", 15);
}

void control_answer(struct exchange *exchange)
{
    const char *why = NULL;
    if (request_read_body(exchange->conn, exchange->request, &why) != HTTP_OK) {
        exchange->close = 1;
        return;
    }
    query_parse(&exchange->query, exchange->request->target);
    run(exchange);
    query_free(&exchange->query);
}
