/* What is counted for one client. Atomics without pointers, so that processes may share it. */
#ifndef NEAP_METRICS_COUNTERS_H
#define NEAP_METRICS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/kind.h"
#include "base/outcome.h"
#include "base/private.h"
#include "metrics/histogram.h"
#include "metrics/history.h"

/* Why an attempt was repeated: the bounded set of labels that `retries` has. */
enum neap_retry_reason {
    NEAP_RETRY_KIND_FIRST = 0, /* one for each error kind: NEAP_RETRY_KIND_FIRST + kind */
    NEAP_RETRY_401 = NEAP_KIND_COUNT,
    NEAP_RETRY_408,
    NEAP_RETRY_425,
    NEAP_RETRY_429,
    NEAP_RETRY_500,
    NEAP_RETRY_502,
    NEAP_RETRY_503,
    NEAP_RETRY_504,
    NEAP_RETRY_OTHER, /* any other status */
    NEAP_RETRY_REASON_COUNT
};

/* Which part of a chain of fallbacks, or the network itself, gave the answer. */
enum neap_source {
    NEAP_SOURCE_NETWORK,
    NEAP_SOURCE_CACHE,
    NEAP_SOURCE_STALE,
    NEAP_SOURCE_SERVICE,
    NEAP_SOURCE_DEFAULT,
    NEAP_SOURCE_FUNCTION,
    NEAP_SOURCE_QUEUE,
    NEAP_SOURCE_COUNT
};

/* What the client's cache has done. That stale answers stood in for failures is counted among the
 * fallbacks. */
enum neap_cache_event {
    NEAP_CACHE_EVENT_HIT,         /* calls answered by what is fresh, without an attempt */
    NEAP_CACHE_EVENT_STALE,       /* likewise by what is stale: stale-while-revalidate, max-stale */
    NEAP_CACHE_EVENT_REVALIDATED, /* stored answers that a 304 found still good */
    NEAP_CACHE_EVENT_MISS,        /* calls that looked and found nothing to answer with */
    NEAP_CACHE_EVENT_ERROR,       /* calls that did without, since the store failed */
    NEAP_CACHE_EVENT_COUNT
};

/* The policies that may be in shadow mode: they decide and count, and everybody is admitted. */
enum neap_shadow {
    NEAP_SHADOW_BREAKER,
    NEAP_SHADOW_RATE_LIMIT,
    NEAP_SHADOW_BULKHEAD,
    NEAP_SHADOW_COUNT
};

/* Calls that returned a response which is no success. */
enum neap_failed_status { NEAP_FAILED_4XX, NEAP_FAILED_5XX, NEAP_FAILED_STATUS_COUNT };

/* The states of a circuit breaker, in the order of the room `policy`, which this one does not know.
 */
#define NEAP_COUNTED_STATES 6

/* A call begins as one of `calls` and ends as one of `ok`, `failed`, `errors` and `abandoned`. */
struct neap_counters {
    _Atomic uint64_t calls;
    _Atomic uint64_t ok; /* calls that returned a response below 400, or a value */
    _Atomic uint64_t failed[NEAP_FAILED_STATUS_COUNT];
    _Atomic uint64_t failures;  /* calls that ended in an error, 408, 425, 429 or 500 and above,
                                   were not broken off and were answered by no fallback */
    _Atomic uint64_t abandoned; /* calls whose caller went away before they had ended */
    _Atomic uint64_t coalesced; /* calls that another one's outcome has served */
    _Atomic uint64_t attempts;
    _Atomic uint64_t chaos; /* attempts that were disturbed on purpose */
    _Atomic uint64_t errors[NEAP_KIND_COUNT];
    _Atomic uint64_t retries[NEAP_RETRY_REASON_COUNT];
    _Atomic uint64_t timeouts[NEAP_PHASE_COUNT];
    _Atomic uint64_t rejections[NEAP_KIND_COUNT];
    _Atomic uint64_t shadow_rejections[NEAP_SHADOW_COUNT]; /* that would have been */
    _Atomic uint64_t shadow_waits[NEAP_SHADOW_COUNT];
    _Atomic uint64_t fallbacks[NEAP_SOURCE_COUNT];
    _Atomic uint64_t transitions[NEAP_COUNTED_STATES]; /* of breakers, by the state entered */
    _Atomic uint64_t listener_errors;
    _Atomic uint64_t cache[NEAP_CACHE_EVENT_COUNT];
    struct neap_histogram latency;         /* of calls that made an attempt */
    struct neap_histogram attempt_latency; /* of attempts that were not broken off from outside */
    struct neap_history history;           /* of calls that have ended, and `failures` among them */
};

void neap_counters_init(struct neap_counters *counters);

/* One more. */
static inline void neap_count(_Atomic uint64_t *counter)
{
    NEAP_ADD(counter, 1, false);
}

/* By the status of a response that is no success; what is below 500 counts as the caller's fault.
 */
static inline enum neap_failed_status neap_failed_status_of(int status)
{
    return status < 500 ? NEAP_FAILED_4XX : NEAP_FAILED_5XX;
}

/* "4xx", "5xx"; NULL out of range. */
const char *neap_failed_status_name(enum neap_failed_status failed);

/* The label under which a retry of this outcome is counted, and its word: "timeout", "503", … */
enum neap_retry_reason neap_retry_reason_of(const struct neap_outcome *outcome);
const char *neap_retry_reason_name(enum neap_retry_reason reason);

/* "breaker", "rate_limit", "bulkhead"; NULL out of range. */
const char *neap_shadow_name(enum neap_shadow shadow);

/* "hits", "stale", …; NULL out of range. */
const char *neap_cache_event_name(enum neap_cache_event event);

/* "network", "cache", …; NULL out of range. */
const char *neap_source_name(enum neap_source source);

#endif
