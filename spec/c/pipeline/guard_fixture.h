/* A guard driven by hand: what a driver does, without a store and a handler. */
#ifndef NEAP_SPEC_PIPELINE_GUARD_FIXTURE_H
#define NEAP_SPEC_PIPELINE_GUARD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"
#include "pipeline/guard.h"

#define S NEAP_SECOND
#define LEASE (60 * S)

static struct neap_guard_policy policy;
static struct neap_guard guard;
static struct neap_guard_effect effect;
static int64_t now_ns;
static double r;

static inline int set_up(void **state)
{
    (void)state;
    policy = (struct neap_guard_policy){
        .ttl_ns = 86400 * S, .lease_ns = LEASE, .max_run_ns = 600 * S, .required = true};
    now_ns = 1000 * S;
    r = 0;
    return 0;
}

/* ---- what happens to the guard ---- */

static inline void tell(struct neap_guard_event event)
{
    effect = neap_guard_step(&guard, now_ns, r, &event);
}

static inline void begin_with(bool guarded, enum neap_key_fault fault)
{
    neap_guard_init(&guard, &policy, guarded, fault);
    tell((struct neap_guard_event){.kind = NEAP_GUARD_EVENT_BEGIN});
}

static inline void begin(void)
{
    begin_with(true, NEAP_KEY_FAULT_NONE);
}

static inline void tell_claim(enum neap_guard_claim claim)
{
    tell((struct neap_guard_event){.kind = NEAP_GUARD_EVENT_CLAIMED, .claim = claim});
}

static inline void tell_renewed(enum neap_guard_store store)
{
    tell((struct neap_guard_event){.kind = NEAP_GUARD_EVENT_RENEWED, .store = store});
}

static inline void tell_settled(enum neap_guard_store store)
{
    tell((struct neap_guard_event){.kind = NEAP_GUARD_EVENT_SETTLED, .store = store});
}

static inline void tell_handled(struct neap_guard_handled handled)
{
    tell((struct neap_guard_event){.kind = NEAP_GUARD_EVENT_HANDLED, .handled = handled});
}

static inline void tell_status(int status)
{
    tell_handled((struct neap_guard_handled){.status = status});
}

static inline void tell_raised(void)
{
    tell_handled((struct neap_guard_handled){.raised = true});
}

static inline void tell_time(int64_t after_ns)
{
    now_ns += after_ns;
    tell((struct neap_guard_event){.kind = NEAP_GUARD_EVENT_TIME});
}

static inline void begin_running(void)
{
    begin();
    tell_claim(NEAP_GUARD_CLAIM_NEW);
}

/* ---- what it answered ---- */

static inline void assert_effect(enum neap_guard_effect_kind kind)
{
    assert_int_equal(effect.kind, kind);
    assert_int_equal(effect.problem, NEAP_PROBLEM_NONE);
    assert_false(effect.more);
}

static inline void assert_problem(enum neap_problem problem)
{
    assert_int_equal(effect.kind, NEAP_GUARD_PROBLEM);
    assert_int_equal(effect.problem, problem);
    assert_false(effect.more);
    assert_int_equal(guard.state, NEAP_GUARD_STATE_DONE);
}

static inline void assert_finish(enum neap_problem problem)
{
    assert_int_equal(effect.kind, NEAP_GUARD_FINISH);
    assert_int_equal(effect.problem, problem);
}

static inline void assert_answered(void)
{
    assert_effect(NEAP_GUARD_ANSWER);
    assert_int_equal(guard.state, NEAP_GUARD_STATE_DONE);
    assert_int_equal(neap_guard_next_wakeup(&guard), NEAP_NEVER);
}

static inline void assert_wakeup(int64_t after_ns)
{
    assert_effect(NEAP_GUARD_WAIT);
    assert_int_equal(neap_guard_next_wakeup(&guard) - now_ns, after_ns);
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

#endif
