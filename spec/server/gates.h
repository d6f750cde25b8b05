/* Gates by name: a request with `gate=NAME` waits until a control request releases NAME.
 *
 * Safe to use from several threads. */
#ifndef MISBEHAVE_GATES_H
#define MISBEHAVE_GATES_H

#include "connection.h"

struct gates;

struct gates *gates_new(void);
void gates_free(struct gates *gates);
/* Closes all gates again, and lets go who waits. */
void gates_reset(struct gates *gates);
void gates_release(struct gates *gates, const char *name);
/* Waits at the gate; 0 when the client left or the server stops. */
int gates_wait(struct gates *gates, const char *name, struct conn *conn);

#endif
