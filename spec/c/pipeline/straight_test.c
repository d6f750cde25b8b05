/* The straight way beside the states of a call: random policies and scripts, each gone through in
 * two worlds, come to the same by both. */
#include "pipeline/straight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "support/failing_alloc.h"

#define ROUNDS 3000
#define CALLS 60
#define DEPTH_MAX 3

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
    uint32_t gone_straight, become_calls;
};

/* What one call came to. */
struct told {
    enum neap_result_kind kind;
    enum neap_kind error;
    uint32_t attempts, entries;
    int64_t at_ns, elapsed_ns, retry_after_ns;
    uint64_t trace;
};

static struct world plain, straight;

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
        .hedge_after_ns = NEAP_NEVER,
    };
    if (perhaps(random, 0.5))
        pipeline.retry.backoff =
            (struct neap_backoff){NEAP_BACKOFF_EXPONENTIAL, 0.1, 2, 1, NEAP_JITTER_FULL, 0};
    if (perhaps(random, 0.3))
        pipeline.retry.backoff.base_s = 0;
    neap_retry_default_statuses(pipeline.retry.status_rule);
    return pipeline;
}

/* ---- worlds */

static void keep_to_itself(struct neap_pipeline *pipeline)
{
    pipeline->breaker.is_private = pipeline->limiter.is_private = true;
    pipeline->bulkhead.is_private = pipeline->budget.is_private = true;
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
}

static void end_world(struct world *world)
{
    neap_free(&world->failing.alloc, world->setup.state.budget);
    neap_free(&world->failing.alloc, world->setup.state.bulkhead);
    neap_free(&world->failing.alloc, world->setup.state.breaker);
    failing_alloc_assert_all_freed(&world->failing);
}

/* ---- one call */

static void make_call(struct world *world, int depth, struct told *told);

/* The guarded function: takes some time, calls again in it at times, and fails at times. */
static struct neap_outcome run_function(struct world *world, int depth, double failure_share)
{
    struct neap_random *script = &world->script;
    struct told ignored;
    world->now_ns += perhaps(script, 0.3) ? below(script, 100 * NEAP_MS) : below(script, 2000);
    if (depth < DEPTH_MAX && perhaps(script, 0.2))
        make_call(world, depth + 1, &ignored);
    if (perhaps(script, 0.02))
        world->now_ns += 6 * NEAP_SECOND;
    if (!perhaps(script, failure_share))
        return (struct neap_outcome){.kind = NEAP_KIND_NONE};
    return (struct neap_outcome){.kind = NEAP_KIND_ERROR, .message = "no"};
}

static struct neap_effect tell_outcome(struct world *world, struct neap_call *call,
                                       const struct neap_outcome *outcome)
{
    return neap_call_step(call, world->now_ns,
                          &(struct neap_event){.kind = NEAP_EVENT_OUTCOME,
                                               .attempt = call->attempts,
                                               .outcome = outcome,
                                               .hint = {-1, -1, false, 0}});
}

/* Performs effects until the call is done. */
static void drive(struct world *world, struct neap_call *call, struct neap_effect effect, int depth,
                  double failure_share)
{
    while (effect.kind != NEAP_EFFECT_DONE) {
        if (effect.kind == NEAP_EFFECT_SEND) {
            struct neap_outcome outcome = run_function(world, depth, failure_share);
            effect = tell_outcome(world, call, &outcome);
            continue;
        }
        assert_int_equal(effect.kind, NEAP_EFFECT_WAIT);
        world->now_ns = neap_time_max(world->now_ns, neap_call_next_wakeup(call));
        effect = neap_call_step(call, world->now_ns, &(struct neap_event){.kind = NEAP_EVENT_TIME});
    }
}

static uint64_t mixed(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * UINT64_C(0x100000001B3);
}

static uint64_t digest_of(const struct neap_trace *trace)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct neap_trace_entry *entry = &trace->entry[i];
        sum = mixed(mixed(sum, (uint64_t)entry->at_ns), (uint64_t)entry->elapsed_ns);
        sum = mixed(mixed(sum, entry->kind), entry->error);
        for (const char *at = entry->reason; at && *at; at++)
            sum = mixed(sum, (uint64_t)*at);
    }
    return sum;
}

static void note(struct world *world, struct neap_call *call, struct told *told)
{
    *told = (struct told){.kind = call->result.kind,
                          .error = call->result.outcome.kind,
                          .attempts = call->attempts,
                          .entries = call->trace.count,
                          .at_ns = world->now_ns,
                          .elapsed_ns = world->now_ns - call->began_ns,
                          .retry_after_ns = call->result.retry_after_ns,
                          .trace = digest_of(&call->trace)};
    neap_call_deinit(call, world->now_ns);
}

/* The trace of a straight success is the one entry that nobody asks for. */
static void note_success(struct world *world, const struct neap_straight *way, struct told *told)
{
    struct neap_trace trace = {.entry = trace.inlined, .count = 1};
    trace.inlined[0] = (struct neap_trace_entry){.at_ns = way->began_ns,
                                                 .elapsed_ns = world->now_ns - way->began_ns,
                                                 .kind = NEAP_TRACE_ATTEMPT};
    *told = (struct told){.kind = NEAP_RESULT_RESPONSE,
                          .attempts = 1,
                          .entries = 1,
                          .at_ns = world->now_ns,
                          .elapsed_ns = world->now_ns - way->began_ns,
                          .retry_after_ns = -1,
                          .trace = digest_of(&trace)};
}

static void go_straight(struct world *world, const struct neap_straight *way, int depth,
                        double failure_share, struct told *told)
{
    struct neap_call call;
    struct neap_outcome outcome = run_function(world, depth, failure_share);
    if (outcome.kind == NEAP_KIND_NONE) {
        world->gone_straight++;
        neap_straight_succeed(way, &world->setup, world->now_ns);
        note_success(world, way, told);
        return;
    }
    world->become_calls++;
    neap_straight_become(way, &world->setup, &call);
    drive(world, &call, tell_outcome(world, &call, &outcome), depth, failure_share);
    note(world, &call, told);
}

static void make_call(struct world *world, int depth, struct told *told)
{
    double failure_share = (double)(world->script.state[0] % 3) * 0.3;
    struct neap_straight way;
    struct neap_call call;
    if (world->is_straight && neap_straight_begin(&way, &world->setup, world->now_ns)) {
        go_straight(world, &way, depth, failure_share, told);
        return;
    }
    neap_call_init(&call, &world->setup);
    struct neap_effect effect =
        neap_call_step(&call, world->now_ns, &(struct neap_event){.kind = NEAP_EVENT_BEGIN});
    drive(world, &call, effect, depth, failure_share);
    note(world, &call, told);
}

/* ---- the same */

static void assert_told_the_same(const struct told *one, const struct told *other)
{
    assert_int_equal(one->kind, other->kind);
    assert_int_equal(one->error, other->error);
    assert_int_equal(one->attempts, other->attempts);
    assert_int_equal(one->entries, other->entries);
    assert_int_equal(one->at_ns, other->at_ns);
    assert_int_equal(one->elapsed_ns, other->elapsed_ns);
    assert_int_equal(one->retry_after_ns, other->retry_after_ns);
    assert_true(one->trace == other->trace);
}

/* The bulkhead's places may be numbered otherwise; everything else is the same to the last bit. */
static void assert_same_state(void)
{
    const struct neap_pipeline *pipeline = &plain.pipeline;
    assert_memory_equal(&plain.counters, &straight.counters, sizeof plain.counters);
    assert_memory_equal(plain.setup.state.breaker, straight.setup.state.breaker,
                        neap_breaker_bytes(&pipeline->breaker));
    assert_int_equal(
        neap_retry_budget_balance(plain.setup.state.budget, &pipeline->budget, plain.now_ns),
        neap_retry_budget_balance(straight.setup.state.budget, &pipeline->budget, plain.now_ns));
    assert_true(plain.limiter.tat_ns == straight.limiter.tat_ns);
    assert_memory_equal(&plain.random, &straight.random, sizeof plain.random);
    assert_int_equal(plain.in_flight, straight.in_flight);
    assert_int_equal(neap_bulkhead_in_use(plain.setup.state.bulkhead, &pipeline->bulkhead),
                     neap_bulkhead_in_use(straight.setup.state.bulkhead, &pipeline->bulkhead));
}

static void it_comes_to_what_the_states_come_to(void **state)
{
    (void)state;
    uint64_t gone_straight = 0, become_calls = 0;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        begin_world(&plain, seed * 1000, false);
        begin_world(&straight, seed * 1000, true);
        for (int i = 0; i < CALLS; i++) {
            struct told one, other;
            make_call(&plain, 0, &one);
            make_call(&straight, 0, &other);
            assert_told_the_same(&one, &other);
            assert_same_state();
        }
        gone_straight += straight.gone_straight;
        become_calls += straight.become_calls;
        end_world(&plain);
        end_world(&straight);
    }
    assert_true(gone_straight > UINT64_C(10) * ROUNDS);
    assert_true(become_calls > UINT64_C(5) * ROUNDS);
}

/* ---- one by one */

static struct neap_straight way;

static int set_up(void **state)
{
    (void)state;
    begin_world(&straight, 7, true);
    straight.pipeline.has_breaker = straight.pipeline.has_limiter = true;
    straight.pipeline.has_bulkhead = straight.pipeline.has_budget = true;
    straight.pipeline.bulkhead.max_concurrent = 1;
    straight.pipeline.limiter.burst = 1;
    straight.pipeline.limiter.interval_s = 1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_world(&straight);
    return 0;
}

static bool begin(void)
{
    return neap_straight_begin(&way, &straight.setup, straight.now_ns);
}

static uint32_t places_taken(void)
{
    return neap_bulkhead_in_use(straight.setup.state.bulkhead, &straight.pipeline.bulkhead);
}

static void who_has_to_wait_has_changed_nothing(void **state)
{
    (void)state;
    assert_true(begin());
    neap_straight_succeed(&way, &straight.setup, 0);
    int64_t tat_ns = straight.limiter.tat_ns;
    assert_false(begin());
    assert_int_equal(places_taken(), 0);
    assert_int_equal(straight.limiter.tat_ns, tat_ns);
    assert_int_equal(straight.counters.calls, 1);
}

static void who_finds_no_place_has_reserved_nothing(void **state)
{
    (void)state;
    struct neap_straight other;
    assert_true(begin());
    straight.now_ns = 10 * NEAP_SECOND;
    assert_false(neap_straight_begin(&other, &straight.setup, straight.now_ns));
    assert_int_equal(straight.limiter.tat_ns, NEAP_SECOND);
    assert_int_equal(straight.in_flight, 1);
    neap_straight_succeed(&way, &straight.setup, straight.now_ns);
    assert_true(begin());
    neap_straight_succeed(&way, &straight.setup, straight.now_ns);
}

static void nobody_overtakes_those_who_queue(void **state)
{
    (void)state;
    straight.bulkhead_waiting = 1;
    assert_false(begin());
}

static void one_that_is_abandoned_gives_back_what_it_held(void **state)
{
    (void)state;
    struct neap_call call;
    assert_true(begin());
    neap_straight_become(&way, &straight.setup, &call);
    neap_call_deinit(&call, straight.now_ns);
    assert_int_equal(places_taken(), 0);
    assert_int_equal(straight.in_flight, 0);
    assert_int_equal(straight.counters.abandoned, 1);
}

static void what_is_watched_or_asked_about_does_not_suit(void **state)
{
    (void)state;
    struct neap_call_setup setup = straight.setup;
    setup.watched = 1;
    assert_false(neap_straight_suits(&setup));
    setup.watched = 0;
    setup.uninterruptible = false;
    assert_false(neap_straight_suits(&setup));
    straight.pipeline.asks_failure = true;
    assert_false(neap_straight_suits(&straight.setup));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_to_what_the_states_come_to),
        cmocka_unit_test_setup_teardown(who_has_to_wait_has_changed_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_finds_no_place_has_reserved_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_overtakes_those_who_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_abandoned_gives_back_what_it_held, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_watched_or_asked_about_does_not_suit, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("straight", tests, NULL, NULL);
}
