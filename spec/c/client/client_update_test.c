/* A client whose policy is changed: what its successor has of it, and for how long it stays. */
#include "client/client_fixture.h"
#include "client/client_state.h"
#include "client/exchange.h"

static struct neap_client *proposed(struct neap_client *before, struct neap_client_policy policy)
{
    struct neap_client *candidate = NULL;
    assert_int_equal(neap_client_propose(before, &policy, &candidate), NEAP_OK);
    return candidate;
}

static void a_candidate_has_the_state_that_fits(void **state)
{
    (void)state;
    engine = new_engine(NULL);
    client = client_of(engine, "api");
    struct neap_client *candidate = proposed(client, policy_of_name("api"));
    assert_true(share_all(client, candidate));
    assert_ptr_equal(client->queue, candidate->queue);
    assert_ptr_equal(client->connections, candidate->connections);
    neap_client_release(candidate);
    assert_int_equal(client->role, NEAP_CLIENT_IN_CHARGE);
}

static void what_does_not_fit_is_its_own(void **state)
{
    (void)state;
    engine = new_engine(NULL);
    client = client_of(engine, "api");
    struct neap_client_policy policy = policy_of_name("api");
    policy.pipeline.bulkhead.max_concurrent++;
    policy.pipeline.budget.ttl_seconds++;
    policy.pipeline.breaker.window_count++;
    policy.transport.per_host++;
    (void)neap_breaker_force(client->breaker, &breaker_policy, NEAP_BREAKER_FORCED_OPEN);
    struct neap_client *candidate = proposed(client, policy);
    assert_true(client->bulkhead != candidate->bulkhead && client->queue != candidate->queue);
    assert_true(client->budget != candidate->budget && client->breaker != candidate->breaker);
    assert_true(client->connections != candidate->connections);
    assert_ptr_equal(client->limiter, candidate->limiter);
    assert_ptr_equal(client->board, candidate->board);
    assert_int_equal(neap_breaker_state(candidate->breaker), NEAP_BREAKER_FORCED_OPEN);
    neap_client_release(candidate);
}

static void a_region_gives_a_candidate_the_same_cells(void **state)
{
    (void)state;
    begin_sharing();
    struct neap_client *candidate = proposed(client, policy_of_name("api"));
    assert_true(share_all(client, candidate));
    assert_ptr_equal(client->queue, candidate->queue);
    neap_client_release(candidate);
}

static void closing_the_successor_closes_both(void **state)
{
    (void)state;
    engine = new_engine(NULL);
    client = client_of(engine, "api");
    struct neap_client *successor = proposed(client, policy_of_name("api"));
    assert_int_equal(neap_client_take_over(successor, client), NEAP_OK);
    assert_null(successor->before); /* it has no calls */
    assert_int_equal(client->role, NEAP_CLIENT_SUCCEEDED);
    neap_client_close(successor);
    assert_true(successor->closed && !client->closed);
    neap_client_release(successor);
}

static struct neap_client *succeed(struct neap_client *before)
{
    struct neap_client *successor = proposed(before, policy_of_name("api"));
    assert_int_equal(neap_client_take_over(successor, before), NEAP_OK);
    neap_client_release(before);
    return successor;
}

static struct neap_exchange *call_of(struct neap_client *of)
{
    struct neap_exchange *exchange = NULL;
    struct neap_draft draft = {.method = "GET", .deadline_ns = NEAP_NEVER};
    assert_int_equal(neap_exchange_new(of, &draft, &exchange), NEAP_OK);
    return exchange;
}

static void a_successor_keeps_none_before_it_whose_calls_are_over(void **state)
{
    (void)state;
    struct neap_client_policy policy = policy_of_name("api");
    engine = new_engine(NULL);
    assert_int_equal(neap_client_new(engine, &policy, NEAP_CARRIER_FUNCTION, &client), NEAP_OK);
    struct neap_exchange *of_first = call_of(client);
    client = succeed(client);
    struct neap_client *second = client;
    struct neap_exchange *of_second = call_of(second);
    client = succeed(second);
    assert_ptr_equal(client->before, second);
    assert_non_null(second->before);
    neap_exchange_free(of_first);
    client = succeed(client);
    assert_ptr_equal(client->before, second);
    assert_null(second->before);
    neap_exchange_free(of_second);
    client = succeed(client);
    assert_null(client->before);
}

/* Each allocation of a proposal fails in turn: what there was works on. */
static void a_proposal_without_memory_changes_nothing(void **state)
{
    (void)state;
    engine = new_engine(NULL);
    client = client_of(engine, "api");
    for (size_t nth = 1;; nth++) {
        struct neap_client_policy policy = policy_of_name("api");
        struct neap_client *candidate = NULL;
        policy.pipeline.breaker.window_count++;
        policy.pipeline.bulkhead.max_concurrent++;
        failing_alloc_fail(&memory, nth);
        enum neap_status status = neap_client_propose(client, &policy, &candidate);
        failing_alloc_fail(&memory, 0);
        if (status == NEAP_OK) {
            neap_client_release(candidate);
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(status, NEAP_NO_MEMORY);
        assert_null(candidate);
    }
    assert_int_equal(neap_breaker_state(client->breaker), NEAP_BREAKER_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_candidate_has_the_state_that_fits),
        SPEC(what_does_not_fit_is_its_own),
        SPEC(a_region_gives_a_candidate_the_same_cells),
        SPEC(closing_the_successor_closes_both),
        SPEC(a_successor_keeps_none_before_it_whose_calls_are_over),
        SPEC(a_proposal_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests_name("another policy for a client", tests, NULL, NULL);
}
