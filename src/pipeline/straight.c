#include "pipeline/straight.h"

#include "pipeline/call_internal.h"
#include "pipeline/classify.h"
#include "pipeline/straight_way.h"

bool neap_straight_suits(const struct neap_call_setup *setup)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    bool has_gates = setup->state.gate_origin || setup->state.gate_credential;
    return setup->uninterruptible && setup->watched == 0 && setup->deadline_ns == NEAP_NEVER &&
           setup->timeout.total_ns >= NEAP_LEAST_LEFT_NS && !(pipeline->has_gate && has_gates) &&
           !pipeline->asks_failure && !setup->chaos_off && pipeline->hedge_after_ns == NEAP_NEVER;
}

bool neap_straight_suits_failures(const struct neap_call_setup *setup)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    return setup->watched == 0 && !setup->has_cache && pipeline->fallback_count == 0 &&
           !pipeline->asks_when && !pipeline->asks_backoff;
}

NEAP_SELDOM int64_t neap_straight_search_bulkhead(const struct neap_call_setup *setup)
{
    const struct neap_pipeline_state *state = &setup->state;
    return neap_bulkhead_take(state->bulkhead, &setup->pipeline->bulkhead, state->holder);
}

NEAP_SELDOM void neap_straight_draw(const struct neap_call_setup *setup)
{
    (void)neap_random_unit(setup->random);
}

NEAP_SELDOM void neap_straight_record_success(const struct neap_straight *straight,
                                              const struct neap_call_setup *setup,
                                              int64_t elapsed_ns, int64_t now_ns)
{
    neap_count_result(setup, straight->breaker_permit, NEAP_VERDICT_SUCCESS, elapsed_ns, now_ns);
}

bool neap_straight_begin_shared(struct neap_straight *straight, const struct neap_call_setup *setup,
                                int64_t now_ns)
{
    return neap_straight_begin_as(straight, setup, false, now_ns);
}

void neap_straight_succeed_shared(const struct neap_straight *straight,
                                  const struct neap_call_setup *setup, int64_t now_ns)
{
    neap_straight_succeed_as(straight, setup, false, now_ns);
}

NEAP_INLINE void count_refusal(const struct neap_call_setup *setup, bool is_private, int64_t now_ns)
{
    const struct neap_call_setup books = neap_straight_books(setup, is_private);
    const struct neap_ending ending = {.failed = true, .error = NEAP_KIND_BREAKER_OPEN};
    neap_count_call(&books);
    neap_count_deposit(&books, now_ns);
    neap_count_rejection(&books, NEAP_KIND_BREAKER_OPEN);
    neap_count_ending(&books, &ending, now_ns);
}

bool neap_straight_refuse(const struct neap_call_setup *setup, int64_t now_ns,
                          int64_t *retry_after_ns)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    struct neap_breaker *breaker = setup->state.breaker;
    if (!pipeline->has_breaker || !breaker || pipeline->breaker_shadow)
        return false;
    int64_t until_ns = neap_breaker_refuses(breaker, &pipeline->breaker, now_ns);
    if (until_ns == INT64_MIN)
        return false;
    if (neap_breaker_uses_random(&pipeline->breaker))
        neap_straight_draw(setup);
    if (setup->is_private)
        count_refusal(setup, true, now_ns);
    else
        count_refusal(setup, false, now_ns);
    *retry_after_ns = until_ns == NEAP_NEVER ? -1 : neap_time_since(until_ns, now_ns);
    return true;
}

/* ---- failures */

static void trace_attempt(const struct neap_straight *straight, struct neap_trace *trace,
                          const struct neap_outcome *outcome, int64_t now_ns)
{
    struct neap_trace_entry *entry =
        neap_trace_add(trace, NEAP_TRACE_ATTEMPT, straight->started_ns);
    if (!entry)
        return;
    entry->elapsed_ns = neap_time_since(now_ns, straight->started_ns);
    entry->error = outcome->kind;
}

static struct neap_retry_facts facts_of(const struct neap_straight *straight,
                                        const struct neap_call_setup *setup,
                                        const struct neap_outcome *outcome)
{
    return (struct neap_retry_facts){
        .outcome = outcome,
        .replayable = setup->replayable,
        .attempts = straight->attempts,
        .retries = straight->attempts - 1,
        .server_delay_ns = -1,
        .previous_delay_s = straight->previous_delay_s,
        .custom_delay_s = -1,
        .deadline_ns = neap_call_deadline(setup, straight->began_ns),
    };
}

static int64_t kept_open_until(const struct neap_call_setup *setup)
{
    const struct neap_breaker *breaker = setup->state.breaker;
    return breaker && !setup->pipeline->breaker_shadow ? neap_breaker_open_until(breaker) : 0;
}

/* The retry is paid for, where it is one. */
static struct neap_retry_decision decide(const struct neap_straight *straight,
                                         const struct neap_call_setup *setup,
                                         const struct neap_outcome *outcome, int64_t now_ns)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    struct neap_retry_facts facts = facts_of(straight, setup, outcome);
    bool wanted;
    struct neap_retry_decision decision = {.retry = false};
    decision.stop = neap_retry_screen(&pipeline->retry, &facts, &wanted);
    if (!wanted || decision.stop != NEAP_STOP_NONE)
        return decision;
    facts.breaker_open_until_ns = kept_open_until(setup);
    decision =
        neap_retry_schedule(&pipeline->retry, &facts, now_ns, neap_random_unit(setup->random));
    if (!decision.retry || !pipeline->has_budget ||
        neap_retry_budget_withdraw(setup->state.budget, &pipeline->budget, now_ns))
        return decision;
    return (struct neap_retry_decision){.retry = false, .stop = NEAP_STOP_BUDGET};
}

static enum neap_straight_next end(const struct neap_straight *straight,
                                   const struct neap_call_setup *setup, struct neap_call *call,
                                   const struct neap_outcome *outcome, enum neap_stop stop)
{
    struct neap_trace_entry *last = neap_trace_last(&call->trace);
    if (last && stop != NEAP_STOP_NONE)
        last->reason = neap_stop_name(stop);
    call->began_ns = straight->began_ns;
    call->attempts = straight->attempts;
    call->setup.replayable = setup->replayable;
    call->result.kind = NEAP_RESULT_ERROR;
    call->result.outcome = *outcome;
    call->result.retry_after_ns = -1;
    neap_call_enter(call, NEAP_CALL_DONE);
    return NEAP_STRAIGHT_OVER;
}

/* A call that has made the attempts of the straight way, of which the last is over. */
static void become_call(const struct neap_straight *straight, const struct neap_call_setup *setup,
                        struct neap_call *call, uint32_t attempts)
{
    neap_call_reset(call, setup);
    call->began_ns = straight->began_ns;
    call->deadline_ns = neap_call_deadline(setup, straight->began_ns);
    call->attempts = attempts;
    call->retries = attempts;
    call->previous_delay_s = straight->previous_delay_s;
}

static enum neap_straight_next pause(const struct neap_straight *straight,
                                     const struct neap_call_setup *setup, struct neap_call *call,
                                     const struct neap_outcome *outcome, int64_t until_ns)
{
    become_call(straight, setup, call, straight->attempts);
    call->error = *outcome;
    call->wait_until_ns = until_ns;
    neap_call_enter(call, NEAP_CALL_BACKOFF);
    return NEAP_STRAIGHT_BETWEEN;
}

static bool has_time(const struct neap_straight *straight, const struct neap_call_setup *setup,
                     int64_t now_ns)
{
    int64_t deadline_ns = neap_call_deadline(setup, straight->began_ns);
    return deadline_ns == NEAP_NEVER || neap_time_since(deadline_ns, now_ns) >= NEAP_LEAST_LEFT_NS;
}

static enum neap_straight_next repeat(struct neap_straight *straight,
                                      const struct neap_call_setup *setup, struct neap_call *call,
                                      const struct neap_outcome *outcome,
                                      const struct neap_retry_decision *decision, int64_t now_ns)
{
    struct neap_trace_entry *wait = neap_trace_add(&call->trace, NEAP_TRACE_WAIT, now_ns);
    if (wait)
        wait->reason = "backoff";
    neap_count_retry(setup, outcome);
    straight->previous_delay_s = decision->delay_s;
    if (now_ns < decision->until_ns || !has_time(straight, setup, now_ns) ||
        !neap_straight_admit(straight, setup, now_ns))
        return pause(straight, setup, call, outcome, decision->until_ns);
    if (straight->draws)
        neap_straight_draw(setup);
    straight->started_ns = now_ns;
    straight->attempts++;
    neap_count_attempt(setup);
    return NEAP_STRAIGHT_AGAIN;
}

enum neap_straight_next neap_straight_fail(struct neap_straight *straight,
                                           const struct neap_call_setup *setup,
                                           struct neap_call *call,
                                           const struct neap_outcome *outcome, int64_t now_ns)
{
    trace_attempt(straight, &call->trace, outcome, now_ns);
    int64_t elapsed_ns = neap_time_since(now_ns, straight->started_ns);
    struct neap_histogram_sample elapsed = neap_histogram_sample(elapsed_ns);
    neap_count_outcome(setup, outcome->kind, NEAP_PHASE_NONE, elapsed);
    if (straight->bulkhead_permit)
        neap_straight_leave_bulkhead(setup, straight->bulkhead_permit);
    if (straight->breaker_permit)
        neap_count_result(setup, straight->breaker_permit, neap_classify_verdict(outcome),
                          elapsed_ns, now_ns);
    straight->breaker_permit = straight->bulkhead_permit = 0;
    struct neap_retry_decision decision = decide(straight, setup, outcome, now_ns);
    if (decision.retry)
        return repeat(straight, setup, call, outcome, &decision, now_ns);
    neap_straight_count_ending(straight, setup, elapsed, outcome->kind, now_ns);
    return end(straight, setup, call, outcome, decision.stop);
}

void neap_straight_become(const struct neap_straight *straight, const struct neap_call_setup *setup,
                          struct neap_call *call)
{
    become_call(straight, setup, call, straight->attempts - 1);
    call->stage = NEAP_STAGE_COUNT;
    call->breaker_permit = straight->breaker_permit;
    call->bulkhead_permit = straight->bulkhead_permit;
    (void)neap_call_launch(call, straight->started_ns);
}
