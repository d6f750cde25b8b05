/* Waiting for the outcome of another call that is alike. */
#include <stdio.h>

#include "base/duration.h"
#include "pipeline/call_internal.h"

struct neap_effect neap_call_follow(struct neap_call *call, int64_t now_ns)
{
    neap_call_count_begin(call, now_ns);
    if (!neap_call_has_time(call, now_ns))
        return neap_call_out_of_time(call, now_ns);
    struct neap_trace_entry *entry = neap_trace_add(&call->trace, NEAP_TRACE_WAIT, now_ns);
    if (entry)
        entry->reason = "coalesced";
    neap_call_enter(call, NEAP_CALL_FOLLOWING);
    return neap_call_wait_effect(call);
}

static void end_wait(struct neap_call *call, int64_t now_ns)
{
    struct neap_trace_entry *entry = neap_trace_last(&call->trace);
    if (entry)
        entry->elapsed_ns = neap_time_since(now_ns, entry->at_ns);
}

static struct neap_effect share(struct neap_call *call, int64_t now_ns,
                                const struct neap_call *leader)
{
    neap_count(&call->setup.counters->coalesced);
    call->coalesced = true;
    call->attempts = leader->attempts;
    call->has_response = leader->has_response;
    call->response = leader->response;
    call->revalidated = leader->revalidated;
    call->response_retry_after_ns = leader->response_retry_after_ns;
    call->error = leader->error;
    call->result.retry_after_ns = leader->result.retry_after_ns;
    return neap_call_conclude(call, now_ns);
}

/* It waited for a response, as an attempt that this limit cuts off does. */
static struct neap_effect expire(struct neap_call *call, int64_t now_ns)
{
    call->out_of_time = true;
    call->error = (struct neap_outcome){.kind = NEAP_KIND_TIMEOUT, .phase = NEAP_PHASE_TOTAL};
    snprintf(call->error.message, sizeof call->error.message, "the %s time limit has passed",
             neap_phase_name(NEAP_PHASE_TOTAL));
    neap_count(&call->setup.counters->timeouts[NEAP_PHASE_TOTAL]);
    return neap_call_conclude(call, now_ns);
}

struct neap_effect neap_call_step_following(struct neap_call *call, int64_t now_ns,
                                            const struct neap_event *event)
{
    bool is_over = now_ns >= call->deadline_ns;
    bool is_shared = event->kind == NEAP_EVENT_SHARE;
    if (!is_shared && !is_over && event->kind != NEAP_EVENT_BEGIN)
        return neap_call_wait_effect(call);
    end_wait(call, now_ns);
    if (is_shared)
        return share(call, now_ns, event->leader);
    return is_over ? expire(call, now_ns) : neap_call_set_out(call, now_ns);
}

bool neap_call_has_concluded(const struct neap_call *call)
{
    return call->state == NEAP_CALL_FALLBACK || call->state == NEAP_CALL_DONE;
}

bool neap_call_may_share(const struct neap_call *leader, const struct neap_call *follower)
{
    if (leader->broken_off)
        return false;
    return !leader->out_of_time || neap_outcome_is_success(&leader->result.outcome) ||
           follower->deadline_ns <= leader->deadline_ns;
}
