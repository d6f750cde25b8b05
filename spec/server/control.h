/* Control requests: those whose path starts with `/_`. README.md lists them. */
#ifndef MISBEHAVE_CONTROL_H
#define MISBEHAVE_CONTROL_H

#include "exchange.h"

/* Reads the rest of the request and answers it. */
void control_answer(struct exchange *exchange);

#endif
