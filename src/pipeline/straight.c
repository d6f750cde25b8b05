#include "pipeline/straight.h"

#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"

bool neap_straight_suits(const struct neap_call_setup *setup)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    bool has_gates = setup->state.gate_origin || setup->state.gate_credential;
    return setup->uninterruptible && setup->watched == 0 && setup->deadline_ns == NEAP_NEVER &&
           setup->timeout.total_ns >= NEAP_LEAST_LEFT_NS && !(pipeline->has_gate && has_gates) &&
           !pipeline->asks_failure && !setup->chaos_off && pipeline->hedge_after_ns == NEAP_NEVER;
}

/* A permit, or 0 where somebody has to wait or to be refused. */
static int64_t enter_bulkhead(const struct neap_call_setup *setup, int64_t now_ns)
{
    const struct neap_pipeline_state *state = &setup->state;
    if (*state->bulkhead_waiting > 0)
        return 0;
    return neap_bulkhead_acquire(state->bulkhead, &setup->pipeline->bulkhead, state->holder, now_ns)
        .permit;
}

static bool passes_rate_limit(const struct neap_call_setup *setup, int64_t now_ns)
{
    return neap_rate_limiter_acquire(setup->state.limiter, &setup->pipeline->limiter, 1, 0, now_ns)
               .decision == NEAP_ADMIT;
}

/* The rate limit comes last, although a call asks for a place after it: what it has admitted cannot
 * be given back, a place can. */
static bool admit(struct neap_straight *straight, const struct neap_call_setup *setup,
                  int64_t now_ns)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    const struct neap_pipeline_state *state = &setup->state;
    bool has_breaker = pipeline->has_breaker && state->breaker;
    straight->breaker_permit =
        has_breaker ? neap_breaker_pass(state->breaker, &pipeline->breaker) : 0;
    if (has_breaker && !straight->breaker_permit)
        return false;
    straight->bulkhead_permit = pipeline->has_bulkhead ? enter_bulkhead(setup, now_ns) : 0;
    if (pipeline->has_bulkhead && !straight->bulkhead_permit)
        return false;
    if (!pipeline->has_limiter || passes_rate_limit(setup, now_ns))
        return true;
    if (straight->bulkhead_permit)
        neap_bulkhead_release(state->bulkhead, &pipeline->bulkhead, straight->bulkhead_permit);
    return false;
}

/* Whoever is asked for admission is given a random number where it can make use of one, and so is
 * the breaker here: calls that follow see the same numbers. */
static void draw(const struct neap_straight *straight, const struct neap_call_setup *setup)
{
    if (straight->breaker_permit && neap_breaker_uses_random(&setup->pipeline->breaker))
        (void)neap_random_unit(setup->random);
}

bool neap_straight_begin(struct neap_straight *straight, const struct neap_call_setup *setup,
                         int64_t now_ns)
{
    if (!admit(straight, setup, now_ns))
        return false;
    straight->began_ns = now_ns;
    draw(straight, setup);
    neap_count_call(setup);
    neap_count_deposit(setup, now_ns);
    neap_count_attempt(setup);
    return true;
}

void neap_straight_succeed(const struct neap_straight *straight,
                           const struct neap_call_setup *setup, int64_t now_ns)
{
    int64_t elapsed_ns = neap_time_since(now_ns, straight->began_ns);
    neap_count_outcome(setup, NEAP_KIND_NONE, NEAP_PHASE_NONE, elapsed_ns);
    if (straight->bulkhead_permit)
        neap_bulkhead_release(setup->state.bulkhead, &setup->pipeline->bulkhead,
                              straight->bulkhead_permit);
    if (straight->breaker_permit)
        neap_count_result(setup, straight->breaker_permit, NEAP_VERDICT_SUCCESS, elapsed_ns,
                          now_ns);
    const struct neap_ending ending = {
        .ok = true, .attempted = true, .began_ns = straight->began_ns};
    neap_count_ending(setup, &ending, now_ns);
}

void neap_straight_become(const struct neap_straight *straight, const struct neap_call_setup *setup,
                          struct neap_call *call)
{
    neap_call_init(call, setup);
    call->began_ns = straight->began_ns;
    call->deadline_ns = neap_call_deadline(setup, straight->began_ns);
    call->stage = NEAP_STAGE_COUNT;
    call->breaker_permit = straight->breaker_permit;
    call->bulkhead_permit = straight->bulkhead_permit;
    (void)neap_call_launch(call, straight->began_ns);
}
