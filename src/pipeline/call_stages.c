/* What each policy says of the next attempt, and what of theirs it holds until it begins. */
#include "base/duration.h"
#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"

static const struct neap_admission admitted = {.decision = NEAP_ADMIT};

static void leave_queue(struct neap_call *call)
{
    if (call->queued)
        --*call->setup.state.bulkhead_waiting;
    call->queued = false;
}

void neap_call_drop_admission(struct neap_call *call, int64_t now_ns)
{
    struct neap_attempt held = {.started_ns = now_ns,
                                .ended_ns = now_ns,
                                .breaker_permit = call->breaker_permit,
                                .bulkhead_permit = call->bulkhead_permit};
    call->breaker_permit = call->bulkhead_permit = 0;
    leave_queue(call);
    neap_call_settle(call, &held, NEAP_VERDICT_IGNORE, now_ns);
}

/* The last moment at which an attempt may begin: a wait that ends later is not begun. */
static int64_t last_start(const struct neap_call *call)
{
    return call->deadline_ns == NEAP_NEVER ? NEAP_NEVER
                                           : neap_time_add(call->deadline_ns, -NEAP_LEAST_LEFT_NS);
}

static struct neap_admission ask_breaker(struct neap_call *call, int64_t now_ns)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    struct neap_breaker_change change = {0};
    if (!pipeline->has_breaker || !call->setup.state.breaker)
        return admitted;
    double r = neap_breaker_uses_random(&pipeline->breaker) ? neap_call_random(call) : 0;
    struct neap_admission answer =
        neap_breaker_acquire(call->setup.state.breaker, &pipeline->breaker,
                             call->setup.state.holder, now_ns, r, &change);
    neap_count_transition(call->setup.counters, &change);
    neap_call_note_breaker(call, &change, now_ns);
    call->breaker_permit = answer.permit;
    return answer;
}

static struct neap_admission ask_gate(struct neap_call *call, int64_t now_ns)
{
    struct neap_pipeline_state *state = &call->setup.state;
    struct neap_gate *gates[] = {state->gate_credential, state->gate_origin};
    if (!call->setup.pipeline->has_gate || (!gates[0] && !gates[1]))
        return admitted;
    return neap_gate_ask(gates, 2, &call->setup.pipeline->gate, call->gate_waited_ns,
                         last_start(call), now_ns, neap_call_random(call));
}

static struct neap_admission ask_rate_limit(struct neap_call *call, int64_t now_ns)
{
    const struct neap_rate_limiter_policy *policy = &call->setup.pipeline->limiter;
    if (!call->setup.pipeline->has_limiter)
        return admitted;
    int64_t left_ns = neap_time_since(last_start(call), now_ns);
    return neap_rate_limiter_acquire(call->setup.state.limiter, policy, 1,
                                     neap_time_min(policy->max_wait_ns, left_ns), now_ns);
}

/* Nobody wakes us when another process frees a place, so of this process's queue the first asks
 * again and again, and no other, or it would overtake. A call is the first if it found nobody
 * queued, or if it is stepped while it is queued: the driver wakes nobody but the first, and does
 * so whenever there is a new one. */
static struct neap_admission queue_up(struct neap_call *call, int64_t now_ns)
{
    const struct neap_bulkhead_policy *policy = &call->setup.pipeline->bulkhead;
    uint32_t *waiting = call->setup.state.bulkhead_waiting;
    bool is_first = call->queued || *waiting == 0;
    struct neap_admission refused = {.decision = NEAP_REFUSE, .until_ns = NEAP_NEVER};

    if (!call->queued) {
        if (policy->max_wait_ns <= 0 || *waiting >= policy->max_queue)
            return refused;
        if (call->setup.pipeline->bulkhead_shadow) /* nobody is queued there */
            return (struct neap_admission){.decision = NEAP_WAIT};
        call->bulkhead_until_ns =
            neap_time_min(neap_time_add(now_ns, policy->max_wait_ns), call->deadline_ns);
        call->queued = true;
        ++*waiting;
    }
    if (now_ns >= call->bulkhead_until_ns)
        return refused;
    int64_t until_ns = call->bulkhead_until_ns;
    if (call->setup.state.bulkhead_is_shared && is_first)
        until_ns = neap_time_min(until_ns, neap_time_add(now_ns, NEAP_BULKHEAD_POLL_NS));
    return (struct neap_admission){.decision = NEAP_WAIT, .until_ns = until_ns};
}

/* Whoever comes while others wait goes behind them. */
static struct neap_admission ask_bulkhead(struct neap_call *call, int64_t now_ns)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    struct neap_pipeline_state *state = &call->setup.state;
    if (!pipeline->has_bulkhead)
        return admitted;
    if (!call->queued && *state->bulkhead_waiting > 0)
        return queue_up(call, now_ns);
    struct neap_admission answer =
        neap_bulkhead_acquire(state->bulkhead, &pipeline->bulkhead, state->holder, now_ns);
    if (answer.decision != NEAP_ADMIT)
        return queue_up(call, now_ns);
    leave_queue(call);
    call->bulkhead_permit = answer.permit;
    return answer;
}

neap_call_ask_stage *const neap_call_stages[NEAP_STAGE_COUNT] = {
    [NEAP_STAGE_BREAKER] = ask_breaker,
    [NEAP_STAGE_GATE] = ask_gate,
    [NEAP_STAGE_RATE_LIMIT] = ask_rate_limit,
    [NEAP_STAGE_BULKHEAD] = ask_bulkhead,
};

bool neap_call_wants_time(const struct neap_call *call, int64_t now_ns, enum neap_stage stage,
                          int64_t until_ns)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    int64_t left_ns = neap_time_since(last_start(call), now_ns);
    switch (stage) {
    case NEAP_STAGE_GATE:
        return neap_time_add(neap_time_since(until_ns, now_ns), call->gate_waited_ns) <=
               pipeline->gate.max_wait_ns;
    case NEAP_STAGE_RATE_LIMIT:
        return left_ns < pipeline->limiter.max_wait_ns;
    case NEAP_STAGE_BULKHEAD:
        return call->bulkhead_until_ns >= call->deadline_ns;
    case NEAP_STAGE_BREAKER:
    case NEAP_STAGE_COUNT:
        break;
    }
    return false;
}
