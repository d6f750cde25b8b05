/* How a call ends: its attempts, its result, and what is counted and told of it. */
#include "base/duration.h"
#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"
#include "pipeline/classify.h"

/* For whoever made the call: an answer that a fallback gave is one. */
static bool has_failed(const struct neap_call *call, bool ok)
{
    return !ok && !call->broken_off && neap_classify_is_failure(&call->result.outcome);
}

/* A fallback's answer has a status of its own. */
static void count_end(struct neap_call *call, int64_t now_ns, bool ok, int status)
{
    bool is_error = call->result.kind == NEAP_RESULT_ERROR;
    const struct neap_ending ending = {.ok = ok,
                                       .failed = has_failed(call, ok),
                                       .error =
                                           is_error ? call->result.outcome.kind : NEAP_KIND_NONE,
                                       .status = status};
    neap_count_ending(&call->setup, &ending, now_ns);
    if (call->attempts > 0)
        neap_count_latency(&call->setup,
                           neap_histogram_sample(neap_time_since(now_ns, call->began_ns)));
}

static void note_done(struct neap_call *call, int64_t now_ns, bool ok)
{
    const struct neap_outcome *outcome = &call->result.outcome;
    if (!neap_call_tells(call, NEAP_NOTICE_DONE))
        return;
    struct neap_trace_entry entry = {.at_ns = now_ns,
                                     .elapsed_ns = neap_time_since(now_ns, call->began_ns)};
    if (call->result.kind != NEAP_RESULT_FALLBACK) {
        entry.status = outcome->status;
        entry.error = outcome->kind;
        entry.phase = outcome->phase;
    }
    neap_call_note(call, &(struct neap_notice){.kind = NEAP_NOTICE_DONE,
                                               .at_ns = now_ns,
                                               .attempt = call->attempts,
                                               .entry = entry,
                                               .ok = ok,
                                               .source = call->result.source});
}

struct neap_effect neap_call_done(struct neap_call *call, int64_t now_ns, bool ok, int status)
{
    count_end(call, now_ns, ok, status);
    neap_call_enter(call, NEAP_CALL_DONE);
    note_done(call, now_ns, ok);
    return (struct neap_effect){.kind = NEAP_EFFECT_DONE};
}

struct neap_outcome neap_call_broken_off(enum neap_kind kind)
{
    if (kind == NEAP_KIND_PHASE)
        return (struct neap_outcome){.kind = kind, .message = "this phase of the host cannot wait"};
    return (struct neap_outcome){.kind = NEAP_KIND_CANCELLED, .message = "the call was cancelled"};
}

struct neap_effect neap_call_conclude(struct neap_call *call, int64_t now_ns)
{
    struct neap_result *result = &call->result;
    if (call->broken_off) {
        result->kind = NEAP_RESULT_ERROR;
        result->outcome = neap_call_broken_off(call->broken_off);
    } else if (call->has_response) {
        result->kind = call->revalidated ? NEAP_RESULT_STORED : NEAP_RESULT_RESPONSE;
        result->source = call->revalidated ? NEAP_SOURCE_CACHE : NEAP_SOURCE_NETWORK;
        result->outcome = call->response;
        result->retry_after_ns = call->response_retry_after_ns;
    } else {
        result->kind = NEAP_RESULT_ERROR;
        result->outcome = call->error;
    }
    return neap_call_cover(call, now_ns);
}

/* Of an attempt that nobody judges any more only the permits matter. */
static void free_ended(struct neap_call *call, int64_t now_ns)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        if (!call->live[i].number || !call->live[i].ended)
            continue;
        neap_call_settle(call, &call->live[i], NEAP_VERDICT_IGNORE, now_ns);
        call->live[i].number = 0;
    }
}

struct neap_effect neap_call_end_the_living(struct neap_call *call, int64_t now_ns)
{
    free_ended(call, now_ns);
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        struct neap_attempt *attempt = &call->live[i];
        if (!attempt->number || attempt->cancelling)
            continue;
        attempt->cancelling = true;
        neap_call_enter(call, NEAP_CALL_CANCELLING);
        return (struct neap_effect){.kind = NEAP_EFFECT_CANCEL, .attempt = attempt->number};
    }
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call->live[i].number)
            return neap_call_wait_effect(call);
    return neap_call_conclude(call, now_ns);
}

struct neap_effect neap_call_finish(struct neap_call *call, int64_t now_ns, enum neap_stop stop)
{
    struct neap_trace_entry *last = neap_trace_last(&call->trace);
    call->out_of_time |= stop == NEAP_STOP_DEADLINE;
    if (last && stop != NEAP_STOP_NONE)
        last->reason = neap_stop_name(stop);
    return neap_call_end_the_living(call, now_ns);
}

struct neap_effect neap_call_finish_refused(struct neap_call *call, int64_t now_ns,
                                            enum neap_kind kind, int64_t retry_after_ns)
{
    static const char *const text[NEAP_KIND_COUNT] = {
        [NEAP_KIND_GATE] = "the server asked all callers to wait for longer than is allowed",
        [NEAP_KIND_RATE_LIMITED] = "the rate limit leaves no room in the time that may be waited",
        [NEAP_KIND_BULKHEAD_FULL] = "all places of the bulkhead are taken",
        [NEAP_KIND_DEADLINE] = "no time is left to try before the deadline",
    };
    call->out_of_time |= kind == NEAP_KIND_DEADLINE;
    call->error = (struct neap_outcome){.kind = kind, .unsent = true};
    const char *why = kind == NEAP_KIND_BREAKER_OPEN
                          ? neap_breaker_refusal(neap_breaker_state(call->setup.state.breaker))
                          : text[kind];
    neap_outcome_say(&call->error, why, SIZE_MAX);
    call->result.retry_after_ns = retry_after_ns;
    return neap_call_conclude(call, now_ns);
}
