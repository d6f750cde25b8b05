/* A call with its pipeline and state, driven by hand: what a driver does, without a network. */
#ifndef NEAP_SPEC_PIPELINE_CALL_FIXTURE_H
#define NEAP_SPEC_PIPELINE_CALL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "pipeline/call.h"
#include "support/failing_alloc.h"

#define S NEAP_SECOND

/* One world: tests change `pipeline` before the first call is begun. */
static struct failing_alloc failing;
static struct neap_pipeline pipeline;
static struct neap_pipeline_state shared;
static struct neap_counters counters;
static struct neap_notice notices[NEAP_NOTICE_MAX];
static _Atomic int32_t in_flight;
static struct neap_random random_numbers;
static struct neap_gate gate_origin, gate_credential;
static struct neap_rate_limiter limiter;
static uint32_t bulkhead_waiting;
static struct neap_effect effect;
static int64_t now_ns;

static inline void begin_world(void)
{
    failing_alloc_init(&failing);
    pipeline = (struct neap_pipeline){
        .timeout = {2 * S, 5 * S, 5 * S, NEAP_NEVER, 30 * S},
        .retry = {.max_attempts = 3,
                  .enabled = true,
                  .backoff = {NEAP_BACKOFF_FIXED, 1, 1, 10, NEAP_JITTER_NONE, 0},
                  .honor_retry_after = true,
                  .max_server_delay_ns = 60 * S},
        .breaker = {.window_count = 100,
                    .min_calls = 10,
                    .failure_rate = 0.5,
                    .slow_call_ns = NEAP_NEVER,
                    .open_base_s = 30,
                    .open_factor = 1,
                    .open_max_s = 300,
                    .permits = 2,
                    .lease_ns = 60 * S},
        .gate = {.max_wait_ns = 10 * S},
        .limiter = {.interval_s = 1, .burst = 1, .max_wait_ns = 5 * S},
        .bulkhead = {.max_concurrent = 1, .max_wait_ns = 0, .max_queue = 10},
        .budget = {.ratio = 0, .min_per_second = 1, .ttl_seconds = 1},
        .hedge_after_ns = NEAP_NEVER,
    };
    neap_retry_default_statuses(pipeline.retry.status_rule);
    neap_counters_init(&counters);
    atomic_store(&in_flight, 0);
    neap_random_init(&random_numbers, 1);
    neap_gate_init(&gate_origin);
    neap_gate_init(&gate_credential);
    neap_rate_limiter_init(&limiter);
    bulkhead_waiting = 0;
    now_ns = 0;
    memset(&shared, 0, sizeof shared);
}

/* Makes the parts that the pipeline has by now. */
static inline void make_state(void)
{
    shared = (struct neap_pipeline_state){.gate_origin = &gate_origin,
                                          .gate_credential = &gate_credential,
                                          .limiter = &limiter,
                                          .bulkhead_waiting = &bulkhead_waiting};
    shared.breaker = neap_alloc(&failing.alloc, neap_breaker_bytes(&pipeline.breaker));
    neap_breaker_init(shared.breaker, &pipeline.breaker);
    shared.bulkhead = neap_alloc(&failing.alloc, neap_bulkhead_bytes(&pipeline.bulkhead));
    neap_bulkhead_init(shared.bulkhead, &pipeline.bulkhead);
    shared.budget = neap_alloc(&failing.alloc, neap_retry_budget_bytes(&pipeline.budget));
    neap_retry_budget_init(shared.budget, &pipeline.budget);
}

static inline void end_world(void)
{
    neap_free(&failing.alloc, shared.budget);
    neap_free(&failing.alloc, shared.bulkhead);
    neap_free(&failing.alloc, shared.breaker);
    failing_alloc_assert_all_freed(&failing);
}

/* What sets a test up that changes nothing of the world before it begins, and what ends any. */
static inline int set_up_world(void **state)
{
    (void)state;
    begin_world();
    return 0;
}

static inline int tear_down_world(void **state)
{
    (void)state;
    end_world();
    return 0;
}

static inline void init_call(struct neap_call *call)
{
    neap_call_init(call, &(struct neap_call_setup){.alloc = &failing.alloc,
                                                   .pipeline = &pipeline,
                                                   .state = shared,
                                                   .counters = &counters,
                                                   .in_flight = &in_flight,
                                                   .random = &random_numbers,
                                                   .timeout = pipeline.timeout,
                                                   .deadline_ns = NEAP_NEVER,
                                                   .replayable = true,
                                                   .watched = ~0u,
                                                   .notice = notices});
}

static inline void tell(struct neap_call *call, enum neap_event_kind kind)
{
    effect = neap_call_step(call, now_ns, &(struct neap_event){.kind = kind});
}

/* The first call of a test. */
static inline void begin_call(struct neap_call *call)
{
    make_state();
    init_call(call);
    tell(call, NEAP_EVENT_BEGIN);
}

static inline uint32_t places_taken(void)
{
    return neap_bulkhead_in_use(shared.bulkhead, &pipeline.bulkhead);
}

/* Another process takes a place of the bulkhead, or gives it back: nobody is told. */
static inline int64_t take_place_elsewhere(void)
{
    struct neap_admission place =
        neap_bulkhead_acquire(shared.bulkhead, &pipeline.bulkhead, 200, now_ns);
    assert_int_equal(place.decision, NEAP_ADMIT);
    return place.permit;
}

static inline void free_place_elsewhere(int64_t permit)
{
    assert_true(neap_bulkhead_release(shared.bulkhead, &pipeline.bulkhead, permit));
}

static inline void tell_time(struct neap_call *call, int64_t moment_ns)
{
    now_ns = moment_ns;
    tell(call, NEAP_EVENT_TIME);
}

static inline void tell_outcome(struct neap_call *call, uint32_t attempt,
                                struct neap_outcome outcome)
{
    effect = neap_call_step(call, now_ns,
                            &(struct neap_event){.kind = NEAP_EVENT_OUTCOME,
                                                 .attempt = attempt,
                                                 .outcome = &outcome,
                                                 .hint = {-1, -1, false, 0}});
}

static inline void tell_status(struct neap_call *call, uint32_t attempt, int status)
{
    tell_outcome(call, attempt, (struct neap_outcome){.status = status});
}

static inline void tell_hint(struct neap_call *call, uint32_t attempt, int status,
                             struct neap_hint hint)
{
    effect =
        neap_call_step(call, now_ns,
                       &(struct neap_event){.kind = NEAP_EVENT_OUTCOME,
                                            .attempt = attempt,
                                            .outcome = &(struct neap_outcome){.status = status},
                                            .hint = hint});
}

static inline void answer(struct neap_call *call, struct neap_answer given)
{
    effect = neap_call_step(call, now_ns,
                            &(struct neap_event){.kind = NEAP_EVENT_ANSWER, .answer = given});
}

#define assert_effect(expected) assert_int_equal(effect.kind, expected)

static inline void assert_send(uint32_t attempt)
{
    assert_effect(NEAP_EFFECT_SEND);
    assert_int_equal(effect.attempt, attempt);
}

static inline void assert_error(const struct neap_call *call, enum neap_kind kind)
{
    assert_effect(NEAP_EFFECT_DONE);
    assert_int_equal(call->result.kind, NEAP_RESULT_ERROR);
    assert_int_equal(call->result.outcome.kind, kind);
}

static inline void assert_response(const struct neap_call *call, int status)
{
    assert_effect(NEAP_EFFECT_DONE);
    assert_int_equal(call->result.kind, NEAP_RESULT_RESPONSE);
    assert_int_equal(call->result.outcome.status, status);
}

static inline void assert_last_reason(struct neap_call *call, const char *reason)
{
    struct neap_trace_entry *last = neap_trace_last(&call->trace);
    assert_non_null(last);
    if (reason)
        assert_string_equal(last->reason, reason);
    else
        assert_null(last->reason);
}

static inline void end_call(struct neap_call *call)
{
    neap_call_deinit(call, now_ns);
    assert_int_equal(in_flight, 0);
}

#endif
