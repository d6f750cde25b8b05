#include "pipeline/guard.h"

#include "pipeline/guard_fixture.h"

/* ---- before the claim ---- */

static void a_method_that_is_not_guarded_passes_whatever_its_key(void **state)
{
    (void)state;
    for (int i = NEAP_KEY_FAULT_NONE; i <= NEAP_KEY_FAULT_NOT_PRINTABLE; i++) {
        begin_with(false, (enum neap_key_fault)i);
        assert_effect(NEAP_GUARD_PASS);
        tell_time(S);
        assert_effect(NEAP_GUARD_DONE);
    }
}

static void a_request_without_a_key_is_400_where_one_is_required(void **state)
{
    (void)state;
    begin_with(true, NEAP_KEY_FAULT_MISSING);
    assert_problem(NEAP_PROBLEM_KEY);
}

static void a_request_without_a_key_passes_where_none_is_required(void **state)
{
    (void)state;
    policy.required = false;
    begin_with(true, NEAP_KEY_FAULT_MISSING);
    assert_effect(NEAP_GUARD_PASS);
}

static void an_unusable_key_is_400_required_or_not(void **state)
{
    (void)state;
    for (int i = NEAP_KEY_FAULT_REPEATED; i <= NEAP_KEY_FAULT_NOT_PRINTABLE; i++) {
        policy.required = i % 2;
        begin_with(true, (enum neap_key_fault)i);
        assert_problem(NEAP_PROBLEM_KEY);
    }
}

static void a_good_key_is_claimed_at_once(void **state)
{
    (void)state;
    begin();
    assert_effect(NEAP_GUARD_CLAIM);
    assert_int_equal(neap_guard_next_wakeup(&guard), NEAP_NEVER);
    tell_time(S);
    assert_effect(NEAP_GUARD_WAIT);
    tell_status(200);
    assert_effect(NEAP_GUARD_WAIT);
}

/* ---- what the store says to the claim ---- */

static void a_new_key_runs_the_handler(void **state)
{
    (void)state;
    begin_running();
    assert_effect(NEAP_GUARD_RUN);
    assert_false(effect.recovered);
}

static void a_dead_owners_key_runs_the_handler_as_recovered(void **state)
{
    (void)state;
    begin();
    tell_claim(NEAP_GUARD_CLAIM_RECOVERED);
    assert_effect(NEAP_GUARD_RUN);
    assert_true(effect.recovered);
}

static void a_finished_key_is_replayed(void **state)
{
    (void)state;
    begin();
    tell_claim(NEAP_GUARD_CLAIM_DONE);
    assert_effect(NEAP_GUARD_REPLAY);
    tell_claim(NEAP_GUARD_CLAIM_NEW);
    assert_effect(NEAP_GUARD_DONE);
}

static void another_fingerprint_is_422(void **state)
{
    (void)state;
    const enum neap_on_conflict both[] = {NEAP_ON_CONFLICT_REJECT, NEAP_ON_CONFLICT_WAIT};
    for (size_t i = 0; i < 2; i++) {
        policy.on_conflict = both[i];
        begin();
        tell_claim(NEAP_GUARD_CLAIM_OTHER_WORK);
        assert_problem(NEAP_PROBLEM_OTHER_WORK);
    }
}

static void a_running_key_is_409(void **state)
{
    (void)state;
    begin();
    tell_claim(NEAP_GUARD_CLAIM_RUNNING);
    assert_problem(NEAP_PROBLEM_CONFLICT);
}

static void a_store_that_is_down_is_503_and_the_handler_does_not_run(void **state)
{
    (void)state;
    begin();
    tell_claim(NEAP_GUARD_CLAIM_DOWN);
    assert_problem(NEAP_PROBLEM_STORE_DOWN);
}

static void a_result_that_cannot_be_read_is_500_and_the_handler_does_not_run(void **state)
{
    (void)state;
    begin();
    tell_claim(NEAP_GUARD_CLAIM_DAMAGED);
    assert_problem(NEAP_PROBLEM_DAMAGED);
}

/* ---- waiting for another owner ---- */

static void begin_waiting(void)
{
    policy.on_conflict = NEAP_ON_CONFLICT_WAIT;
    begin();
    tell_claim(NEAP_GUARD_CLAIM_RUNNING);
}

static void who_waits_claims_again_after_a_pause(void **state)
{
    (void)state;
    begin_waiting();
    assert_wakeup(25 * NEAP_MS);
    tell_time(25 * NEAP_MS - 1);
    assert_effect(NEAP_GUARD_WAIT);
    tell_time(1);
    assert_effect(NEAP_GUARD_CLAIM);
    tell_claim(NEAP_GUARD_CLAIM_DONE);
    assert_effect(NEAP_GUARD_REPLAY);
}

static void who_waits_may_come_to_run(void **state)
{
    (void)state;
    begin_waiting();
    tell_time(S);
    tell_claim(NEAP_GUARD_CLAIM_RECOVERED);
    assert_effect(NEAP_GUARD_RUN);
    assert_true(effect.recovered);
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, LEASE / 3);
}

static void pauses_grow_up_to_a_second_and_are_spread(void **state)
{
    (void)state;
    int64_t last_ns = 0;
    begin_waiting();
    for (int i = 0; i < 20; i++) {
        int64_t pause_ns = neap_guard_next_wakeup(&guard) - now_ns;
        assert_true(pause_ns >= last_ns && pause_ns <= S / 2);
        last_ns = pause_ns;
        tell_time(pause_ns);
        tell_claim(NEAP_GUARD_CLAIM_RUNNING);
    }
    assert_int_equal(last_ns, S / 2);
    tell_time(S);
    r = 0.5;
    tell_claim(NEAP_GUARD_CLAIM_RUNNING);
    assert_wakeup(3 * S / 4);
}

static void nobody_waits_longer_than_a_lease(void **state)
{
    (void)state;
    int64_t began_ns = now_ns;
    begin_waiting();
    while (effect.kind == NEAP_GUARD_WAIT) {
        assert_true(neap_guard_next_wakeup(&guard) <= began_ns + LEASE);
        tell_time(neap_guard_next_wakeup(&guard) - now_ns);
        assert_effect(NEAP_GUARD_CLAIM);
        tell_claim(NEAP_GUARD_CLAIM_RUNNING);
    }
    assert_int_equal(now_ns, began_ns + LEASE);
    assert_problem(NEAP_PROBLEM_CONFLICT);
}

static void a_slow_store_does_not_prolong_the_wait(void **state)
{
    (void)state;
    begin_waiting();
    tell_time(S);
    now_ns += LEASE;
    tell_claim(NEAP_GUARD_CLAIM_RUNNING);
    assert_problem(NEAP_PROBLEM_CONFLICT);
}

static void a_clock_that_steps_back_only_waits(void **state)
{
    (void)state;
    begin_waiting();
    tell_time(-500 * S);
    assert_effect(NEAP_GUARD_WAIT);
    tell_time(600 * S);
    assert_effect(NEAP_GUARD_CLAIM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_method_that_is_not_guarded_passes_whatever_its_key),
        SPEC(a_request_without_a_key_is_400_where_one_is_required),
        SPEC(a_request_without_a_key_passes_where_none_is_required),
        SPEC(an_unusable_key_is_400_required_or_not),
        SPEC(a_good_key_is_claimed_at_once),
        SPEC(a_new_key_runs_the_handler),
        SPEC(a_dead_owners_key_runs_the_handler_as_recovered),
        SPEC(a_finished_key_is_replayed),
        SPEC(another_fingerprint_is_422),
        SPEC(a_running_key_is_409),
        SPEC(a_store_that_is_down_is_503_and_the_handler_does_not_run),
        SPEC(a_result_that_cannot_be_read_is_500_and_the_handler_does_not_run),
        SPEC(who_waits_claims_again_after_a_pause),
        SPEC(who_waits_may_come_to_run),
        SPEC(pauses_grow_up_to_a_second_and_are_spread),
        SPEC(nobody_waits_longer_than_a_lease),
        SPEC(a_slow_store_does_not_prolong_the_wait),
        SPEC(a_clock_that_steps_back_only_waits),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
