/* What a response's headers say about when to come back. */
#ifndef NEAP_CLIENT_HINT_H
#define NEAP_CLIENT_HINT_H

#include <stdint.h>

#include "pipeline/call.h"
#include "transport/response.h"

/* Dates are measured against the response's own Date, else against `wall_ns`. */
struct neap_hint neap_hint_read(const struct neap_response *response, int64_t wall_ns);

/* Nobody said anything. */
struct neap_hint neap_hint_none(void);

#endif
