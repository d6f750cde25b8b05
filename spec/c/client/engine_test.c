#include "client/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/calls.h"
#include "support/child.h"
#include "support/failing_alloc.h"

static struct failing_alloc memory;
static struct neap_engine *engine;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    return neap_engine_new(&memory.alloc, &engine) == NEAP_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    neap_engine_release(engine);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

/* ------------------------------------------------------------------------------- jobs and waiters
 */

struct task {
    struct neap_job job; /* first */
    char name;
    bool again; /* posts itself once more when it runs */
};

static char done[16];

static void do_task(struct neap_job *job)
{
    struct task *task = (struct task *)job;
    strncat(done, &task->name, 1);
    if (task->again) {
        task->again = false;
        neap_engine_post(engine, job);
    }
}

static void jobs_are_done_in_order(void **state)
{
    struct task a = {.job.run = do_task, .name = 'a'}, b = {.job.run = do_task, .name = 'b'},
                c = {.job.run = do_task, .name = 'c'};
    (void)state;
    done[0] = '\0';
    a.again = true;
    neap_engine_post(engine, &a.job);
    neap_engine_post(engine, &b.job);
    neap_engine_post(engine, &c.job);
    neap_engine_post(engine, &a.job);
    neap_engine_drop(engine, &c.job);
    neap_engine_drop(engine, &c.job);
    assert_true(neap_engine_is_pending(engine));
    assert_true(neap_engine_turn(engine, NEAP_NEVER));
    assert_string_equal(done, "ab");
    assert_true(neap_engine_poll(engine));
    assert_string_equal(done, "aba");
    assert_false(neap_engine_is_pending(engine));
    assert_false(neap_engine_poll(engine));
}

static void waiters_are_taken_in_order(void **state)
{
    struct neap_waiter waiter[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        neap_waiter_init(&waiter[i], engine);
        neap_waiter_wake(&waiter[i], engine);
        neap_waiter_wake(&waiter[i], engine);
    }
    neap_waiter_forget(&waiter[1], engine);
    neap_waiter_forget(&waiter[1], engine);
    assert_true(neap_engine_is_pending(engine));
    assert_ptr_equal(neap_engine_take_ready(engine), &waiter[0]);
    assert_ptr_equal(neap_engine_take_ready(engine), &waiter[2]);
    assert_null(neap_engine_take_ready(engine));
}

static int take_all(void)
{
    int taken = 0;
    while (neap_engine_take_ready(engine))
        taken++;
    return taken;
}

static void wake_all(struct neap_waiter *waiter, int count)
{
    for (int i = 0; i < count; i++) {
        neap_waiter_init(&waiter[i], engine);
        neap_waiter_wake(&waiter[i], engine);
    }
}

static void after_a_turn_for_few_only_some_are_taken(void **state)
{
    struct neap_waiter waiter[100];
    (void)state;
    wake_all(waiter, 100);
    neap_engine_turn_for_few(engine, 0);
    int taken = take_all();
    assert_in_range(taken, 1, 49);
    assert_true(neap_engine_turn_for_few(engine, NEAP_NEVER)); /* does not wait */
    assert_ptr_equal(neap_engine_take_ready(engine), &waiter[taken]);
    assert_int_equal(take_all(), taken - 1);
    neap_engine_poll(engine);
    assert_int_equal(take_all(), 100 - 2 * taken);
    assert_false(neap_engine_turn_for_few(engine, NEAP_NEVER));
}

static void on_a_virtual_clock_all_are_taken(void **state)
{
    struct neap_engine *real = engine;
    struct neap_waiter waiter[100];
    (void)state;
    assert_int_equal(neap_engine_new_virtual(&memory.alloc, 1, 0, &engine), NEAP_OK);
    wake_all(waiter, 100);
    neap_engine_turn_for_few(engine, 0);
    assert_int_equal(take_all(), 100);
    neap_engine_release(engine);
    engine = real;
}

/* ------------------------------------------------------------------------------- the helper */

struct errand {
    struct neap_errand errand; /* first */
    bool is_back;
};

static void return_errand(struct neap_errand *errand)
{
    neap_helper_return(engine->helper, errand);
}

static void note_back(struct neap_errand *errand)
{
    ((struct errand *)errand)->is_back = true;
}

static bool is_back(const void *errand)
{
    return ((const struct errand *)errand)->is_back;
}

static bool helper_works(void)
{
    static struct errand errand;
    struct neap_helper *helper;
    errand = (struct errand){.errand = {.run = return_errand, .back = note_back}};
    if (neap_engine_get_helper(engine, &helper) != NEAP_OK ||
        neap_helper_start(helper) != NEAP_OK || helper != engine->helper)
        return false;
    neap_helper_post(helper, &errand.errand);
    return poll_until(engine, is_back, &errand);
}

static void it_makes_one_helper_when_it_is_needed(void **state)
{
    struct neap_helper *first, *second;
    (void)state;
    assert_null(engine->helper);
    assert_int_equal(neap_engine_get_helper(engine, &first), NEAP_OK);
    assert_int_equal(neap_engine_get_helper(engine, &second), NEAP_OK);
    assert_ptr_equal(first, second);
    assert_true(helper_works());
}

/* ------------------------------------------------------------------------------- a fork */

static struct neap_client *client;
static struct neap_exchange *under_way;

static void reply_ok(struct neap_exchange *exchange)
{
    struct neap_response *response;
    assert_int_equal(neap_response_new(engine->alloc, &response), NEAP_OK);
    response->status = 200;
    assert_int_equal(neap_exchange_reply(exchange, exchange->effect.attempt, 0,
                                         &(struct neap_outcome){.status = 200}, response),
                     NEAP_OK);
}

static bool calls(void)
{
    struct neap_exchange *exchange = begin_exchange(client, "http://api.example/");
    if (exchange->attention != NEAP_ATTENTION_ATTEMPT)
        return false;
    exchange->attention = NEAP_ATTENTION_NONE;
    reply_ok(exchange);
    return finish(exchange) == 200;
}

static bool is_the_parents(void)
{
    return neap_engine_is_inherited(engine);
}

static void a_child_knows_that_it_is_inherited(void **state)
{
    (void)state;
    assert_false(is_the_parents());
    assert_true(in_child(is_the_parents));
}

static uint64_t next_of_parent;

static bool adopt(void)
{
    struct neap_loop *before = engine->loop;
    void *bulkhead = client->bulkhead;
    uint64_t attempts = client->policy.pipeline.bulkhead.max_concurrent;
    bool adopted = neap_engine_adopt(engine) == NEAP_OK && !neap_engine_is_inherited(engine);
    return adopted && engine->loop != before && !engine->helper && client->bulkhead == bulkhead &&
           attempts == 1 && neap_random_next(&engine->random) != next_of_parent && calls() &&
           calls() && helper_works();
}

/* The state of policies is kept; what is of the process is made anew. The parent notices nothing.
 */
static void a_child_makes_it_its_own(void **state)
{
    (void)state;
    client = make_client(engine, NEAP_CARRIER_SCRIPT, 1, NULL);
    assert_true(calls());
    assert_true(helper_works());
    struct neap_random copy = engine->random;
    next_of_parent = neap_random_next(&copy);
    for (int i = 0; i < 5; i++) {
        assert_true(in_child(adopt));
        assert_true(calls());
        assert_true(helper_works());
    }
    neap_client_release(client);
}

/* Of three members the middle one has left. */
static struct {
    struct neap_member member; /* first */
    int adopted, deserted;
    enum neap_status answer;
} members[3];

static enum neap_status adopt_member(struct neap_member *member)
{
    int index = (int)((void *)member == &members[1]) + 2 * (int)((void *)member == &members[2]);
    members[index].adopted++;
    return members[index].answer;
}

/* It may be its last moment. */
static void desert_member(struct neap_member *member)
{
    members[0].deserted += (void *)member == &members[0];
    members[2].deserted += (void *)member == &members[2];
    neap_engine_leave(member);
}

static void its_members_are_told_that_nobody_turns_it_any_more(void **state)
{
    (void)state;
    memset(members, 0, sizeof members);
    for (int i = 0; i < 3; i++)
        neap_engine_join(engine, &members[i].member);
    members[0].member.desert = members[2].member.desert = desert_member;
    neap_engine_desert(engine);
    neap_engine_desert(engine);
    assert_int_equal(members[0].deserted, 1);
    assert_int_equal(members[2].deserted, 1);
    neap_engine_leave(&members[1].member);
    assert_null(engine->members);
}

static bool adopt_with_members(void)
{
    return neap_engine_adopt(engine) == NEAP_OK && members[0].adopted == 1 &&
           members[1].adopted == 0 && members[2].adopted == 1;
}

static bool adopt_where_a_member_cannot(void)
{
    members[0].answer = NEAP_NOT_FOUND;
    struct neap_loop *before = engine->loop;
    if (neap_engine_adopt(engine) != NEAP_NOT_FOUND || !neap_engine_is_inherited(engine) ||
        engine->loop != before)
        return false;
    members[0].answer = NEAP_OK;
    return neap_engine_adopt(engine) == NEAP_OK && !neap_engine_is_inherited(engine) &&
           members[0].adopted == 2 && members[2].adopted == 1;
}

static void its_members_are_told(void **state)
{
    (void)state;
    memset(members, 0, sizeof members);
    for (int i = 0; i < 3; i++) {
        members[i].member.adopt = adopt_member;
        neap_engine_join(engine, &members[i].member);
    }
    neap_engine_leave(&members[1].member);
    neap_engine_leave(&members[1].member);
    assert_true(in_child(adopt_with_members));
    assert_true(in_child(adopt_where_a_member_cannot));
    neap_engine_leave(&members[0].member);
    neap_engine_leave(&members[2].member);
    assert_null(engine->members);
}

/* The call is the parent's; once its copy is gone, so is what stood in the way. */
static bool adopt_while_a_call_is_under_way(void)
{
    if (neap_engine_adopt(engine) != NEAP_INVALID || !neap_engine_is_inherited(engine))
        return false;
    neap_exchange_free(under_way);
    return neap_engine_adopt(engine) == NEAP_OK && calls();
}

static bool close_while_a_call_is_under_way(void)
{
    neap_client_close(client);
    return under_way->attention == NEAP_ATTENTION_ATTEMPT;
}

static void calls_under_way_are_the_parents(void **state)
{
    (void)state;
    client = make_client(engine, NEAP_CARRIER_SCRIPT, 1, NULL);
    under_way = begin_exchange(client, "http://api.example/");
    assert_true(in_child(adopt_while_a_call_is_under_way));
    assert_true(in_child(close_while_a_call_is_under_way));
    under_way->attention = NEAP_ATTENTION_NONE;
    reply_ok(under_way);
    assert_int_equal(finish(under_way), 200);
    assert_int_equal(engine->busy, 0);
    neap_client_release(client);
}

static bool adopt_without_means(void)
{
    struct neap_loop *before = engine->loop;
    failing_alloc_fail(&memory, 1);
    bool told = neap_engine_adopt(engine) == NEAP_NO_MEMORY;
    limit_descriptors(0);
    told = told && neap_engine_adopt(engine) == NEAP_SYSTEM;
    allow_descriptors();
    return told && engine->loop == before && neap_engine_is_inherited(engine) &&
           neap_engine_adopt(engine) == NEAP_OK && calls();
}

static void adopting_tells_what_is_out(void **state)
{
    (void)state;
    client = make_client(engine, NEAP_CARRIER_SCRIPT, 0, NULL);
    assert_true(in_child(adopt_without_means));
    neap_client_release(client);
}

static bool adopt_virtual(void)
{
    struct neap_loop *before = engine->loop;
    return neap_engine_adopt(engine) == NEAP_OK && !neap_engine_is_inherited(engine) &&
           engine->loop == before && neap_random_next(&engine->random) == next_of_parent && calls();
}

static void a_virtual_one_keeps_its_clock(void **state)
{
    (void)state;
    neap_engine_release(engine);
    assert_int_equal(neap_engine_new_virtual(&memory.alloc, 1, 0, &engine), NEAP_OK);
    client = make_client(engine, NEAP_CARRIER_SCRIPT, 0, NULL);
    struct neap_random copy = engine->random;
    next_of_parent = neap_random_next(&copy);
    assert_true(in_child(adopt_virtual));
    assert_true(calls());
    neap_client_release(client);
}

static bool release_all(void)
{
    neap_client_release(client);
    neap_engine_release(engine);
    return true;
}

static void a_child_may_let_go_of_it(void **state)
{
    (void)state;
    client = make_client(engine, NEAP_CARRIER_SCRIPT, 1, NULL);
    assert_true(helper_works());
    assert_true(in_child(release_all));
    assert_true(calls());
    assert_true(helper_works());
    neap_client_release(client);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_are_done_in_order),
        TEST(waiters_are_taken_in_order),
        TEST(after_a_turn_for_few_only_some_are_taken),
        TEST(on_a_virtual_clock_all_are_taken),
        TEST(it_makes_one_helper_when_it_is_needed),
        TEST(a_child_knows_that_it_is_inherited),
        TEST(a_child_makes_it_its_own),
        TEST(its_members_are_told),
        TEST(its_members_are_told_that_nobody_turns_it_any_more),
        TEST(calls_under_way_are_the_parents),
        TEST(adopting_tells_what_is_out),
        TEST(a_virtual_one_keeps_its_clock),
        TEST(a_child_may_let_go_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
