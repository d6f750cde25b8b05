#include "pipeline/call.h"

#include "pipeline/call_fixture.h"

static struct neap_call call, other;

static void fail_breaker(int times)
{
    for (int i = 0; i < times; i++) {
        struct neap_breaker_change change;
        struct neap_admission admission =
            neap_breaker_acquire(shared.breaker, &pipeline.breaker, 0, now_ns, 0, &change);
        neap_breaker_record(shared.breaker, &pipeline.breaker, admission.permit,
                            NEAP_VERDICT_FAILURE, 0, now_ns, 0);
    }
}

/* ---- one attempt */

static void a_response_ends_the_call(void **state)
{
    (void)state;
    begin_call(&call);
    assert_send(1);
    assert_int_equal(effect.left_ns, 30 * S);
    now_ns = S;
    tell_status(&call, 1, 200);
    assert_response(&call, 200);
    assert_int_equal(call.trace.count, 1);
    assert_int_equal(call.trace.entry[0].elapsed_ns, S);
    assert_last_reason(&call, NULL);
    assert_int_equal(counters.ok, 1);
    end_call(&call);
}

static void a_failure_is_retried_after_its_backoff(void **state)
{
    (void)state;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(neap_call_next_wakeup(&call), S);
    tell_time(&call, S - 1);
    assert_effect(NEAP_EFFECT_WAIT);
    tell_time(&call, S);
    assert_send(2);
    tell_status(&call, 2, 200);
    assert_response(&call, 200);
    assert_int_equal(call.trace.count, 3);
    assert_string_equal(call.trace.entry[1].reason, "backoff");
    assert_int_equal(call.trace.entry[1].elapsed_ns, S);
    end_call(&call);
}

static void the_last_response_is_returned_though_an_error_came_later(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 2;
    begin_call(&call);
    tell_status(&call, 1, 503);
    tell_time(&call, S);
    tell_outcome(&call, 2, (struct neap_outcome){.kind = NEAP_KIND_RESET});
    assert_response(&call, 503);
    assert_last_reason(&call, "attempts");
    end_call(&call);
}

static void an_unknown_attempts_outcome_changes_nothing(void **state)
{
    (void)state;
    begin_call(&call);
    tell_status(&call, 7, 200);
    assert_effect(NEAP_EFFECT_WAIT);
    tell_status(&call, 1, 200);
    tell_status(&call, 1, 500);
    assert_response(&call, 200);
    end_call(&call);
}

/* ---- limits */

static void an_attempt_past_its_limit_is_cancelled_and_retried(void **state)
{
    (void)state;
    pipeline.timeout.attempt_ns = 3 * S;
    begin_call(&call);
    assert_int_equal(neap_call_next_wakeup(&call), 3 * S);
    tell_time(&call, 3 * S);
    assert_effect(NEAP_EFFECT_CANCEL);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(call.trace.entry[0].error, NEAP_KIND_TIMEOUT);
    assert_int_equal(call.trace.entry[0].phase, NEAP_PHASE_ATTEMPT);
    assert_int_equal(counters.timeouts[NEAP_PHASE_ATTEMPT], 1);
    end_call(&call);
}

static void the_total_limit_ends_the_call(void **state)
{
    (void)state;
    begin_call(&call);
    tell_time(&call, 30 * S);
    assert_effect(NEAP_EFFECT_CANCEL);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&call, NEAP_KIND_TIMEOUT);
    assert_int_equal(call.result.outcome.phase, NEAP_PHASE_TOTAL);
    end_call(&call);
}

static void an_answer_in_time_wins_over_the_cancel_that_was_asked(void **state)
{
    (void)state;
    pipeline.timeout.attempt_ns = 3 * S;
    begin_call(&call);
    tell_status(&call, 1, 200);
    tell_time(&call, 3 * S);
    assert_response(&call, 200);
    end_call(&call);
}

static void no_attempt_begins_with_less_than_a_millisecond_left(void **state)
{
    (void)state;
    pipeline.timeout.total_ns = NEAP_MS - 1;
    begin_call(&call);
    assert_error(&call, NEAP_KIND_DEADLINE);
    assert_int_equal(counters.attempts, 0);
    end_call(&call);
}

static void time_cannot_end_a_function(void **state)
{
    (void)state;
    make_state();
    init_call(&call);
    call.setup.uninterruptible = true;
    tell(&call, NEAP_EVENT_BEGIN);
    assert_send(1);
    assert_int_equal(neap_call_next_wakeup(&call), NEAP_NEVER);
    tell_time(&call, 100 * S);
    assert_effect(NEAP_EFFECT_WAIT);
    tell_status(&call, 1, 0);
    assert_response(&call, 0);
    end_call(&call);
}

/* ---- refusals */

static void an_open_breaker_refuses_without_an_attempt(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    make_state();
    fail_breaker(10);
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    assert_error(&call, NEAP_KIND_BREAKER_OPEN);
    assert_int_equal(call.result.retry_after_ns, 30 * S);
    assert_int_equal(counters.rejections[NEAP_KIND_BREAKER_OPEN], 1);
    end_call(&call);
}

static void a_wait_that_ends_behind_a_breaker_that_opened_is_refused(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    pipeline.has_limiter = true;
    make_state();
    neap_rate_limiter_acquire(&limiter, &pipeline.limiter, 1, NEAP_NEVER, 0);
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    fail_breaker(10);
    tell_time(&call, S);
    assert_error(&call, NEAP_KIND_BREAKER_OPEN);
    end_call(&call);
}

static void a_probe_whose_call_is_refused_later_gives_its_permit_back(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    pipeline.has_bulkhead = true;
    pipeline.breaker.permits = 1;
    make_state();
    fail_breaker(10);
    int64_t place = take_place_elsewhere();
    now_ns = 31 * S;
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    assert_error(&call, NEAP_KIND_BULKHEAD_FULL);
    free_place_elsewhere(place);
    init_call(&other);
    tell(&other, NEAP_EVENT_BEGIN);
    assert_send(1);
    neap_call_deinit(&other, now_ns);
    end_call(&call);
}

static void a_refused_retry_returns_what_came_before(void **state)
{
    (void)state;
    pipeline.has_limiter = true;
    pipeline.limiter.max_wait_ns = 0;
    pipeline.limiter.interval_s = 100;
    begin_call(&call);
    tell_status(&call, 1, 503);
    tell_time(&call, S);
    assert_response(&call, 503);
    assert_last_reason(&call, "rate_limited");
    end_call(&call);
}

static void one_429_holds_back_the_next_call(void **state)
{
    (void)state;
    pipeline.has_gate = true;
    begin_call(&call);
    tell_hint(&call, 1, 429, (struct neap_hint){.retry_after_ns = 5 * S, .rate_limit_ns = -1});
    init_call(&other);
    tell(&other, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    int64_t until_ns = neap_call_next_wakeup(&other);
    assert_in_range(until_ns, 5 * S, 5 * S + S / 2);
    tell_time(&other, until_ns);
    assert_send(1);
    assert_string_equal(other.trace.entry[0].reason, "gate");
    neap_call_deinit(&other, now_ns);
    end_call(&call);
}

static void the_budget_ends_the_retries(void **state)
{
    (void)state;
    pipeline.has_budget = true;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_WAIT);
    init_call(&other);
    tell(&other, NEAP_EVENT_BEGIN);
    tell_status(&other, 1, 503);
    assert_response(&other, 503);
    assert_last_reason(&other, "budget");
    neap_call_deinit(&other, now_ns);
    end_call(&call);
}

/* ---- the bulkhead's queue */

static void a_place_is_held_only_on_the_wire(void **state)
{
    (void)state;
    pipeline.has_bulkhead = true;
    begin_call(&call);
    assert_int_equal(places_taken(), 1);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(places_taken(), 0);
    end_call(&call);
}

static void the_queue_is_left_when_its_time_is_over(void **state)
{
    (void)state;
    pipeline.has_bulkhead = true;
    pipeline.bulkhead.max_wait_ns = 4 * S;
    begin_call(&call);
    init_call(&other);
    tell(&other, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    assert_true(effect.queued);
    assert_int_equal(bulkhead_waiting, 1);
    tell_time(&other, 4 * S);
    assert_error(&other, NEAP_KIND_BULKHEAD_FULL);
    assert_int_equal(bulkhead_waiting, 0);
    neap_call_deinit(&other, now_ns);
    end_call(&call);
}

static void who_comes_while_others_wait_goes_behind_them(void **state)
{
    (void)state;
    static struct neap_call third;
    pipeline.has_bulkhead = true;
    pipeline.bulkhead.max_wait_ns = 4 * S;
    begin_call(&call);
    init_call(&other);
    tell(&other, NEAP_EVENT_BEGIN);
    tell_status(&call, 1, 200);
    init_call(&third);
    tell(&third, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    tell(&other, NEAP_EVENT_TIME);
    assert_send(1);
    neap_call_deinit(&third, now_ns);
    assert_int_equal(bulkhead_waiting, 0);
    neap_call_deinit(&other, now_ns);
    end_call(&call);
}

/* ---- a bulkhead that other processes share */

static void share_bulkhead(void)
{
    pipeline.has_bulkhead = true;
    pipeline.bulkhead.max_wait_ns = 4 * S;
    make_state();
    shared.bulkhead_is_shared = true;
}

static void begin_queued(struct neap_call *queued)
{
    init_call(queued);
    tell(queued, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    assert_true(effect.queued);
}

static void a_place_that_another_process_frees_is_found_by_asking_again(void **state)
{
    (void)state;
    share_bulkhead();
    int64_t place = take_place_elsewhere();
    begin_queued(&call);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(neap_call_next_wakeup(&call), i * NEAP_BULKHEAD_POLL_NS);
        tell_time(&call, i * NEAP_BULKHEAD_POLL_NS);
        assert_effect(NEAP_EFFECT_WAIT);
        assert_true(effect.queued);
    }
    assert_int_equal(bulkhead_waiting, 1);
    free_place_elsewhere(place);
    tell_time(&call, neap_call_next_wakeup(&call));
    assert_send(1);
    assert_int_equal(bulkhead_waiting, 0);
    assert_int_equal(call.trace.count, 2);
    assert_string_equal(call.trace.entry[0].reason, "bulkhead");
    assert_int_equal(call.trace.entry[0].elapsed_ns, 4 * NEAP_BULKHEAD_POLL_NS);
    end_call(&call);
}

static void asking_again_ends_with_the_time_that_may_be_waited(void **state)
{
    (void)state;
    share_bulkhead();
    take_place_elsewhere();
    now_ns = 1;
    begin_queued(&call);
    int asked = 0;
    while (effect.kind == NEAP_EFFECT_WAIT && asked++ < 1000)
        tell_time(&call, neap_call_next_wakeup(&call));
    assert_error(&call, NEAP_KIND_BULKHEAD_FULL);
    assert_int_equal(now_ns, 4 * S + 1);
    assert_int_equal(call.trace.count, 2);
    end_call(&call);
}

static void only_the_first_of_the_queue_asks_again(void **state)
{
    (void)state;
    static struct neap_call third;
    share_bulkhead();
    int64_t place = take_place_elsewhere();
    begin_queued(&call);
    begin_queued(&other);
    begin_queued(&third);
    assert_int_equal(neap_call_next_wakeup(&call), NEAP_BULKHEAD_POLL_NS);
    assert_int_equal(neap_call_next_wakeup(&other), 4 * S);
    assert_int_equal(neap_call_next_wakeup(&third), 4 * S);
    free_place_elsewhere(place);
    tell_time(&call, NEAP_BULKHEAD_POLL_NS);
    assert_send(1);
    tell(&other, NEAP_EVENT_TIME); /* woken, as it is the first now */
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(neap_call_next_wakeup(&other), 2 * NEAP_BULKHEAD_POLL_NS);
    assert_int_equal(neap_call_next_wakeup(&third), 4 * S);
    neap_call_deinit(&third, now_ns);
    neap_call_deinit(&other, now_ns);
    end_call(&call);
    assert_int_equal(bulkhead_waiting, 0);
}

static void who_comes_goes_behind_those_who_ask_again(void **state)
{
    (void)state;
    share_bulkhead();
    int64_t place = take_place_elsewhere();
    begin_queued(&call);
    free_place_elsewhere(place);
    begin_queued(&other);
    tell_time(&call, neap_call_next_wakeup(&call));
    assert_send(1);
    neap_call_deinit(&other, now_ns);
    end_call(&call);
}

static void a_private_bulkhead_is_not_asked_again(void **state)
{
    (void)state;
    share_bulkhead();
    shared.bulkhead_is_shared = false;
    take_place_elsewhere();
    begin_queued(&call);
    assert_int_equal(neap_call_next_wakeup(&call), 4 * S);
    tell_time(&call, S);
    assert_int_equal(neap_call_next_wakeup(&call), 4 * S);
    end_call(&call);
}

static void permits_are_out_in_the_holders_name(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    share_bulkhead();
    shared.holder = 7;
    fail_breaker(10);
    now_ns = 31 * S;
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    assert_send(1);
    assert_int_equal(neap_bulkhead_reclaim(shared.bulkhead, &pipeline.bulkhead, 6), 0);
    assert_int_equal(neap_breaker_reclaim(shared.breaker, &pipeline.breaker, 6), 0);
    assert_int_equal(neap_bulkhead_reclaim(shared.bulkhead, &pipeline.bulkhead, 7), 1);
    assert_int_equal(neap_breaker_reclaim(shared.breaker, &pipeline.breaker, 7), 1);
    tell_status(&call, 1, 200);
    assert_response(&call, 200);
    end_call(&call);
}

/* ---- questions */

static void a_verdict_of_lua_reaches_the_breaker(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    pipeline.asks_failure = true;
    pipeline.breaker.consecutive_failures = 1;
    begin_call(&call);
    tell_status(&call, 1, 200);
    assert_effect(NEAP_EFFECT_ASK);
    assert_int_equal(effect.question, NEAP_ASK_FAILURE);
    answer(&call, (struct neap_answer){.has_verdict = true, .verdict = NEAP_VERDICT_FAILURE});
    assert_response(&call, 200);
    assert_int_equal(neap_breaker_state(shared.breaker), NEAP_BREAKER_OPEN);
    end_call(&call);
}

static void questions_come_in_their_order(void **state)
{
    (void)state;
    pipeline.has_breaker = pipeline.asks_failure = pipeline.asks_when = true;
    pipeline.asks_backoff = true;
    begin_call(&call);
    tell_status(&call, 1, 404);
    assert_int_equal(effect.question, NEAP_ASK_FAILURE);
    answer(&call, (struct neap_answer){0});
    assert_int_equal(effect.question, NEAP_ASK_WHEN);
    answer(&call, (struct neap_answer){.when = NEAP_OPINION_YES});
    assert_int_equal(effect.question, NEAP_ASK_BACKOFF);
    assert_int_equal(effect.retry, 1);
    answer(&call, (struct neap_answer){.delay_s = 7});
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(neap_call_next_wakeup(&call), 7 * S);
    end_call(&call);
}

static void a_refresh_is_asked_once_and_needs_no_delay(void **state)
{
    (void)state;
    pipeline.asks_refresh = true;
    begin_call(&call);
    tell_status(&call, 1, 401);
    assert_int_equal(effect.question, NEAP_ASK_REFRESH);
    answer(&call, (struct neap_answer){.refreshed = true});
    assert_send(2);
    tell_status(&call, 2, 401);
    assert_response(&call, 401);
    end_call(&call);
}

/* ---- fallbacks */

static void fallbacks_are_tried_in_order_until_one_answers(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    pipeline.fallback_count = 3;
    pipeline.fallback_kinds[0] = 1u << NEAP_KIND_TIMEOUT;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_FALLBACK);
    assert_int_equal(effect.fallback, 1);
    answer(&call, (struct neap_answer){.source = NEAP_SOURCE_SERVICE, .status = 500});
    assert_effect(NEAP_EFFECT_FALLBACK);
    assert_int_equal(effect.fallback, 2);
    answer(&call, (struct neap_answer){
                      .source = NEAP_SOURCE_DEFAULT, .answered = true, .ok = true, .status = 200});
    assert_effect(NEAP_EFFECT_DONE);
    assert_int_equal(call.result.kind, NEAP_RESULT_FALLBACK);
    assert_int_equal(counters.fallbacks[NEAP_SOURCE_DEFAULT], 1);
    assert_int_equal(counters.ok, 1);
    end_call(&call);
}

static void nobody_answering_leaves_the_original_result(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    pipeline.fallback_count = 1;
    begin_call(&call);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_RESET});
    answer(&call, (struct neap_answer){.source = NEAP_SOURCE_FUNCTION});
    assert_error(&call, NEAP_KIND_RESET);
    end_call(&call);
}

static void without_its_fallbacks_a_call_ends_as_its_attempts_did(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    pipeline.fallback_count = 1;
    make_state();
    init_call(&call);
    call.setup.without_fallbacks = true;
    tell(&call, NEAP_EVENT_BEGIN);
    assert_send(1);
    tell_status(&call, 1, 503);
    assert_response(&call, 503);
    end_call(&call);
}

/* ---- cancelling */

static void cancelling_ends_the_live_attempt_and_gives_all_back(void **state)
{
    (void)state;
    pipeline.has_bulkhead = pipeline.has_breaker = true;
    pipeline.fallback_count = 1;
    begin_call(&call);
    tell(&call, NEAP_EVENT_CANCEL);
    assert_effect(NEAP_EFFECT_CANCEL);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&call, NEAP_KIND_CANCELLED);
    assert_int_equal(places_taken(), 0);
    end_call(&call);
}

static void run_to(int status, struct neap_answer fallback)
{
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    tell_status(&call, 1, status);
    if (effect.kind == NEAP_EFFECT_FALLBACK)
        answer(&call, fallback);
    assert_effect(NEAP_EFFECT_DONE);
    end_call(&call);
}

static void a_failure_is_what_ends_badly_for_the_caller(void **state)
{
    (void)state;
    static const int failing_status[] = {408, 425, 429, 500, 503, 599};
    pipeline.retry.max_attempts = 1;
    make_state();
    for (int status = 200; status < 500; status++)
        if (status != 408 && status != 425 && status != 429)
            run_to(status, (struct neap_answer){.answered = false});
    assert_int_equal(counters.failures, 0);
    for (uint32_t i = 0; i < 6; i++) {
        run_to(failing_status[i], (struct neap_answer){.answered = false});
        assert_int_equal(counters.failures, i + 1);
    }
}

static void what_a_fallback_answers_is_no_failure_unless_it_fails_too(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    pipeline.fallback_count = 1;
    make_state();
    run_to(503, (struct neap_answer){.answered = true, .ok = true, .status = 200});
    assert_int_equal(counters.failures, 0);
    run_to(503, (struct neap_answer){.answered = true, .ok = false, .status = 500});
    assert_int_equal(counters.failures, 1);
    run_to(503, (struct neap_answer){.answered = false});
    assert_int_equal(counters.failures, 2);
}

static void what_is_broken_off_is_no_failure(void **state)
{
    (void)state;
    make_state();
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    tell(&call, NEAP_EVENT_CANCEL);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&call, NEAP_KIND_CANCELLED);
    assert_int_equal(counters.failures, 0);
    end_call(&call);
}

static void cancelling_before_the_begin_is_counted_as_a_call(void **state)
{
    (void)state;
    make_state();
    init_call(&call);
    tell(&call, NEAP_EVENT_CANCEL);
    assert_error(&call, NEAP_KIND_CANCELLED);
    assert_int_equal(counters.calls, 1);
    assert_int_equal(counters.attempts, 0);
    end_call(&call);
}

static void cancelling_while_lua_is_asked_ends_the_call(void **state)
{
    (void)state;
    pipeline.asks_when = true;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_ASK);
    tell(&call, NEAP_EVENT_CANCEL);
    assert_error(&call, NEAP_KIND_CANCELLED);
    end_call(&call);
}

static void cancelling_in_backoff_ends_the_call(void **state)
{
    (void)state;
    begin_call(&call);
    tell_status(&call, 1, 503);
    tell(&call, NEAP_EVENT_CANCEL);
    assert_error(&call, NEAP_KIND_CANCELLED);
    end_call(&call);
}

static void an_abandoned_call_gives_its_permits_back(void **state)
{
    (void)state;
    pipeline.has_bulkhead = true;
    begin_call(&call);
    end_call(&call);
    assert_int_equal(places_taken(), 0);
}

static void a_call_that_has_moved_holds_nothing_where_it_was(void **state)
{
    (void)state;
    pipeline.has_bulkhead = true;
    pipeline.bulkhead.max_wait_ns = 5 * S;
    make_state();
    int64_t elsewhere = take_place_elsewhere();
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    assert_effect(NEAP_EFFECT_WAIT);
    neap_call_move(&call, &other);
    neap_call_deinit(&call, now_ns);
    assert_int_equal(atomic_load(&in_flight), 1);
    assert_int_equal(atomic_load(&counters.abandoned), 0);
    assert_int_equal(bulkhead_waiting, 1);
    free_place_elsewhere(elsewhere);
    tell(&other, NEAP_EVENT_TIME);
    assert_send(1);
    tell_status(&other, 1, 200);
    assert_response(&other, 200);
    end_call(&other);
}

/* ---- a host that cannot wait */

static void assert_refused_by_the_phase(void)
{
    assert_error(&call, NEAP_KIND_PHASE);
    assert_string_equal(call.result.outcome.message, "this phase of the host cannot wait");
    assert_int_equal(counters.errors[NEAP_KIND_PHASE], 1);
    assert_int_equal(counters.calls, 1);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_error(&call, NEAP_KIND_PHASE);
    end_call(&call);
    assert_int_equal(counters.errors[NEAP_KIND_PHASE], 1);
}

static void refusing_before_the_begin_makes_no_attempt(void **state)
{
    (void)state;
    make_state();
    init_call(&call);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_int_equal(counters.attempts, 0);
    assert_refused_by_the_phase();
}

static void refusing_a_wait_for_admission_gives_the_probe_back(void **state)
{
    (void)state;
    pipeline.has_breaker = pipeline.has_bulkhead = true;
    pipeline.breaker.permits = 1;
    pipeline.bulkhead.max_wait_ns = 4 * S;
    pipeline.fallback_count = 1;
    make_state();
    fail_breaker(10);
    now_ns = 31 * S;
    take_place_elsewhere();
    begin_queued(&call);
    now_ns += S;
    tell(&call, NEAP_EVENT_REFUSE);
    assert_int_equal(bulkhead_waiting, 0);
    assert_int_equal(call.trace.entry[0].elapsed_ns, S);
    assert_int_equal(neap_breaker_reclaim(shared.breaker, &pipeline.breaker, 0), 0);
    assert_refused_by_the_phase();
}

static void refusing_ends_the_live_attempt_and_gives_all_back(void **state)
{
    (void)state;
    pipeline.has_bulkhead = pipeline.has_breaker = true;
    pipeline.fallback_count = 1;
    begin_call(&call);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_effect(NEAP_EFFECT_CANCEL);
    assert_int_equal(effect.attempt, 1);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_effect(NEAP_EFFECT_WAIT);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_int_equal(call.trace.entry[0].error, NEAP_KIND_CANCELLED);
    assert_int_equal(places_taken(), 0);
    assert_refused_by_the_phase();
}

static void refusing_while_lua_is_asked_ends_the_call(void **state)
{
    (void)state;
    pipeline.asks_when = true;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_ASK);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_refused_by_the_phase();
}

static void refusing_in_backoff_ends_the_call(void **state)
{
    (void)state;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_WAIT);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_refused_by_the_phase();
}

static void refusing_in_a_fallback_ends_the_chain(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    pipeline.fallback_count = 2;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_FALLBACK);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_refused_by_the_phase();
}

static void a_call_that_is_being_cancelled_stays_so(void **state)
{
    (void)state;
    begin_call(&call);
    tell(&call, NEAP_EVENT_CANCEL);
    tell(&call, NEAP_EVENT_REFUSE);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&call, NEAP_KIND_CANCELLED);
    end_call(&call);
}

static void refusing_a_call_that_is_done_changes_nothing(void **state)
{
    (void)state;
    begin_call(&call);
    tell_status(&call, 1, 200);
    tell(&call, NEAP_EVENT_REFUSE);
    assert_response(&call, 200);
    end_call(&call);
}

/* ---- more than one live attempt */

static void a_second_attempt_starts_beside_a_silent_one(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    begin_call(&call);
    assert_int_equal(neap_call_next_wakeup(&call), 2 * S);
    tell_time(&call, 2 * S);
    assert_send(2);
    assert_int_equal(neap_call_next_wakeup(&call), 30 * S);
    tell_status(&call, 2, 200);
    assert_effect(NEAP_EFFECT_CANCEL);
    assert_int_equal(effect.attempt, 1);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_response(&call, 200);
    end_call(&call);
}

static void one_of_two_failing_leaves_the_other_its_chance(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    begin_call(&call);
    tell_time(&call, 2 * S);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_WAIT);
    tell_status(&call, 2, 200);
    assert_response(&call, 200);
    end_call(&call);
}

static void an_outcome_that_comes_while_lua_is_asked_is_judged_next(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    pipeline.has_breaker = pipeline.asks_failure = true;
    begin_call(&call);
    tell_time(&call, 2 * S);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_ASK);
    tell_status(&call, 2, 200);
    assert_effect(NEAP_EFFECT_WAIT);
    answer(&call, (struct neap_answer){0});
    assert_effect(NEAP_EFFECT_ASK);
    answer(&call, (struct neap_answer){0});
    assert_response(&call, 200);
    end_call(&call);
}

static void an_attempt_that_has_ended_is_not_cancelled(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    pipeline.has_breaker = pipeline.has_bulkhead = pipeline.asks_failure = true;
    pipeline.bulkhead.max_concurrent = 2;
    begin_call(&call);
    tell_time(&call, 2 * S);
    tell_status(&call, 1, 503);
    assert_effect(NEAP_EFFECT_ASK);
    tell_status(&call, 2, 200);
    tell(&call, NEAP_EVENT_CANCEL);
    assert_error(&call, NEAP_KIND_CANCELLED);
    assert_int_equal(places_taken(), 0);
    end_call(&call);
}

static void a_hedge_never_waits_and_never_repeats_the_unreplayable(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    pipeline.has_bulkhead = true;
    begin_call(&call);
    tell_time(&call, 2 * S);
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(bulkhead_waiting, 0);
    init_call(&other);
    other.setup.replayable = false;
    tell_status(&call, 1, 200);
    tell(&other, NEAP_EVENT_BEGIN);
    tell_time(&other, 10 * S);
    assert_effect(NEAP_EFFECT_WAIT);
    neap_call_deinit(&other, now_ns);
    end_call(&call);
}

static void a_hedge_that_was_refused_is_not_asked_for_again(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    pipeline.has_bulkhead = pipeline.has_budget = true;
    pipeline.budget.min_per_second = 2;
    begin_call(&call);
    tell_time(&call, neap_call_next_wakeup(&call));
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(neap_call_next_wakeup(&call), 30 * S);
    tell_time(&call, 2 * S);
    assert_int_equal(neap_retry_budget_balance(shared.budget, &pipeline.budget, now_ns), 1);
    end_call(&call);
}

static void a_hedge_that_took_the_first_place_gets_none_beside_two(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    pipeline.retry.max_attempts = 4;
    begin_call(&call);
    tell_time(&call, 2 * S);
    assert_send(2);
    tell_status(&call, 1, 503);
    tell_time(&call, 4 * S);
    assert_send(3);
    assert_int_equal(neap_call_next_wakeup(&call), 30 * S);
    tell_time(&call, 6 * S);
    assert_effect(NEAP_EFFECT_WAIT);
    end_call(&call);
}

static void a_hedge_without_time_left_leaves_the_attempt_to_its_limit(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    pipeline.timeout.total_ns = 4 * S;
    begin_call(&call);
    tell_time(&call, 4 * S - S / 4000);
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(neap_call_next_wakeup(&call), 4 * S);
    tell_time(&call, 4 * S);
    assert_effect(NEAP_EFFECT_CANCEL);
    end_call(&call);
}

static void what_must_not_be_repeated_is_not_woken_for_a_hedge_twice(void **state)
{
    (void)state;
    pipeline.hedge_after_ns = 2 * S;
    make_state();
    init_call(&call);
    call.setup.replayable = false;
    tell(&call, NEAP_EVENT_BEGIN);
    tell_time(&call, neap_call_next_wakeup(&call));
    assert_effect(NEAP_EFFECT_WAIT);
    assert_int_equal(neap_call_next_wakeup(&call), 30 * S);
    end_call(&call);
}

/* ---- what listeners are told, and memory */

static void listeners_are_told_of_each_step(void **state)
{
    (void)state;
    begin_call(&call);
    tell_status(&call, 1, 503);
    assert_int_equal(call.notice_count, 2);
    assert_int_equal(call.setup.notice[0].kind, NEAP_NOTICE_ATTEMPT);
    assert_int_equal(call.setup.notice[1].kind, NEAP_NOTICE_RETRY);
    assert_true(call.setup.notice[1].delay_s == 1);
    tell_time(&call, S);
    tell_status(&call, 2, 200);
    assert_int_equal(call.notice_count, 2);
    assert_int_equal(call.setup.notice[1].kind, NEAP_NOTICE_DONE);
    end_call(&call);
}

static void a_trace_without_memory_loses_entries_not_calls(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 10;
    begin_call(&call);
    failing_alloc_fail(&failing, 1);
    for (uint32_t attempt = 1; attempt < 10; attempt++) {
        tell_status(&call, attempt, 503);
        tell_time(&call, neap_call_next_wakeup(&call));
        assert_send(attempt + 1);
    }
    tell_status(&call, 10, 200);
    assert_response(&call, 200);
    assert_int_equal(call.trace.lost, 1);
    end_call(&call);
}

static void why_a_call_stopped_is_not_said_of_an_older_attempt(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 4;
    begin_call(&call);
    for (uint32_t attempt = 1; attempt < 4; attempt++) {
        tell_status(&call, attempt, 503);
        if (attempt == 3) /* six entries are there, and there is room for no more */
            failing_alloc_fail(&failing, 1);
        tell_time(&call, neap_call_next_wakeup(&call));
    }
    assert_int_equal(call.trace.lost, 1);
    tell_status(&call, 4, 503);
    assert_response(&call, 503);
    assert_int_equal(call.trace.count, 6);
    for (uint32_t i = 0; i < 6; i++)
        if (call.trace.entry[i].kind == NEAP_TRACE_ATTEMPT)
            assert_null(call.trace.entry[i].reason);
        else
            assert_string_equal(call.trace.entry[i].reason, "backoff");
    end_call(&call);
}

/* ---- whatever happens */

static struct neap_outcome random_outcome(void)
{
    uint64_t draw = neap_random_next(&random_numbers);
    if (draw % 3 == 0)
        return (struct neap_outcome){.kind = (enum neap_kind)(1 + draw / 3 % (NEAP_KIND_COUNT - 1)),
                                     .unsent = draw % 5 == 0};
    return (struct neap_outcome){.status = (int)(100 + draw / 3 % 500)};
}

static struct neap_answer random_answer(void)
{
    uint64_t draw = neap_random_next(&random_numbers);
    return (struct neap_answer){.when = (enum neap_opinion)(draw % 3),
                                .has_verdict = draw % 2,
                                .verdict = (enum neap_verdict)(draw / 2 % 3),
                                .delay_s = (double)(draw % 5),
                                .refreshed = draw % 7 < 3,
                                .answered = draw % 4 == 0,
                                .source = NEAP_SOURCE_FUNCTION};
}

static uint32_t a_live_attempt(void)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call.live[i].number)
            return call.live[i].number;
    return 0;
}

/* Performs the effect as a driver would, with a random result; sometimes something else happens. */
static void perform_at_random(void)
{
    uint64_t draw = neap_random_next(&random_numbers);
    uint32_t live = a_live_attempt();
    if (draw % 50 == 0) {
        tell(&call, draw % 100 ? NEAP_EVENT_CANCEL : NEAP_EVENT_REFUSE);
    } else if (effect.kind == NEAP_EFFECT_CANCEL) {
        tell_outcome(&call, effect.attempt, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    } else if (effect.kind == NEAP_EFFECT_ASK || effect.kind == NEAP_EFFECT_FALLBACK) {
        answer(&call, random_answer());
    } else if (live && draw % 3 > 0) {
        now_ns += (int64_t)(draw % (4 * S));
        tell_outcome(&call, live, random_outcome());
    } else {
        int64_t wakeup_ns = neap_call_next_wakeup(&call);
        assert_true(wakeup_ns != NEAP_NEVER || live || call.state == NEAP_CALL_ASKING);
        tell_time(&call, neap_time_max(now_ns, wakeup_ns == NEAP_NEVER ? now_ns : wakeup_ns));
    }
}

static void vary_pipeline(uint64_t seed)
{
    pipeline.has_breaker = seed & 1;
    pipeline.has_gate = seed & 2;
    pipeline.has_limiter = seed & 4;
    pipeline.has_bulkhead = seed & 8;
    pipeline.has_budget = seed & 16;
    pipeline.asks_when = seed & 32;
    pipeline.asks_failure = seed & 64;
    pipeline.asks_backoff = seed & 128;
    pipeline.asks_refresh = seed & 256;
    pipeline.hedge_after_ns = seed & 512 ? S : NEAP_NEVER;
    pipeline.fallback_count = seed & 1024 ? 2 : 0;
    pipeline.timeout.attempt_ns = seed & 2048 ? 2 * S : NEAP_NEVER;
}

static void every_call_ends_within_its_deadline_and_holds_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4096; seed++) {
        begin_world();
        neap_random_init(&random_numbers, seed);
        vary_pipeline(seed);
        begin_call(&call);
        int steps = 0;
        while (effect.kind != NEAP_EFFECT_DONE && steps++ < 500)
            perform_at_random();
        assert_effect(NEAP_EFFECT_DONE);
        assert_true(call.attempts <= pipeline.retry.max_attempts);
        assert_int_equal(places_taken(), 0);
        assert_int_equal(bulkhead_waiting, 0);
        assert_int_equal(a_live_attempt(), 0);
        end_call(&call);
        end_world();
    }
    begin_world();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_world, tear_down_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_response_ends_the_call),
        TEST(a_failure_is_retried_after_its_backoff),
        TEST(the_last_response_is_returned_though_an_error_came_later),
        TEST(an_unknown_attempts_outcome_changes_nothing),
        TEST(an_attempt_past_its_limit_is_cancelled_and_retried),
        TEST(the_total_limit_ends_the_call),
        TEST(an_answer_in_time_wins_over_the_cancel_that_was_asked),
        TEST(no_attempt_begins_with_less_than_a_millisecond_left),
        TEST(time_cannot_end_a_function),
        TEST(an_open_breaker_refuses_without_an_attempt),
        TEST(a_wait_that_ends_behind_a_breaker_that_opened_is_refused),
        TEST(a_probe_whose_call_is_refused_later_gives_its_permit_back),
        TEST(a_refused_retry_returns_what_came_before),
        TEST(one_429_holds_back_the_next_call),
        TEST(the_budget_ends_the_retries),
        TEST(a_place_is_held_only_on_the_wire),
        TEST(the_queue_is_left_when_its_time_is_over),
        TEST(who_comes_while_others_wait_goes_behind_them),
        TEST(a_place_that_another_process_frees_is_found_by_asking_again),
        TEST(asking_again_ends_with_the_time_that_may_be_waited),
        TEST(only_the_first_of_the_queue_asks_again),
        TEST(who_comes_goes_behind_those_who_ask_again),
        TEST(a_private_bulkhead_is_not_asked_again),
        TEST(permits_are_out_in_the_holders_name),
        TEST(a_verdict_of_lua_reaches_the_breaker),
        TEST(questions_come_in_their_order),
        TEST(a_refresh_is_asked_once_and_needs_no_delay),
        TEST(fallbacks_are_tried_in_order_until_one_answers),
        TEST(nobody_answering_leaves_the_original_result),
        TEST(without_its_fallbacks_a_call_ends_as_its_attempts_did),
        TEST(cancelling_ends_the_live_attempt_and_gives_all_back),
        TEST(a_failure_is_what_ends_badly_for_the_caller),
        TEST(what_a_fallback_answers_is_no_failure_unless_it_fails_too),
        TEST(what_is_broken_off_is_no_failure),
        TEST(cancelling_before_the_begin_is_counted_as_a_call),
        TEST(cancelling_while_lua_is_asked_ends_the_call),
        TEST(cancelling_in_backoff_ends_the_call),
        TEST(an_abandoned_call_gives_its_permits_back),
        TEST(a_call_that_has_moved_holds_nothing_where_it_was),
        TEST(refusing_before_the_begin_makes_no_attempt),
        TEST(refusing_a_wait_for_admission_gives_the_probe_back),
        TEST(refusing_ends_the_live_attempt_and_gives_all_back),
        TEST(refusing_while_lua_is_asked_ends_the_call),
        TEST(refusing_in_backoff_ends_the_call),
        TEST(refusing_in_a_fallback_ends_the_chain),
        TEST(a_call_that_is_being_cancelled_stays_so),
        TEST(refusing_a_call_that_is_done_changes_nothing),
        TEST(a_second_attempt_starts_beside_a_silent_one),
        TEST(one_of_two_failing_leaves_the_other_its_chance),
        TEST(an_outcome_that_comes_while_lua_is_asked_is_judged_next),
        TEST(an_attempt_that_has_ended_is_not_cancelled),
        TEST(a_hedge_never_waits_and_never_repeats_the_unreplayable),
        TEST(a_hedge_that_was_refused_is_not_asked_for_again),
        TEST(a_hedge_that_took_the_first_place_gets_none_beside_two),
        TEST(a_hedge_without_time_left_leaves_the_attempt_to_its_limit),
        TEST(what_must_not_be_repeated_is_not_woken_for_a_hedge_twice),
        TEST(listeners_are_told_of_each_step),
        TEST(a_trace_without_memory_loses_entries_not_calls),
        TEST(why_a_call_stopped_is_not_said_of_an_older_attempt),
        TEST(every_call_ends_within_its_deadline_and_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
