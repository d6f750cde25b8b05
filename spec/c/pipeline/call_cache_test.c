/* What stored answers are for a call: served before it, found still good by it, standing in for its
 * failure. */
#include "pipeline/call_fixture.h"

static struct neap_call call;

static int set_up(void **state)
{
    (void)state;
    begin_world();
    pipeline.retry.max_attempts = 1;
    return 0;
}

static void make(bool has_cache, bool lone)
{
    make_state();
    init_call(&call);
    call.setup.has_cache = has_cache;
    call.setup.without_fallbacks = lone;
}

static void begin(void)
{
    make(true, false);
    tell(&call, NEAP_EVENT_BEGIN);
    assert_send(1);
}

static void open_breaker(void)
{
    for (int i = 0; i < 10; i++) {
        struct neap_breaker_change change;
        struct neap_admission admission =
            neap_breaker_acquire(shared.breaker, &pipeline.breaker, 0, now_ns, 0, &change);
        neap_breaker_record(shared.breaker, &pipeline.breaker, admission.permit,
                            NEAP_VERDICT_FAILURE, 0, now_ns, 0);
    }
}

static const struct neap_answer nothing = {.source = NEAP_SOURCE_STALE};
static const struct neap_answer stale = {
    .source = NEAP_SOURCE_STALE, .answered = true, .ok = true, .status = 200};

static void assert_stored(int status, enum neap_source source)
{
    assert_effect(NEAP_EFFECT_DONE);
    assert_int_equal(call.result.kind, NEAP_RESULT_STORED);
    assert_int_equal(call.result.outcome.status, status);
    assert_int_equal(call.result.outcome.kind, NEAP_KIND_NONE);
    assert_int_equal(call.result.source, source);
}

static void assert_asks_cache(int64_t max_stale_ns)
{
    assert_effect(NEAP_EFFECT_STORED);
    assert_int_equal(effect.max_stale_ns, max_stale_ns);
    assert_int_equal(neap_call_next_wakeup(&call), NEAP_NEVER);
}

/* ---- served */

static void serve(struct neap_answer answer)
{
    make(true, false);
    effect = neap_call_step(&call, now_ns,
                            &(struct neap_event){.kind = NEAP_EVENT_SERVE, .answer = answer});
}

static void a_served_call_counts_and_makes_no_attempt(void **state)
{
    (void)state;
    serve((struct neap_answer){.source = NEAP_SOURCE_CACHE, .ok = true, .status = 200});
    assert_stored(200, NEAP_SOURCE_CACHE);
    assert_int_equal(call.result.retry_after_ns, -1);
    assert_int_equal(counters.calls, 1);
    assert_int_equal(counters.ok, 1);
    assert_int_equal(counters.attempts, 0);
    assert_int_equal(counters.fallbacks[NEAP_SOURCE_CACHE], 0);
    assert_int_equal(call.trace.count, 0);
    assert_int_equal(call.notice_count, 1);
    assert_int_equal(call.setup.notice[0].kind, NEAP_NOTICE_DONE);
    assert_int_equal(call.setup.notice[0].source, NEAP_SOURCE_CACHE);
    assert_int_equal(call.setup.notice[0].entry.status, 200);
    end_call(&call);
}

static void a_served_404_is_not_ok(void **state)
{
    (void)state;
    serve((struct neap_answer){.source = NEAP_SOURCE_STALE, .status = 404});
    assert_stored(404, NEAP_SOURCE_STALE);
    assert_int_equal(counters.ok, 0);
    end_call(&call);
}

static void serving_takes_nothing_of_the_budget_or_the_breaker(void **state)
{
    (void)state;
    pipeline.has_breaker = pipeline.has_budget = true;
    make(true, false);
    open_breaker();
    effect = neap_call_step(
        &call, now_ns,
        &(struct neap_event){.kind = NEAP_EVENT_SERVE, .answer = {.ok = true, .status = 200}});
    assert_effect(NEAP_EFFECT_DONE);
    end_call(&call);
}

/* ---- found still good */

static void revalidate(int status)
{
    tell_hint(&call, 1, 304, (struct neap_hint){-1, -1, .stands_for = status});
}

static void a_304_to_our_condition_is_the_stored_answer(void **state)
{
    (void)state;
    begin();
    revalidate(200);
    assert_stored(200, NEAP_SOURCE_CACHE);
    assert_int_equal(counters.ok, 1);
    assert_int_equal(call.trace.entry[0].status, 304);
    end_call(&call);
}

static void a_stored_404_that_is_still_good_is_not_ok(void **state)
{
    (void)state;
    begin();
    revalidate(404);
    assert_stored(404, NEAP_SOURCE_CACHE);
    assert_int_equal(counters.ok, 0);
    end_call(&call);
}

static void a_304_that_nobody_asked_for_is_a_response(void **state)
{
    (void)state;
    begin();
    tell_status(&call, 1, 304);
    assert_response(&call, 304);
    assert_int_equal(call.result.source, NEAP_SOURCE_NETWORK);
    end_call(&call);
}

static void a_304_after_a_retry_is_the_stored_answer(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 2;
    begin();
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_WAIT);
    tell_time(&call, neap_call_next_wakeup(&call));
    assert_send(2);
    tell_hint(&call, 2, 304, (struct neap_hint){-1, -1, .stands_for = 200});
    assert_stored(200, NEAP_SOURCE_CACHE);
    end_call(&call);
}

/* ---- standing in */

static void stale_if_error_is_asked_for_errors_and_refusals(void **state)
{
    (void)state;
    begin();
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_RESET});
    assert_asks_cache(NEAP_CACHE_UNSAID);
    answer(&call, stale);
    assert_stored(200, NEAP_SOURCE_STALE);
    assert_int_equal(counters.fallbacks[NEAP_SOURCE_STALE], 1);
    assert_int_equal(counters.ok, 1);
    assert_string_equal(neap_trace_last(&call.trace)->reason, "stale");
    end_call(&call);
}

static void stale_if_error_is_asked_where_a_breaker_is_open(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    make(true, false);
    open_breaker();
    tell(&call, NEAP_EVENT_BEGIN);
    assert_asks_cache(NEAP_CACHE_UNSAID);
    answer(&call, stale);
    assert_stored(200, NEAP_SOURCE_STALE);
    end_call(&call);
}

static void some_statuses_are_errors(void **state)
{
    (void)state;
    const struct {
        int status;
        bool asks;
    } cases[] = {{500, true},  {502, true},  {503, true},  {504, true},  {501, false},
                 {505, false}, {408, false}, {429, false}, {404, false}, {200, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        tell_status(&call, 1, cases[i].status);
        assert_effect(cases[i].asks ? NEAP_EFFECT_STORED : NEAP_EFFECT_DONE);
        if (cases[i].asks)
            answer(&call, nothing);
        assert_response(&call, cases[i].status);
        end_call(&call);
        end_world();
        begin_world();
        pipeline.retry.max_attempts = 1;
    }
    make_state();
}

static void a_cache_with_nothing_leaves_no_trace(void **state)
{
    (void)state;
    pipeline.fallback_count = 1;
    begin();
    tell_status(&call, 1, 503);
    assert_asks_cache(NEAP_CACHE_UNSAID);
    answer(&call, nothing);
    assert_effect(NEAP_EFFECT_FALLBACK);
    assert_int_equal(effect.fallback, 0);
    assert_int_equal(call.trace.count, 1);
    answer(&call, (struct neap_answer){.source = NEAP_SOURCE_DEFAULT});
    assert_response(&call, 503);
    assert_int_equal(call.trace.count, 2);
    end_call(&call);
}

static void without_a_cache_nobody_is_asked(void **state)
{
    (void)state;
    make(false, false);
    tell(&call, NEAP_EVENT_BEGIN);
    tell_status(&call, 1, 503);
    assert_response(&call, 503);
    end_call(&call);
}

static void a_cache_in_the_chain_has_its_own_bound(void **state)
{
    (void)state;
    pipeline.fallback_count = 2;
    pipeline.fallback_caches = 1u << 1;
    pipeline.fallback_max_stale_ns[1] = 7 * S;
    make(false, false);
    tell(&call, NEAP_EVENT_BEGIN);
    tell_status(&call, 1, 429);
    assert_effect(NEAP_EFFECT_FALLBACK);
    answer(&call, (struct neap_answer){.source = NEAP_SOURCE_FUNCTION});
    assert_asks_cache(7 * S);
    answer(&call, stale);
    assert_stored(200, NEAP_SOURCE_STALE);
    assert_int_equal(call.trace.count, 3);
    end_call(&call);
}

static void a_cache_in_the_chain_that_has_nothing_is_traced(void **state)
{
    (void)state;
    pipeline.fallback_count = 2;
    pipeline.fallback_caches = 1u;
    begin();
    tell_status(&call, 1, 503);
    assert_asks_cache(NEAP_CACHE_UNSAID);
    answer(&call, nothing);
    assert_asks_cache(0);
    answer(&call, nothing);
    assert_effect(NEAP_EFFECT_FALLBACK);
    assert_int_equal(effect.fallback, 1);
    assert_int_equal(call.trace.count, 2);
    answer(&call, (struct neap_answer){
                      .source = NEAP_SOURCE_DEFAULT, .answered = true, .ok = true, .status = 200});
    assert_int_equal(call.result.kind, NEAP_RESULT_FALLBACK);
    end_call(&call);
}

static void a_call_for_nobody_is_not_covered_up(void **state)
{
    (void)state;
    pipeline.fallback_count = 1;
    make(true, true);
    tell(&call, NEAP_EVENT_BEGIN);
    tell_status(&call, 1, 503);
    assert_response(&call, 503);
    end_call(&call);
}

static void a_cancelled_call_is_not_covered_up(void **state)
{
    (void)state;
    begin();
    tell(&call, NEAP_EVENT_CANCEL);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&call, NEAP_KIND_CANCELLED);
    end_call(&call);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_served_call_counts_and_makes_no_attempt),
        SPEC(a_served_404_is_not_ok),
        SPEC(serving_takes_nothing_of_the_budget_or_the_breaker),
        SPEC(a_304_to_our_condition_is_the_stored_answer),
        SPEC(a_stored_404_that_is_still_good_is_not_ok),
        SPEC(a_304_that_nobody_asked_for_is_a_response),
        SPEC(a_304_after_a_retry_is_the_stored_answer),
        SPEC(stale_if_error_is_asked_for_errors_and_refusals),
        SPEC(stale_if_error_is_asked_where_a_breaker_is_open),
        SPEC(some_statuses_are_errors),
        SPEC(a_cache_with_nothing_leaves_no_trace),
        SPEC(without_a_cache_nobody_is_asked),
        SPEC(a_cache_in_the_chain_has_its_own_bound),
        SPEC(a_cache_in_the_chain_that_has_nothing_is_traced),
        SPEC(a_call_for_nobody_is_not_covered_up),
        SPEC(a_cancelled_call_is_not_covered_up),
    };
    return cmocka_run_group_tests_name("call_cache", tests, NULL, NULL);
}
