/* A small world for calls: a pipeline made of the fuzzer's bytes, the state that calls share, and
 * what is still out at the end. */
#ifndef NEAP_SPEC_FUZZ_WORLD_H
#define NEAP_SPEC_FUZZ_WORLD_H

#include <stdatomic.h>

#include "base/duration.h"
#include "fuzz/fuzz.h"
#include "pipeline/call.h"
#include "platform/memory.h"

#define S NEAP_SECOND
#define WORLD_HOLDER 7u

struct world {
    struct neap_pipeline pipeline;
    struct neap_pipeline_state shared;
    struct neap_counters counters;
    _Atomic int32_t in_flight;
    struct neap_random random;
    struct neap_gate gate_origin, gate_credential;
    struct neap_rate_limiter limiter;
    uint32_t waiting;
    _Atomic bool chaos_off;
    uint64_t disturbed; /* attempts that were to be */
    int64_t now_ns;
};

static inline void world_choose_parts(struct neap_pipeline *pipeline, uint64_t draw)
{
    pipeline->has_breaker = draw & 1;
    pipeline->has_gate = draw & 2;
    pipeline->has_limiter = draw & 4;
    pipeline->has_bulkhead = draw & 8;
    pipeline->has_budget = draw & 16;
    pipeline->asks_when = draw & 32;
    pipeline->asks_failure = draw & 64;
    pipeline->asks_backoff = draw & 128;
    pipeline->asks_refresh = draw & 256;
    pipeline->hedge_after_ns = draw & 512 ? S : NEAP_NEVER;
    pipeline->fallback_count = draw & 1024 ? 2 : 0;
    pipeline->fallback_kinds[0] = draw & 2048 ? 1u << NEAP_KIND_TIMEOUT : 0;
    pipeline->timeout.attempt_ns = draw & 4096 ? 2 * S : NEAP_NEVER;
    pipeline->breaker_shadow = draw & 8192;
    pipeline->limiter_shadow = draw & 16384;
    pipeline->bulkhead_shadow = draw & 32768;
}

static inline void world_choose_sizes(struct neap_pipeline *pipeline, struct fuzz_input *input)
{
    uint8_t draw = fuzz_byte(input);
    pipeline->retry.max_attempts = 1 + draw % 4;
    pipeline->bulkhead.max_concurrent = 1 + draw / 4 % 2;
    pipeline->bulkhead.max_queue = draw / 8 % 4;
    pipeline->bulkhead.max_wait_ns = draw & 32 ? S / 4 : 0;
    pipeline->retry.honor_retry_after = draw & 64;
    pipeline->retry.enabled = draw < 240;
    draw = fuzz_byte(input);
    pipeline->breaker.window_count = draw & 1 ? 1 + draw / 2 % 4 : 0;
    pipeline->breaker.min_calls = 1 + draw / 8 % 3;
    pipeline->breaker.permits = 1 + draw / 32 % 2;
    pipeline->breaker.ramp_ns = draw & 64 ? 5 * S : 0;
    pipeline->breaker.consecutive_failures = draw & 128 ? 2 : 0;
    draw = fuzz_byte(input);
    pipeline->timeout.total_ns = draw == 255 ? NEAP_NEVER : draw * (S / 8);
}

static inline struct neap_pipeline world_pipeline(struct fuzz_input *input)
{
    struct neap_pipeline pipeline = {
        .timeout = {2 * S, 5 * S, 5 * S, NEAP_NEVER, 30 * S},
        .retry = {.backoff = {NEAP_BACKOFF_EXPONENTIAL, 1, 2, 10, NEAP_JITTER_FULL, 0},
                  .max_server_delay_ns = 60 * S},
        .breaker = {.window_seconds = 10,
                    .failure_rate = 0.5,
                    .slow_call_ns = S,
                    .slow_call_rate = 1,
                    .open_base_s = 3,
                    .open_factor = 2,
                    .open_max_s = 300,
                    .lease_ns = 6 * S,
                    .ramp_from = 0.5},
        .gate = {.max_wait_ns = 10 * S},
        .limiter = {.interval_s = 1, .burst = 1, .max_wait_ns = 5 * S},
        .budget = {.ratio = 0.5, .min_per_second = 1, .ttl_seconds = 2},
    };
    world_choose_parts(&pipeline, fuzz_number(input, 2));
    world_choose_sizes(&pipeline, input);
    neap_retry_default_statuses(pipeline.retry.status_rule);
    return pipeline;
}

static inline void *world_block(size_t bytes)
{
    void *block = neap_alloc(neap_platform_alloc(), bytes);
    promise(block);
    return block;
}

static inline void world_begin(struct world *world, struct fuzz_input *input)
{
    memset(world, 0, sizeof *world);
    world->pipeline = world_pipeline(input);
    neap_counters_init(&world->counters);
    neap_random_init(&world->random, fuzz_byte(input));
    neap_gate_init(&world->gate_origin);
    neap_gate_init(&world->gate_credential);
    neap_rate_limiter_init(&world->limiter);
    const struct neap_pipeline *pipeline = &world->pipeline;
    struct neap_pipeline_state *shared = &world->shared;
    uint8_t draw = fuzz_byte(input);
    world->pipeline.has_chaos = draw & 2;
    world->pipeline.chaos = (struct neap_chaos_policy){
        .rate = draw & 4 ? 1 : 0.5, .latency_ns = S, .status = draw & 8 ? 503 : 0};
    world->chaos_off = draw & 16;
    *shared = (struct neap_pipeline_state){
        .breaker = world_block(neap_breaker_bytes(&pipeline->breaker)),
        .gate_origin = &world->gate_origin,
        .gate_credential = &world->gate_credential,
        .limiter = &world->limiter,
        .bulkhead = world_block(neap_bulkhead_bytes(&pipeline->bulkhead)),
        .bulkhead_is_shared = draw & 1,
        .bulkhead_waiting = &world->waiting,
        .budget = world_block(neap_retry_budget_bytes(&pipeline->budget)),
        .holder = WORLD_HOLDER};
    neap_breaker_init(shared->breaker, &pipeline->breaker);
    neap_bulkhead_init(shared->bulkhead, &pipeline->bulkhead);
    neap_retry_budget_init(shared->budget, &pipeline->budget);
}

/* Nothing is out in anybody's name any more. */
static inline void world_end(struct world *world)
{
    const struct neap_pipeline *pipeline = &world->pipeline;
    struct neap_pipeline_state *shared = &world->shared;
    promise(atomic_load(&world->in_flight) == 0);
    promise(world->waiting == 0);
    promise(atomic_load(&world->counters.chaos) == world->disturbed);
    promise(neap_bulkhead_in_use(shared->bulkhead, &pipeline->bulkhead) == 0);
    promise(neap_bulkhead_reclaim(shared->bulkhead, &pipeline->bulkhead, WORLD_HOLDER) == 0);
    promise(neap_breaker_reclaim(shared->breaker, &pipeline->breaker, WORLD_HOLDER) == 0);
    neap_free(neap_platform_alloc(), shared->budget);
    neap_free(neap_platform_alloc(), shared->bulkhead);
    neap_free(neap_platform_alloc(), shared->breaker);
}

#endif
