/* Worlds for the straight way: random policies, and all the state that calls of them share. */
#ifndef NEAP_SPEC_PIPELINE_STRAIGHT_FIXTURE_H
#define NEAP_SPEC_PIPELINE_STRAIGHT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "pipeline/straight_way.h"
#include "support/failing_alloc.h"

/* All that calls share. The straight one has it to itself, the other one as if others had it. */
struct world {
    struct failing_alloc failing;
    struct neap_pipeline pipeline;
    struct neap_call_setup setup;
    struct neap_counters counters;
    _Atomic int32_t in_flight;
    struct neap_random random;
    struct neap_rate_limiter limiter;
    uint32_t bulkhead_waiting;
    struct neap_random script;
    int64_t now_ns;
    bool is_straight;
    uint32_t succeeded, refused, repeated, failed, paused, become_calls; /* of the straight way */
};

static uint32_t below(struct neap_random *random, uint32_t limit)
{
    return (uint32_t)(neap_random_unit(random) * limit);
}

static bool perhaps(struct neap_random *random, double share)
{
    return neap_random_unit(random) < share;
}

/* ---- random policies */

static struct neap_breaker_policy some_breaker(struct neap_random *random)
{
    return (struct neap_breaker_policy){
        .window_count = perhaps(random, 0.7) ? 1 + below(random, 40) : 0,
        .window_seconds = 1 + below(random, 5),
        .min_calls = 1 + below(random, 8),
        .failure_rate = 0.1 + 0.9 * neap_random_unit(random),
        .slow_call_ns = perhaps(random, 0.3) ? 50 * NEAP_MS : NEAP_NEVER,
        .slow_call_rate = 0.5,
        .consecutive_failures = perhaps(random, 0.2) ? 1 + below(random, 5) : 0,
        .open_base_s = 0.1 + neap_random_unit(random),
        .open_factor = 1 + neap_random_unit(random),
        .open_max_s = 3,
        .open_jitter = perhaps(random, 0.3) ? 0.5 : 0,
        .permits = 1 + below(random, 4),
        .lease_ns = NEAP_SECOND,
        .ramp_ns = perhaps(random, 0.3) ? NEAP_SECOND : 0,
        .ramp_from = 0.1,
    };
}

static struct neap_pipeline some_pipeline(struct neap_random *random)
{
    struct neap_pipeline pipeline = {
        .timeout = {NEAP_SECOND, NEAP_SECOND, NEAP_SECOND, NEAP_NEVER, 5 * NEAP_SECOND},
        .retry = {.max_attempts = 1 + below(random, 4),
                  .enabled = true,
                  .backoff = {NEAP_BACKOFF_FIXED, 0.2, 1, 10, NEAP_JITTER_NONE, 0},
                  .honor_retry_after = true,
                  .max_server_delay_ns = 60 * NEAP_SECOND},
        .budget = {.ratio = 0.2, .min_per_second = below(random, 5), .ttl_seconds = 2},
        .breaker = some_breaker(random),
        .limiter = {.interval_s = 0.001 + 0.3 * neap_random_unit(random),
                    .burst = 1 + below(random, 10),
                    .max_wait_ns = perhaps(random, 0.5) ? NEAP_SECOND : 0},
        .bulkhead = {.max_concurrent = 1 + below(random, 4),
                     .max_wait_ns = perhaps(random, 0.5) ? 100 * NEAP_MS : 0,
                     .max_queue = 2},
        .has_budget = perhaps(random, 0.8),
        .has_breaker = perhaps(random, 0.8),
        .has_limiter = perhaps(random, 0.5),
        .has_bulkhead = perhaps(random, 0.6),
        .breaker_shadow = perhaps(random, 0.1),
        .limiter_shadow = perhaps(random, 0.1),
        .bulkhead_shadow = perhaps(random, 0.1),
        .hedge_after_ns = NEAP_NEVER,
    };
    if (perhaps(random, 0.5))
        pipeline.retry.backoff =
            (struct neap_backoff){NEAP_BACKOFF_EXPONENTIAL, 0.1, 2, 1, NEAP_JITTER_FULL, 0};
    if (perhaps(random, 0.3))
        pipeline.retry.backoff.jitter = NEAP_JITTER_DECORRELATED;
    if (perhaps(random, 0.5))
        pipeline.retry.backoff.base_s = 0;
    pipeline.retry.enabled = perhaps(random, 0.9);
    neap_retry_default_statuses(pipeline.retry.status_rule);
    return pipeline;
}

/* ---- worlds */

static void keep_to_itself(struct neap_pipeline *pipeline)
{
    pipeline->breaker.is_private = pipeline->limiter.is_private = true;
    pipeline->bulkhead.is_private = pipeline->budget.is_private = true;
    neap_rate_limiter_prepare(&pipeline->limiter);
}

static void begin_world(struct world *world, uint64_t seed, bool is_straight)
{
    struct neap_random random;
    neap_random_init(&random, seed);
    memset(world, 0, sizeof *world);
    failing_alloc_init(&world->failing);
    const struct neap_alloc *alloc = &world->failing.alloc;
    struct neap_pipeline *pipeline = &world->pipeline;
    *pipeline = some_pipeline(&random);
    world->is_straight = is_straight;
    if (is_straight)
        keep_to_itself(pipeline);
    neap_counters_init(&world->counters);
    neap_random_init(&world->random, seed + 1);
    neap_random_init(&world->script, seed + 2);
    neap_rate_limiter_init(&world->limiter);
    struct neap_pipeline_state state = {.limiter = &world->limiter,
                                        .bulkhead_waiting = &world->bulkhead_waiting};
    state.breaker = neap_alloc_zeroed(alloc, neap_breaker_bytes(&pipeline->breaker));
    neap_breaker_init(state.breaker, &pipeline->breaker);
    state.bulkhead = neap_alloc_zeroed(alloc, neap_bulkhead_bytes(&pipeline->bulkhead));
    neap_bulkhead_init(state.bulkhead, &pipeline->bulkhead);
    state.budget = neap_alloc_zeroed(alloc, neap_retry_budget_bytes(&pipeline->budget));
    neap_retry_budget_init(state.budget, &pipeline->budget);
    world->setup = (struct neap_call_setup){.alloc = alloc,
                                            .pipeline = pipeline,
                                            .state = state,
                                            .counters = &world->counters,
                                            .in_flight = &world->in_flight,
                                            .random = &world->random,
                                            .timeout = pipeline->timeout,
                                            .deadline_ns = NEAP_NEVER,
                                            .replayable = true,
                                            .is_private = is_straight,
                                            .uninterruptible = true};
    assert_true(neap_straight_suits(&world->setup));
    assert_true(neap_straight_suits_failures(&world->setup));
}

static void end_world(struct world *world)
{
    neap_free(&world->failing.alloc, world->setup.state.budget);
    neap_free(&world->failing.alloc, world->setup.state.bulkhead);
    neap_free(&world->failing.alloc, world->setup.state.breaker);
    failing_alloc_assert_all_freed(&world->failing);
}

#endif
