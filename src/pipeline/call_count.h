/* What is counted for a call, in the one place that the call's states and the straight way share.
 */
#ifndef NEAP_PIPELINE_CALL_COUNT_H
#define NEAP_PIPELINE_CALL_COUNT_H

#include "base/attributes.h"
#include "base/duration.h"
#include "base/private.h"
#include "pipeline/call.h"
#include "policy/retry_budget_state.h"

static inline void neap_count_call(const struct neap_call_setup *setup)
{
    NEAP_ADD(&setup->counters->calls, 1, setup->is_private);
    NEAP_ADD(setup->in_flight, 1, setup->is_private);
}

static inline int64_t neap_call_deadline(const struct neap_call_setup *setup, int64_t began_ns)
{
    return neap_time_min(neap_time_add(began_ns, setup->timeout.total_ns), setup->deadline_ns);
}

/* A call that is served by another one's attempts pays nothing into the budget for retries. */
static inline void neap_count_deposit(const struct neap_call_setup *setup, int64_t now_ns)
{
    const struct neap_retry_budget_policy *policy = &setup->pipeline->budget;
    if (!setup->pipeline->has_budget)
        return;
    if (!policy->is_private ||
        !neap_retry_budget_count(setup->state.budget, now_ns, NEAP_BUDGET_DEPOSITS))
        neap_retry_budget_deposit(setup->state.budget, policy, now_ns);
}

static inline void neap_count_attempt(const struct neap_call_setup *setup)
{
    NEAP_ADD(&setup->counters->attempts, 1, setup->is_private);
}

static inline void neap_count_retry(const struct neap_call_setup *setup,
                                    const struct neap_outcome *outcome)
{
    NEAP_ADD(&setup->counters->retries[neap_retry_reason_of(outcome)], 1, setup->is_private);
}

static inline void neap_count_rejection(const struct neap_call_setup *setup, enum neap_kind by)
{
    NEAP_ADD(&setup->counters->rejections[by], 1, setup->is_private);
}

/* How long an attempt lasted that was broken off says nothing about the server. */
static inline void neap_count_outcome(const struct neap_call_setup *setup, enum neap_kind kind,
                                      enum neap_phase phase, struct neap_histogram_sample elapsed)
{
    struct neap_counters *counters = setup->counters;
    if (kind == NEAP_KIND_TIMEOUT)
        NEAP_ADD(&counters->timeouts[phase], 1, setup->is_private);
    if (kind != NEAP_KIND_CANCELLED)
        neap_histogram_count(&counters->attempt_latency, elapsed, setup->is_private);
}

/* How a call ended: `ok`, or with an error, or else with a response of that status. */
struct neap_ending {
    bool ok;
    bool failed; /* as counters.failures is meant */
    enum neap_kind error;
    int status;
};

NEAP_INLINE void neap_count_ending(const struct neap_call_setup *setup,
                                   const struct neap_ending *ending, int64_t now_ns)
{
    struct neap_counters *counters = setup->counters;
    bool is_private = setup->is_private;
    NEAP_ADD(setup->in_flight, -1, is_private);
    if (ending->ok)
        NEAP_ADD(&counters->ok, 1, is_private);
    else if (ending->error != NEAP_KIND_NONE)
        NEAP_ADD(&counters->errors[ending->error], 1, is_private);
    else
        NEAP_ADD(&counters->failed[neap_failed_status_of(ending->status)], 1, is_private);
    if (ending->failed)
        NEAP_ADD(&counters->failures, 1, is_private);
    neap_history_add(&counters->history, now_ns, ending->failed, is_private);
}

/* Of a call that made an attempt. */
NEAP_INLINE void neap_count_latency(const struct neap_call_setup *setup,
                                    struct neap_histogram_sample elapsed)
{
    neap_histogram_count(&setup->counters->latency, elapsed, setup->is_private);
}

/* Records a result with the breaker, and counts what that changes. */
struct neap_breaker_change neap_count_result(const struct neap_call_setup *setup, int64_t permit,
                                             enum neap_verdict verdict, int64_t elapsed_ns,
                                             int64_t now_ns);

#endif
