/* An attempt on its way through the stages: it waits where one says so, is refused, or begins. */
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

/* What the stage has decided is counted. */
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

bool neap_call_overrules(struct neap_call *call, int64_t now_ns, enum neap_stage stage,
                         enum neap_decision decision)
{
    if (!is_shadow(call, stage))
        return false;
    note_shadow(call, now_ns, stage, decision);
    return true;
}

/* -------------------------------------------------------------------------------- refusals */

static struct neap_effect refuse(struct neap_call *call, int64_t now_ns, enum neap_stage stage,
                                 int64_t until_ns)
{
    enum neap_kind kind = stage_words[stage].kind;
    call->out_of_time |= neap_call_wants_time(call, now_ns, stage, until_ns);
    neap_call_drop_admission(call, now_ns);
    note_rejection(call, now_ns, kind);
    if (call->attempts > 0)
        return neap_call_finish(call, now_ns, stage_words[stage].stop);
    int64_t left_ns = until_ns == NEAP_NEVER ? -1 : neap_time_since(until_ns, now_ns);
    return neap_call_finish_refused(call, now_ns, kind, left_ns);
}

struct neap_effect neap_call_out_of_time(struct neap_call *call, int64_t now_ns)
{
    neap_call_drop_admission(call, now_ns);
    note_rejection(call, now_ns, NEAP_KIND_DEADLINE);
    if (call->attempts > 0)
        return neap_call_finish(call, now_ns, NEAP_STOP_DEADLINE);
    return neap_call_finish_refused(call, now_ns, NEAP_KIND_DEADLINE, -1);
}

/* ------------------------------------------------------------------------------------ the way */

static struct neap_effect go_through_stages(struct neap_call *call, int64_t now_ns)
{
    for (; call->stage < NEAP_STAGE_COUNT; call->stage++) {
        struct neap_admission answer = neap_call_stages[call->stage](call, now_ns);
        if (answer.decision != NEAP_ADMIT &&
            neap_call_overrules(call, now_ns, call->stage, answer.decision))
            continue;
        if (answer.decision == NEAP_WAIT)
            return begin_wait(call, now_ns, answer.until_ns);
        end_wait(call, now_ns);
        if (answer.decision == NEAP_REFUSE)
            return refuse(call, now_ns, call->stage, answer.until_ns);
    }
    return neap_call_send(call, now_ns);
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

static bool breaker_has_opened(const struct neap_call *call)
{
    return call->breaker_permit && !call->setup.pipeline->breaker_shadow &&
           !neap_breaker_still_admits(call->setup.state.breaker, call->breaker_permit);
}

/* A wait is over: the breaker may have opened meanwhile; a gate may have been closed for longer; a
 * reservation is paid for; a place in the bulkhead may be free. */
struct neap_effect neap_call_resume_admission(struct neap_call *call, int64_t now_ns)
{
    bool in_queue = call->stage == NEAP_STAGE_BULKHEAD;
    if (now_ns < call->wait_until_ns && !in_queue)
        return neap_call_wait_effect(call);

    if (breaker_has_opened(call)) {
        end_wait(call, now_ns);
        int64_t until_ns = neap_breaker_open_until(call->setup.state.breaker);
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
