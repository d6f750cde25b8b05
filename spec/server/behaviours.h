/* Every behaviour that a target can ask for. README.md is the manual of their parameters.
 *
 * A behaviour answers, or does not. It may set `close` and `farewell` of the exchange, or end the
 * connection itself. `rest` is what follows the behaviour's name in the path. */
#ifndef MISBEHAVE_BEHAVIOURS_H
#define MISBEHAVE_BEHAVIOURS_H

#include "exchange.h"

typedef void behaviour(struct exchange *exchange, const char *rest);

/* behave_answers.c */
behaviour behave_status, behave_echo, behave_etag, behave_auth, behave_redirect, behave_keepalive;
/* behave_bodies.c */
behaviour behave_slow, behave_drip, behave_big, behave_chunked, behave_gzip;
/* behave_faults.c: their requests' bodies are not read when they begin */
behaviour behave_reset, behave_close, behave_stallread, behave_slowread, behave_early;
/* behave_faults.c */
behaviour behave_short, behave_surplus, behave_headers, behave_informational, behave_garbage;
behaviour behave_http09;
/* behave_payments.c */
behaviour behave_payments;

#endif
