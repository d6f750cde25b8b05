/* One circuit breaker, its policy and its clock, for the tests of the breaker. The memory is
 * exactly as large as the breaker says, so that AddressSanitizer sees each step beyond it. */
#ifndef NEAP_SPEC_POLICY_BREAKER_FIXTURE_H
#define NEAP_SPEC_POLICY_BREAKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "policy/breaker.h"

#define SUCCESS NEAP_VERDICT_SUCCESS
#define FAILURE NEAP_VERDICT_FAILURE
#define IGNORE NEAP_VERDICT_IGNORE

/* The defaults of the public contract. */
static const struct neap_breaker_policy default_policy = {
    .window_count = 100,
    .min_calls = 10,
    .failure_rate = 0.5,
    .slow_call_ns = NEAP_NEVER,
    .slow_call_rate = 1.0,
    .open_base_s = 30,
    .open_factor = 1,
    .open_max_s = 300,
    .permits = 5,
    .lease_ns = 60 * NEAP_SECOND,
    .ramp_from = 0.1,
};

static struct neap_breaker_policy policy;
static struct neap_breaker *breaker;
static struct neap_breaker_change change; /* what the last step changed */
static uint32_t holder;                   /* in whose name `acquire` asks */
static int64_t now;
static double r;

static struct neap_breaker *make_breaker(const struct neap_breaker_policy *of)
{
    struct neap_breaker *made = malloc(neap_breaker_bytes(of));
    assert_non_null(made);
    memset(made, 0xA5, neap_breaker_bytes(of));
    neap_breaker_init(made, of);
    return made;
}

/* Begins with the policy as the test has set it. */
static void begin(void)
{
    free(breaker);
    breaker = make_breaker(&policy);
}

static int set_up(void **state)
{
    (void)state;
    policy = default_policy;
    memset(&change, 0, sizeof change);
    holder = 0;
    now = 1000 * NEAP_SECOND;
    r = 0.5;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(breaker);
    breaker = NULL;
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static inline struct neap_admission ask(void)
{
    return neap_breaker_acquire(breaker, &policy, holder, now, r, &change);
}

static inline int64_t acquire(void)
{
    struct neap_admission answer = ask();
    assert_int_equal(answer.decision, NEAP_ADMIT);
    assert_int_equal(answer.until_ns, now);
    assert_true(answer.permit > 0 && answer.permit < INT64_C(1) << 53);
    return answer.permit;
}

static inline int64_t acquire_as(uint32_t number)
{
    holder = number;
    return acquire();
}

static inline int64_t assert_refused(void)
{
    struct neap_admission answer = ask();
    assert_int_equal(answer.decision, NEAP_REFUSE);
    assert_int_equal(answer.permit, 0);
    return answer.until_ns;
}

static inline void record(int64_t permit, enum neap_verdict verdict)
{
    change = neap_breaker_record(breaker, &policy, permit, verdict, 0, now, r);
}

static inline void record_lasting(int64_t permit, enum neap_verdict verdict, int64_t elapsed_ns)
{
    change = neap_breaker_record(breaker, &policy, permit, verdict, elapsed_ns, now, r);
}

static inline void calls(int times, enum neap_verdict verdict)
{
    for (int i = 0; i < times; i++)
        record(acquire(), verdict);
}

static inline void slow_calls(int times, enum neap_verdict verdict, int64_t elapsed_ns)
{
    for (int i = 0; i < times; i++)
        record_lasting(acquire(), verdict, elapsed_ns);
}

static inline void assert_state(enum neap_breaker_state state)
{
    assert_string_equal(neap_breaker_state_name(neap_breaker_state(breaker)),
                        neap_breaker_state_name(state));
}

static inline void assert_changed(enum neap_breaker_state from, enum neap_breaker_state to)
{
    assert_true(change.changed);
    assert_int_equal(change.from, from);
    assert_int_equal(change.to, to);
}

static inline struct neap_breaker_snapshot snapshot(void)
{
    struct neap_breaker_snapshot taken;
    neap_breaker_read(breaker, &policy, now, &taken);
    return taken;
}

static inline void assert_window(uint64_t all, uint64_t failures, uint64_t slow)
{
    struct neap_breaker_snapshot taken = snapshot();
    assert_int_equal(taken.calls, all);
    assert_int_equal(taken.failures, failures);
    assert_int_equal(taken.slow, slow);
}

/* From closed to open, at `now`. */
static inline void trip(void)
{
    assert_state(NEAP_BREAKER_CLOSED);
    calls((int)policy.min_calls, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static inline void pass(double seconds)
{
    now += neap_ns_from_seconds(seconds);
}

/* From closed through an opening to the first probe, whose permit is returned. */
static inline int64_t first_probe(void)
{
    trip();
    pass(30);
    int64_t permit = acquire();
    assert_state(NEAP_BREAKER_HALF_OPEN);
    return permit;
}

static inline uint32_t reclaim(uint32_t number)
{
    return neap_breaker_reclaim(breaker, &policy, number);
}

static inline void force(enum neap_breaker_state state)
{
    change = neap_breaker_force(breaker, &policy, state);
}

#endif
