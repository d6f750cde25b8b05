/* The two steps of the straight way that most guarded calls make, for callers in a hurry: see
 * pipeline/straight.h. */
#ifndef NEAP_PIPELINE_STRAIGHT_WAY_H
#define NEAP_PIPELINE_STRAIGHT_WAY_H

#include "pipeline/call_count.h"
#include "pipeline/straight.h"
#include "policy/breaker_quick.h"
#include "policy/bulkhead_slots.h"

/* A permit, or 0 where there is none. */
int64_t neap_straight_search_bulkhead(const struct neap_call_setup *setup);

/* Whoever is asked for admission is given a random number where it can make use of one, and so is
 * the breaker here: calls that follow see the same numbers. */
void neap_straight_draw(const struct neap_call_setup *setup);

/* The general case of what a breaker is told of a success. */
void neap_straight_record_success(const struct neap_straight *straight,
                                  const struct neap_call_setup *setup, int64_t elapsed_ns,
                                  int64_t now_ns);

/* The steps where the counters are shared. */
bool neap_straight_begin_shared(struct neap_straight *straight, const struct neap_call_setup *setup,
                                int64_t now_ns);
void neap_straight_succeed_shared(const struct neap_straight *straight,
                                  const struct neap_call_setup *setup, int64_t now_ns);

/* What is counted with. It is looked at once: the compiler takes it that each count might change
 * it, and it is `is_private` that decides how long a count takes. */
NEAP_INLINE struct neap_call_setup neap_straight_books(const struct neap_call_setup *setup,
                                                       bool is_private)
{
    return (struct neap_call_setup){.pipeline = setup->pipeline,
                                    .state.budget = setup->state.budget,
                                    .counters = setup->counters,
                                    .in_flight = setup->in_flight,
                                    .is_private = is_private};
}

/* A permit, or 0 where somebody has to wait or to be refused. */
static inline int64_t neap_straight_enter_bulkhead(const struct neap_call_setup *setup)
{
    const struct neap_bulkhead_policy *policy = &setup->pipeline->bulkhead;
    const struct neap_pipeline_state *state = &setup->state;
    if (*state->bulkhead_waiting > 0)
        return 0;
    int64_t permit =
        policy->is_private ? neap_bulkhead_take_next(state->bulkhead, policy, state->holder) : 0;
    return permit ? permit : neap_straight_search_bulkhead(setup);
}

static inline void neap_straight_leave_bulkhead(const struct neap_call_setup *setup, int64_t permit)
{
    const struct neap_bulkhead_policy *policy = &setup->pipeline->bulkhead;
    if (policy->is_private)
        neap_bulkhead_put_back(setup->state.bulkhead, permit);
    else
        neap_bulkhead_release(setup->state.bulkhead, policy, permit);
}

/* The rate limit comes last, although a call asks for a place after it: what it has admitted cannot
 * be given back, a place can. */
NEAP_INLINE bool neap_straight_admit(struct neap_straight *straight,
                                     const struct neap_call_setup *setup, int64_t now_ns)
{
    const struct neap_pipeline *pipeline = setup->pipeline;
    const struct neap_breaker *breaker = pipeline->has_breaker ? setup->state.breaker : NULL;
    int64_t breaker_permit = breaker ? neap_breaker_pass(breaker, &pipeline->breaker, now_ns) : 0;
    if (breaker && !breaker_permit)
        return false;
    int64_t place = pipeline->has_bulkhead ? neap_straight_enter_bulkhead(setup) : 0;
    if (pipeline->has_bulkhead && !place)
        return false;
    if (pipeline->has_limiter &&
        !neap_rate_limiter_pass(setup->state.limiter, &pipeline->limiter, now_ns)) {
        if (place)
            neap_straight_leave_bulkhead(setup, place);
        return false;
    }
    straight->breaker_permit = breaker_permit;
    straight->bulkhead_permit = place;
    return true;
}

NEAP_INLINE bool neap_straight_begin_as(struct neap_straight *straight,
                                        const struct neap_call_setup *setup, bool is_private,
                                        int64_t now_ns)
{
    if (!neap_straight_admit(straight, setup, now_ns))
        return false;
    straight->began_ns = straight->started_ns = now_ns;
    straight->attempts = 1;
    straight->previous_delay_s = 0;
    straight->draws =
        straight->breaker_permit != 0 && neap_breaker_uses_random(&setup->pipeline->breaker);
    if (straight->draws)
        neap_straight_draw(setup);
    const struct neap_call_setup books = neap_straight_books(setup, is_private);
    neap_count_call(&books);
    neap_count_deposit(&books, now_ns);
    neap_count_attempt(&books);
    return true;
}

NEAP_INLINE bool neap_straight_begin(struct neap_straight *straight,
                                     const struct neap_call_setup *setup, int64_t now_ns)
{
    return setup->is_private ? neap_straight_begin_as(straight, setup, true, now_ns)
                             : neap_straight_begin_shared(straight, setup, now_ns);
}

/* `elapsed` is the last attempt's: that of the call, where it was the only one. */
NEAP_INLINE void neap_straight_count_ending(const struct neap_straight *straight,
                                            const struct neap_call_setup *setup,
                                            struct neap_histogram_sample elapsed,
                                            enum neap_kind error, int64_t now_ns)
{
    const struct neap_ending ending = {
        .ok = error == NEAP_KIND_NONE, .failed = error != NEAP_KIND_NONE, .error = error};
    neap_count_ending(setup, &ending, now_ns);
    if (straight->attempts > 1)
        elapsed = neap_histogram_sample(neap_time_since(now_ns, straight->began_ns));
    neap_count_latency(setup, elapsed);
}

NEAP_INLINE void neap_straight_succeed_as(const struct neap_straight *straight,
                                          const struct neap_call_setup *setup, bool is_private,
                                          int64_t now_ns)
{
    int64_t elapsed_ns = neap_time_since(now_ns, straight->started_ns);
    if (straight->bulkhead_permit)
        neap_straight_leave_bulkhead(setup, straight->bulkhead_permit);
    if (straight->breaker_permit &&
        (straight->draws ||
         !neap_breaker_record_success(setup->state.breaker, &setup->pipeline->breaker,
                                      straight->breaker_permit, elapsed_ns)))
        neap_straight_record_success(straight, setup, elapsed_ns, now_ns);
    const struct neap_call_setup books = neap_straight_books(setup, is_private);
    struct neap_histogram_sample elapsed = neap_histogram_sample(elapsed_ns);
    neap_count_outcome(&books, NEAP_KIND_NONE, NEAP_PHASE_NONE, elapsed);
    neap_straight_count_ending(straight, &books, elapsed, NEAP_KIND_NONE, now_ns);
}

NEAP_INLINE void neap_straight_succeed(const struct neap_straight *straight,
                                       const struct neap_call_setup *setup, int64_t now_ns)
{
    if (setup->is_private)
        neap_straight_succeed_as(straight, setup, true, now_ns);
    else
        neap_straight_succeed_shared(straight, setup, now_ns);
}

#endif
