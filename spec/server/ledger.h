/* What happened: counts of connections, requests and HTTP/2 streams, and the last requests.
 *
 * Control requests never come here. Safe to use from several threads. */
#ifndef MISBEHAVE_LEDGER_H
#define MISBEHAVE_LEDGER_H

#include "http.h"

struct ledger;

enum stream_event {
    STREAM_SEEN,
    STREAM_ANSWERED,
    STREAM_REFUSED,
    STREAM_RESET,
    STREAM_GOAWAY,
    STREAM_DROPPED,
    STREAM_CANCELLED, /* by the client, or cut off with its connection */
    STREAM_EVENTS
};

struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);
/* Sets all to zero but what goes on: open connections and requests in flight. */
void ledger_reset(struct ledger *ledger);

/* Counts an accepted connection; returns its number, which is never reset. */
uint64_t ledger_connect(struct ledger *ledger, const char *port);
void ledger_disconnect(struct ledger *ledger, const struct conn *conn);
/* The connection carries requests that count; ledger_request says so by itself. `max_open` is the
 * most of such connections at once: others may be those of a control request yet to come. */
void ledger_use(struct ledger *ledger, struct conn *conn);
/* The connection turned out to carry control requests: it was none of the accepted ones, and
 * ledger_disconnect is not to be called. */
void ledger_forget_connection(struct ledger *ledger, const char *port);
void ledger_handshake(struct ledger *ledger, int succeeded, int resumed);

/* Counts a request whose head was read, as in flight until ledger_done. Returns its number. */
uint64_t ledger_request(struct ledger *ledger, struct conn *conn, const struct request *request);
/* The body of that request is here. */
void ledger_body(struct ledger *ledger, uint64_t number, const struct request *request);
void ledger_done(struct ledger *ledger);
/* A stream is in flight from STREAM_SEEN to exactly one of the other events. */
void ledger_stream(struct ledger *ledger, enum stream_event event);

/* Adds the members of the report, without braces around them. */
void ledger_report(struct ledger *ledger, struct text *json);
/* Adds a list of the last requests, oldest first. */
void ledger_log(struct ledger *ledger, size_t last, struct text *json);

#endif
