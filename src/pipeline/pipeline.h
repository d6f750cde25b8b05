/* Pipeline: what a policy table compiles into. Immutable once made; any number of calls use it.
 *
 * A client's pipeline is plain data without pointers to its owner; a part that is switched off has
 * its `has_…` false, and then its policy is not looked at. */
#ifndef NEAP_PIPELINE_PIPELINE_H
#define NEAP_PIPELINE_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/breaker.h"
#include "policy/bulkhead.h"
#include "policy/chaos.h"
#include "policy/gate.h"
#include "policy/rate_limiter.h"
#include "policy/retry.h"
#include "policy/retry_budget.h"

#define NEAP_FALLBACK_MAX 32

/* An attempt is not begun with less left before the deadline. */
#define NEAP_LEAST_LEFT_NS (INT64_C(1) * 1000 * 1000)

/* How often a call that is queued for a bulkhead asks again where other processes may free a place,
 * which they cannot tell. */
#define NEAP_BULKHEAD_POLL_NS (INT64_C(5) * 1000 * 1000)

struct neap_timeouts {
    int64_t connect_ns, write_ns, read_ns; /* kept by the transport */
    int64_t attempt_ns, total_ns;          /* kept by the call; NEAP_NEVER: no limit */
};

struct neap_pipeline {
    struct neap_timeouts timeout;
    struct neap_retry_policy retry;
    struct neap_retry_budget_policy budget;
    struct neap_breaker_policy breaker;
    struct neap_gate_policy gate;
    struct neap_rate_limiter_policy limiter;
    struct neap_bulkhead_policy bulkhead;
    struct neap_chaos_policy chaos;
    bool has_budget, has_breaker, has_gate, has_limiter, has_bulkhead, has_chaos;
    /* Decides and counts, and admits whatever it has decided. */
    bool breaker_shadow, limiter_shadow, bulkhead_shadow;

    /* A second attempt starts while the first is live after so long; NEAP_NEVER: never. */
    int64_t hedge_after_ns;

    /* Which decisions Lua is asked about. */
    bool asks_when, asks_failure, asks_backoff, asks_refresh;

    /* The chain of fallbacks: entry i runs for these error kinds (bit 1 << kind), or for every
     * failure where the mask is 0. What it does is the driver's matter. */
    uint32_t fallback_count;
    uint32_t fallback_kinds[NEAP_FALLBACK_MAX];
    /* Bit i: entry i is the cache, and answers with what is stale by no more than so much. */
    uint32_t fallback_caches;
    int64_t fallback_max_stale_ns[NEAP_FALLBACK_MAX];
};

/* The state that calls share; NULL where the pipeline has no such part. Owned by the client. */
struct neap_pipeline_state {
    struct neap_breaker *breaker;
    struct neap_gate *gate_origin, *gate_credential;
    struct neap_rate_limiter *limiter;
    struct neap_bulkhead *bulkhead;
    bool bulkhead_is_shared;    /* by other processes, which may free places too */
    uint32_t *bulkhead_waiting; /* callers in this process's queue, kept by the calls */
    struct neap_retry_budget *budget;
    uint32_t holder; /* in whose name permits are out: base/holder.h */
};

#endif
