/* A transport of a test, pointed at the misbehaving server: sends, turns the loop, keeps what came.
 */
#ifndef NEAP_SPEC_SUPPORT_FETCH_H
#define NEAP_SPEC_SUPPORT_FETCH_H

#include <stdbool.h>

#include "base/duration.h"
#include "support/failing_alloc.h"
#include "support/misbehave.h"
#include "transport/transport.h"

struct fetch {
    struct misbehave server;
    struct failing_alloc memory;
    struct neap_loop *loop;
    struct neap_transport *transport;
    struct neap_transport_settings settings; /* of the next fetch_open */
    struct neap_limits limits;
    struct neap_request request; /* of the next send, but for method and URL */
    char url[16][600];
    unsigned urls;
};

/* What became of one transfer. */
struct fetched {
    int told; /* how often `done` was called */
    struct neap_outcome outcome;
    struct neap_response *response;        /* the test's to free */
    void (*then)(struct fetched *fetched); /* called by `done`; may be NULL */
};

/* For a group of tests: starts and stops the server. */
int fetch_group_set_up(void **state);
int fetch_group_tear_down(void **state);

/* For each test: sets defaults; opens no transport yet. The second checks that all memory is back.
 */
int fetch_set_up(void **state);
int fetch_tear_down(void **state);

/* The one of the running test. */
extern struct fetch fetch;

/* Makes loop and transport from fetch.settings; a further call makes both anew. */
void fetch_open(void);
void fetch_close(void);

/* "http://127.0.0.1:PORT/PATH", "https://localhost:…" where the port of that name speaks TLS. Valid
 * for the next fifteen calls. */
const char *fetch_url(const char *port, const char *path);

/* The `done` of each send; its context is the struct fetched. */
void fetch_take(void *context, const struct neap_outcome *outcome, struct neap_response *response);

struct neap_transfer *fetch_send(struct fetched *fetched, const char *method, const char *url);
void fetch_wait(const struct fetched *fetched);
/* Send and wait; opens a transport where there is none. */
void fetch_run(struct fetched *fetched, const char *method, const char *url);
void fetched_free(struct fetched *fetched);

/* The response must have that status; its body is a C string. */
const char *fetched_body(const struct fetched *fetched, int status);
void fetched_assert_kind(const struct fetched *fetched, enum neap_kind kind, enum neap_phase phase);
bool fetched_says(const struct fetched *fetched, const char *text);

/* A GET from the port of that name, which must be answered with 200. */
void fetch_get(const char *port, const char *path);

/* Sends so many of them at once, each in a place that is made new; the first one's transfer. */
struct neap_transfer *fetch_begin(struct fetched *fetched, int count, const char *port,
                                  const char *path);
/* Waits until each has been answered with 200, told once, and frees it. */
void fetch_collect(struct fetched *fetched, int count);

struct neap_transport_stats fetch_stats(void);

/* Turns the loop for that long. */
void fetch_pass(int64_t ns);

/* Control requests of the server (its README), outside of the transport under test. `put` sends
 * text with PUT, `ledger` answers the whole of GET /_ledger, `log` that of the last requests; free
 * it. */
void fetch_put(const char *path, const char *text);
char *fetch_ledger(void);
char *fetch_log(void);

#endif
