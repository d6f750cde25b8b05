#include "client/coalescing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "client/exchange.h"
#include "support/failing_alloc.h"

#define S NEAP_SECOND

/* Scripted exchanges on a virtual loop: the test plays the part of Lua. */
static struct failing_alloc failing;
static struct neap_engine *engine;
static struct neap_client *client;

static struct neap_client *new_client(bool coalesce, enum neap_carrier carrier)
{
    struct neap_client *made;
    struct neap_client_policy policy;
    neap_client_policy_init(&policy, &failing.alloc);
    policy.name = neap_copy_text(&failing.alloc, "api", 3);
    policy.coalesce = coalesce;
    policy.pipeline.timeout = (struct neap_timeouts){2 * S, 60 * S, 60 * S, NEAP_NEVER, 30 * S};
    policy.pipeline.retry =
        (struct neap_retry_policy){.max_attempts = 2,
                                   .enabled = true,
                                   .backoff = {NEAP_BACKOFF_FIXED, 1, 1, 10, NEAP_JITTER_NONE, 0}};
    neap_retry_default_statuses(policy.pipeline.retry.status_rule);
    policy.pipeline.gate.max_wait_ns = 10 * S;
    policy.pipeline.has_gate = true;
    assert_int_equal(neap_client_new(engine, &policy, carrier, &made), NEAP_OK);
    return made;
}

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&failing);
    assert_int_equal(neap_engine_new_virtual(&failing.alloc, 1, 0, &engine), NEAP_OK);
    client = new_client(true, NEAP_CARRIER_SCRIPT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; client->coalescing && i < NEAP_LEADER_BUCKETS; i++)
        assert_null(client->coalescing->leaders[i]);
    assert_int_equal(neap_board_add_up(client->board).in_flight, 0);
    neap_client_release(client);
    neap_engine_release(engine);
    failing_alloc_assert_all_freed(&failing);
    return 0;
}

static struct neap_draft plain(void)
{
    return (struct neap_draft){
        .method = "GET", .timeout = client->policy.pipeline.timeout, .deadline_ns = NEAP_NEVER};
}

static struct neap_exchange *make_to(const char *path, struct neap_draft draft)
{
    struct neap_exchange *exchange;
    assert_int_equal(
        neap_url_resolve(&failing.alloc, "https://api.example", path, NULL, 1, &draft.url),
        NEAP_URL_OK);
    assert_int_equal(neap_exchange_new(client, &draft, &exchange), NEAP_OK);
    return exchange;
}

static struct neap_exchange *begin(struct neap_draft draft)
{
    struct neap_exchange *exchange = make_to("/x", draft);
    neap_exchange_begin(exchange, true);
    return exchange;
}

/* What Lua does with an attempt of the kit. */
static void reply(struct neap_exchange *exchange, int status, int64_t after_ns)
{
    struct neap_response *response;
    assert_int_equal(exchange->attention, NEAP_ATTENTION_ATTEMPT);
    assert_int_equal(neap_response_new(&failing.alloc, &response), NEAP_OK);
    response->status = status;
    assert_int_equal(neap_buffer_append(&response->body, "body", 4), NEAP_OK);
    assert_int_equal(neap_exchange_reply(exchange, exchange->effect.attempt, after_ns,
                                         &(struct neap_outcome){.status = status}, response),
                     NEAP_OK);
}

/* On the wire for so long. */
static struct neap_exchange *lead(struct neap_draft draft, int status, int64_t after_ns)
{
    struct neap_exchange *exchange = begin(draft);
    reply(exchange, status, after_ns);
    return exchange;
}

static void assert_follows(const struct neap_exchange *exchange, const struct neap_exchange *leader)
{
    assert_ptr_equal(exchange->share.leader, leader);
    assert_int_equal(exchange->call.state, NEAP_CALL_FOLLOWING);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_NONE);
}

static void assert_sets_out(struct neap_exchange *exchange)
{
    assert_true(neap_exchange_run(exchange));
    assert_int_equal(exchange->attention, NEAP_ATTENTION_ATTEMPT);
    assert_true(exchange->share.leads);
}

static void assert_status(struct neap_exchange *exchange, int status)
{
    assert_true(neap_exchange_run(exchange));
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->call.result.kind, NEAP_RESULT_RESPONSE);
    assert_int_equal(exchange->response->status, status);
    assert_int_equal(exchange->response->body.bytes, 4);
    neap_exchange_free(exchange);
}

static void assert_kind(struct neap_exchange *exchange, enum neap_kind kind)
{
    assert_true(neap_exchange_run(exchange));
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    assert_int_equal(exchange->call.result.kind, NEAP_RESULT_ERROR);
    assert_int_equal(exchange->call.result.outcome.kind, kind);
    neap_exchange_free(exchange);
}

static void many_are_served_by_one_attempt(void **state)
{
    struct neap_exchange *follower[50];
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S);
    for (int i = 0; i < 50; i++) {
        follower[i] = begin(plain());
        assert_follows(follower[i], leader);
    }
    assert_status(leader, 200);
    for (int i = 0; i < 50; i++) {
        assert_true(follower[i]->call.coalesced);
        assert_status(follower[i], 200);
    }
    assert_int_equal(client->board->counters.attempts, 1);
    assert_int_equal(client->board->counters.coalesced, 50);
    assert_int_equal(neap_loop_now(engine->loop), S);
}

static void they_wake_in_the_order_in_which_they_came(void **state)
{
    struct neap_exchange *call[4];
    (void)state;
    call[0] = lead(plain(), 200, S);
    for (int i = 1; i < 4; i++)
        call[i] = begin(plain());
    neap_waiter_forget(&call[0]->waiter, engine);
    while (neap_engine_turn(engine, NEAP_NEVER))
        continue;
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(neap_engine_take_ready(engine), &call[(i + 1) % 4]->waiter);
    for (int i = 0; i < 4; i++)
        neap_exchange_free(call[i]);
}

static void an_error_is_shared(void **state)
{
    (void)state;
    struct neap_exchange *leader = begin(plain()), *follower;
    assert_int_equal(neap_exchange_reply(leader, 1, S,
                                         &(struct neap_outcome){.kind = NEAP_KIND_TOO_LARGE}, NULL),
                     NEAP_OK);
    follower = begin(plain());
    assert_kind(leader, NEAP_KIND_TOO_LARGE);
    assert_null(follower->response);
    assert_kind(follower, NEAP_KIND_TOO_LARGE);
}

static void one_that_comes_after_the_end_sets_out_itself(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S);
    assert_true(neap_exchange_run(leader));
    struct neap_exchange *late = begin(plain());
    assert_sets_out(late);
    assert_status(leader, 200);
    neap_exchange_free(late);
}

static void one_that_may_not_follow_leads(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S);
    struct neap_exchange *alone = make_to("/x", plain());
    neap_exchange_begin(alone, false);
    assert_sets_out(alone);
    reply(alone, 200, 2 * S);
    struct neap_exchange *follower = begin(plain());
    assert_follows(follower, alone);
    assert_status(leader, 200);
    assert_status(follower, 200);
    assert_status(alone, 200);
}

static void nobody_follows_one_in_the_hands_of_lua(void **state)
{
    (void)state;
    struct neap_exchange *first = begin(plain()), *second = begin(plain());
    assert_sets_out(second);
    reply(first, 200, S);
    struct neap_exchange *third = begin(plain());
    assert_follows(third, first);
    neap_exchange_free(first);
    neap_exchange_free(second);
    neap_exchange_free(third);
}

/* ---- who is alike */

static void assert_apart(struct neap_draft one, struct neap_draft other)
{
    struct neap_exchange *leader = lead(one, 200, S), *stranger = begin(other);
    assert_null(stranger->share.leader);
    assert_int_equal(stranger->attention, NEAP_ATTENTION_ATTEMPT);
    neap_exchange_free(stranger);
    neap_exchange_free(leader);
}

static void assert_alike(struct neap_draft one, struct neap_draft other)
{
    struct neap_exchange *leader = lead(one, 200, S), *same = begin(other);
    assert_follows(same, leader);
    neap_exchange_free(same);
    neap_exchange_free(leader);
}

static void methods_tell_them_apart(void **state)
{
    (void)state;
    struct neap_draft head = plain(), post = plain();
    head.method = "HEAD";
    post.method = "POST";
    assert_apart(plain(), head);
    assert_alike(head, head);
    assert_apart(post, post);
}

static void urls_tell_them_apart(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S), *other = make_to("/y", plain());
    neap_exchange_begin(other, true);
    assert_sets_out(other);
    neap_exchange_free(other);
    neap_exchange_free(leader);
}

static struct neap_draft with_headers(const struct neap_request_header *headers, size_t count)
{
    struct neap_draft draft = plain();
    draft.headers = headers;
    draft.header_count = count;
    return draft;
}

static void headers_tell_them_apart(void **state)
{
    static const struct neap_request_header one[] = {
        {"Accept", "a"}, {"Authorization", "Bearer 1"}, {"X", "1"}, {"X", "2"}};
    static const struct neap_request_header reordered[] = {
        {"x", "2"}, {"AUTHORIZATION", "Bearer 1"}, {"x", "1"}, {"accept", "a"}};
    static const struct neap_request_header names[] = {
        {"Accept", "Bearer 1"}, {"Authorization", "a"}, {"X", "1"}, {"X", "2"}};
    static const struct neap_request_header credential[] = {
        {"Accept", "a"}, {"Authorization", "Bearer 2"}, {"X", "1"}, {"X", "2"}};
    static const struct neap_request_header twice[] = {
        {"Accept", "a"}, {"Authorization", "Bearer 1"}, {"X", "1"}, {"X", "1"}};
    (void)state;
    assert_alike(with_headers(one, 4), with_headers(reordered, 4));
    assert_apart(with_headers(one, 4), with_headers(names, 4));
    assert_apart(with_headers(one, 4), with_headers(credential, 4));
    assert_apart(with_headers(one, 4), with_headers(twice, 4));
    assert_apart(with_headers(one, 4), with_headers(one, 3));
    assert_apart(with_headers(one, 4), plain());
}

static void bodies_tell_them_apart(void **state)
{
    (void)state;
    struct neap_draft one = plain(), other = plain();
    one.body = "one", one.body_bytes = 3;
    other.body = "two", other.body_bytes = 3;
    assert_alike(one, one);
    assert_apart(one, other);
    assert_apart(one, plain());
    other.body_bytes = 0;
    assert_alike(other, plain());
}

static void limits_of_an_attempt_tell_them_apart_and_deadlines_do_not(void **state)
{
    (void)state;
    struct neap_draft draft = plain();
    int64_t *const limits[] = {&draft.timeout.connect_ns, &draft.timeout.write_ns,
                               &draft.timeout.read_ns, &draft.timeout.attempt_ns};
    for (size_t i = 0; i < 4; i++) {
        int64_t before_ns = *limits[i];
        *limits[i] = S;
        assert_apart(plain(), draft);
        *limits[i] = before_ns;
    }
    draft.timeout.total_ns = 5 * S;
    draft.deadline_ns = 4 * S;
    assert_alike(plain(), draft);
}

static void gates_tell_them_apart(void **state)
{
    (void)state;
    struct neap_draft one = plain(), other = plain();
    one.gate_key = "1", one.gate_key_bytes = 1;
    other.gate_key = "2", other.gate_key_bytes = 1;
    assert_alike(one, one);
    assert_apart(one, other);
}

static void a_fresh_credential_parts_a_leader_from_those_who_come(void **state)
{
    static const struct neap_request_header old[] = {{"Authorization", "Bearer 1"}};
    (void)state;
    struct neap_exchange *leader = begin(with_headers(old, 1));
    assert_int_equal(neap_exchange_set_header(leader, "Authorization", "Bearer 2"), NEAP_OK);
    reply(leader, 200, S);
    struct neap_exchange *other = begin(with_headers(old, 1));
    assert_sets_out(other);
    neap_exchange_free(other);
    neap_exchange_free(leader);
}

static void without_the_policy_each_sets_out(void **state)
{
    (void)state;
    neap_client_release(client);
    client = new_client(false, NEAP_CARRIER_SCRIPT);
    assert_apart(plain(), plain());
    assert_null(client->coalescing);
    struct neap_client *wrapped = new_client(true, NEAP_CARRIER_FUNCTION);
    assert_null(wrapped->coalescing);
    neap_client_release(wrapped);
}

/* ---- a leader that serves nobody */

static struct neap_draft until(int64_t deadline_ns)
{
    struct neap_draft draft = plain();
    draft.deadline_ns = deadline_ns;
    return draft;
}

static void the_one_with_the_latest_deadline_leads_on(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S);
    struct neap_exchange *a = begin(until(10 * S)), *b = begin(until(20 * S));
    struct neap_exchange *c = begin(until(15 * S));
    neap_exchange_free(leader);
    assert_true(b->share.leads);
    assert_follows(a, b);
    assert_follows(c, b);
    struct neap_exchange *late = begin(plain());
    assert_follows(late, b);
    assert_sets_out(b);
    reply(b, 200, S);
    assert_status(b, 200);
    assert_status(a, 200);
    assert_status(c, 200);
    assert_status(late, 200);
}

static void a_cancelled_leader_is_followed_by_another(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S), *follower = begin(plain());
    neap_exchange_cancel(leader);
    assert_kind(leader, NEAP_KIND_CANCELLED);
    assert_sets_out(follower);
    neap_exchange_free(follower);
}

static void a_refused_leader_is_followed_by_another(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S), *follower = begin(plain());
    neap_exchange_refuse(leader);
    assert_kind(leader, NEAP_KIND_PHASE);
    assert_sets_out(follower);
    neap_exchange_free(follower);
}

static void a_leader_whose_time_is_over_is_followed_by_who_has_more(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(until(5 * S), 200, 8 * S);
    struct neap_exchange *a = begin(until(5 * S)), *b = begin(until(10 * S));
    struct neap_exchange *c = begin(until(9 * S));
    assert_kind(leader, NEAP_KIND_TIMEOUT);
    assert_kind(a, NEAP_KIND_TIMEOUT);
    assert_sets_out(b);
    assert_follows(c, b);
    reply(b, 200, S);
    assert_status(b, 200);
    assert_status(c, 200);
    assert_int_equal(neap_loop_now(engine->loop), 6 * S);
}

static void a_chain_of_lost_leaders_ends_with_the_last(void **state)
{
    struct neap_exchange *call[10];
    (void)state;
    call[0] = lead(plain(), 200, S);
    for (int i = 1; i < 10; i++)
        call[i] = begin(plain());
    for (int i = 0; i < 9; i++)
        neap_exchange_free(call[i]);
    assert_sets_out(call[9]);
    reply(call[9], 200, S);
    assert_status(call[9], 200);
}

static void a_follower_may_leave(void **state)
{
    struct neap_exchange *call[4];
    (void)state;
    call[0] = lead(plain(), 200, S);
    for (int i = 1; i < 4; i++)
        call[i] = begin(plain());
    neap_exchange_free(call[2]);
    neap_exchange_free(call[1]);
    neap_exchange_cancel(call[3]);
    assert_null(call[0]->share.first);
    assert_null(call[0]->share.last);
    assert_kind(call[3], NEAP_KIND_CANCELLED);
    assert_status(call[0], 200);
}

static void a_follower_whose_time_is_over_leaves(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, 8 * S), *hasty = begin(until(3 * S));
    assert_int_equal(neap_exchange_next_wakeup(hasty), 3 * S);
    assert_kind(hasty, NEAP_KIND_TIMEOUT);
    assert_int_equal(neap_loop_now(engine->loop), 3 * S);
    assert_null(leader->share.first);
    assert_status(leader, 200);
}

static void an_heir_whose_time_is_over_hands_on(void **state)
{
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S), *heir = begin(until(3 * S));
    neap_exchange_free(leader);
    assert_true(heir->share.leads);
    neap_engine_drop(engine, &heir->job);
    assert_kind(heir, NEAP_KIND_TIMEOUT);
}

/* ---- a leader in the hands of Lua */

static struct neap_exchange *hand_to_lua(void)
{
    client->watched = 1u << NEAP_NOTICE_ATTEMPT;
    return lead(plain(), 503, S);
}

static void followers_wait_for_lua_a_while(void **state)
{
    (void)state;
    struct neap_exchange *leader = hand_to_lua(), *a = begin(plain()), *b = begin(plain());
    assert_true(neap_exchange_run(leader));
    assert_int_equal(leader->attention, NEAP_ATTENTION_NOTICE);
    assert_follows(a, leader);
    assert_true(neap_engine_turn(engine, NEAP_NEVER));
    assert_int_equal(neap_loop_now(engine->loop), S + NEAP_PATIENCE_NS);
    assert_false(leader->share.leads);
    assert_sets_out(a);
    assert_follows(b, a);
    neap_exchange_free(a);
    neap_exchange_resume(leader);
    assert_sets_out(b);
    reply(b, 200, S);
    assert_true(neap_exchange_run(leader));
    neap_exchange_free(leader);
    neap_exchange_free(b);
}

static void a_new_turn_of_lua_is_waited_for_anew(void **state)
{
    (void)state;
    struct neap_exchange *leader = hand_to_lua(), *follower = begin(plain());
    assert_true(neap_exchange_run(leader));
    assert_false(neap_engine_turn(engine, S + NEAP_PATIENCE_NS / 2));
    neap_exchange_resume(leader);
    assert_true(neap_exchange_run(leader)); /* its backoff is over at the same moment */
    assert_int_equal(leader->attention, NEAP_ATTENTION_ATTEMPT);
    int64_t since_ns = neap_loop_now(engine->loop);
    neap_engine_turn(engine, since_ns + NEAP_PATIENCE_NS - 1);
    assert_follows(follower, leader);
    while (leader->share.leads)
        assert_true(neap_engine_turn(engine, NEAP_NEVER));
    assert_int_equal(neap_loop_now(engine->loop), since_ns + NEAP_PATIENCE_NS);
    neap_exchange_free(leader);
    neap_exchange_free(follower);
}

static void closing_the_client_ends_them_all(void **state)
{
    struct neap_exchange *call[10];
    (void)state;
    call[0] = lead(plain(), 200, S);
    for (int i = 1; i < 10; i++)
        call[i] = begin(plain());
    neap_client_close(client);
    while (neap_engine_turn(engine, NEAP_NEVER))
        continue;
    for (int i = 0; i < 10; i++)
        assert_kind(call[i], NEAP_KIND_CANCELLED);
    assert_kind(begin(plain()), NEAP_KIND_CANCELLED);
    assert_int_equal(client->board->counters.attempts, 1);
}

static void in_a_forked_child_none_leads_on(void **state)
{
    int status;
    (void)state;
    struct neap_exchange *leader = lead(plain(), 200, S), *follower = begin(plain());
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        neap_exchange_free(leader);
        bool is_left = !follower->share.leads && !follower->share.leader && !engine->first_job;
        neap_exchange_free(follower);
        _exit(is_left && neap_engine_adopt(engine) == NEAP_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_status(leader, 200);
    assert_status(follower, 200);
}

static void memory_may_run_out(void **state)
{
    struct neap_coalescing *none = NULL;
    struct neap_hash_seed seed = {{1, 2}};
    (void)state;
    failing_alloc_fail(&failing, 1);
    assert_int_equal(neap_coalescing_new(&failing.alloc, &seed, &none), NEAP_NO_MEMORY);
    assert_null(none);
    neap_coalescing_free(NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_are_served_by_one_attempt),
        TEST(they_wake_in_the_order_in_which_they_came),
        TEST(an_error_is_shared),
        TEST(one_that_comes_after_the_end_sets_out_itself),
        TEST(one_that_may_not_follow_leads),
        TEST(nobody_follows_one_in_the_hands_of_lua),
        TEST(methods_tell_them_apart),
        TEST(urls_tell_them_apart),
        TEST(headers_tell_them_apart),
        TEST(bodies_tell_them_apart),
        TEST(limits_of_an_attempt_tell_them_apart_and_deadlines_do_not),
        TEST(gates_tell_them_apart),
        TEST(a_fresh_credential_parts_a_leader_from_those_who_come),
        TEST(without_the_policy_each_sets_out),
        TEST(the_one_with_the_latest_deadline_leads_on),
        TEST(a_cancelled_leader_is_followed_by_another),
        TEST(a_refused_leader_is_followed_by_another),
        TEST(a_leader_whose_time_is_over_is_followed_by_who_has_more),
        TEST(a_chain_of_lost_leaders_ends_with_the_last),
        TEST(a_follower_may_leave),
        TEST(a_follower_whose_time_is_over_leaves),
        TEST(an_heir_whose_time_is_over_hands_on),
        TEST(followers_wait_for_lua_a_while),
        TEST(a_new_turn_of_lua_is_waited_for_anew),
        TEST(closing_the_client_ends_them_all),
        TEST(in_a_forked_child_none_leads_on),
        TEST(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
