#include "pipeline/call.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"

void neap_call_enter(struct neap_call *call, enum neap_call_state state)
{
    call->state = state;
}

double neap_call_random(struct neap_call *call)
{
    return neap_random_unit(call->setup.random);
}

void neap_call_note(struct neap_call *call, const struct neap_notice *notice)
{
    if (call->setup.notice && call->notice_count < NEAP_NOTICE_MAX)
        call->setup.notice[call->notice_count++] = *notice;
}

_Static_assert((int)NEAP_COUNTED_STATES == (int)NEAP_BREAKER_STATE_COUNT, "a state lacks a count");

/* Half open twice in one step: it was open for a moment, see neap_breaker_change. */
void neap_count_transition(struct neap_counters *counters, const struct neap_breaker_change *change)
{
    if (!change->changed)
        return;
    if (change->from == NEAP_BREAKER_HALF_OPEN && change->to == NEAP_BREAKER_HALF_OPEN)
        neap_count(&counters->transitions[NEAP_BREAKER_OPEN]);
    neap_count(&counters->transitions[change->to]);
}

struct neap_breaker_change neap_count_result(const struct neap_call_setup *setup, int64_t permit,
                                             enum neap_verdict verdict, int64_t elapsed_ns,
                                             int64_t now_ns)
{
    const struct neap_breaker_policy *policy = &setup->pipeline->breaker;
    double r = neap_breaker_uses_random(policy) ? neap_random_unit(setup->random) : 0;
    struct neap_breaker_change change =
        neap_breaker_record(setup->state.breaker, policy, permit, verdict, elapsed_ns, now_ns, r);
    neap_count_transition(setup->counters, &change);
    return change;
}

void neap_call_note_breaker(struct neap_call *call, const struct neap_breaker_change *change,
                            int64_t now_ns)
{
    bool has_news = change->changed || change->would_open;
    if (!has_news || !neap_call_tells(call, NEAP_NOTICE_BREAKER))
        return;
    neap_call_note(call, &(struct neap_notice){.kind = NEAP_NOTICE_BREAKER,
                                               .at_ns = now_ns,
                                               .attempt = call->attempts,
                                               .breaker = *change});
}

void neap_call_reset(struct neap_call *call, const struct neap_call_setup *setup)
{
    memset(call, 0, offsetof(struct neap_call, trace));
    call->setup = *setup;
    call->response_retry_after_ns = -1;
    call->result.retry_after_ns = -1;
}

void neap_call_init(struct neap_call *call, const struct neap_call_setup *setup)
{
    neap_call_reset(call, setup);
    neap_trace_init(&call->trace, setup->alloc);
}

void neap_call_move(struct neap_call *from, struct neap_call *to)
{
    *to = *from;
    neap_trace_move(&from->trace, &to->trace);
    neap_call_enter(from, NEAP_CALL_DONE);
}

void neap_call_settle(struct neap_call *call, struct neap_attempt *attempt,
                      enum neap_verdict verdict, int64_t now_ns)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    struct neap_pipeline_state *state = &call->setup.state;

    if (attempt->bulkhead_permit)
        neap_bulkhead_release(state->bulkhead, &pipeline->bulkhead, attempt->bulkhead_permit);
    attempt->bulkhead_permit = 0;
    if (!attempt->breaker_permit)
        return;

    struct neap_breaker_change change =
        neap_count_result(&call->setup, attempt->breaker_permit, verdict,
                          neap_time_since(attempt->ended_ns, attempt->started_ns), now_ns);
    attempt->breaker_permit = 0;
    neap_call_note_breaker(call, &change, now_ns);
}

static struct neap_attempt *find_live(struct neap_call *call, uint32_t number)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call->live[i].number == number)
            return &call->live[i];
    return NULL;
}

/* A limit that has passed is what ended the attempt, whatever the cancelled transfer says. */
static void note_expiry(struct neap_attempt *attempt)
{
    struct neap_outcome *outcome = &attempt->outcome;
    if (attempt->expired == NEAP_PHASE_NONE)
        return;
    outcome->kind = NEAP_KIND_TIMEOUT;
    outcome->phase = attempt->expired;
    outcome->status = 0;
    snprintf(outcome->message, sizeof outcome->message, "the %s time limit has passed",
             neap_phase_name(attempt->expired));
}

static void close_trace(struct neap_call *call, const struct neap_attempt *attempt, int64_t now_ns)
{
    if (attempt->trace_index >= call->trace.count)
        return;
    struct neap_trace_entry *entry = &call->trace.entry[attempt->trace_index];
    entry->elapsed_ns = neap_time_since(now_ns, attempt->started_ns);
    entry->status = attempt->outcome.status;
    entry->error = attempt->outcome.kind;
    entry->phase = attempt->outcome.phase;
    if (!neap_call_tells(call, NEAP_NOTICE_ATTEMPT))
        return;
    neap_call_note(call, &(struct neap_notice){.kind = NEAP_NOTICE_ATTEMPT,
                                               .at_ns = now_ns,
                                               .attempt = attempt->number,
                                               .entry = *entry});
}

static void note_outcome(struct neap_call *call, const struct neap_event *event, int64_t now_ns)
{
    struct neap_attempt *attempt = find_live(call, event->attempt);
    if (!attempt || attempt->ended)
        return;
    attempt->ended = true;
    attempt->ended_ns = now_ns;
    attempt->outcome = *event->outcome;
    attempt->hint = event->hint;
    note_expiry(attempt);
    if (call->state == NEAP_CALL_CANCELLING)
        attempt->outcome = neap_call_broken_off(NEAP_KIND_CANCELLED);
    neap_count_outcome(
        &call->setup, attempt->outcome.kind, attempt->outcome.phase,
        neap_histogram_sample(neap_time_since(attempt->ended_ns, attempt->started_ns)));
    close_trace(call, attempt, now_ns);
}

static struct neap_effect judge_next(struct neap_call *call, int64_t now_ns)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        if (!call->live[i].number || !call->live[i].ended)
            continue;
        call->judged = call->live[i];
        call->live[i].number = 0;
        return neap_call_judge(call, now_ns);
    }
    return neap_call_wait_effect(call);
}

static struct neap_effect expire(struct neap_call *call, int64_t now_ns)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        struct neap_attempt *attempt = &call->live[i];
        if (!attempt->number || attempt->cancelling || now_ns < attempt->limit_ns)
            continue;
        attempt->cancelling = true;
        attempt->expired = now_ns >= call->deadline_ns ? NEAP_PHASE_TOTAL : NEAP_PHASE_ATTEMPT;
        call->out_of_time |= attempt->expired == NEAP_PHASE_TOTAL;
        return (struct neap_effect){.kind = NEAP_EFFECT_CANCEL, .attempt = attempt->number};
    }
    struct neap_effect effect;
    if (neap_call_hedge(call, now_ns, &effect))
        return effect;
    return neap_call_wait_effect(call);
}

void neap_call_count_begin(struct neap_call *call, int64_t now_ns)
{
    call->began_ns = now_ns;
    call->deadline_ns = neap_call_deadline(&call->setup, now_ns);
    neap_count_call(&call->setup);
}

struct neap_effect neap_call_set_out(struct neap_call *call, int64_t now_ns)
{
    neap_count_deposit(&call->setup, now_ns);
    return neap_call_admit(call, now_ns);
}

static struct neap_effect serve(struct neap_call *call, int64_t now_ns,
                                const struct neap_answer *answer)
{
    neap_call_count_begin(call, now_ns);
    call->result = (struct neap_result){.kind = NEAP_RESULT_STORED,
                                        .outcome.status = answer->status,
                                        .source = answer->source,
                                        .retry_after_ns = -1};
    return neap_call_done(call, now_ns, answer->ok, answer->status);
}

static struct neap_effect begin(struct neap_call *call, int64_t now_ns,
                                const struct neap_event *event)
{
    if (event->kind == NEAP_EVENT_SERVE)
        return serve(call, now_ns, &event->answer);
    if (event->kind == NEAP_EVENT_FOLLOW)
        return neap_call_follow(call, now_ns);
    neap_call_count_begin(call, now_ns);
    return neap_call_set_out(call, now_ns);
}

static struct neap_effect break_off(struct neap_call *call, int64_t now_ns, enum neap_kind kind)
{
    struct neap_trace_entry *last = neap_trace_last(&call->trace);
    call->broken_off = kind;
    if (last && last->kind == NEAP_TRACE_WAIT)
        last->elapsed_ns = neap_time_since(now_ns, last->at_ns);
    neap_call_drop_admission(call, now_ns);
    if (call->state == NEAP_CALL_ASKING)
        neap_call_settle(call, &call->judged, NEAP_VERDICT_IGNORE, now_ns);
    if (call->state == NEAP_CALL_NEW)
        neap_call_count_begin(call, now_ns);
    return neap_call_end_the_living(call, now_ns);
}

static bool may_break_off(const struct neap_call *call)
{
    return call->state != NEAP_CALL_DONE && call->state != NEAP_CALL_CANCELLING;
}

static struct neap_effect step_asking(struct neap_call *call, int64_t now_ns,
                                      const struct neap_event *event)
{
    if (event->kind != NEAP_EVENT_ANSWER)
        return neap_call_wait_effect(call);
    struct neap_effect effect = neap_call_judge_answer(call, now_ns, &event->answer);
    bool may_go_on = effect.kind == NEAP_EFFECT_WAIT && call->state == NEAP_CALL_LIVE;
    return may_go_on ? judge_next(call, now_ns) : effect;
}

struct neap_effect neap_call_step(struct neap_call *call, int64_t now_ns,
                                  const struct neap_event *event)
{
    call->notice_count = 0;
    if (event->kind == NEAP_EVENT_OUTCOME)
        note_outcome(call, event, now_ns);
    if (may_break_off(call) && event->kind == NEAP_EVENT_CANCEL)
        return break_off(call, now_ns, NEAP_KIND_CANCELLED);
    if (may_break_off(call) && event->kind == NEAP_EVENT_REFUSE)
        return break_off(call, now_ns, NEAP_KIND_PHASE);

    switch (call->state) {
    case NEAP_CALL_NEW:
        return begin(call, now_ns, event);
    case NEAP_CALL_FOLLOWING:
        return neap_call_step_following(call, now_ns, event);
    case NEAP_CALL_ADMISSION:
        return neap_call_resume_admission(call, now_ns);
    case NEAP_CALL_LIVE:
        return event->kind == NEAP_EVENT_OUTCOME ? judge_next(call, now_ns) : expire(call, now_ns);
    case NEAP_CALL_ASKING:
        return step_asking(call, now_ns, event);
    case NEAP_CALL_BACKOFF:
        return now_ns < call->wait_until_ns ? neap_call_wait_effect(call)
                                            : neap_call_admit(call, now_ns);
    case NEAP_CALL_CANCELLING:
        return neap_call_end_the_living(call, now_ns);
    case NEAP_CALL_FALLBACK:
        if (event->kind == NEAP_EVENT_ANSWER)
            return neap_call_fallback_answer(call, now_ns, &event->answer);
        return neap_call_wait_effect(call);
    case NEAP_CALL_DONE:
        break;
    }
    return (struct neap_effect){.kind = NEAP_EFFECT_DONE};
}

struct neap_effect neap_call_wait_effect(const struct neap_call *call)
{
    return (struct neap_effect){.kind = NEAP_EFFECT_WAIT,
                                .queued = call->state == NEAP_CALL_ADMISSION && call->queued};
}

static int64_t live_wakeup(const struct neap_call *call)
{
    int64_t first_ns = NEAP_NEVER;
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call->live[i].number && !call->live[i].cancelling)
            first_ns = neap_time_min(first_ns, call->live[i].limit_ns);
    const struct neap_attempt *lone = neap_call_lone_attempt(call);
    int64_t hedge_after_ns = call->setup.pipeline->hedge_after_ns;
    if (lone)
        first_ns = neap_time_min(first_ns, neap_time_add(lone->started_ns, hedge_after_ns));
    return first_ns;
}

int64_t neap_call_next_wakeup(const struct neap_call *call)
{
    switch (call->state) {
    case NEAP_CALL_ADMISSION:
    case NEAP_CALL_BACKOFF:
        return call->wait_until_ns;
    case NEAP_CALL_LIVE:
        return live_wakeup(call);
    case NEAP_CALL_FOLLOWING:
        return call->deadline_ns;
    case NEAP_CALL_NEW:
    case NEAP_CALL_ASKING:
    case NEAP_CALL_CANCELLING:
    case NEAP_CALL_FALLBACK:
    case NEAP_CALL_DONE:
        break;
    }
    return NEAP_NEVER;
}

void neap_call_forsake(struct neap_call *call)
{
    neap_call_enter(call, NEAP_CALL_DONE);
}

void neap_call_deinit(struct neap_call *call, int64_t now_ns)
{
    if (call->state != NEAP_CALL_DONE && call->state != NEAP_CALL_NEW) {
        neap_call_drop_admission(call, now_ns);
        neap_call_settle(call, &call->judged, NEAP_VERDICT_IGNORE, now_ns);
        for (int i = 0; i < NEAP_LIVE_MAX; i++)
            if (call->live[i].number)
                neap_call_settle(call, &call->live[i], NEAP_VERDICT_IGNORE, now_ns);
        atomic_fetch_sub_explicit(call->setup.in_flight, 1, memory_order_relaxed);
        neap_count(&call->setup.counters->abandoned);
        neap_call_enter(call, NEAP_CALL_DONE);
    }
    neap_trace_deinit(&call->trace);
}
