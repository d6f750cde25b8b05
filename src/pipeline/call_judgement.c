/* What is decided after an attempt: its verdict, the gates, a refresh, a retry, or the end. */
#include "base/duration.h"
#include "pipeline/bounds.h"
#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"
#include "pipeline/classify.h"

static struct neap_effect ask(struct neap_call *call, enum neap_question question)
{
    call->question = question;
    neap_call_enter(call, NEAP_CALL_ASKING);
    return (struct neap_effect){.kind = NEAP_EFFECT_ASK,
                                .question = question,
                                .attempt = call->judged.number,
                                .retry = call->retries + 1};
}

static bool other_lives(const struct neap_call *call)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call->live[i].number)
            return true;
    return false;
}

static void feed_gates(struct neap_call *call, int64_t now_ns)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    const struct neap_hint *hint = &call->judged.hint;
    struct neap_pipeline_state *state = &call->setup.state;
    int status = call->judged.outcome.status;
    if (!pipeline->has_gate || hint->foreign || call->judged.outcome.kind != NEAP_KIND_NONE)
        return;

    struct neap_gate *gate = state->gate_credential;
    int64_t delay_ns = hint->rate_limit_ns;
    if (hint->retry_after_ns >= 0 && (status == 429 || status == 503)) {
        delay_ns = hint->retry_after_ns;
        gate = status == 503 ? state->gate_origin : state->gate_credential;
    }
    if (gate && delay_ns >= 0)
        neap_gate_close(gate, delay_ns, neap_bounds_gate_ns(pipeline), now_ns);
}

static void keep_outcome(struct neap_call *call)
{
    const struct neap_attempt *judged = &call->judged;
    if (judged->outcome.kind == NEAP_KIND_NONE) {
        call->response = judged->outcome;
        call->response_retry_after_ns = judged->hint.retry_after_ns;
        call->has_response = true;
        call->revalidated = judged->hint.stands_for > 0;
        if (call->revalidated)
            call->response.status = judged->hint.stands_for;
    } else {
        call->error = judged->outcome;
    }
}

static bool may_refresh(const struct neap_call *call)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    return pipeline->asks_refresh && pipeline->retry.enabled && !call->refreshed &&
           call->judged.outcome.status == 401 && call->attempts < pipeline->retry.max_attempts;
}

static bool is_once(const struct neap_call *call)
{
    return neap_retry_rule(&call->setup.pipeline->retry, &call->judged.outcome) == NEAP_STATUS_ONCE;
}

/* A status that has no rule, such as 999, has no place in the bits either. */
static bool once_is_spent(const struct neap_call *call)
{
    int status = call->judged.outcome.status;
    return is_once(call) && ((call->once_spent[status / 64] >> (status % 64)) & 1);
}

/* A breaker in shadow mode keeps nobody from a retry. */
static int64_t kept_open_until(const struct neap_call *call)
{
    const struct neap_breaker *breaker = call->setup.state.breaker;
    return breaker && !call->setup.pipeline->breaker_shadow ? neap_breaker_open_until(breaker) : 0;
}

static struct neap_retry_facts facts_of(const struct neap_call *call)
{
    const struct neap_attempt *judged = &call->judged;
    return (struct neap_retry_facts){
        .outcome = &judged->outcome,
        .once_spent = once_is_spent(call),
        .replayable = call->setup.replayable,
        .attempts = call->attempts,
        .retries = call->retries,
        .server_delay_ns =
            judged->outcome.kind == NEAP_KIND_NONE ? judged->hint.retry_after_ns : -1,
        .previous_delay_s = call->previous_delay_s,
        .custom_delay_s = -1,
        .breaker_open_until_ns = kept_open_until(call),
        .deadline_ns = call->deadline_ns,
    };
}

static void tell_retry(struct neap_call *call, int64_t now_ns, double delay_s,
                       const struct neap_trace_entry *wait)
{
    struct neap_notice notice = {
        .kind = NEAP_NOTICE_RETRY, .at_ns = now_ns, .attempt = call->attempts, .delay_s = delay_s};
    notice.entry = wait ? *wait
                        : (struct neap_trace_entry){
                              .kind = NEAP_TRACE_WAIT, .at_ns = now_ns, .reason = "refresh"};
    notice.entry.status = call->judged.outcome.status;
    notice.entry.error = call->judged.outcome.kind;
    notice.entry.phase = call->judged.outcome.phase;
    neap_call_note(call, &notice);
}

static void note_retry(struct neap_call *call, int64_t now_ns, double delay_s,
                       const struct neap_trace_entry *wait)
{
    neap_count_retry(&call->setup, &call->judged.outcome);
    if (neap_call_tells(call, NEAP_NOTICE_RETRY))
        tell_retry(call, now_ns, delay_s, wait);
}

static struct neap_effect back_off(struct neap_call *call, int64_t now_ns,
                                   const struct neap_retry_decision *decision)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    const struct neap_outcome *outcome = &call->judged.outcome;
    if (pipeline->has_budget &&
        !neap_retry_budget_withdraw(call->setup.state.budget, &pipeline->budget, now_ns))
        return neap_call_finish(call, now_ns, NEAP_STOP_BUDGET);

    if (is_once(call))
        call->once_spent[outcome->status / 64] |= UINT64_C(1) << (outcome->status % 64);
    call->retries++;
    call->previous_delay_s = decision->delay_s;
    call->wait_until_ns = decision->until_ns;
    struct neap_trace_entry *entry = neap_trace_add(&call->trace, NEAP_TRACE_WAIT, now_ns);
    if (entry)
        entry->reason = decision->by_server ? "retry_after" : "backoff";
    note_retry(call, now_ns, decision->delay_s, entry);
    neap_call_enter(call, NEAP_CALL_BACKOFF);
    return now_ns < call->wait_until_ns ? neap_call_wait_effect(call)
                                        : neap_call_admit(call, now_ns);
}

static struct neap_effect decide(struct neap_call *call, int64_t now_ns, enum neap_opinion when,
                                 double custom_delay_s)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    struct neap_retry_facts facts = facts_of(call);
    bool wanted;
    call->when = facts.when = when;
    facts.custom_delay_s = custom_delay_s;
    enum neap_stop stop = neap_retry_screen(&pipeline->retry, &facts, &wanted);
    if (!wanted || stop != NEAP_STOP_NONE)
        return neap_call_finish(call, now_ns, stop);

    bool server_decides = pipeline->retry.honor_retry_after && facts.server_delay_ns >= 0;
    if (pipeline->asks_backoff && custom_delay_s < 0 && !server_decides)
        return ask(call, NEAP_ASK_BACKOFF);
    struct neap_retry_decision decision =
        neap_retry_schedule(&pipeline->retry, &facts, now_ns, neap_call_random(call));
    if (!decision.retry)
        return neap_call_finish(call, now_ns, decision.stop);
    return back_off(call, now_ns, &decision);
}

static struct neap_effect after_verdict(struct neap_call *call, int64_t now_ns,
                                        enum neap_verdict verdict)
{
    neap_call_settle(call, &call->judged, verdict, now_ns);
    feed_gates(call, now_ns);
    keep_outcome(call);
    if (neap_outcome_is_success(&call->judged.outcome))
        return neap_call_finish(call, now_ns, NEAP_STOP_NONE);
    if (other_lives(call)) {
        neap_call_enter(call, NEAP_CALL_LIVE);
        return neap_call_wait_effect(call);
    }
    if (may_refresh(call))
        return ask(call, NEAP_ASK_REFRESH);
    if (call->setup.pipeline->asks_when && call->setup.pipeline->retry.enabled)
        return ask(call, NEAP_ASK_WHEN);
    return decide(call, now_ns, NEAP_OPINION_DEFAULT, -1);
}

struct neap_effect neap_call_judge(struct neap_call *call, int64_t now_ns)
{
    struct neap_attempt *judged = &call->judged;
    int64_t breaker_permit = judged->breaker_permit;

    /* The place on the wire is free now, whatever a function thinks of the outcome later. */
    judged->breaker_permit = 0;
    neap_call_settle(call, judged, NEAP_VERDICT_IGNORE, now_ns);
    judged->breaker_permit = breaker_permit;
    if (call->setup.pipeline->asks_failure && breaker_permit)
        return ask(call, NEAP_ASK_FAILURE);
    return after_verdict(call, now_ns, neap_classify_verdict(&judged->outcome));
}

static struct neap_effect on_refresh(struct neap_call *call, int64_t now_ns, bool refreshed)
{
    call->refreshed = true;
    if (!refreshed)
        return neap_call_finish(call, now_ns, NEAP_STOP_NONE);
    note_retry(call, now_ns, 0, NULL);
    return neap_call_admit(call, now_ns);
}

struct neap_effect neap_call_judge_answer(struct neap_call *call, int64_t now_ns,
                                          const struct neap_answer *answer)
{
    switch (call->question) {
    case NEAP_ASK_FAILURE:
        return after_verdict(call, now_ns,
                             answer->has_verdict ? answer->verdict
                                                 : neap_classify_verdict(&call->judged.outcome));
    case NEAP_ASK_REFRESH:
        return on_refresh(call, now_ns, answer->refreshed);
    case NEAP_ASK_WHEN:
        return decide(call, now_ns, answer->when, -1);
    case NEAP_ASK_BACKOFF:
        return decide(call, now_ns, call->when, answer->delay_s > 0 ? answer->delay_s : 0);
    }
    return neap_call_wait_effect(call);
}
