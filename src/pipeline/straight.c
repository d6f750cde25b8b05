#include "pipeline/straight.h"

#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"
#include "pipeline/classify.h"
#include "policy/breaker_quick.h"
#include "policy/bulkhead_slots.h"

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

/* A permit, or 0 where somebody has to wait or to be refused. */
static inline int64_t enter_bulkhead(const struct neap_call_setup *setup)
{
    const struct neap_bulkhead_policy *policy = &setup->pipeline->bulkhead;
    const struct neap_pipeline_state *state = &setup->state;
    if (*state->bulkhead_waiting > 0)
        return 0;
    int64_t permit =
        policy->is_private ? neap_bulkhead_take_next(state->bulkhead, policy, state->holder) : 0;
    return permit ? permit : neap_bulkhead_take(state->bulkhead, policy, state->holder);
}

static inline void leave_bulkhead(const struct neap_call_setup *setup, int64_t permit)
{
    const struct neap_bulkhead_policy *policy = &setup->pipeline->bulkhead;
    if (policy->is_private)
        neap_bulkhead_put_back(setup->state.bulkhead, permit);
    else
        neap_bulkhead_release(setup->state.bulkhead, policy, permit);
}

static inline bool passes_rate_limit(const struct neap_call_setup *setup, int64_t now_ns)
{
    return neap_rate_limiter_pass(setup->state.limiter, &setup->pipeline->limiter, now_ns);
}

/* The rate limit comes last, although a call asks for a place after it: what it has admitted cannot
 * be given back, a place can. */
NEAP_INLINE bool admit(struct neap_straight *straight, const struct neap_call_setup *setup,
                       int64_t now_ns)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    const struct neap_breaker *breaker = pipeline->has_breaker ? setup->state.breaker : NULL;
    int64_t breaker_permit = breaker ? neap_breaker_pass(breaker, &pipeline->breaker, now_ns) : 0;
    if (breaker && !breaker_permit)
        return false;
    int64_t place = pipeline->has_bulkhead ? enter_bulkhead(setup) : 0;
    if (pipeline->has_bulkhead && !place)
        return false;
    if (pipeline->has_limiter && !passes_rate_limit(setup, now_ns)) {
        if (place)
            leave_bulkhead(setup, place);
        return false;
    }
    straight->breaker_permit = breaker_permit;
    straight->bulkhead_permit = place;
    return true;
}

/* Whoever is asked for admission is given a random number where it can make use of one, and so is
 * the breaker here: calls that follow see the same numbers. */
static void draw(bool is_asked, const struct neap_call_setup *setup)
{
    if (is_asked && neap_breaker_uses_random(&setup->pipeline->breaker))
        (void)neap_random_unit(setup->random);
}

/* Breaker, bulkhead and rate limit have admitted it. */
static void launch(struct neap_straight *straight, const struct neap_call_setup *setup,
                   int64_t now_ns)
{
    straight->started_ns = now_ns;
    straight->attempts++;
    neap_count_attempt(setup);
}

bool neap_straight_begin(struct neap_straight *straight, const struct neap_call_setup *setup,
                         int64_t now_ns)
{
    if (!admit(straight, setup, now_ns))
        return false;
    straight->began_ns = now_ns;
    straight->attempts = 0;
    straight->previous_delay_s = 0;
    draw(straight->breaker_permit != 0, setup);
    neap_count_call(setup);
    neap_count_deposit(setup, now_ns);
    launch(straight, setup, now_ns);
    return true;
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
    neap_count_call(setup);
    neap_count_deposit(setup, now_ns);
    draw(true, setup);
    neap_count_rejection(setup, NEAP_KIND_BREAKER_OPEN);
    const struct neap_ending ending = {.failed = true, .error = NEAP_KIND_BREAKER_OPEN};
    neap_count_ending(setup, &ending, now_ns);
    *retry_after_ns = until_ns == NEAP_NEVER ? -1 : neap_time_since(until_ns, now_ns);
    return true;
}

static inline void record_success(const struct neap_straight *straight,
                                  const struct neap_call_setup *setup, int64_t elapsed_ns,
                                  int64_t now_ns)
{
    const struct neap_breaker_policy *policy = &setup->pipeline->breaker;
    if (neap_breaker_uses_random(policy) ||
        !neap_breaker_record_success(setup->state.breaker, policy, straight->breaker_permit,
                                     elapsed_ns))
        neap_count_result(setup, straight->breaker_permit, NEAP_VERDICT_SUCCESS, elapsed_ns,
                          now_ns);
}

/* `elapsed` is the last attempt's: that of the call, where it was the only one. */
NEAP_INLINE void count_ending(const struct neap_straight *straight,
                              const struct neap_call_setup *setup,
                              struct neap_histogram_sample elapsed, enum neap_kind error,
                              int64_t now_ns)
{
    const struct neap_ending ending = {
        .ok = error == NEAP_KIND_NONE, .failed = error != NEAP_KIND_NONE, .error = error};
    neap_count_ending(setup, &ending, now_ns);
    if (straight->attempts > 1)
        elapsed = neap_histogram_sample(neap_time_since(now_ns, straight->began_ns));
    neap_count_latency(setup, elapsed);
}

void neap_straight_succeed(const struct neap_straight *straight,
                           const struct neap_call_setup *setup, int64_t now_ns)
{
    int64_t elapsed_ns = neap_time_since(now_ns, straight->started_ns);
    struct neap_histogram_sample elapsed = neap_histogram_sample(elapsed_ns);
    neap_count_outcome(setup, NEAP_KIND_NONE, NEAP_PHASE_NONE, elapsed);
    if (straight->bulkhead_permit)
        leave_bulkhead(setup, straight->bulkhead_permit);
    if (straight->breaker_permit)
        record_success(straight, setup, elapsed_ns, now_ns);
    count_ending(straight, setup, elapsed, NEAP_KIND_NONE, now_ns);
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
        !admit(straight, setup, now_ns))
        return pause(straight, setup, call, outcome, decision->until_ns);
    draw(straight->breaker_permit != 0, setup);
    launch(straight, setup, now_ns);
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
        leave_bulkhead(setup, straight->bulkhead_permit);
    if (straight->breaker_permit)
        neap_count_result(setup, straight->breaker_permit, neap_classify_verdict(outcome),
                          elapsed_ns, now_ns);
    straight->breaker_permit = straight->bulkhead_permit = 0;
    struct neap_retry_decision decision = decide(straight, setup, outcome, now_ns);
    if (decision.retry)
        return repeat(straight, setup, call, outcome, &decision, now_ns);
    count_ending(straight, setup, elapsed, outcome->kind, now_ns);
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
