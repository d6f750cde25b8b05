/* HTTP/2 on one connection (RFC 9113), as much as it takes to go wrong in its ways.
 *
 * Requests' headers are not decoded: what befalls a stream is the next line of the action script
 * "h2" (README.md lists the actions), and a plain 200 when there is none. */
#ifndef MISBEHAVE_H2_H
#define MISBEHAVE_H2_H

#include "exchange.h"

/* Serves until the connection is to end; it may be ended already when this returns. */
void serve_h2(struct server *server, struct conn *conn);

#endif
