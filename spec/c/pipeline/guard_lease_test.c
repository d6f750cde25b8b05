#include "pipeline/guard.h"

#include "pipeline/guard_fixture.h"

/* ---- renewals ---- */

static void a_lease_is_renewed_every_third_of_it(void **state)
{
    (void)state;
    begin_running();
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, LEASE / 3);
    tell_time(LEASE / 3 - 1);
    assert_wakeup(1);
    tell_time(1);
    assert_effect(NEAP_GUARD_RENEW);
    tell_renewed(NEAP_GUARD_STORE_OK);
    assert_wakeup(LEASE / 3);
    tell_time(LEASE / 3);
    assert_effect(NEAP_GUARD_RENEW);
}

static void thirds_count_from_when_the_lease_was_asked_for(void **state)
{
    (void)state;
    begin();
    now_ns += 5 * S;
    tell_claim(NEAP_GUARD_CLAIM_NEW);
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, LEASE / 3 - 5 * S);
    tell_time(LEASE / 3);
    now_ns += 5 * S;
    tell_renewed(NEAP_GUARD_STORE_OK);
    assert_wakeup(LEASE / 3 - 5 * S);
}

static void one_renewal_is_out_at_a_time(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    assert_int_equal(neap_guard_next_wakeup(&guard), NEAP_NEVER);
    tell_time(LEASE);
    assert_effect(NEAP_GUARD_WAIT);
}

static void a_renewal_slower_than_a_third_is_followed_by_the_next(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    now_ns += LEASE / 3;
    tell_renewed(NEAP_GUARD_STORE_OK);
    assert_effect(NEAP_GUARD_RENEW);
}

static void renewals_stop_max_run_after_the_claim(void **state)
{
    (void)state;
    int64_t claimed_ns = now_ns, last_ns = 0;
    begin_running();
    while (neap_guard_next_wakeup(&guard) != NEAP_NEVER) {
        tell_time(neap_guard_next_wakeup(&guard) - now_ns);
        if (effect.kind != NEAP_GUARD_RENEW)
            continue;
        last_ns = now_ns;
        tell_renewed(NEAP_GUARD_STORE_OK);
    }
    assert_int_equal(last_ns - claimed_ns, policy.max_run_ns - LEASE / 3);
    assert_effect(NEAP_GUARD_WAIT);
    tell_time(10000 * S);
    assert_effect(NEAP_GUARD_WAIT);
    tell_status(200);
    assert_finish(NEAP_PROBLEM_NONE);
}

static void there_is_no_renewal_where_max_run_is_short(void **state)
{
    (void)state;
    policy.max_run_ns = LEASE / 3;
    begin_running();
    tell_time(LEASE / 3);
    assert_effect(NEAP_GUARD_WAIT);
    assert_int_equal(neap_guard_next_wakeup(&guard), NEAP_NEVER);
    policy.max_run_ns = LEASE / 3 + 1;
    begin_running();
    tell_time(LEASE / 3);
    assert_effect(NEAP_GUARD_RENEW);
}

static void who_is_late_renews_though_the_lease_is_over(void **state)
{
    (void)state;
    begin_running();
    tell_time(2 * LEASE);
    assert_effect(NEAP_GUARD_RENEW);
}

static void a_failed_renewal_is_repeated_after_growing_pauses(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    tell_renewed(NEAP_GUARD_STORE_DOWN);
    assert_wakeup(25 * NEAP_MS);
    tell_time(25 * NEAP_MS);
    assert_effect(NEAP_GUARD_RENEW);
    tell_renewed(NEAP_GUARD_STORE_FULL);
    assert_wakeup(25 * NEAP_MS * 3 / 2);
    tell_time(S);
    assert_effect(NEAP_GUARD_RENEW);
    tell_renewed(NEAP_GUARD_STORE_OK);
    assert_wakeup(LEASE / 3);
    tell_time(LEASE / 3);
    tell_renewed(NEAP_GUARD_STORE_DOWN);
    assert_wakeup(25 * NEAP_MS);
}

static void a_failed_renewal_does_not_lengthen_the_lease(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    tell_renewed(NEAP_GUARD_STORE_DOWN);
    now_ns += LEASE - LEASE / 3;
    tell_status(200);
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_answered();
}

static void a_renewal_lengthens_the_lease(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    tell_renewed(NEAP_GUARD_STORE_OK);
    now_ns += LEASE - S;
    tell_status(200);
    tell_settled(NEAP_GUARD_STORE_DOWN);
    assert_int_equal(effect.kind, NEAP_GUARD_ANSWER);
    assert_true(effect.more);
}

static void a_handler_that_ends_during_a_renewal_is_settled_after_it(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    tell_status(201);
    assert_effect(NEAP_GUARD_WAIT);
    tell_status(503);
    assert_effect(NEAP_GUARD_WAIT);
    tell_renewed(NEAP_GUARD_STORE_DOWN);
    assert_finish(NEAP_PROBLEM_NONE);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_answered();
}

static void who_has_lost_the_key_stores_nothing(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    tell_renewed(NEAP_GUARD_STORE_LOST);
    assert_effect(NEAP_GUARD_WAIT);
    tell_time(LEASE);
    assert_effect(NEAP_GUARD_WAIT);
    assert_int_equal(neap_guard_next_wakeup(&guard), NEAP_NEVER);
    tell_status(200);
    assert_answered();
}

static void who_has_lost_the_key_and_raised_is_500(void **state)
{
    (void)state;
    begin_running();
    tell_time(LEASE / 3);
    tell_raised();
    tell_renewed(NEAP_GUARD_STORE_LOST);
    assert_problem(NEAP_PROBLEM_RAISED);
}

static void a_lease_of_a_nanosecond_is_renewed_without_a_standstill(void **state)
{
    (void)state;
    policy.lease_ns = 1;
    begin_running();
    assert_effect(NEAP_GUARD_RUN);
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, 1);
}

static void times_at_their_limits_saturate(void **state)
{
    (void)state;
    policy.lease_ns = policy.max_run_ns = NEAP_NEVER;
    now_ns = NEAP_NEVER - 5;
    begin_running();
    assert_effect(NEAP_GUARD_RUN);
    tell_status(200);
    tell_settled(NEAP_GUARD_STORE_OK);
    assert_answered();
}

/* ---- a claim that comes late ---- */

static void a_claim_within_its_lease_runs(void **state)
{
    (void)state;
    begin();
    now_ns += LEASE - 1;
    tell_claim(NEAP_GUARD_CLAIM_NEW);
    assert_effect(NEAP_GUARD_RUN);
}

static void a_claim_at_the_end_of_its_lease_is_renewed_before_it_runs(void **state)
{
    (void)state;
    begin();
    now_ns += LEASE;
    tell_claim(NEAP_GUARD_CLAIM_RECOVERED);
    assert_effect(NEAP_GUARD_RENEW);
    assert_int_equal(neap_guard_next_wakeup(&guard), NEAP_NEVER);
    tell_time(S);
    assert_effect(NEAP_GUARD_WAIT);
    tell_renewed(NEAP_GUARD_STORE_OK);
    assert_effect(NEAP_GUARD_RUN);
    assert_true(effect.recovered);
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, LEASE / 3 - S);
}

static void a_late_claim_that_is_lost_is_409(void **state)
{
    (void)state;
    begin();
    now_ns += LEASE;
    tell_claim(NEAP_GUARD_CLAIM_NEW);
    tell_renewed(NEAP_GUARD_STORE_LOST);
    assert_problem(NEAP_PROBLEM_CONFLICT);
}

static void a_late_claim_that_cannot_be_renewed_is_503(void **state)
{
    (void)state;
    begin();
    now_ns += LEASE;
    tell_claim(NEAP_GUARD_CLAIM_NEW);
    tell_renewed(NEAP_GUARD_STORE_DOWN);
    assert_problem(NEAP_PROBLEM_STORE_DOWN);
}

static void a_store_slower_than_its_lease_never_runs_a_handler(void **state)
{
    (void)state;
    begin();
    now_ns += LEASE;
    tell_claim(NEAP_GUARD_CLAIM_NEW);
    for (int i = 0; effect.kind == NEAP_GUARD_RENEW; i++) {
        assert_true(i < 10);
        now_ns += LEASE;
        tell_renewed(NEAP_GUARD_STORE_OK);
    }
    assert_problem(NEAP_PROBLEM_STORE_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_lease_is_renewed_every_third_of_it),
        SPEC(thirds_count_from_when_the_lease_was_asked_for),
        SPEC(one_renewal_is_out_at_a_time),
        SPEC(a_renewal_slower_than_a_third_is_followed_by_the_next),
        SPEC(renewals_stop_max_run_after_the_claim),
        SPEC(there_is_no_renewal_where_max_run_is_short),
        SPEC(who_is_late_renews_though_the_lease_is_over),
        SPEC(a_failed_renewal_is_repeated_after_growing_pauses),
        SPEC(a_failed_renewal_does_not_lengthen_the_lease),
        SPEC(a_renewal_lengthens_the_lease),
        SPEC(a_handler_that_ends_during_a_renewal_is_settled_after_it),
        SPEC(who_has_lost_the_key_stores_nothing),
        SPEC(who_has_lost_the_key_and_raised_is_500),
        SPEC(a_lease_of_a_nanosecond_is_renewed_without_a_standstill),
        SPEC(times_at_their_limits_saturate),
        SPEC(a_claim_within_its_lease_runs),
        SPEC(a_claim_at_the_end_of_its_lease_is_renewed_before_it_runs),
        SPEC(a_late_claim_that_is_lost_is_409),
        SPEC(a_late_claim_that_cannot_be_renewed_is_503),
        SPEC(a_store_slower_than_its_lease_never_runs_a_handler),
    };
    return cmocka_run_group_tests_name("guard_lease", tests, NULL, NULL);
}
