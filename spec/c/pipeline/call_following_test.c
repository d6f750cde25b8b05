#include "pipeline/call_fixture.h"

static struct neap_call leader, call;

static int tear_down(void **state)
{
    (void)state;
    neap_call_deinit(&leader, now_ns);
    neap_call_deinit(&call, now_ns);
    assert_int_equal(in_flight, 0);
    end_world();
    return 0;
}

/* A leader with an attempt on the wire, and a second later one that follows it. */
static void follow(void)
{
    make_state();
    init_call(&leader);
    tell(&leader, NEAP_EVENT_BEGIN);
    assert_send(1);
    now_ns = S;
    init_call(&call);
    tell(&call, NEAP_EVENT_FOLLOW);
}

static void share(void)
{
    assert_true(neap_call_has_concluded(&leader));
    assert_true(neap_call_may_share(&leader, &call));
    effect = neap_call_step(&call, now_ns,
                            &(struct neap_event){.kind = NEAP_EVENT_SHARE, .leader = &leader});
}

static void it_waits_until_its_deadline(void **state)
{
    (void)state;
    follow();
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(neap_call_next_wakeup(&call), 31 * S);
    assert_int_equal(counters.calls, 2);
    assert_int_equal(in_flight, 2);
    tell_time(&call, 2 * S);
    assert_effect(NEAP_EFFECT_WAIT);
    assert_false(neap_call_has_concluded(&call));
}

static void a_response_serves_it_too(void **state)
{
    (void)state;
    follow();
    tell_status(&leader, 1, 503);
    assert_false(neap_call_has_concluded(&leader));
    tell_time(&leader, 2 * S);
    assert_send(2);
    now_ns = 3 * S;
    tell_status(&leader, 2, 200);
    share();
    assert_response(&call, 200);
    assert_true(call.coalesced);
    assert_false(leader.coalesced);
    assert_int_equal(call.attempts, 2);
    assert_int_equal(call.trace.count, 1);
    assert_int_equal(call.trace.entry[0].kind, NEAP_TRACE_WAIT);
    assert_int_equal(call.trace.entry[0].elapsed_ns, 2 * S);
    assert_last_reason(&call, "coalesced");
    assert_int_equal(counters.attempts, 2);
    assert_int_equal(counters.coalesced, 1);
    assert_int_equal(counters.ok, 2);
}

static void an_error_serves_it_too(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    follow();
    tell_outcome(&leader, 1, (struct neap_outcome){.kind = NEAP_KIND_RESET, .message = "gone"});
    share();
    assert_error(&call, NEAP_KIND_RESET);
    assert_string_equal(call.result.outcome.message, "gone");
    assert_int_equal(counters.errors[NEAP_KIND_RESET], 2);
}

static void a_server_delay_is_told_to_it(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    follow();
    tell_hint(&leader, 1, 503, (struct neap_hint){7 * S, -1, false, 0});
    share();
    assert_response(&call, 503);
    assert_int_equal(call.result.retry_after_ns, 7 * S);
}

static void a_refusal_after_a_wait_serves_it_too(void **state)
{
    (void)state;
    pipeline.has_gate = true;
    make_state();
    neap_gate_close(&gate_origin, 5 * S, 60 * S, now_ns);
    init_call(&leader);
    tell(&leader, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    init_call(&call);
    tell(&call, NEAP_EVENT_FOLLOW);
    neap_gate_close(&gate_origin, 50 * S, 60 * S, now_ns);
    tell_time(&leader, 6 * S);
    assert_error(&leader, NEAP_KIND_GATE);
    share();
    assert_error(&call, NEAP_KIND_GATE);
    assert_int_equal(call.attempts, 0);
    assert_int_equal(call.result.retry_after_ns, 44 * S);
}

static void its_own_fallbacks_run(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    pipeline.fallback_count = 1;
    follow();
    tell_status(&leader, 1, 503);
    assert_effect(NEAP_EFFECT_FALLBACK);
    share();
    assert_effect(NEAP_EFFECT_FALLBACK);
    answer(&call,
           (struct neap_answer){.answered = true, .source = NEAP_SOURCE_DEFAULT, .ok = true});
    assert_effect(NEAP_EFFECT_DONE);
    assert_int_equal(call.result.kind, NEAP_RESULT_FALLBACK);
    answer(&leader, (struct neap_answer){.source = NEAP_SOURCE_DEFAULT});
    assert_response(&leader, 503);
}

static void its_deadline_ends_it(void **state)
{
    (void)state;
    follow();
    tell_time(&call, 31 * S - 1);
    assert_effect(NEAP_EFFECT_WAIT);
    tell_time(&call, 31 * S);
    assert_error(&call, NEAP_KIND_TIMEOUT);
    assert_int_equal(call.result.outcome.phase, NEAP_PHASE_TOTAL);
    assert_int_equal(call.attempts, 0);
    assert_int_equal(counters.timeouts[NEAP_PHASE_TOTAL], 1);
    assert_int_equal(counters.coalesced, 0);
}

static void without_time_it_does_not_follow(void **state)
{
    (void)state;
    make_state();
    init_call(&call);
    call.setup.deadline_ns = NEAP_MS - 1;
    tell(&call, NEAP_EVENT_FOLLOW);
    assert_error(&call, NEAP_KIND_DEADLINE);
}

static void it_sets_out_itself_where_the_leader_is_lost(void **state)
{
    (void)state;
    pipeline.has_budget = true;
    pipeline.budget = (struct neap_retry_budget_policy){.ratio = 1, .ttl_seconds = 10};
    follow();
    assert_int_equal(neap_retry_budget_balance(shared.budget, &pipeline.budget, now_ns), 1);
    now_ns = 5 * S;
    tell(&call, NEAP_EVENT_BEGIN);
    assert_send(1);
    assert_int_equal(neap_retry_budget_balance(shared.budget, &pipeline.budget, now_ns), 2);
    assert_int_equal(effect.left_ns, 26 * S);
    tell_status(&call, 1, 200);
    assert_response(&call, 200);
    assert_false(call.coalesced);
    assert_int_equal(call.trace.count, 2);
    assert_int_equal(call.trace.entry[0].elapsed_ns, 4 * S);
    assert_int_equal(counters.calls, 2);
}

static void it_does_not_set_out_after_its_deadline(void **state)
{
    (void)state;
    follow();
    now_ns = 31 * S;
    tell(&call, NEAP_EVENT_BEGIN);
    assert_error(&call, NEAP_KIND_TIMEOUT);
}

static void it_can_be_cancelled_or_refused(void **state)
{
    (void)state;
    follow();
    now_ns = 3 * S;
    tell(&call, NEAP_EVENT_CANCEL);
    assert_error(&call, NEAP_KIND_CANCELLED);
    assert_int_equal(call.trace.entry[0].elapsed_ns, 2 * S);
    neap_call_deinit(&call, now_ns);
    init_call(&call);
    tell(&call, NEAP_EVENT_FOLLOW);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_error(&call, NEAP_KIND_PHASE);
}

static void it_may_be_dropped(void **state)
{
    (void)state;
    follow();
    neap_call_deinit(&call, now_ns);
    assert_int_equal(in_flight, 1);
}

static void without_memory_for_a_trace_it_goes_on(void **state)
{
    (void)state;
    follow();
    tell_status(&leader, 1, 200);
    call.trace.count = 0;
    share();
    assert_response(&call, 200);
}

/* ---- what may be shared */

static void what_was_broken_off_serves_nobody(void **state)
{
    (void)state;
    follow();
    tell(&leader, NEAP_EVENT_CANCEL);
    assert_effect(NEAP_EFFECT_CANCEL);
    tell_outcome(&leader, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_true(neap_call_has_concluded(&leader));
    assert_false(neap_call_may_share(&leader, &call));
}

static void assert_serves_only_who_has_no_more_time(void)
{
    assert_true(neap_call_has_concluded(&leader));
    call.deadline_ns = leader.deadline_ns;
    assert_true(neap_call_may_share(&leader, &call));
    call.deadline_ns = leader.deadline_ns + 1;
    assert_false(neap_call_may_share(&leader, &call));
}

static void what_its_deadline_cut_off_serves_only_who_has_no_more_time(void **state)
{
    (void)state;
    follow();
    tell_time(&leader, 30 * S);
    assert_effect(NEAP_EFFECT_CANCEL);
    tell_outcome(&leader, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&leader, NEAP_KIND_TIMEOUT);
    assert_serves_only_who_has_no_more_time();
}

static void what_had_no_time_for_a_retry_serves_only_who_has_no_more_time(void **state)
{
    (void)state;
    follow();
    now_ns = 29 * S + 1;
    tell_status(&leader, 1, 503);
    assert_response(&leader, 503);
    assert_last_reason(&leader, "deadline");
    assert_serves_only_who_has_no_more_time();
}

static void what_the_last_millisecond_refused_serves_only_who_has_no_more_time(void **state)
{
    (void)state;
    follow();
    tell_status(&leader, 1, 503);
    tell_time(&leader, 30 * S - NEAP_MS / 2);
    assert_response(&leader, 503);
    assert_serves_only_who_has_no_more_time();
}

static void what_a_gate_refused_for_its_deadline_serves_only_who_has_no_more_time(void **state)
{
    (void)state;
    pipeline.has_gate = true;
    pipeline.timeout.total_ns = 8 * S;
    follow();
    neap_gate_close(&gate_origin, 8 * S, 60 * S, now_ns);
    tell_status(&leader, 1, 503);
    tell_time(&leader, 2 * S);
    assert_response(&leader, 503);
    assert_last_reason(&leader, "gate");
    assert_serves_only_who_has_no_more_time();
}

static void what_a_gate_refused_for_its_length_serves_all(void **state)
{
    (void)state;
    pipeline.has_gate = true;
    follow();
    neap_gate_close(&gate_origin, 20 * S, 60 * S, now_ns);
    tell_status(&leader, 1, 503);
    tell_time(&leader, 2 * S);
    assert_last_reason(&leader, "gate");
    call.deadline_ns = leader.deadline_ns + 1;
    assert_true(neap_call_may_share(&leader, &call));
}

static void
what_a_rate_limit_refused_for_its_deadline_serves_only_who_has_no_more_time(void **state)
{
    (void)state;
    pipeline.has_limiter = true;
    pipeline.limiter.interval_s = 4;
    pipeline.timeout.total_ns = 3 * S;
    follow();
    tell_status(&leader, 1, 503);
    tell_time(&leader, 2 * S);
    assert_last_reason(&leader, "rate_limited");
    assert_serves_only_who_has_no_more_time();
}

static void
what_a_full_bulkhead_refused_for_its_deadline_serves_only_who_has_no_more_time(void **state)
{
    (void)state;
    pipeline.has_bulkhead = true;
    pipeline.bulkhead.max_wait_ns = 60 * S;
    make_state();
    int64_t place = take_place_elsewhere();
    init_call(&leader);
    tell(&leader, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    init_call(&call);
    tell(&call, NEAP_EVENT_FOLLOW);
    tell_time(&leader, 30 * S);
    assert_error(&leader, NEAP_KIND_BULKHEAD_FULL);
    assert_serves_only_who_has_no_more_time();
    free_place_elsewhere(place);
}

static void a_success_serves_all(void **state)
{
    (void)state;
    follow();
    leader.out_of_time = true;
    tell_status(&leader, 1, 200);
    call.deadline_ns = leader.deadline_ns + 1;
    assert_true(neap_call_may_share(&leader, &call));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up_world, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_waits_until_its_deadline),
        TEST(a_response_serves_it_too),
        TEST(an_error_serves_it_too),
        TEST(a_server_delay_is_told_to_it),
        TEST(a_refusal_after_a_wait_serves_it_too),
        TEST(its_own_fallbacks_run),
        TEST(its_deadline_ends_it),
        TEST(without_time_it_does_not_follow),
        TEST(it_sets_out_itself_where_the_leader_is_lost),
        TEST(it_does_not_set_out_after_its_deadline),
        TEST(it_can_be_cancelled_or_refused),
        TEST(it_may_be_dropped),
        TEST(without_memory_for_a_trace_it_goes_on),
        TEST(what_was_broken_off_serves_nobody),
        TEST(what_its_deadline_cut_off_serves_only_who_has_no_more_time),
        TEST(what_had_no_time_for_a_retry_serves_only_who_has_no_more_time),
        TEST(what_the_last_millisecond_refused_serves_only_who_has_no_more_time),
        TEST(what_a_gate_refused_for_its_deadline_serves_only_who_has_no_more_time),
        TEST(what_a_gate_refused_for_its_length_serves_all),
        TEST(what_a_rate_limit_refused_for_its_deadline_serves_only_who_has_no_more_time),
        TEST(what_a_full_bulkhead_refused_for_its_deadline_serves_only_who_has_no_more_time),
        TEST(a_success_serves_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
