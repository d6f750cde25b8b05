/* One request being answered, and the honest parts of an answer.
 *
 * Every behaviour takes an exchange. These query parameters are understood wherever a head is
 * sent: `header=Name:Value` (repeatable; `{date+N}`, `{date-N}` in a value become an HTTP date N
 * seconds from now, `{epoch+N}` seconds since 1970), `reason=TEXT`, `close=1`. */
#ifndef MISBEHAVE_EXCHANGE_H
#define MISBEHAVE_EXCHANGE_H

#include "gates.h"
#include "http.h"
#include "ledger.h"
#include "payments.h"
#include "query.h"
#include "script.h"

struct server {
    int stop_fd; /* an eventfd: readable from the moment the server stops */
    struct ledger *ledger;
    struct payments *payments;
    struct scripts *scripts; /* the named ones of /s/NAME */
    struct scripts *actions; /* "h2" and "accept" */
    struct gates *gates;
};

/* What follows an answer that leaves the connection open. */
struct farewell {
    int end_idle;    /* end after `idle_s` without a request */
    int end_at_next; /* end when the next request begins to come, without an answer */
    int by_reset;    /* end with RST in place of FIN */
    double idle_s;
};

struct exchange {
    struct server *server;
    struct conn *conn;
    const char *port; /* name of the port: "plain", "good", ... */
    struct request *request;
    struct query query; /* of the behaviour: the target's, or the script line's */
    uint64_t ledger_number;
    int close; /* an orderly close follows the answer */
    struct farewell farewell;
};

/* Reads the rest of the request; 0 (and the answer given, if there is one) if it is broken. */
int exchange_body(struct exchange *exchange);

/* Adds the status line and the headers that each answer has, and the blank line not yet. */
void exchange_head(const struct exchange *exchange, int status, struct text *head);
/* 1 if a response with that status has a body here. */
int exchange_has_body(const struct exchange *exchange, int status);
/* Sends a whole answer; 0 when the connection is gone. `type` may be NULL. */
int exchange_reply(struct exchange *exchange, int status, const char *type, const char *body,
                   size_t bytes);
/* Sends bytes [from, from + bytes) of the pattern "01234567890123...". */
int exchange_pattern(struct exchange *exchange, uint64_t from, uint64_t bytes);

/* Sends what text holds and frees it. */
int exchange_text(struct exchange *exchange, struct text *text);

#endif
