/* What one attempt came to: plain data that the transport makes and the pipeline judges. */
#ifndef NEAP_BASE_OUTCOME_H
#define NEAP_BASE_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/kind.h"

#define NEAP_MESSAGE_BYTES 160

struct neap_outcome {
    enum neap_kind kind;   /* NEAP_KIND_NONE: a response came, see `status` */
    enum neap_phase phase; /* NEAP_KIND_TIMEOUT only */
    int status;            /* 100 to 599 where there is a response, else 0 */
    bool unsent;           /* provably nothing of the request was processed by the server */
    bool certificate; /* NEAP_KIND_TLS: a certificate, theirs or ours, was refused or is unusable */
    bool forbidden;   /* NEAP_KIND_CONNECT: our own policy refuses the host or its address */
    bool ours; /* NEAP_KIND_ERROR: we lacked memory, descriptors or a thread; no fault of theirs */
    char message[NEAP_MESSAGE_BYTES]; /* for people; never holds a credential or a URL's query */
};

/* The text up to its NUL, or to `bytes`, as far as there is room. */
static inline void neap_outcome_say(struct neap_outcome *outcome, const char *text, size_t bytes)
{
    size_t room = sizeof outcome->message - 1;
    size_t length = strnlen(text, bytes < room ? bytes : room);
    memcpy(outcome->message, text, length);
    outcome->message[length] = '\0';
}

#endif
