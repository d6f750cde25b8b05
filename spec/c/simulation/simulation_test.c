/* A whole simulation: the laws that hold whatever the numbers are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "simulation/simulation.h"
#include "support/failing_alloc.h"

#define S NEAP_SECOND

static struct failing_alloc failing;
static struct neap_pipeline pipeline;
static struct neap_simulation_setup setup;
static struct neap_simulation *simulation;
static const struct neap_record *record;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&failing);
    pipeline = (struct neap_pipeline){
        .timeout = {2 * S, 5 * S, 5 * S, NEAP_NEVER, 30 * S},
        .retry = {.max_attempts = 3,
                  .enabled = true,
                  .backoff = {NEAP_BACKOFF_EXPONENTIAL, 1, 2, 10, NEAP_JITTER_SHARE, 0.5},
                  .honor_retry_after = true,
                  .max_server_delay_ns = 60 * S},
        .breaker = {.window_count = 100,
                    .min_calls = 10,
                    .failure_rate = 0.5,
                    .slow_call_ns = NEAP_NEVER,
                    .open_base_s = 30,
                    .open_factor = 1,
                    .open_max_s = 300,
                    .permits = 5,
                    .lease_ns = 60 * S},
        .gate = {.max_wait_ns = 10 * S},
        .bulkhead = {.max_concurrent = 1, .max_wait_ns = S, .max_queue = 10},
        .budget = {.ratio = 0.2, .min_per_second = 0, .ttl_seconds = 10},
        .hedge_after_ns = NEAP_NEVER,
    };
    neap_retry_default_statuses(pipeline.retry.status_rule);
    setup = (struct neap_simulation_setup){
        .alloc = &failing.alloc,
        .pipeline = &pipeline,
        .arrivals = {NEAP_ARRIVAL_RANDOM, 1},
        .clients = 50,
        .replayable = true,
        .resources = 1,
        .cache = {NEAP_CACHE_UNSAID, NEAP_CACHE_UNSAID, NEAP_CACHE_UNSAID},
        .duration_ns = 60 * S,
        .slot_ns = S,
        .seed = 1,
        .server = {.queue_ns = 10 * S, .latency_ns = S / 10, .spread = 0.5},
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_simulation_free(simulation);
    simulation = NULL;
    failing_alloc_assert_all_freed(&failing);
    return 0;
}

static void add(struct neap_incident incident)
{
    if (incident.until_ns == 0)
        incident.until_ns = NEAP_NEVER;
    setup.server.incident[setup.server.incident_count++] = incident;
}

static void add_outage(void)
{
    add((struct neap_incident){.kind = NEAP_INCIDENT_OUTAGE, .retry_after_ns = -1});
}

static void run(void)
{
    enum neap_simulation_state state;
    assert_int_equal(neap_simulation_new(&setup, &simulation), NEAP_OK);
    assert_int_equal(neap_simulation_run(simulation, NEAP_NEVER, &state), NEAP_OK);
    assert_int_equal(state, NEAP_SIMULATION_OVER);
    record = neap_simulation_record(simulation);
}

static uint64_t ended(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < NEAP_ENDING_COUNT; i++)
        sum += record->ending[i];
    return sum;
}

static uint64_t error_count(enum neap_kind kind)
{
    return record->ending[NEAP_ENDING_ERROR + (int)kind];
}

static void a_server_that_is_well_answers_all_at_once(void **state)
{
    (void)state;
    pipeline.has_breaker = pipeline.has_budget = pipeline.has_gate = true;
    run();
    assert_in_range(record->calls, 2700, 3300);
    assert_int_equal(record->attempts, record->calls);
    assert_int_equal(record->ending[NEAP_ENDING_SOURCE + NEAP_SOURCE_NETWORK], record->calls);
    assert_true(neap_histogram_quantile_s(&record->latency, 1) <= 0.155);
    assert_int_equal(neap_simulation_unfinished(simulation), 0);
}

static void without_breaker_and_budget_an_outage_costs_every_attempt(void **state)
{
    (void)state;
    add_outage();
    run();
    assert_int_equal(record->attempts, 3 * record->calls);
    assert_int_equal(record->refused, record->attempts);
    assert_int_equal(record->ending[NEAP_ENDING_FAILED + NEAP_FAILED_5XX], record->calls);
}

static void a_budget_caps_the_load(void **state)
{
    (void)state;
    pipeline.has_budget = true;
    add_outage();
    setup.shared = true;
    run();
    assert_true(record->attempts <= record->calls + record->calls / 5);
    assert_true(record->attempts >= record->calls + record->calls / 6);
}

static void a_reserve_stands_on_top_of_the_budget(void **state)
{
    (void)state;
    pipeline.has_budget = true;
    pipeline.budget.min_per_second = 1;
    add_outage();
    setup.shared = true;
    run();
    /* the calls may begin until 60 s, and the retries of the last ones somewhat later */
    assert_true(record->attempts <= record->calls + record->calls / 5 + 60 + 2 * 10);
}

static void a_breaker_opens_in_an_outage_and_closes_after_it(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    setup.duration_ns = 120 * S;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_OUTAGE, .from_ns = 20 * S, .until_ns = 50 * S, .retry_after_ns = -1});
    run();
    assert_int_equal(record->slot[19].open, 0);
    assert_true(record->slot[45].open > 40);
    assert_int_equal(record->slot[119].open, 0);
    assert_true(error_count(NEAP_KIND_BREAKER_OPEN) > 0);
}

static void clients_share_one_state_if_they_are_to(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    setup.shared = true;
    add_outage();
    run();
    assert_int_equal(record->slot[10].open, 1);
    /* ten results opened it; what was under way then, and the probes, come on top */
    assert_true(record->attempts < 40);
}

static uint32_t busiest_slot(size_t from, size_t to)
{
    uint32_t most = 0;
    for (size_t i = from; i < to; i++)
        if (record->slot[i].attempts > most)
            most = record->slot[i].attempts;
    return most;
}

/* All fail together at 0; the first retries come at 1 s without jitter, from 0.5 to 1.5 s with. */
static uint32_t peak_of_the_herd(enum neap_jitter jitter)
{
    pipeline.retry.backoff.jitter = jitter;
    setup.arrivals = (struct neap_arrivals){NEAP_ARRIVAL_TOGETHER, 60};
    setup.clients = 1000;
    setup.slot_ns = S / 10;
    setup.server.latency_ns = 0;
    add_outage();
    run();
    uint32_t peak = busiest_slot(1, record->slot_count);
    neap_simulation_free(simulation);
    simulation = NULL;
    return peak;
}

static void jitter_flattens_the_herd(void **state)
{
    (void)state;
    assert_int_equal(peak_of_the_herd(NEAP_JITTER_NONE), 1000);
    assert_true(peak_of_the_herd(NEAP_JITTER_SHARE) < 200);
}

static void a_server_serves_no_more_than_its_capacity(void **state)
{
    (void)state;
    setup.server.capacity = 20;
    run();
    for (size_t i = 0; i < record->slot_count; i++)
        assert_true(record->slot[i].served <= 21);
    assert_true(record->slot[50].served >= 20);
    assert_true(record->slot[50].backlog_ns > S);
    assert_true(record->refused > 0);
}

static void silence_ends_at_the_read_timeout(void **state)
{
    (void)state;
    pipeline.retry.enabled = false;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_OUTAGE, .outage = NEAP_OUTAGE_SILENCE, .retry_after_ns = -1});
    run();
    assert_int_equal(error_count(NEAP_KIND_TIMEOUT), record->calls);
    assert_true(neap_histogram_quantile_s(&record->latency, 1) <= 5.001);
}

static void what_may_not_be_repeated_is_not(void **state)
{
    (void)state;
    setup.replayable = false;
    add_outage();
    run();
    assert_int_equal(record->attempts, record->calls);
}

static void a_refused_connection_is_repeated_in_any_case(void **state)
{
    (void)state;
    setup.replayable = false;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_OUTAGE, .outage = NEAP_OUTAGE_REFUSED, .retry_after_ns = -1});
    run();
    assert_int_equal(record->attempts, 3 * record->calls);
}

/* One process whose callers are told five seconds by 429: with a gate the others wait too. */
static uint64_t refused_by_a_limit(bool has_gate)
{
    pipeline.has_gate = has_gate;
    setup.shared = true;
    setup.server.incident_count = 0;
    setup.server.latency_ns = S / 100;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_RATE_LIMIT, .amount = 10, .retry_after_ns = 5 * S});
    run();
    uint64_t refused = record->refused;
    neap_simulation_free(simulation);
    simulation = NULL;
    return refused;
}

static void a_gate_spares_the_server(void **state)
{
    (void)state;
    uint64_t without = refused_by_a_limit(false);
    uint64_t with = refused_by_a_limit(true);
    assert_true(with < without / 2);
}

static void a_bulkhead_admits_as_many_as_it_has_places(void **state)
{
    (void)state;
    pipeline.has_bulkhead = true;
    pipeline.bulkhead.max_concurrent = 2;
    setup.shared = true;
    setup.server.latency_ns = S / 10;
    run();
    /* two at a time of a tenth of a second each: twenty a second */
    for (size_t i = 0; i < record->slot_count; i++)
        assert_true(record->slot[i].attempts <= 26);
    assert_true(record->attempts > 1100);
    assert_true(error_count(NEAP_KIND_BULKHEAD_FULL) > 1000);
    assert_int_equal(ended(), record->calls);
}

static void a_cache_answers_while_it_is_fresh_and_in_need_when_it_is_stale(void **state)
{
    (void)state;
    setup.caches = true;
    setup.cache = (struct neap_cache_policy){.ttl_ns = 5 * S,
                                             .stale_while_revalidate_ns = NEAP_CACHE_UNSAID,
                                             .stale_if_error_ns = 60 * S};
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_OUTAGE, .from_ns = 30 * S, .retry_after_ns = -1});
    run();
    assert_true(record->ending[NEAP_ENDING_SOURCE + NEAP_SOURCE_CACHE] > record->calls / 3);
    assert_true(record->ending[NEAP_ENDING_SOURCE + NEAP_SOURCE_STALE] > 0);
    assert_int_equal(record->ending[NEAP_ENDING_FAILED + NEAP_FAILED_5XX], 0);
}

static void what_is_stale_is_refreshed_in_the_background(void **state)
{
    (void)state;
    setup.caches = true;
    setup.cache = (struct neap_cache_policy){
        .ttl_ns = S, .stale_while_revalidate_ns = 60 * S, .stale_if_error_ns = NEAP_CACHE_UNSAID};
    run();
    uint64_t stale = record->ending[NEAP_ENDING_SOURCE + NEAP_SOURCE_STALE];
    uint64_t network = record->ending[NEAP_ENDING_SOURCE + NEAP_SOURCE_NETWORK];
    assert_true(stale > 0);
    assert_true(network < 100); /* the first calls of each client */
    assert_true(record->attempts > stale / 2);
    assert_true(record->attempts <= network + stale);
    assert_int_equal(ended(), record->calls);
}

static void fallbacks_answer(void **state)
{
    (void)state;
    pipeline.fallback_count = 2;
    pipeline.fallback_kinds[0] = UINT32_C(1) << NEAP_KIND_BREAKER_OPEN;
    setup.fallback[0] = (struct neap_simulated_fallback){NEAP_SOURCE_FUNCTION, 200};
    setup.fallback[1] = (struct neap_simulated_fallback){NEAP_SOURCE_DEFAULT, 200};
    add_outage();
    run();
    assert_int_equal(record->ending[NEAP_ENDING_SOURCE + NEAP_SOURCE_DEFAULT], record->calls);
}

static bool ask_at_most(void *context, enum neap_question question, uint32_t retry,
                        const struct neap_call *call, struct neap_answer *answer)
{
    int *left = context;
    (void)retry;
    assert_int_equal(question, NEAP_ASK_WHEN);
    assert_int_equal(call->judged.outcome.status, 503);
    answer->when = NEAP_OPINION_NO;
    return --*left >= 0;
}

static void functions_are_asked_and_may_end_it(void **state)
{
    enum neap_simulation_state end;
    int left = 5;
    (void)state;
    pipeline.asks_when = true;
    setup.ask = ask_at_most;
    setup.ask_context = &left;
    add_outage();
    assert_int_equal(neap_simulation_new(&setup, &simulation), NEAP_OK);
    assert_int_equal(neap_simulation_run(simulation, NEAP_NEVER, &end), NEAP_OK);
    assert_int_equal(end, NEAP_SIMULATION_STOPPED);
    assert_int_equal(left, -1);
}

static uint64_t digest_of(const struct neap_record *of)
{
    const unsigned char *bytes = (const unsigned char *)of->slot;
    uint64_t digest = 14695981039346656037u;
    for (size_t i = 0; i < of->slot_count * sizeof of->slot[0]; i++)
        digest = (digest ^ bytes[i]) * 1099511628211u;
    return digest;
}

static uint64_t digest_of_run(uint64_t seed, int64_t step_ns)
{
    enum neap_simulation_state state = NEAP_SIMULATION_RUNNING;
    setup.seed = seed;
    assert_int_equal(neap_simulation_new(&setup, &simulation), NEAP_OK);
    for (int64_t until_ns = step_ns; state == NEAP_SIMULATION_RUNNING;
         until_ns = neap_time_add(until_ns, step_ns))
        assert_int_equal(neap_simulation_run(simulation, until_ns, &state), NEAP_OK);
    uint64_t digest = digest_of(neap_simulation_record(simulation));
    neap_simulation_free(simulation);
    simulation = NULL;
    return digest;
}

static void the_same_seed_gives_the_same_record(void **state)
{
    (void)state;
    pipeline.has_breaker = pipeline.has_budget = pipeline.has_gate = true;
    setup.server.capacity = 45;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_BROWNOUT, .amount = 0.4, .from_ns = 10 * S, .retry_after_ns = -1});
    uint64_t digest = digest_of_run(42, NEAP_NEVER);
    assert_true(digest == digest_of_run(42, NEAP_NEVER));
    assert_true(digest == digest_of_run(42, 700 * NEAP_MS));
    assert_true(digest != digest_of_run(43, NEAP_NEVER));
}

static void calls_that_never_end_are_told(void **state)
{
    (void)state;
    pipeline.timeout.read_ns = pipeline.timeout.total_ns = NEAP_NEVER;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_OUTAGE, .outage = NEAP_OUTAGE_SILENCE, .retry_after_ns = -1});
    run();
    assert_int_equal(neap_simulation_unfinished(simulation), record->calls);
    assert_int_equal(ended(), 0);
}

static void each_allocation_may_fail(void **state)
{
    enum neap_simulation_state end;
    enum neap_status status = NEAP_NO_MEMORY;
    (void)state;
    pipeline.has_breaker = pipeline.has_budget = true;
    setup.clients = 5;
    setup.duration_ns = 5 * S;
    setup.caches = true;
    setup.cache.ttl_ns = S;
    add_outage();
    for (size_t n = 1; status != NEAP_OK; n++) {
        failing_alloc_fail(&failing, n);
        status = neap_simulation_new(&setup, &simulation);
        if (status == NEAP_OK) {
            status = neap_simulation_run(simulation, NEAP_NEVER, &end);
            neap_simulation_free(simulation);
        }
        simulation = NULL;
        assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
        assert_int_equal(atomic_load(&failing.outstanding), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_is_well_answers_all_at_once),
        TEST(without_breaker_and_budget_an_outage_costs_every_attempt),
        TEST(a_budget_caps_the_load),
        TEST(a_reserve_stands_on_top_of_the_budget),
        TEST(a_breaker_opens_in_an_outage_and_closes_after_it),
        TEST(clients_share_one_state_if_they_are_to),
        TEST(jitter_flattens_the_herd),
        TEST(a_server_serves_no_more_than_its_capacity),
        TEST(silence_ends_at_the_read_timeout),
        TEST(what_may_not_be_repeated_is_not),
        TEST(a_refused_connection_is_repeated_in_any_case),
        TEST(a_gate_spares_the_server),
        TEST(a_bulkhead_admits_as_many_as_it_has_places),
        TEST(a_cache_answers_while_it_is_fresh_and_in_need_when_it_is_stale),
        TEST(what_is_stale_is_refreshed_in_the_background),
        TEST(fallbacks_answer),
        TEST(functions_are_asked_and_may_end_it),
        TEST(the_same_seed_gives_the_same_record),
        TEST(calls_that_never_end_are_told),
        TEST(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
