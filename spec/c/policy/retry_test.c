#include "policy/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"

#define S NEAP_SECOND

static struct neap_retry_policy policy;
static struct neap_outcome outcome;
static struct neap_retry_facts facts;

static int set_up(void **state)
{
    (void)state;
    policy = (struct neap_retry_policy){
        .max_attempts = 3,
        .enabled = true,
        .backoff = {.kind = NEAP_BACKOFF_FIXED, .base_s = 2, .factor = 1, .max_s = 10},
        .honor_retry_after = true,
        .max_server_delay_ns = 60 * S,
    };
    neap_retry_default_statuses(policy.status_rule);
    outcome = (struct neap_outcome){.status = 503};
    facts = (struct neap_retry_facts){
        .outcome = &outcome,
        .replayable = true,
        .attempts = 1,
        .server_delay_ns = -1,
        .custom_delay_s = -1,
        .deadline_ns = NEAP_NEVER,
    };
    return 0;
}

/* As the pipeline asks. */
static struct neap_retry_decision decide(double r)
{
    bool wanted;
    enum neap_stop stop = neap_retry_screen(&policy, &facts, &wanted);
    if (!wanted || stop != NEAP_STOP_NONE)
        return (struct neap_retry_decision){.retry = false, .stop = stop};
    return neap_retry_schedule(&policy, &facts, 100 * S, r);
}

static void assert_stop(enum neap_stop stop)
{
    struct neap_retry_decision decision = decide(0.5);
    assert_false(decision.retry);
    assert_int_equal(decision.stop, stop);
}

static void assert_retry(int64_t until_ns)
{
    struct neap_retry_decision decision = decide(0.5);
    assert_true(decision.retry);
    assert_int_equal(decision.until_ns, until_ns);
}

static void each_status_follows_the_table(void **state)
{
    (void)state;
    static const int retried[] = {408, 425, 429, 500, 502, 503, 504};
    size_t next = 0;
    for (int status = 100; status < 600; status++) {
        outcome.status = status;
        bool expected = next < 7 && retried[next] == status;
        next += expected;
        assert_int_equal(decide(0).retry, expected);
    }
    assert_int_equal(next, 7);
}

static void each_kind_follows_the_table(void **state)
{
    (void)state;
    static const bool retried[NEAP_KIND_COUNT] = {
        [NEAP_KIND_RESOLVE] = true, [NEAP_KIND_CONNECT] = true, [NEAP_KIND_TLS] = true,
        [NEAP_KIND_TIMEOUT] = true, [NEAP_KIND_RESET] = true,   [NEAP_KIND_PROTOCOL] = true,
        [NEAP_KIND_ERROR] = true,
    };
    for (int kind = 1; kind < NEAP_KIND_COUNT; kind++) {
        outcome = (struct neap_outcome){.kind = (enum neap_kind)kind};
        assert_int_equal(decide(0).retry, retried[kind]);
        assert_int_equal(decide(0).stop, NEAP_STOP_NONE);
    }
}

static void a_refused_certificate_is_not_retried(void **state)
{
    (void)state;
    outcome = (struct neap_outcome){.kind = NEAP_KIND_TLS, .certificate = true, .unsent = true};
    assert_stop(NEAP_STOP_NONE);
}

static void the_total_time_limit_is_not_retried(void **state)
{
    (void)state;
    outcome = (struct neap_outcome){.kind = NEAP_KIND_TIMEOUT, .phase = NEAP_PHASE_TOTAL};
    assert_stop(NEAP_STOP_NONE);
    outcome.phase = NEAP_PHASE_ATTEMPT;
    assert_retry(102 * S);
}

static void a_success_is_never_retried(void **state)
{
    (void)state;
    outcome.status = 200;
    facts.when = NEAP_OPINION_YES;
    assert_stop(NEAP_STOP_NONE);
    outcome.status = 302;
    assert_stop(NEAP_STOP_NONE);
}

static void a_users_opinion_comes_before_the_table(void **state)
{
    (void)state;
    facts.when = NEAP_OPINION_NO;
    assert_stop(NEAP_STOP_NONE);
    facts.when = NEAP_OPINION_YES;
    outcome.status = 404;
    assert_retry(102 * S);
}

static void attempts_end_before_replayability_is_asked(void **state)
{
    (void)state;
    facts.attempts = 3;
    facts.replayable = false;
    assert_stop(NEAP_STOP_ATTEMPTS);
}

static void a_spent_once_ends_the_attempts(void **state)
{
    (void)state;
    outcome.status = 500;
    assert_retry(102 * S);
    facts.once_spent = true;
    assert_stop(NEAP_STOP_ATTEMPTS);
    facts.when = NEAP_OPINION_YES;
    assert_retry(102 * S);
}

static void the_unreplayable_is_repeated_only_if_provably_unsent(void **state)
{
    (void)state;
    facts.replayable = false;
    assert_stop(NEAP_STOP_NOT_REPLAYABLE);
    facts.when = NEAP_OPINION_YES;
    assert_stop(NEAP_STOP_NOT_REPLAYABLE);
    outcome = (struct neap_outcome){.kind = NEAP_KIND_CONNECT, .unsent = true};
    assert_retry(102 * S);
}

static void a_breaker_that_stays_open_ends_at_once(void **state)
{
    (void)state;
    facts.breaker_open_until_ns = 102 * S;
    assert_retry(102 * S);
    facts.breaker_open_until_ns = 102 * S + 1;
    facts.deadline_ns = 101 * S;
    assert_stop(NEAP_STOP_BREAKER_OPEN);
}

static void a_servers_delay_replaces_the_backoff_and_spreads_upwards(void **state)
{
    (void)state;
    facts.server_delay_ns = 20 * S;
    facts.custom_delay_s = 1;
    struct neap_retry_decision decision = decide(0);
    assert_true(decision.by_server);
    assert_int_equal(decision.until_ns, 120 * S);
    assert_int_equal(decide(0.5).until_ns, 121 * S);
    policy.honor_retry_after = false;
    assert_int_equal(decide(0).until_ns, 101 * S);
    assert_false(decide(0).by_server);
}

static void a_servers_delay_beyond_the_limit_ends(void **state)
{
    (void)state;
    facts.server_delay_ns = 60 * S;
    assert_true(decide(0).retry);
    facts.server_delay_ns = 60 * S + 1;
    facts.deadline_ns = 101 * S;
    assert_stop(NEAP_STOP_SERVER_DELAY);
}

static void a_delay_that_reaches_the_deadline_ends_at_once(void **state)
{
    (void)state;
    facts.deadline_ns = 102 * S + 1;
    assert_retry(102 * S);
    facts.deadline_ns = 102 * S;
    assert_stop(NEAP_STOP_DEADLINE);
}

static void the_backoff_counts_retries_not_attempts(void **state)
{
    (void)state;
    policy.backoff =
        (struct neap_backoff){.kind = NEAP_BACKOFF_LINEAR, .base_s = 1, .factor = 1, .max_s = 10};
    facts.attempts = 2;
    facts.retries = 0;
    assert_retry(101 * S);
    facts.retries = 1;
    assert_retry(102 * S);
}

static void switched_off_it_says_nothing(void **state)
{
    (void)state;
    policy.enabled = false;
    facts.attempts = 3;
    assert_stop(NEAP_STOP_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_status_follows_the_table, set_up),
        cmocka_unit_test_setup(each_kind_follows_the_table, set_up),
        cmocka_unit_test_setup(a_refused_certificate_is_not_retried, set_up),
        cmocka_unit_test_setup(the_total_time_limit_is_not_retried, set_up),
        cmocka_unit_test_setup(a_success_is_never_retried, set_up),
        cmocka_unit_test_setup(a_users_opinion_comes_before_the_table, set_up),
        cmocka_unit_test_setup(attempts_end_before_replayability_is_asked, set_up),
        cmocka_unit_test_setup(a_spent_once_ends_the_attempts, set_up),
        cmocka_unit_test_setup(the_unreplayable_is_repeated_only_if_provably_unsent, set_up),
        cmocka_unit_test_setup(a_breaker_that_stays_open_ends_at_once, set_up),
        cmocka_unit_test_setup(a_servers_delay_replaces_the_backoff_and_spreads_upwards, set_up),
        cmocka_unit_test_setup(a_servers_delay_beyond_the_limit_ends, set_up),
        cmocka_unit_test_setup(a_delay_that_reaches_the_deadline_ends_at_once, set_up),
        cmocka_unit_test_setup(the_backoff_counts_retries_not_attempts, set_up),
        cmocka_unit_test_setup(switched_off_it_says_nothing, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
