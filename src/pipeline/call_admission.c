/* What is asked before an attempt: breaker, gate, rate limit, bulkhead, in this order. */
#include "base/duration.h"
#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"

static const struct {
    enum neap_kind kind;
    enum neap_stop stop;
    const char *wait_reason;
} stage_words[NEAP_STAGE_COUNT] = {
    [NEAP_STAGE_BREAKER] = {NEAP_KIND_BREAKER_OPEN, NEAP_STOP_BREAKER_OPEN, NULL},
    [NEAP_STAGE_GATE] = {NEAP_KIND_GATE, NEAP_STOP_GATE, "gate"},
    [NEAP_STAGE_RATE_LIMIT] = {NEAP_KIND_RATE_LIMITED, NEAP_STOP_RATE_LIMITED, "rate_limit"},
    [NEAP_STAGE_BULKHEAD] = {NEAP_KIND_BULKHEAD_FULL, NEAP_STOP_BULKHEAD_FULL, "bulkhead"},
};

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

typedef struct neap_admission ask_stage(struct neap_call *call, int64_t now_ns);

static ask_stage *const stages[NEAP_STAGE_COUNT] = {
    [NEAP_STAGE_BREAKER] = ask_breaker,
    [NEAP_STAGE_GATE] = ask_gate,
    [NEAP_STAGE_RATE_LIMIT] = ask_rate_limit,
    [NEAP_STAGE_BULKHEAD] = ask_bulkhead,
};

static struct neap_effect begin_wait(struct neap_call *call, int64_t now_ns, int64_t until_ns)
{
    call->wait_until_ns = until_ns;
    if (!call->waiting) {
        call->waiting = true;
        call->wait_began_ns = now_ns;
        struct neap_trace_entry *entry = neap_trace_add(&call->trace, NEAP_TRACE_WAIT, now_ns);
        if (entry)
            entry->reason = stage_words[call->stage].wait_reason;
    }
    neap_call_enter(call, NEAP_CALL_ADMISSION);
    return neap_call_wait_effect(call);
}

static void end_wait(struct neap_call *call, int64_t now_ns)
{
    struct neap_trace_entry *entry = neap_trace_last(&call->trace);
    if (call->waiting && entry && entry->kind == NEAP_TRACE_WAIT)
        entry->elapsed_ns = neap_time_since(now_ns, call->wait_began_ns);
    call->waiting = false;
}

static void trace_rejection(struct neap_call *call, int64_t now_ns, enum neap_kind kind,
                            bool enforced)
{
    struct neap_trace_entry *entry = neap_trace_add(&call->trace, NEAP_TRACE_REJECT, now_ns);
    if (!entry)
        return;
    entry->error = kind;
    entry->reason = neap_kind_name(kind);
    entry->not_enforced = !enforced;
    if (!neap_call_tells(call, NEAP_NOTICE_REJECT))
        return;
    neap_call_note(call, &(struct neap_notice){.kind = NEAP_NOTICE_REJECT,
                                               .at_ns = now_ns,
                                               .attempt = call->attempts,
                                               .entry = *entry});
}

static void note_rejection(struct neap_call *call, int64_t now_ns, enum neap_kind kind)
{
    neap_count_rejection(&call->setup, kind);
    trace_rejection(call, now_ns, kind, true);
}

/* ------------------------------------------------------------------------------- shadow mode */

static bool is_shadow(const struct neap_call *call, enum neap_stage stage)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    const bool shadow[NEAP_STAGE_COUNT] = {[NEAP_STAGE_BREAKER] = pipeline->breaker_shadow,
                                           [NEAP_STAGE_RATE_LIMIT] = pipeline->limiter_shadow,
                                           [NEAP_STAGE_BULKHEAD] = pipeline->bulkhead_shadow};
    return shadow[stage];
}

/* What the stage has decided is counted, and the call goes on as if it had been admitted. */
static void note_shadow(struct neap_call *call, int64_t now_ns, enum neap_stage stage,
                        enum neap_decision decision)
{
    static const enum neap_shadow counted_as[NEAP_STAGE_COUNT] = {
        [NEAP_STAGE_BREAKER] = NEAP_SHADOW_BREAKER,
        [NEAP_STAGE_RATE_LIMIT] = NEAP_SHADOW_RATE_LIMIT,
        [NEAP_STAGE_BULKHEAD] = NEAP_SHADOW_BULKHEAD,
    };
    struct neap_counters *counters = call->setup.counters;
    enum neap_shadow shadow = counted_as[stage];
    if (decision == NEAP_WAIT) {
        neap_count(&counters->shadow_waits[shadow]);
        return;
    }
    neap_count(&counters->shadow_rejections[shadow]);
    trace_rejection(call, now_ns, stage_words[stage].kind, false);
}

/* Would a later deadline have let it wait? */
static bool is_for_want_of_time(const struct neap_call *call, int64_t now_ns, enum neap_stage stage,
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

static struct neap_effect refuse(struct neap_call *call, int64_t now_ns, enum neap_stage stage,
                                 int64_t until_ns)
{
    enum neap_kind kind = stage_words[stage].kind;
    call->out_of_time |= is_for_want_of_time(call, now_ns, stage, until_ns);
    neap_call_drop_admission(call, now_ns);
    note_rejection(call, now_ns, kind);
    if (call->attempts > 0)
        return neap_call_finish(call, now_ns, stage_words[stage].stop);
    int64_t left_ns = until_ns == NEAP_NEVER ? -1 : neap_time_since(until_ns, now_ns);
    return neap_call_finish_refused(call, now_ns, kind, left_ns);
}

bool neap_call_has_time(const struct neap_call *call, int64_t now_ns)
{
    return call->deadline_ns == NEAP_NEVER ||
           neap_time_since(call->deadline_ns, now_ns) >= NEAP_LEAST_LEFT_NS;
}

struct neap_effect neap_call_out_of_time(struct neap_call *call, int64_t now_ns)
{
    neap_call_drop_admission(call, now_ns);
    note_rejection(call, now_ns, NEAP_KIND_DEADLINE);
    if (call->attempts > 0)
        return neap_call_finish(call, now_ns, NEAP_STOP_DEADLINE);
    return neap_call_finish_refused(call, now_ns, NEAP_KIND_DEADLINE, -1);
}

static struct neap_attempt *free_slot(struct neap_call *call)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (!call->live[i].number)
            return &call->live[i];
    return NULL;
}

static int64_t attempt_limit(const struct neap_call *call, int64_t now_ns)
{
    if (call->setup.uninterruptible)
        return NEAP_NEVER;
    return neap_time_min(neap_time_add(now_ns, call->setup.timeout.attempt_ns), call->deadline_ns);
}

static bool is_disturbed(struct neap_call *call)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    const _Atomic bool *off = call->setup.chaos_off;
    if (!pipeline->has_chaos || !off || atomic_load_explicit(off, memory_order_relaxed))
        return false;
    return neap_chaos_strikes(&pipeline->chaos, neap_call_random(call));
}

static void note_chaos(struct neap_call *call, uint32_t trace_index)
{
    neap_count(&call->setup.counters->chaos);
    if (trace_index != UINT32_MAX)
        call->trace.entry[trace_index].chaos = true;
}

uint32_t neap_call_launch(struct neap_call *call, int64_t now_ns)
{
    call->attempts++;
    uint32_t trace_index = call->trace.count;
    if (!neap_trace_add(&call->trace, NEAP_TRACE_ATTEMPT, now_ns))
        trace_index = UINT32_MAX;
    *free_slot(call) = (struct neap_attempt){.number = call->attempts,
                                             .started_ns = now_ns,
                                             .limit_ns = attempt_limit(call, now_ns),
                                             .breaker_permit = call->breaker_permit,
                                             .bulkhead_permit = call->bulkhead_permit,
                                             .trace_index = trace_index};
    call->breaker_permit = call->bulkhead_permit = 0;
    neap_call_enter(call, NEAP_CALL_LIVE);
    return trace_index;
}

static struct neap_effect launch(struct neap_call *call, int64_t now_ns)
{
    int64_t left_ns =
        call->deadline_ns == NEAP_NEVER ? NEAP_NEVER : neap_time_since(call->deadline_ns, now_ns);
    if (!neap_call_has_time(call, now_ns))
        return neap_call_out_of_time(call, now_ns);

    neap_count_attempt(&call->setup);
    uint32_t trace_index = neap_call_launch(call, now_ns);
    bool chaos = is_disturbed(call);
    if (chaos)
        note_chaos(call, trace_index);
    return (struct neap_effect){
        .kind = NEAP_EFFECT_SEND, .attempt = call->attempts, .left_ns = left_ns, .chaos = chaos};
}

static struct neap_effect go_through_stages(struct neap_call *call, int64_t now_ns)
{
    for (; call->stage < NEAP_STAGE_COUNT; call->stage++) {
        struct neap_admission answer = stages[call->stage](call, now_ns);
        if (answer.decision != NEAP_ADMIT && is_shadow(call, call->stage)) {
            note_shadow(call, now_ns, call->stage, answer.decision);
            continue;
        }
        if (answer.decision == NEAP_WAIT)
            return begin_wait(call, now_ns, answer.until_ns);
        end_wait(call, now_ns);
        if (answer.decision == NEAP_REFUSE)
            return refuse(call, now_ns, call->stage, answer.until_ns);
    }
    return launch(call, now_ns);
}

struct neap_effect neap_call_admit(struct neap_call *call, int64_t now_ns)
{
    struct neap_trace_entry *entry = neap_trace_last(&call->trace);
    if (call->state == NEAP_CALL_BACKOFF && entry && entry->kind == NEAP_TRACE_WAIT)
        entry->elapsed_ns = neap_time_since(now_ns, entry->at_ns);
    call->stage = NEAP_STAGE_BREAKER;
    call->gate_waited_ns = 0;
    call->waiting = false;
    return go_through_stages(call, now_ns);
}

/* A wait is over: the breaker may have opened meanwhile; a gate may have been closed for longer; a
 * reservation is paid for; a place in the bulkhead may be free. */
struct neap_effect neap_call_resume_admission(struct neap_call *call, int64_t now_ns)
{
    bool in_queue = call->stage == NEAP_STAGE_BULKHEAD;
    if (now_ns < call->wait_until_ns && !in_queue)
        return neap_call_wait_effect(call);

    const struct neap_breaker *breaker = call->setup.state.breaker;
    bool is_enforced = !call->setup.pipeline->breaker_shadow;
    if (is_enforced && call->breaker_permit &&
        !neap_breaker_still_admits(breaker, call->breaker_permit)) {
        end_wait(call, now_ns);
        int64_t until_ns = neap_breaker_open_until(breaker);
        return refuse(call, now_ns, NEAP_STAGE_BREAKER, until_ns > now_ns ? until_ns : NEAP_NEVER);
    }
    if (call->stage == NEAP_STAGE_GATE)
        call->gate_waited_ns = neap_time_since(now_ns, call->wait_began_ns);
    if (call->stage == NEAP_STAGE_RATE_LIMIT) {
        end_wait(call, now_ns);
        call->stage++;
    }
    return go_through_stages(call, now_ns);
}

const struct neap_attempt *neap_call_lone_attempt(const struct neap_call *call)
{
    const struct neap_attempt *one = &call->live[0], *other = &call->live[1];
    const struct neap_attempt *lone = one->number ? one : other;
    bool is_alone = !one->number || !other->number;
    bool is_newest = lone->number > 0 && lone->number == call->attempts;
    bool is_open = !lone->cancelling && call->hedge_asked != lone->number;
    return is_alone && is_newest && is_open ? lone : NULL;
}

static bool hedge_is_due(const struct neap_call *call, int64_t now_ns)
{
    const struct neap_attempt *lone = neap_call_lone_attempt(call);
    return lone && now_ns >= neap_time_add(lone->started_ns, call->setup.pipeline->hedge_after_ns);
}

static bool may_hedge(const struct neap_call *call, int64_t now_ns)
{
    return call->setup.replayable && call->attempts < call->setup.pipeline->retry.max_attempts &&
           neap_call_has_time(call, now_ns);
}

static bool give_up_hedging(struct neap_call *call, int64_t now_ns)
{
    neap_call_drop_admission(call, now_ns);
    return false;
}

bool neap_call_hedge(struct neap_call *call, int64_t now_ns, struct neap_effect *effect)
{
    if (call->setup.pipeline->hedge_after_ns == NEAP_NEVER || !hedge_is_due(call, now_ns))
        return false;
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    call->hedge_asked = call->attempts;
    if (!may_hedge(call, now_ns))
        return false;
    bool paid = !pipeline->has_budget ||
                neap_retry_budget_withdraw(call->setup.state.budget, &pipeline->budget, now_ns);
    if (!paid)
        return false;
    for (enum neap_stage stage = NEAP_STAGE_BREAKER; stage < NEAP_STAGE_COUNT; stage++) {
        enum neap_decision decision = stages[stage](call, now_ns).decision;
        if (decision != NEAP_ADMIT && is_shadow(call, stage))
            note_shadow(call, now_ns, stage, decision);
        else if (decision != NEAP_ADMIT)
            return give_up_hedging(call, now_ns);
    }
    *effect = launch(call, now_ns);
    return effect->kind == NEAP_EFFECT_SEND;
}
