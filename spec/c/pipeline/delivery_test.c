#include "pipeline/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"

#define DAY (86400 * NEAP_SECOND)
#define PUT_AT (20000 * DAY)

static const struct neap_delivery_policy policy = {
    .max_attempts = 4,
    .max_age_ns = 7 * DAY,
    .backoff = {.kind = NEAP_BACKOFF_EXPONENTIAL,
                .base_s = 5,
                .factor = 2,
                .max_s = 3600,
                .jitter = NEAP_JITTER_NONE},
    .one_breaker = true,
    .one_gate = true,
};

static struct neap_delivery_facts facts;
static struct neap_delivery delivery;

static int set_up(void **state)
{
    (void)state;
    facts = (struct neap_delivery_facts){
        .retry_after_ns = -1, .put_ns = PUT_AT, .now_ns = PUT_AT + NEAP_SECOND};
    return 0;
}

static enum neap_delivery_verdict decide_by(const struct neap_delivery_policy *by, double r)
{
    neap_delivery_decide(by, &facts, r, &delivery);
    return delivery.verdict;
}

static enum neap_delivery_verdict of_status(int status)
{
    facts.outcome = (struct neap_outcome){.status = status};
    return decide_by(&policy, 0);
}

static enum neap_delivery_verdict of_kind(enum neap_kind kind)
{
    facts.outcome = (struct neap_outcome){.kind = kind};
    snprintf(facts.outcome.message, sizeof facts.outcome.message, "it went wrong");
    return decide_by(&policy, 0);
}

static int64_t wait_ns(void)
{
    return delivery.due_ns - facts.now_ns;
}

static void a_response_below_400_is_delivered(void **state)
{
    (void)state;
    for (int status = 200; status < 400; status++)
        assert_int_equal(of_status(status), NEAP_DELIVERY_DONE);
}

static void what_can_pass_is_retried(void **state)
{
    (void)state;
    const int statuses[] = {408, 425, 429, 500, 501, 503, 599};
    const enum neap_kind kinds[] = {NEAP_KIND_RESOLVE, NEAP_KIND_CONNECT, NEAP_KIND_TLS,
                                    NEAP_KIND_TIMEOUT, NEAP_KIND_RESET,   NEAP_KIND_PROTOCOL,
                                    NEAP_KIND_STORE,   NEAP_KIND_ERROR};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        assert_int_equal(of_status(statuses[i]), NEAP_DELIVERY_RETRY);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_int_equal(of_kind(kinds[i]), NEAP_DELIVERY_RETRY);
}

static void what_cannot_pass_is_buried_at_once(void **state)
{
    (void)state;
    const int statuses[] = {100, 199, 400, 401, 404, 409, 410, 422, 499};
    const enum neap_kind kinds[] = {NEAP_KIND_TOO_LARGE, NEAP_KIND_REDIRECT, NEAP_KIND_CONFLICT};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        assert_int_equal(of_status(statuses[i]), NEAP_DELIVERY_BURY);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_int_equal(of_kind(kinds[i]), NEAP_DELIVERY_BURY);
}

static void a_refusal_that_says_when_to_come_back_is_retried(void **state)
{
    (void)state;
    facts.retry_after_ns = 0;
    assert_int_equal(of_status(409), NEAP_DELIVERY_RETRY);
    facts.retry_after_ns = 60 * NEAP_SECOND;
    assert_int_equal(of_status(409), NEAP_DELIVERY_RETRY);
    assert_true(wait_ns() == 60 * NEAP_SECOND);
    assert_int_equal(of_status(100), NEAP_DELIVERY_BURY);
}

static void each_retry_waits_as_long_as_the_backoff_says(void **state)
{
    (void)state;
    const int64_t waits[] = {5, 10, 20};
    for (uint32_t i = 0; i < 3; i++) {
        facts.attempts = i;
        assert_int_equal(of_status(503), NEAP_DELIVERY_RETRY);
        assert_true(wait_ns() == waits[i] * NEAP_SECOND);
        assert_false(delivery.all);
    }
}

static void the_server_s_delay_counts_where_it_is_longer(void **state)
{
    (void)state;
    facts.retry_after_ns = 3 * NEAP_SECOND;
    assert_int_equal(of_status(503), NEAP_DELIVERY_RETRY);
    assert_true(wait_ns() == 5 * NEAP_SECOND);
    facts.retry_after_ns = 100 * NEAP_SECOND;
    assert_int_equal(of_status(503), NEAP_DELIVERY_RETRY);
    assert_true(wait_ns() == 100 * NEAP_SECOND);
    assert_int_equal(decide_by(&policy, 0.5), NEAP_DELIVERY_RETRY);
    assert_true(wait_ns() == 105 * NEAP_SECOND);
}

static void jitter_spreads_the_wait(void **state)
{
    (void)state;
    struct neap_delivery_policy spread = policy;
    spread.backoff.jitter = NEAP_JITTER_SHARE;
    spread.backoff.share = 0.5;
    facts.outcome.status = 503;
    assert_int_equal(decide_by(&spread, 0), NEAP_DELIVERY_RETRY);
    assert_true(wait_ns() == 2500 * NEAP_MS);
    assert_int_equal(decide_by(&spread, 0.5), NEAP_DELIVERY_RETRY);
    assert_true(wait_ns() == 5 * NEAP_SECOND);
}

static void decorrelated_jitter_grows_without_a_memory(void **state)
{
    (void)state;
    struct neap_delivery_policy grown = policy;
    int64_t last_ns = 0;
    grown.max_attempts = UINT32_MAX;
    grown.backoff.jitter = NEAP_JITTER_DECORRELATED;
    facts.outcome.status = 503;
    for (facts.attempts = 0; facts.attempts < 8; facts.attempts++) {
        assert_int_equal(decide_by(&grown, 0.9), NEAP_DELIVERY_RETRY);
        assert_true(wait_ns() > last_ns);
        last_ns = wait_ns();
    }
    facts.attempts = UINT32_MAX - 2; /* found without counting so far */
    assert_int_equal(decide_by(&grown, 1), NEAP_DELIVERY_RETRY);
    assert_true(wait_ns() == 3600 * NEAP_SECOND);
}

static void the_last_round_is_followed_by_none(void **state)
{
    (void)state;
    facts.attempts = 2;
    assert_int_equal(of_status(503), NEAP_DELIVERY_RETRY);
    facts.attempts = 3;
    assert_int_equal(of_status(503), NEAP_DELIVERY_BURY);
    assert_string_equal(delivery.reason, "attempts: status 503");
    facts.attempts = UINT32_MAX;
    assert_int_equal(of_status(503), NEAP_DELIVERY_BURY);
    assert_int_equal(of_status(200), NEAP_DELIVERY_DONE);
}

static void nothing_waits_past_its_age(void **state)
{
    (void)state;
    facts.now_ns = PUT_AT + 7 * DAY - 5 * NEAP_SECOND - 1;
    assert_int_equal(of_status(503), NEAP_DELIVERY_RETRY);
    facts.now_ns++;
    assert_int_equal(of_status(503), NEAP_DELIVERY_BURY);
    assert_string_equal(delivery.reason, "max_age: status 503");
    assert_int_equal(of_status(200), NEAP_DELIVERY_DONE);
    facts.retry_after_ns = NEAP_NEVER; /* a delay without end */
    facts.now_ns = PUT_AT;
    assert_int_equal(of_status(503), NEAP_DELIVERY_BURY);
}

static void what_was_never_tried_does_not_die_of_refusals(void **state)
{
    (void)state;
    facts.now_ns = PUT_AT + 100 * DAY;
    assert_int_equal(of_kind(NEAP_KIND_BREAKER_OPEN), NEAP_DELIVERY_HOLD);
    assert_true(delivery.all);
    facts.attempts = 1;
    assert_int_equal(of_kind(NEAP_KIND_BREAKER_OPEN), NEAP_DELIVERY_BURY);
    assert_string_equal(delivery.reason, "max_age: breaker_open: it went wrong");
}

static void a_clock_that_steps_back_makes_nothing_older(void **state)
{
    (void)state;
    facts.now_ns = 0;
    assert_int_equal(of_status(503), NEAP_DELIVERY_RETRY);
    assert_true(delivery.due_ns == 5 * NEAP_SECOND);
}

static void without_a_limit_of_age_it_goes_on(void **state)
{
    (void)state;
    struct neap_delivery_policy endless = policy;
    endless.max_age_ns = NEAP_NEVER;
    facts.now_ns = PUT_AT + 10000 * DAY;
    facts.outcome.status = 503;
    assert_int_equal(decide_by(&endless, 0), NEAP_DELIVERY_RETRY);
}

static void a_refusal_of_our_own_is_held_and_costs_no_attempt(void **state)
{
    (void)state;
    const enum neap_kind kinds[] = {NEAP_KIND_BREAKER_OPEN, NEAP_KIND_GATE,
                                    NEAP_KIND_RATE_LIMITED, NEAP_KIND_BULKHEAD_FULL,
                                    NEAP_KIND_DEADLINE,     NEAP_KIND_CANCELLED,
                                    NEAP_KIND_PHASE};
    facts.attempts = 3;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(of_kind(kinds[i]), NEAP_DELIVERY_HOLD);
        assert_true(wait_ns() == 5 * NEAP_SECOND);
    }
    facts.retry_after_ns = 100 * NEAP_MS;
    assert_int_equal(of_kind(NEAP_KIND_RATE_LIMITED), NEAP_DELIVERY_HOLD);
    assert_true(wait_ns() == 100 * NEAP_MS);
    facts.retry_after_ns = 0; /* says nothing, and must not become a busy loop */
    assert_int_equal(of_kind(NEAP_KIND_BREAKER_OPEN), NEAP_DELIVERY_HOLD);
    assert_true(wait_ns() == 5 * NEAP_SECOND);
    struct neap_delivery_policy at_once = policy;
    at_once.backoff.base_s = 0;
    assert_int_equal(decide_by(&at_once, 0), NEAP_DELIVERY_HOLD);
    assert_true(wait_ns() == NEAP_SECOND);
}

static bool all_by(enum neap_kind kind, bool one_breaker, bool one_gate)
{
    struct neap_delivery_policy by = policy;
    by.one_breaker = one_breaker;
    by.one_gate = one_gate;
    facts.outcome.kind = kind;
    assert_int_equal(decide_by(&by, 0), NEAP_DELIVERY_HOLD);
    return delivery.all;
}

static void a_refusal_says_whether_it_is_every_entry_s(void **state)
{
    (void)state;
    assert_true(all_by(NEAP_KIND_RATE_LIMITED, false, false));
    assert_true(all_by(NEAP_KIND_BULKHEAD_FULL, false, false));
    assert_true(all_by(NEAP_KIND_CANCELLED, false, false));
    assert_true(all_by(NEAP_KIND_PHASE, false, false));
    assert_false(all_by(NEAP_KIND_DEADLINE, true, true));
    assert_true(all_by(NEAP_KIND_BREAKER_OPEN, true, false));
    assert_false(all_by(NEAP_KIND_BREAKER_OPEN, false, true));
    assert_true(all_by(NEAP_KIND_GATE, false, true));
    assert_false(all_by(NEAP_KIND_GATE, true, false));
    facts.own_credential = true;
    assert_false(all_by(NEAP_KIND_GATE, true, true));
}

/* ---- reasons */

static const char *reason_of(const char *body)
{
    facts.body = (struct neap_text){body, strlen(body)};
    assert_int_equal(of_status(422), NEAP_DELIVERY_BURY);
    return delivery.reason;
}

static void the_reason_says_what_came(void **state)
{
    (void)state;
    assert_int_equal(of_kind(NEAP_KIND_TOO_LARGE), NEAP_DELIVERY_BURY);
    assert_string_equal(delivery.reason, "rejected: too_large: it went wrong");
    facts.attempts = 3;
    facts.outcome = (struct neap_outcome){
        .kind = NEAP_KIND_TIMEOUT, .phase = NEAP_PHASE_READ, .message = "too slow"};
    assert_int_equal(decide_by(&policy, 0), NEAP_DELIVERY_BURY);
    assert_string_equal(delivery.reason, "attempts: timeout (read): too slow");
    facts.outcome = (struct neap_outcome){.kind = NEAP_KIND_ERROR, .message = "raised:\n\there"};
    assert_int_equal(decide_by(&policy, 0), NEAP_DELIVERY_BURY);
    assert_string_equal(delivery.reason, "attempts: error: raised:  here");
}

static void the_reason_has_the_beginning_of_the_body(void **state)
{
    (void)state;
    assert_string_equal(reason_of(""), "rejected: status 422");
    assert_string_equal(reason_of("no\nsuch\x7Fuser"), "rejected: status 422: no such user");
    char body[300], expected[256] = "rejected: status 422: ";
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    memcpy(body + 199, "\xE2\x82\xAC", 3); /* a euro sign over the limit */
    memset(expected + strlen(expected), 'x', 199);
    assert_string_equal(reason_of(body), expected);
    memcpy(body + 197, "\xE2\x82\xAC", 3);
    memcpy(expected + strlen("rejected: status 422: ") + 197, "\xE2\x82\xAC", 4);
    body[200] = 'x';
    body[201] = 'x';
    assert_string_equal(reason_of(body), expected);
    memset(body, '\x80', sizeof body - 1); /* no UTF-8 at all */
    assert_string_equal(reason_of(body), "rejected: status 422");
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_response_below_400_is_delivered),
        SPEC(what_can_pass_is_retried),
        SPEC(what_cannot_pass_is_buried_at_once),
        SPEC(a_refusal_that_says_when_to_come_back_is_retried),
        SPEC(each_retry_waits_as_long_as_the_backoff_says),
        SPEC(the_server_s_delay_counts_where_it_is_longer),
        SPEC(jitter_spreads_the_wait),
        SPEC(decorrelated_jitter_grows_without_a_memory),
        SPEC(the_last_round_is_followed_by_none),
        SPEC(nothing_waits_past_its_age),
        SPEC(what_was_never_tried_does_not_die_of_refusals),
        SPEC(a_clock_that_steps_back_makes_nothing_older),
        SPEC(without_a_limit_of_age_it_goes_on),
        SPEC(a_refusal_of_our_own_is_held_and_costs_no_attempt),
        SPEC(a_refusal_says_whether_it_is_every_entry_s),
        SPEC(the_reason_says_what_came),
        SPEC(the_reason_has_the_beginning_of_the_body),
    };
    return cmocka_run_group_tests_name("delivery", tests, NULL, NULL);
}
