#include "policy/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"

#define S NEAP_SECOND

static const struct neap_gate_policy policy = {.max_wait_ns = 10 * S};
static struct neap_gate origin, credential;

static int set_up(void **state)
{
    (void)state;
    neap_gate_init(&origin);
    neap_gate_init(&credential);
    return 0;
}

static struct neap_admission ask_with(int64_t waited_ns, int64_t deadline_ns, int64_t now_ns,
                                      double r)
{
    struct neap_gate *const gates[] = {&origin, &credential};
    return neap_gate_ask(gates, 2, &policy, waited_ns, deadline_ns, now_ns, r);
}

static struct neap_admission ask(int64_t now_ns, double r)
{
    return ask_with(0, NEAP_NEVER, now_ns, r);
}

static void assert_answer(struct neap_admission answer, enum neap_decision decision,
                          int64_t until_ns)
{
    assert_int_equal(answer.decision, decision);
    assert_int_equal(answer.until_ns, until_ns);
    assert_int_equal(answer.permit, 0);
}

static void an_open_gate_admits(void **state)
{
    (void)state;
    assert_answer(ask(0, 0.5), NEAP_ADMIT, 0);
    assert_answer(ask(7 * S, 0.5), NEAP_ADMIT, 7 * S);
}

static void no_gates_admit(void **state)
{
    (void)state;
    struct neap_gate *const gates[] = {NULL, NULL};
    assert_answer(neap_gate_ask(gates, 2, &policy, 0, NEAP_NEVER, 5, 0), NEAP_ADMIT, 5);
    assert_answer(neap_gate_ask(NULL, 0, &policy, 0, NEAP_NEVER, 5, 0), NEAP_ADMIT, 5);
}

static void a_closed_gate_makes_wait_for_its_end(void **state)
{
    (void)state;
    assert_true(neap_gate_close(&origin, 4 * S, 60 * S, 1 * S));
    assert_answer(ask(1 * S, 0), NEAP_WAIT, 5 * S);
    assert_answer(ask(5 * S - 1, 0), NEAP_WAIT, 5 * S);
    assert_answer(ask(5 * S, 0), NEAP_ADMIT, 5 * S);
}

static void who_waits_is_spread_over_a_tenth_of_the_length(void **state)
{
    (void)state;
    neap_gate_close(&origin, 4 * S, 60 * S, 1 * S);
    assert_answer(ask(1 * S, 0.5), NEAP_WAIT, 5 * S + S / 5);
    assert_answer(ask(4 * S, 0.5), NEAP_WAIT, 5 * S + S / 5);
}

static void the_gate_that_opens_last_decides(void **state)
{
    (void)state;
    neap_gate_close(&origin, 2 * S, 60 * S, 0);
    neap_gate_close(&credential, 8 * S, 60 * S, 0);
    assert_answer(ask(0, 0.5), NEAP_WAIT, 8 * S + 4 * S / 10);
    assert_answer(ask(2 * S, 0.5), NEAP_WAIT, 8 * S + 4 * S / 10);
}

static void of_equal_ends_the_wider_spread_counts(void **state)
{
    (void)state;
    neap_gate_close(&origin, 8 * S, 60 * S, 0);
    neap_gate_close(&credential, 2 * S, 60 * S, 6 * S);
    assert_answer(ask(6 * S, 0.5), NEAP_WAIT, 8 * S + 4 * S / 10);
}

static void missing_gates_are_skipped(void **state)
{
    (void)state;
    struct neap_gate *const gates[] = {NULL, &origin, NULL};
    neap_gate_close(&origin, 2 * S, 60 * S, 0);
    assert_answer(neap_gate_ask(gates, 3, &policy, 0, NEAP_NEVER, 0, 0), NEAP_WAIT, 2 * S);
}

static void only_a_later_end_counts(void **state)
{
    (void)state;
    assert_true(neap_gate_close(&origin, 8 * S, 60 * S, 0));
    assert_false(neap_gate_close(&origin, 3 * S, 60 * S, 1 * S));
    assert_false(neap_gate_close(&origin, 7 * S, 60 * S, 1 * S));
    assert_answer(ask(1 * S, 0.5), NEAP_WAIT, 8 * S + 4 * S / 10);
    assert_true(neap_gate_close(&origin, 9 * S, 60 * S, 1 * S));
    assert_answer(ask(1 * S, 0), NEAP_WAIT, 10 * S);
}

static void a_gate_closes_no_longer_than_allowed(void **state)
{
    (void)state;
    assert_true(neap_gate_close(&origin, 4000 * S, 6 * S, 1 * S));
    assert_answer(ask(1 * S, 0.5), NEAP_WAIT, 7 * S + 3 * S / 10);
    assert_true(neap_gate_close(&origin, NEAP_NEVER, 9 * S, 1 * S));
    assert_answer(ask(1 * S, 0), NEAP_WAIT, 10 * S);
}

static void closing_for_nothing_changes_nothing(void **state)
{
    (void)state;
    assert_false(neap_gate_close(&origin, 0, 60 * S, 5 * S));
    assert_false(neap_gate_close(&origin, -S, 60 * S, 5 * S));
    assert_false(neap_gate_close(&origin, S, 0, 5 * S));
    assert_answer(ask(5 * S, 0.5), NEAP_ADMIT, 5 * S);
}

static void who_would_wait_too_long_is_refused(void **state)
{
    (void)state;
    neap_gate_close(&origin, 12 * S, 60 * S, 0);
    assert_answer(ask(2 * S - 1, 0), NEAP_REFUSE, 12 * S);
    assert_answer(ask(2 * S, 0), NEAP_WAIT, 12 * S);
}

static void the_spread_does_not_count_against_max_wait(void **state)
{
    (void)state;
    neap_gate_close(&origin, 10 * S, 60 * S, 0);
    assert_answer(ask(0, 0.9), NEAP_WAIT, 10 * S + 9 * S / 10);
}

static void what_was_waited_before_counts(void **state)
{
    (void)state;
    neap_gate_close(&origin, 5 * S, 60 * S, 0);
    assert_answer(ask_with(5 * S, NEAP_NEVER, 0, 0), NEAP_WAIT, 5 * S);
    assert_answer(ask_with(5 * S + 1, NEAP_NEVER, 0, 0), NEAP_REFUSE, 5 * S);
}

static void the_spread_counts_against_the_deadline(void **state)
{
    (void)state;
    neap_gate_close(&origin, 5 * S, 60 * S, 0);
    assert_answer(ask_with(0, 5 * S, 0, 0), NEAP_REFUSE, 5 * S);
    assert_answer(ask_with(0, 5 * S + 1, 0, 0), NEAP_WAIT, 5 * S);
    assert_answer(ask_with(0, 5 * S + S / 4, 0, 0.5), NEAP_REFUSE, 5 * S);
    assert_answer(ask_with(0, 5 * S + S / 4 + 1, 0, 0.5), NEAP_WAIT, 5 * S + S / 4);
}

static void an_open_gate_admits_whatever_was_waited(void **state)
{
    (void)state;
    assert_answer(ask_with(99 * S, 1, 0, 0.5), NEAP_ADMIT, 0);
}

static void a_clock_that_steps_back_waits_for_the_same_end(void **state)
{
    (void)state;
    neap_gate_close(&origin, 5 * S, 60 * S, 10 * S);
    assert_answer(ask(9 * S, 0), NEAP_WAIT, 15 * S);
    assert_false(neap_gate_close(&origin, 5 * S, 60 * S, 8 * S));
    assert_answer(ask(9 * S, 0), NEAP_WAIT, 15 * S);
}

static void ends_saturate(void **state)
{
    (void)state;
    assert_true(neap_gate_close(&origin, NEAP_NEVER, NEAP_NEVER, 5));
    assert_answer(ask(5, 0.5), NEAP_REFUSE, NEAP_NEVER);
    const struct neap_gate_policy patient = {.max_wait_ns = NEAP_NEVER};
    struct neap_gate *const gates[] = {&origin};
    assert_answer(neap_gate_ask(gates, 1, &patient, 0, NEAP_NEVER, 5, 0.5), NEAP_REFUSE,
                  NEAP_NEVER);
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_open_gate_admits),
        SPEC(no_gates_admit),
        SPEC(a_closed_gate_makes_wait_for_its_end),
        SPEC(who_waits_is_spread_over_a_tenth_of_the_length),
        SPEC(the_gate_that_opens_last_decides),
        SPEC(of_equal_ends_the_wider_spread_counts),
        SPEC(missing_gates_are_skipped),
        SPEC(only_a_later_end_counts),
        SPEC(a_gate_closes_no_longer_than_allowed),
        SPEC(closing_for_nothing_changes_nothing),
        SPEC(who_would_wait_too_long_is_refused),
        SPEC(the_spread_does_not_count_against_max_wait),
        SPEC(what_was_waited_before_counts),
        SPEC(the_spread_counts_against_the_deadline),
        SPEC(an_open_gate_admits_whatever_was_waited),
        SPEC(a_clock_that_steps_back_waits_for_the_same_end),
        SPEC(ends_saturate),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
