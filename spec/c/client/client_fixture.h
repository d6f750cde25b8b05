/* Clients whose state is looked at: in memory of their own, or in a region. */
#ifndef NEAP_SPEC_CLIENT_CLIENT_FIXTURE_H
#define NEAP_SPEC_CLIENT_CLIENT_FIXTURE_H

#include "client/cells_fixture.h"
#include "client/client.h"
#include "client/engine.h"

/* Engines on the real clock, since only these go through a fork. */
static struct neap_engine *engine;
static struct neap_client *client;

static inline struct neap_client_policy policy_of_name(const char *text)
{
    struct neap_client_policy policy;
    neap_client_policy_init(&policy, &memory.alloc);
    policy.name = neap_copy_text(&memory.alloc, text, strlen(text));
    assert_non_null(policy.name);
    policy.breaker_key = NEAP_KEY_CLIENT;
    policy.breaker_max_keys = 10;
    policy.pipeline.breaker = breaker_policy;
    policy.pipeline.bulkhead = bulkhead_policy;
    policy.pipeline.limiter = limiter_policy;
    policy.pipeline.budget = budget_policy;
    policy.pipeline.has_breaker = policy.pipeline.has_bulkhead = true;
    policy.pipeline.has_limiter = policy.pipeline.has_budget = true;
    return policy;
}

static inline enum neap_status make(struct neap_engine *of, struct neap_client_policy policy,
                                    struct neap_client **made)
{
    *made = NULL;
    return neap_client_new(of, &policy, NEAP_CARRIER_SCRIPT, made);
}

static inline struct neap_client *client_of(struct neap_engine *of, const char *text)
{
    struct neap_client *made;
    assert_int_equal(make(of, policy_of_name(text), &made), NEAP_OK);
    return made;
}

static inline struct neap_engine *new_engine(struct neap_region *shared)
{
    struct neap_engine *made = NULL;
    assert_int_equal(neap_engine_new(&memory.alloc, &made), NEAP_OK);
    if (shared)
        neap_engine_share(made, shared);
    return made;
}

/* One that shares, and a client. */
static inline void begin_sharing(void)
{
    begin();
    engine = new_engine(region);
    client = client_of(engine, "api");
}

static inline int set_up_engine(void **state)
{
    engine = NULL;
    client = NULL;
    return set_up(state);
}

static inline int tear_down_engine(void **state)
{
    neap_client_release(client);
    neap_engine_release(engine);
    return tear_down(state);
}

#undef SPEC
#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up_engine, tear_down_engine)

/* Sees one what the other does? */
static inline bool share_all(const struct neap_client *a, const struct neap_client *b)
{
    struct neap_breaker_policy forced = breaker_policy;
    int64_t place = take_place(a->bulkhead, a->holder);
    atomic_store(&a->limiter->tat_ns, 4711);
    atomic_fetch_add(&a->board->counters.calls, 1);
    int64_t before = neap_retry_budget_balance(b->budget, &budget_policy, now);
    bool paid = neap_retry_budget_withdraw(a->budget, &budget_policy, now);
    (void)neap_breaker_force(a->breaker, &forced, NEAP_BREAKER_FORCED_OPEN);

    bool all = paid && place > 0 && neap_bulkhead_in_use(b->bulkhead, &bulkhead_policy) == 1 &&
               atomic_load(&b->limiter->tat_ns) == 4711 &&
               atomic_load(&b->board->counters.calls) == 1 &&
               neap_retry_budget_balance(b->budget, &budget_policy, now) == before - 1 &&
               neap_breaker_state(b->breaker) == NEAP_BREAKER_FORCED_OPEN;
    (void)neap_bulkhead_release(a->bulkhead, &bulkhead_policy, place);
    return all;
}

#endif
