/* HTTP/1 on one connection: request after request, each sent to its behaviour. */
#ifndef MISBEHAVE_SERVE_H
#define MISBEHAVE_SERVE_H

#include "exchange.h"

/* Serves until the connection is to end; it may be ended already when this returns. `counted` is
 * 1 while the ledger counts the connection, and becomes 0 if its first request is a control
 * request. */
void serve_http(struct server *server, struct conn *conn, const char *port, int *counted);

#endif
