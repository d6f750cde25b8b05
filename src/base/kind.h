/* The kinds of error that a caller can meet, and the phases in which time can run out.
 *
 * One list for the C core and the Lua face: `neap_kind_name` gives the words of the public
 * contract (err.kind, err.phase). */
#ifndef NEAP_BASE_KIND_H
#define NEAP_BASE_KIND_H

#include <stdbool.h>

enum neap_kind {
    NEAP_KIND_NONE = 0,
    NEAP_KIND_RESOLVE,
    NEAP_KIND_CONNECT,
    NEAP_KIND_TLS,
    NEAP_KIND_TIMEOUT,
    NEAP_KIND_RESET,
    NEAP_KIND_PROTOCOL,
    NEAP_KIND_TOO_LARGE,
    NEAP_KIND_BREAKER_OPEN,
    NEAP_KIND_GATE,
    NEAP_KIND_RATE_LIMITED,
    NEAP_KIND_BULKHEAD_FULL,
    NEAP_KIND_DEADLINE,
    NEAP_KIND_CANCELLED,
    NEAP_KIND_REDIRECT,
    NEAP_KIND_CONFLICT,
    NEAP_KIND_STORE,
    NEAP_KIND_PHASE,
    NEAP_KIND_ERROR,
    NEAP_KIND_COUNT
};

enum neap_phase {
    NEAP_PHASE_NONE = 0,
    NEAP_PHASE_CONNECT,
    NEAP_PHASE_WRITE,
    NEAP_PHASE_READ,
    NEAP_PHASE_ATTEMPT,
    NEAP_PHASE_TOTAL,
    NEAP_PHASE_COUNT
};

/* "timeout", "breaker_open", …; NULL for NEAP_KIND_NONE and for a value out of range. */
const char *neap_kind_name(enum neap_kind kind);

/* "connect", "write", …; NULL for NEAP_PHASE_NONE and for a value out of range. */
const char *neap_phase_name(enum neap_phase phase);

/* The kind or phase of that name, or the NONE value. */
enum neap_kind neap_kind_from_name(const char *name);
enum neap_phase neap_phase_from_name(const char *name);

/* True for the refusals that neap itself makes before an attempt (breaker_open, gate,
 * rate_limited, bulkhead_full, deadline). */
bool neap_kind_is_refusal(enum neap_kind kind);

#endif
