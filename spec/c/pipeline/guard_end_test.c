#include "pipeline/guard.h"

#include "pipeline/guard_fixture.h"

/* ---- the end of the handler ---- */

static void the_answer_is_stored_then_given(void **state)
{
    (void)state;
    begin_running();
    tell_status(201);
    assert_finish(NEAP_PROBLEM_NONE);
    tell_time(S);
    assert_effect(NEAP_GUARD_WAIT);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_answered();
}

static void statuses_that_say_that_nothing_was_done_release_the_key(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        bool releases = status == 408 || status == 425 || status == 429 || status == 503;
        begin_running();
        tell_status(status);
        assert_effect(releases ? NEAP_GUARD_RELEASE : NEAP_GUARD_FINISH);
        tell_settled(NEAP_GUARD_STORE_OK);
        assert_answered();
    }
}

static void store_statuses_decides_otherwise(void **state)
{
    (void)state;
    begin_running();
    tell_handled((struct neap_guard_handled){.status = 503, .verdict = NEAP_GUARD_STORE_IT});
    assert_finish(NEAP_PROBLEM_NONE);
    begin_running();
    tell_handled((struct neap_guard_handled){.status = 200, .verdict = NEAP_GUARD_DROP_IT});
    assert_effect(NEAP_GUARD_RELEASE);
}

static void a_handler_that_raises_is_500_and_stored(void **state)
{
    (void)state;
    begin_running();
    tell_raised();
    assert_finish(NEAP_PROBLEM_RAISED);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_problem(NEAP_PROBLEM_RAISED);
}

static void a_handler_that_raises_may_free_the_key(void **state)
{
    (void)state;
    policy.on_error = NEAP_ON_ERROR_RELEASE;
    begin_running();
    tell_handled((struct neap_guard_handled){.raised = true, .verdict = NEAP_GUARD_STORE_IT});
    assert_effect(NEAP_GUARD_RELEASE);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_problem(NEAP_PROBLEM_RAISED);
}

static void a_handler_ends_once(void **state)
{
    (void)state;
    begin_running();
    tell_status(200);
    tell_status(503);
    assert_effect(NEAP_GUARD_WAIT);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_answered();
    tell_status(200);
    assert_effect(NEAP_GUARD_DONE);
}

static void who_comes_late_keeps_the_answer_for_its_own_caller(void **state)
{
    (void)state;
    begin_running();
    now_ns += 2 * LEASE;
    tell_status(200);
    assert_finish(NEAP_PROBLEM_NONE);
    tell_settled(NEAP_GUARD_STORE_LOST);
    assert_answered();
}

static void an_answer_without_room_leaves_a_short_one_in_its_place(void **state)
{
    (void)state;
    begin_running();
    tell_status(200);
    tell_settled(NEAP_GUARD_STORE_FULL);
    assert_finish(NEAP_PROBLEM_NOT_KEPT);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_answered();
}

static void a_short_answer_without_room_is_owed(void **state)
{
    (void)state;
    begin_running();
    tell_status(200);
    tell_settled(NEAP_GUARD_STORE_FULL);
    tell_settled(NEAP_GUARD_STORE_FULL);
    assert_int_equal(effect.kind, NEAP_GUARD_ANSWER);
    assert_true(effect.more);
    tell_time(S);
    assert_finish(NEAP_PROBLEM_NOT_KEPT);
    begin_running();
    tell_raised();
    tell_settled(NEAP_GUARD_STORE_FULL);
    assert_int_equal(effect.kind, NEAP_GUARD_PROBLEM);
    assert_int_equal(effect.problem, NEAP_PROBLEM_RAISED);
    assert_true(effect.more);
}

/* ---- a store that is down when the handler has ended ---- */

static void begin_owing(void)
{
    begin_running();
    tell_status(200);
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_int_equal(effect.kind, NEAP_GUARD_ANSWER);
    assert_true(effect.more);
    assert_int_equal(guard.state, NEAP_GUARD_STATE_OWING);
}

static void the_caller_has_its_answer_and_the_store_is_told_later(void **state)
{
    (void)state;
    begin_owing();
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, 25 * NEAP_MS);
    tell_time(25 * NEAP_MS - 1);
    assert_effect(NEAP_GUARD_WAIT);
    tell_time(1);
    assert_finish(NEAP_PROBLEM_NONE);
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_effect(NEAP_GUARD_WAIT);
    tell_time(S);
    assert_finish(NEAP_PROBLEM_NONE);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_effect(NEAP_GUARD_DONE);
}

static void what_is_owed_begins_with_a_short_pause(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    for (int i = 0; i < 10; i++) {
        tell_renewed(NEAP_GUARD_STORE_DOWN);
        tell_time(S);
    }
    tell_status(200);
    tell_renewed(NEAP_GUARD_STORE_DOWN);
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, 25 * NEAP_MS);
}

static void a_release_is_owed_likewise(void **state)
{
    (void)state;
    begin_running();
    tell_status(503);
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_int_equal(effect.kind, NEAP_GUARD_ANSWER);
    tell_time(S);
    assert_effect(NEAP_GUARD_RELEASE);
    tell_settled(NEAP_GUARD_STORE_LOST);
    assert_effect(NEAP_GUARD_DONE);
}

static void a_500_is_given_though_it_cannot_be_stored(void **state)
{
    (void)state;
    begin_running();
    tell_raised();
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_int_equal(effect.kind, NEAP_GUARD_PROBLEM);
    assert_int_equal(effect.problem, NEAP_PROBLEM_RAISED);
    assert_true(effect.more);
    tell_time(S);
    assert_finish(NEAP_PROBLEM_RAISED);
}

static void what_is_owed_is_tried_while_the_lease_lasts(void **state)
{
    (void)state;
    int64_t claimed_ns = now_ns;
    begin_owing();
    for (effect.kind = NEAP_GUARD_WAIT; effect.kind == NEAP_GUARD_WAIT;) {
        assert_true(neap_guard_next_wakeup(&guard) < claimed_ns + LEASE);
        tell_time(neap_guard_next_wakeup(&guard) - now_ns);
        assert_finish(NEAP_PROBLEM_NONE);
        tell_settled(NEAP_GUARD_STORE_DOWN);
    }
    assert_effect(NEAP_GUARD_DONE);
    assert_true(now_ns > claimed_ns + LEASE - S);
}

static void nothing_is_tried_at_the_end_of_the_lease(void **state)
{
    (void)state;
    begin_owing();
    tell_time(LEASE);
    assert_effect(NEAP_GUARD_DONE);
    begin_owing();
    tell_time(LEASE - 1);
    assert_finish(NEAP_PROBLEM_NONE);
}

static void nothing_is_owed_where_the_lease_is_over(void **state)
{
    (void)state;
    begin_running();
    now_ns += LEASE;
    tell_status(200);
    assert_finish(NEAP_PROBLEM_NONE);
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_answered();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(the_answer_is_stored_then_given),
        SPEC(statuses_that_say_that_nothing_was_done_release_the_key),
        SPEC(store_statuses_decides_otherwise),
        SPEC(a_handler_that_raises_is_500_and_stored),
        SPEC(a_handler_that_raises_may_free_the_key),
        SPEC(a_handler_ends_once),
        SPEC(who_comes_late_keeps_the_answer_for_its_own_caller),
        SPEC(an_answer_without_room_leaves_a_short_one_in_its_place),
        SPEC(a_short_answer_without_room_is_owed),
        SPEC(the_caller_has_its_answer_and_the_store_is_told_later),
        SPEC(what_is_owed_begins_with_a_short_pause),
        SPEC(a_release_is_owed_likewise),
        SPEC(a_500_is_given_though_it_cannot_be_stored),
        SPEC(what_is_owed_is_tried_while_the_lease_lasts),
        SPEC(nothing_is_tried_at_the_end_of_the_lease),
        SPEC(nothing_is_owed_where_the_lease_is_over),
    };
    return cmocka_run_group_tests_name("guard_end", tests, NULL, NULL);
}
