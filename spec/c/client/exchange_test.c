#include "client/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "support/failing_alloc.h"

#define S NEAP_SECOND

/* Scripted exchanges on a virtual loop: the test plays the part of Lua. */
static struct failing_alloc failing;
static struct neap_engine *engine;
static struct neap_client *client;

static struct neap_client_policy policy_with_everything(void)
{
    struct neap_client_policy policy;
    neap_client_policy_init(&policy, &failing.alloc);
    policy.breaker_key = NEAP_KEY_HOST;
    policy.breaker_max_keys = 10;
    policy.pipeline.timeout = (struct neap_timeouts){2 * S, 5 * S, 5 * S, NEAP_NEVER, 30 * S};
    policy.pipeline.retry =
        (struct neap_retry_policy){.max_attempts = 3,
                                   .enabled = true,
                                   .backoff = {NEAP_BACKOFF_FIXED, 1, 1, 10, NEAP_JITTER_NONE, 0},
                                   .honor_retry_after = true,
                                   .max_server_delay_ns = 60 * S};
    neap_retry_default_statuses(policy.pipeline.retry.status_rule);
    policy.pipeline.breaker = (struct neap_breaker_policy){.window_count = 100,
                                                           .min_calls = 10,
                                                           .failure_rate = 0.5,
                                                           .slow_call_ns = NEAP_NEVER,
                                                           .open_base_s = 30,
                                                           .open_factor = 1,
                                                           .open_max_s = 300,
                                                           .permits = 2,
                                                           .lease_ns = 60 * S};
    policy.pipeline.gate.max_wait_ns = 10 * S;
    policy.pipeline.bulkhead =
        (struct neap_bulkhead_policy){.max_concurrent = 1, .max_wait_ns = 10 * S, .max_queue = 10};
    policy.pipeline.budget =
        (struct neap_retry_budget_policy){.ratio = 0.2, .min_per_second = 10, .ttl_seconds = 10};
    policy.pipeline.has_breaker = policy.pipeline.has_gate = true;
    policy.pipeline.has_bulkhead = policy.pipeline.has_budget = true;
    policy.name = neap_copy_text(&failing.alloc, "api", 3);
    return policy;
}

static enum neap_status open_world(void)
{
    struct neap_client_policy policy;
    engine = NULL;
    client = NULL;
    enum neap_status status = neap_engine_new_virtual(&failing.alloc, 1, 0, &engine);
    if (status != NEAP_OK)
        return status;
    policy = policy_with_everything();
    if (!policy.name)
        return NEAP_NO_MEMORY;
    return neap_client_new(engine, &policy, NEAP_CARRIER_SCRIPT, &client);
}

static void close_world(void)
{
    neap_client_release(client);
    neap_engine_release(engine);
    failing_alloc_assert_all_freed(&failing);
}

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&failing);
    assert_int_equal(open_world(), NEAP_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_world();
    return 0;
}

static enum neap_status make_exchange(struct neap_exchange **exchange)
{
    static const struct neap_request_header headers[] = {{"Authorization", "Bearer secret"},
                                                         {"Accept", "text/plain"}};
    struct neap_draft draft = {.method = "GET",
                               .headers = headers,
                               .header_count = 2,
                               .timeout = client->policy.pipeline.timeout,
                               .deadline_ns = NEAP_NEVER,
                               .idempotency_key = "key-1"};
    enum neap_url_error error =
        neap_url_resolve(&failing.alloc, "https://api.example", "/x", NULL, 1, &draft.url);
    if (error == NEAP_URL_NO_MEMORY)
        return NEAP_NO_MEMORY;
    assert_int_equal(error, NEAP_URL_OK);
    return neap_exchange_new(client, &draft, exchange);
}

static struct neap_exchange *make_pending_exchange(void)
{
    struct neap_exchange *exchange;
    assert_int_equal(make_exchange(&exchange), NEAP_OK);
    return exchange;
}

static struct neap_exchange *begin_exchange(void)
{
    struct neap_exchange *exchange = make_pending_exchange();
    neap_exchange_begin(exchange, false);
    return exchange;
}

static enum neap_status reply_status(struct neap_exchange *exchange, int status, int64_t after_ns)
{
    struct neap_response *response;
    enum neap_status made = neap_response_new(&failing.alloc, &response);
    if (made != NEAP_OK)
        return made;
    response->status = status;
    return neap_exchange_reply(exchange, exchange->effect.attempt, after_ns,
                               &(struct neap_outcome){.status = status}, response);
}

static void wait_for_attention(struct neap_exchange *exchange, enum neap_attention attention)
{
    assert_true(neap_exchange_run(exchange));
    assert_int_equal(exchange->attention, attention);
}

static void a_call_runs_through_its_attempts(void **state)
{
    (void)state;
    struct neap_exchange *exchange = begin_exchange();
    wait_for_attention(exchange, NEAP_ATTENTION_ATTEMPT);
    assert_int_equal(reply_status(exchange, 503, S), NEAP_OK);
    wait_for_attention(exchange, NEAP_ATTENTION_ATTEMPT);
    assert_int_equal(neap_loop_now(engine->loop), 2 * S);
    assert_int_equal(reply_status(exchange, 200, 0), NEAP_OK);
    wait_for_attention(exchange, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->response->status, 200);
    neap_exchange_free(exchange);
}

static void headers_and_key_are_sent(void **state)
{
    (void)state;
    struct neap_exchange *exchange = begin_exchange();
    assert_int_equal(exchange->request.header_count, 3);
    assert_string_equal(exchange->request.headers[2].name, "Idempotency-Key");
    assert_string_equal(exchange->request.headers[2].value, "key-1");
    neap_exchange_free(exchange);
}

static void a_freed_call_leaves_its_place_to_the_next(void **state)
{
    (void)state;
    struct neap_exchange *first = begin_exchange(), *second = begin_exchange();
    assert_int_equal(second->attention, NEAP_ATTENTION_NONE);
    neap_exchange_free(first);
    wait_for_attention(second, NEAP_ATTENTION_ATTEMPT);
    neap_exchange_free(second);
    assert_int_equal(client->queue->waiting, 0);
}

static void the_queue_is_served_in_order(void **state)
{
    (void)state;
    struct neap_exchange *call[4];
    for (int i = 0; i < 4; i++)
        call[i] = begin_exchange();
    for (int i = 0; i < 4; i++) {
        wait_for_attention(call[i], NEAP_ATTENTION_ATTEMPT);
        for (int j = i + 1; j < 4; j++)
            assert_int_equal(call[j]->attention, NEAP_ATTENTION_NONE);
        assert_int_equal(reply_status(call[i], 200, S), NEAP_OK);
        wait_for_attention(call[i], NEAP_ATTENTION_DONE);
        neap_exchange_free(call[i]);
    }
}

static void closing_the_client_cancels_its_calls(void **state)
{
    (void)state;
    struct neap_exchange *live = begin_exchange(), *queued = begin_exchange();
    neap_client_close(client);
    wait_for_attention(live, NEAP_ATTENTION_DONE);
    wait_for_attention(queued, NEAP_ATTENTION_DONE);
    assert_int_equal(live->call.result.outcome.kind, NEAP_KIND_CANCELLED);
    assert_int_equal(queued->call.result.outcome.kind, NEAP_KIND_CANCELLED);
    struct neap_exchange *late = begin_exchange();
    assert_int_equal(late->call.result.outcome.kind, NEAP_KIND_CANCELLED);
    neap_exchange_free(late);
    neap_exchange_free(queued);
    neap_exchange_free(live);
}

static void a_reply_that_is_due_with_a_limit_is_in_time(void **state)
{
    (void)state;
    struct neap_exchange *exchange = begin_exchange();
    exchange->call.live[0].limit_ns = 3 * S;
    assert_int_equal(reply_status(exchange, 200, 3 * S), NEAP_OK);
    wait_for_attention(exchange, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->call.result.kind, NEAP_RESULT_RESPONSE);
    neap_exchange_free(exchange);
}

static void silence_past_the_read_limit_is_a_timeout(void **state)
{
    (void)state;
    client->policy.pipeline.retry.max_attempts = 1;
    struct neap_exchange *exchange = begin_exchange();
    assert_int_equal(reply_status(exchange, 200, 6 * S), NEAP_OK);
    wait_for_attention(exchange, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->call.result.outcome.phase, NEAP_PHASE_READ);
    assert_int_equal(neap_loop_now(engine->loop), 5 * S);
    neap_exchange_free(exchange);
}

/* Other processes have a place of the bulkhead, and free it without telling anybody. */
static struct neap_exchange *begin_sharing(void)
{
    struct neap_exchange *exchange;
    assert_int_equal(make_exchange(&exchange), NEAP_OK);
    exchange->call.setup.state.bulkhead_is_shared = true;
    neap_exchange_begin(exchange, false);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_NONE);
    return exchange;
}

static void a_place_that_another_process_frees_goes_to_the_first_in_the_queue(void **state)
{
    (void)state;
    const struct neap_bulkhead_policy *policy = &client->policy.pipeline.bulkhead;
    int64_t place = neap_bulkhead_acquire(client->bulkhead, policy, 9, 0).permit;
    struct neap_exchange *call[3];
    for (int i = 0; i < 3; i++)
        call[i] = begin_sharing();
    for (int i = 0; i < 3; i++) {
        int64_t freed_ns = neap_loop_now(engine->loop);
        assert_true(neap_bulkhead_release(client->bulkhead, policy, place));
        wait_for_attention(call[i], NEAP_ATTENTION_ATTEMPT);
        assert_true(neap_loop_now(engine->loop) - freed_ns <= NEAP_BULKHEAD_POLL_NS);
        for (int j = i + 1; j < 3; j++)
            assert_int_equal(call[j]->attention, NEAP_ATTENTION_NONE);
        neap_exchange_free(call[i]);
        place = neap_bulkhead_acquire(client->bulkhead, policy, 9, 0).permit;
        assert_true(place > 0);
    }
}

static void refusing_ends_a_call_wherever_it_is(void **state)
{
    (void)state;
    struct neap_exchange *live = begin_exchange(), *queued = begin_exchange(), *early;
    assert_int_equal(*live->call.setup.in_flight, 2);
    assert_int_equal(make_exchange(&early), NEAP_OK);
    neap_exchange_refuse(early);
    neap_exchange_refuse(queued);
    neap_exchange_refuse(live);
    neap_exchange_refuse(live);
    neap_exchange_cancel(live);
    struct neap_exchange *ended[] = {live, queued, early};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ended[i]->attention, NEAP_ATTENTION_DONE);
        assert_int_equal(ended[i]->call.result.outcome.kind, NEAP_KIND_PHASE);
    }
    assert_int_equal(*live->call.setup.in_flight, 0);
    assert_int_equal(client->queue->waiting, 0);
    assert_int_equal(neap_bulkhead_in_use(client->bulkhead, &client->policy.pipeline.bulkhead), 0);
    neap_exchange_free(early);
    neap_exchange_free(queued);
    neap_exchange_free(live);
}

static void refusing_while_listeners_are_told_waits_for_them(void **state)
{
    (void)state;
    client->watched = ~0u;
    struct neap_exchange *exchange = begin_exchange();
    assert_int_equal(reply_status(exchange, 503, S), NEAP_OK);
    wait_for_attention(exchange, NEAP_ATTENTION_NOTICE);
    neap_exchange_refuse(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_NOTICE);
    neap_exchange_resume(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_NOTICE);
    neap_exchange_resume(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->call.result.outcome.kind, NEAP_KIND_PHASE);
    neap_exchange_free(exchange);
}

static const char *header_of(const struct neap_exchange *exchange, const char *name)
{
    return neap_header_find(exchange->request.headers, exchange->request.header_count, name);
}

static void each_attempt_is_sent_when_its_trace_is_there(void **state)
{
    (void)state;
    client->policy.asks_trace = true;
    struct neap_exchange *exchange = begin_exchange();
    wait_for_attention(exchange, NEAP_ATTENTION_TRACE);
    assert_int_equal(neap_exchange_set_header(exchange, "traceparent", "a"), NEAP_OK);
    neap_exchange_resume(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_ATTEMPT);
    assert_string_equal(header_of(exchange, "Traceparent"), "a");
    assert_int_equal(reply_status(exchange, 503, S), NEAP_OK);

    wait_for_attention(exchange, NEAP_ATTENTION_TRACE);
    assert_int_equal(exchange->effect.attempt, 2);
    neap_exchange_drop_header(exchange, "TraceParent");
    neap_exchange_resume(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_ATTEMPT);
    assert_null(header_of(exchange, "traceparent"));
    assert_string_equal(header_of(exchange, "Accept"), "text/plain");
    assert_int_equal(reply_status(exchange, 200, 0), NEAP_OK);
    wait_for_attention(exchange, NEAP_ATTENTION_DONE);
    neap_exchange_free(exchange);
}

static void what_waits_for_its_trace_past_its_limit_is_not_sent(void **state)
{
    (void)state;
    client->policy.asks_trace = true;
    struct neap_exchange *exchange = begin_exchange();
    assert_int_equal(exchange->attention, NEAP_ATTENTION_TRACE);
    neap_loop_place(engine->loop, 30 * S, 30 * S);
    neap_exchange_resume(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->call.result.outcome.kind, NEAP_KIND_TIMEOUT);
    assert_int_equal(exchange->call.result.outcome.phase, NEAP_PHASE_TOTAL);
    assert_int_equal(*exchange->call.setup.in_flight, 0);
    assert_int_equal(neap_bulkhead_in_use(client->bulkhead, &client->policy.pipeline.bulkhead), 0);
    neap_exchange_free(exchange);
}

static void what_is_ended_before_its_trace_is_there_is_not_sent(void **state)
{
    (void)state;
    client->policy.asks_trace = true;
    struct neap_exchange *exchange = begin_exchange();
    neap_exchange_cancel(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_TRACE);
    neap_exchange_resume(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->call.result.outcome.kind, NEAP_KIND_CANCELLED);
    neap_exchange_free(exchange);
}

static void a_call_may_be_given_up_before_its_trace_is_there(void **state)
{
    (void)state;
    client->policy.asks_trace = true;
    struct neap_exchange *exchange = begin_exchange();
    neap_exchange_free(exchange);
    assert_int_equal(neap_bulkhead_in_use(client->bulkhead, &client->policy.pipeline.bulkhead), 0);
}

static void the_next_wakeup_is_the_first_of_limit_and_reply(void **state)
{
    (void)state;
    struct neap_exchange *exchange = make_pending_exchange();
    assert_int_equal(neap_exchange_next_wakeup(exchange), NEAP_NEVER);
    neap_exchange_begin(exchange, false);
    assert_int_equal(neap_exchange_next_wakeup(exchange), 30 * S);
    assert_int_equal(reply_status(exchange, 200, 3 * S), NEAP_OK);
    assert_int_equal(neap_exchange_next_wakeup(exchange), 3 * S);
    wait_for_attention(exchange, NEAP_ATTENTION_DONE);
    assert_int_equal(neap_exchange_next_wakeup(exchange), NEAP_NEVER);
    neap_exchange_free(exchange);
}

static void one_that_was_given_up_waits_for_nothing(void **state)
{
    (void)state;
    struct neap_exchange *first = begin_exchange(), *second = begin_exchange();
    neap_exchange_give_up(first);
    assert_int_equal(neap_exchange_next_wakeup(first), NEAP_NEVER);
    assert_int_equal(engine->busy, 1);
    wait_for_attention(second, NEAP_ATTENTION_ATTEMPT);
    neap_exchange_deliver(first, 1, &(struct neap_outcome){.status = 200}, NULL);
    neap_exchange_free(first);
    neap_exchange_free(second);
}

static void nothing_to_wait_for_is_said(void **state)
{
    (void)state;
    client->policy.pipeline.timeout.total_ns = NEAP_NEVER;
    struct neap_exchange *exchange = begin_exchange();
    assert_int_equal(
        neap_exchange_reply(exchange, 1, NEAP_NEVER, &(struct neap_outcome){.status = 200}, NULL),
        NEAP_OK);
    assert_false(neap_exchange_run(exchange));
    neap_exchange_free(exchange);
}

static void gates_are_shared_by_the_clients_of_an_engine(void **state)
{
    (void)state;
    struct neap_exchange *first = begin_exchange();
    assert_non_null(first->gates[0]);
    struct neap_client *own = client, *other;
    struct neap_client_policy policy = policy_with_everything();
    assert_int_equal(neap_client_new(engine, &policy, NEAP_CARRIER_SCRIPT, &other), NEAP_OK);
    client = other;
    struct neap_exchange *second = begin_exchange();
    assert_ptr_equal(first->gates[0], second->gates[0]);
    assert_ptr_equal(first->gates[1], second->gates[1]);
    assert_ptr_not_equal(first->gates[0], first->gates[1]);
    neap_exchange_free(second);
    neap_exchange_free(first);
    neap_client_release(other);
    client = own;
}

static const char *name_of_gate(const struct neap_exchange *exchange, int which)
{
    size_t bytes;
    return neap_keymap_key(exchange->gates[which], &bytes);
}

static struct neap_exchange *make_exchange_to(const char *base, const char *credential)
{
    struct neap_exchange *exchange;
    struct neap_draft draft = {.method = "GET",
                               .timeout = client->policy.pipeline.timeout,
                               .deadline_ns = NEAP_NEVER,
                               .gate_key = credential,
                               .gate_key_bytes = strlen(credential)};
    assert_int_equal(neap_url_resolve(&failing.alloc, base, "/x", NULL, 1, &draft.url),
                     NEAP_URL_OK);
    assert_int_equal(neap_exchange_new(client, &draft, &exchange), NEAP_OK);
    return exchange;
}

/* One after the other: each call finds what the last one has left. */
static void assert_gates(const char *base, const char *credential, const char *wanted)
{
    struct neap_exchange *exchange = make_exchange_to(base, credential);
    assert_memory_equal(name_of_gate(exchange, 0), wanted, strcspn(wanted, "\n"));
    assert_int_equal(strlen(name_of_gate(exchange, 0)), strcspn(wanted, "\n"));
    assert_string_equal(name_of_gate(exchange, 1), wanted);
    neap_exchange_free(exchange);
}

static void gates_are_those_of_origin_and_credential_whatever_the_last_call_had(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_gates("https://a.example", "", "https://a.example:443\n");
        assert_gates("https://a.example", "one", "https://a.example:443\none");
        assert_gates("https://a.example", "on", "https://a.example:443\non");
        assert_gates("https://a.example", "two", "https://a.example:443\ntwo");
        assert_gates("https://b.example", "two", "https://b.example:443\ntwo");
        assert_gates("https://a.example:4431", "", "https://a.example:4431\n");
    }
    assert_int_equal(engine->gates.count, 9);
}

static void gates_of_the_last_call_may_have_been_evicted(void **state)
{
    (void)state;
    assert_gates("https://a.example", "one", "https://a.example:443\none");
    engine->gates.max_keys = 2;
    assert_gates("https://b.example", "two", "https://b.example:443\ntwo");
    assert_gates("https://a.example", "one", "https://a.example:443\none");
    assert_gates("https://a.example", "one", "https://a.example:443\none");
    assert_int_equal(engine->gates.count, 2);
}

/* A whole story; false where an allocation that failed was told on the way. */
static bool tell_a_story(void)
{
    struct neap_exchange *exchange = NULL;
    bool whole = open_world() == NEAP_OK && make_exchange(&exchange) == NEAP_OK;
    if (whole) {
        neap_exchange_begin(exchange, false);
        whole = exchange->attention == NEAP_ATTENTION_ATTEMPT &&
                reply_status(exchange, 503, S) == NEAP_OK && neap_exchange_run(exchange);
    }
    if (whole) {
        whole = exchange->attention == NEAP_ATTENTION_ATTEMPT &&
                neap_exchange_set_header(exchange, "X-Token", "fresh") == NEAP_OK &&
                reply_status(exchange, 200, S) == NEAP_OK && neap_exchange_run(exchange);
    }
    if (whole)
        whole = exchange->attention == NEAP_ATTENTION_DONE &&
                exchange->call.result.kind == NEAP_RESULT_RESPONSE;
    neap_exchange_free(exchange);
    close_world();
    return whole;
}

static void each_failed_allocation_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    failing_alloc_init(&failing);
    assert_true(tell_a_story());
    size_t allocations = failing.allocations;
    assert_true(allocations > 10);
    for (size_t n = 1; n <= allocations; n++) {
        failing_alloc_init(&failing);
        failing_alloc_fail(&failing, n);
        (void)tell_a_story();
        failing_alloc_assert_all_freed(&failing);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void another_clients_exchange_has_the_memory_of_the_last_one(void **state)
{
    (void)state;
    struct neap_exchange *first, *second, *side_by_side;
    struct neap_client *own = client, *other;
    struct neap_client_policy policy = policy_with_everything();
    assert_int_equal(neap_client_new(engine, &policy, NEAP_CARRIER_SCRIPT, &other), NEAP_OK);
    assert_int_equal(make_exchange(&first), NEAP_OK);
    neap_exchange_free(first);
    client = other;
    assert_int_equal(make_exchange(&second), NEAP_OK);
    assert_ptr_equal(second, first);
    assert_ptr_equal(second->client, other);
    client = own;
    assert_int_equal(make_exchange(&side_by_side), NEAP_OK);
    assert_ptr_not_equal(side_by_side, second);
    neap_exchange_free(second);
    neap_client_release(other);
    neap_exchange_free(side_by_side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_runs_through_its_attempts),
        TEST(headers_and_key_are_sent),
        TEST(a_freed_call_leaves_its_place_to_the_next),
        TEST(the_queue_is_served_in_order),
        TEST(closing_the_client_cancels_its_calls),
        TEST(a_reply_that_is_due_with_a_limit_is_in_time),
        TEST(silence_past_the_read_limit_is_a_timeout),
        TEST(a_place_that_another_process_frees_goes_to_the_first_in_the_queue),
        TEST(refusing_ends_a_call_wherever_it_is),
        TEST(refusing_while_listeners_are_told_waits_for_them),
        TEST(each_attempt_is_sent_when_its_trace_is_there),
        TEST(what_waits_for_its_trace_past_its_limit_is_not_sent),
        TEST(what_is_ended_before_its_trace_is_there_is_not_sent),
        TEST(a_call_may_be_given_up_before_its_trace_is_there),
        TEST(the_next_wakeup_is_the_first_of_limit_and_reply),
        TEST(one_that_was_given_up_waits_for_nothing),
        TEST(nothing_to_wait_for_is_said),
        TEST(gates_are_shared_by_the_clients_of_an_engine),
        TEST(gates_are_those_of_origin_and_credential_whatever_the_last_call_had),
        TEST(gates_of_the_last_call_may_have_been_evicted),
        TEST(another_clients_exchange_has_the_memory_of_the_last_one),
        cmocka_unit_test(each_failed_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
