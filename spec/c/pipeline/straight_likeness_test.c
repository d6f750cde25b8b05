/* The straight way beside the states of a call: random policies and scripts, each gone through in
 * two worlds, come to the same by both. */
#include "pipeline/classify.h"
#include "pipeline/straight_fixture.h"

#define ROUNDS 3000
#define CALLS 60
#define DEPTH_MAX 3

/* Of a call's five seconds: what is left is too little for another attempt. */
#define NEARLY_ALL_NS (5 * NEAP_SECOND - NEAP_LEAST_LEFT_NS / 2)

/* What one call came to. */
struct told {
    enum neap_result_kind kind;
    enum neap_kind error;
    char message[NEAP_MESSAGE_BYTES];
    bool retryable;
    uint32_t attempts, entries;
    int64_t at_ns, elapsed_ns, retry_after_ns;
    uint64_t trace;
};

static struct world plain, straight;

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
        world->now_ns += perhaps(script, 0.5) ? 6 * NEAP_SECOND : NEARLY_ALL_NS;
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
    *told = (struct told){
        .kind = call->result.kind,
        .error = call->result.outcome.kind,
        .retryable = neap_classify_is_retryable(&call->result.outcome, call->setup.replayable),
        .attempts = call->attempts,
        .entries = call->trace.count,
        .at_ns = world->now_ns,
        .elapsed_ns = world->now_ns - call->began_ns,
        .retry_after_ns = call->result.retry_after_ns,
        .trace = digest_of(&call->trace)};
    memcpy(told->message, call->result.outcome.message, sizeof told->message);
    neap_call_deinit(call, world->now_ns);
}

/* What a call that has left nothing but its entry has come to; nobody asks a success for it. */
static void note_entry(struct world *world, const struct neap_trace_entry *entry,
                       const struct told *rest, struct told *told)
{
    struct neap_trace trace = {.entry = trace.inlined, .count = 1, .inlined = {*entry}};
    *told = *rest;
    told->entries = 1;
    told->at_ns = world->now_ns;
    told->elapsed_ns = entry->elapsed_ns;
    told->trace = digest_of(&trace);
}

static void note_success(struct world *world, const struct neap_straight *way, struct told *told)
{
    const struct neap_trace_entry entry = {.at_ns = way->began_ns,
                                           .elapsed_ns = world->now_ns - way->began_ns,
                                           .kind = NEAP_TRACE_ATTEMPT};
    const struct told rest = {.kind = NEAP_RESULT_RESPONSE, .attempts = 1, .retry_after_ns = -1};
    note_entry(world, &entry, &rest, told);
}

static void note_refusal(struct world *world, int64_t retry_after_ns, struct told *told)
{
    const struct neap_trace_entry entry = {.at_ns = world->now_ns,
                                           .kind = NEAP_TRACE_REJECT,
                                           .error = NEAP_KIND_BREAKER_OPEN,
                                           .reason = neap_kind_name(NEAP_KIND_BREAKER_OPEN)};
    struct told rest = {.kind = NEAP_RESULT_ERROR,
                        .error = NEAP_KIND_BREAKER_OPEN,
                        .retryable = true,
                        .retry_after_ns = retry_after_ns};
    const char *why = neap_breaker_refusal(neap_breaker_state(world->setup.state.breaker));
    memcpy(rest.message, why, strlen(why));
    note_entry(world, &entry, &rest, told);
    world->refused++;
}

/* A way of more than one attempt has the failed ones in its trace. */
static void succeed(struct world *world, const struct neap_straight *way, struct neap_call *call,
                    struct told *told)
{
    neap_straight_succeed(way, &world->setup, world->now_ns);
    world->succeeded++;
    note_success(world, way, told);
    if (way->attempts > 1) {
        struct neap_trace_entry *entry =
            neap_trace_add(&call->trace, NEAP_TRACE_ATTEMPT, way->started_ns);
        entry->elapsed_ns = world->now_ns - way->started_ns;
        told->attempts = way->attempts;
        told->entries = call->trace.count;
        told->elapsed_ns = world->now_ns - way->began_ns;
        told->trace = digest_of(&call->trace);
    }
    neap_trace_deinit(&call->trace);
}

static void become(struct world *world, const struct neap_straight *way, struct neap_call *call,
                   const struct neap_outcome *outcome, int depth, double failure_share)
{
    world->become_calls++;
    neap_straight_become(way, &world->setup, call);
    drive(world, call, tell_outcome(world, call, outcome), depth, failure_share);
}

static void go_on(struct world *world, struct neap_call *call, int depth, double failure_share)
{
    world->paused++;
    struct neap_effect effect =
        neap_call_step(call, world->now_ns, &(struct neap_event){.kind = NEAP_EVENT_TIME});
    drive(world, call, effect, depth, failure_share);
}

/* Any failure may be told to a call with states instead. */
static void go_straight(struct world *world, struct neap_straight *way, int depth,
                        double failure_share, struct told *told)
{
    struct neap_call call;
    enum neap_straight_next next = NEAP_STRAIGHT_AGAIN;
    memset(&call, 0xEE, sizeof call); /* nothing of it is looked at but its trace */
    neap_trace_init(&call.trace, world->setup.alloc);
    while (next == NEAP_STRAIGHT_AGAIN) {
        struct neap_outcome outcome = run_function(world, depth, failure_share);
        if (outcome.kind == NEAP_KIND_NONE) {
            succeed(world, way, &call, told);
            return;
        }
        if (world->now_ns % 5 == 0) {
            become(world, way, &call, &outcome, depth, failure_share);
            break;
        }
        next = neap_straight_fail(way, &world->setup, &call, &outcome, world->now_ns);
        world->repeated += next == NEAP_STRAIGHT_AGAIN;
        world->failed += next == NEAP_STRAIGHT_OVER;
    }
    if (next == NEAP_STRAIGHT_BETWEEN)
        go_on(world, &call, depth, failure_share);
    note(world, &call, told);
}

/* By hand, at times. */
static void force(struct world *world)
{
    static const enum neap_breaker_state states[] = {
        NEAP_BREAKER_FORCED_OPEN, NEAP_BREAKER_DISABLED, NEAP_BREAKER_METRICS_ONLY,
        NEAP_BREAKER_CLOSED,      NEAP_BREAKER_CLOSED,   NEAP_BREAKER_CLOSED};
    if (perhaps(&world->script, 0.05))
        neap_breaker_force(world->setup.state.breaker, &world->pipeline.breaker,
                           states[below(&world->script, 6)]);
}

static void make_call(struct world *world, int depth, struct told *told)
{
    double failure_share = (double)(world->script.state[0] % 3) * 0.3;
    struct neap_straight way;
    struct neap_call call;
    int64_t retry_after_ns;
    force(world);
    if (world->is_straight && neap_straight_refuse(&world->setup, world->now_ns, &retry_after_ns)) {
        note_refusal(world, retry_after_ns, told);
        return;
    }
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
    assert_string_equal(one->message, other->message);
    assert_int_equal(one->retryable, other->retryable);
    assert_int_equal(one->attempts, other->attempts);
    assert_int_equal(one->entries, other->entries);
    assert_int_equal(one->at_ns, other->at_ns);
    assert_int_equal(one->elapsed_ns, other->elapsed_ns);
    assert_int_equal(one->retry_after_ns, other->retry_after_ns);
    assert_true(one->trace == other->trace);
}

/* The bulkhead's places may be numbered otherwise, and who records alone remembers where;
 * everything else is the same to the last bit. */
static void assert_same_state(void)
{
    const struct neap_pipeline *pipeline = &plain.pipeline;
    assert_memory_equal(&plain.counters, &straight.counters,
                        offsetof(struct neap_counters, history.from_ns));
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
    uint64_t succeeded = 0, refused = 0, repeated = 0, failed = 0, paused = 0, become_calls = 0;
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
        succeeded += straight.succeeded;
        refused += straight.refused;
        repeated += straight.repeated;
        failed += straight.failed;
        paused += straight.paused;
        become_calls += straight.become_calls;
        end_world(&plain);
        end_world(&straight);
    }
    assert_true(succeeded > UINT64_C(10) * ROUNDS);
    assert_true(refused > UINT64_C(5) * ROUNDS);
    assert_true(repeated > ROUNDS);
    assert_true(failed > ROUNDS);
    assert_true(paused > ROUNDS);
    assert_true(become_calls > ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_to_what_the_states_come_to),
    };
    return cmocka_run_group_tests_name("straight, likeness", tests, NULL, NULL);
}
