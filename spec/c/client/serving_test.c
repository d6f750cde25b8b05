/* What the system may refuse, virtual engines, children and exit(): the sanitizer for threads
 * cannot follow those. */
#include <stdlib.h>

#include "client/serving_fixture.h"

/* ------------------------------------------------------------------------------- no memory */

/* Each is on a desk of its own; false where it did not come to its end. */
typedef bool a_life(void);

static bool lives(a_life *life, int n)
{
    size_t before = memory.allocations;
    failing_alloc_fail(&memory, (size_t)n);
    bool went = life();
    bool was_hungry = memory.allocations - before >= (size_t)n;
    failing_alloc_fail(&memory, 0);
    assert_true(went || was_hungry);
    return was_hungry;
}

static bool is_taken; /* the key, by another */

static void starve(a_life *life, int at_least)
{
    int n = 0;
    bool was_hungry;
    do {
        if (is_taken)
            occupy("k");
        hold(CLAIM, false);
        fail_with(FINISH, NEAP_STORE_OK);
        was_hungry = lives(life, ++n);
        turn_until_idle();
        release_desk();
        assert_int_equal(engine->busy, 0);
        assert_null(engine->ready.first);
        open_desk(&store_kinds[0]);
    } while (was_hungry);
    assert_true(n > at_least);
    is_taken = false;
    script.freed = 0;
}

static bool try_to_make(const char *key, struct neap_serving **serving)
{
    setup.key = bytes_of(key);
    enum neap_status status = neap_serving_new(desk, engine, &setup, serving);
    assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
    if (status == NEAP_OK)
        neap_serving_begin(*serving);
    return status == NEAP_OK;
}

static void expect_refused(struct neap_serving *serving)
{
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_STORE_DOWN);
    assert_string_equal(neap_serving_message(serving), "not enough memory");
}

/* The blob is written beforehand, since its maker tells of its own want. */
static bool whole_life(void)
{
    struct neap_serving *serving;
    const struct neap_guard_handled handled = {.status = 201};
    if (!try_to_make("k", &serving))
        return false;
    assert_true(neap_serving_run(serving));
    bool runs = neap_serving_stage(serving) == NEAP_SERVING_RUN;
    if (runs) {
        char *blob = neap_alloc(&memory.alloc, 4);
        neap_serving_handled(serving, &handled, blob, blob ? 4 : 0);
        run_to(serving, NEAP_SERVING_ANSWER);
    } else {
        expect_refused(serving);
    }
    neap_serving_free(serving);
    return runs;
}

static void each_allocation_of_a_life_may_fail(void **state)
{
    (void)state;
    starve(whole_life, 5);
}

static bool waiting_life(void)
{
    struct neap_serving *serving;
    if (!try_to_make("k", &serving))
        return false;
    assert_true(neap_serving_run(serving));
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_PROBLEM);
    enum neap_problem problem = neap_serving_problem(serving);
    assert_true(problem == NEAP_PROBLEM_CONFLICT || problem == NEAP_PROBLEM_STORE_DOWN);
    neap_serving_free(serving);
    return problem == NEAP_PROBLEM_CONFLICT;
}

/* Who gets no timer must not wait for ever. */
static void each_allocation_of_one_that_waits_may_fail(void **state)
{
    (void)state;
    setup.policy.on_conflict = NEAP_ON_CONFLICT_WAIT;
    setup.policy.lease_ns = 20 * NEAP_MS;
    is_taken = true;
    starve(waiting_life, 3);
}

static bool owing_life(void)
{
    struct neap_serving *serving;
    if (!try_to_make("k", &serving))
        return false;
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    assert_true(neap_serving_run(serving));
    bool runs = neap_serving_stage(serving) == NEAP_SERVING_RUN;
    if (runs) {
        raise_in_handler(serving);
        run_to(serving, NEAP_SERVING_PROBLEM);
        assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_RAISED);
    } else {
        expect_refused(serving);
    }
    neap_serving_free(serving);
    fail_with(FINISH, NEAP_STORE_OK);
    return runs;
}

static void each_allocation_of_one_that_owes_may_fail(void **state)
{
    (void)state;
    starve(owing_life, 5);
}

/* ------------------------------------------------------------------------------- no threads */

static void
without_a_thread_or_descriptors_a_request_is_refused_and_the_next_one_served(void **state)
{
    pthread_attr_t usual, huge;
    (void)state;
    limit_descriptors(0);
    struct neap_serving *first = begin("k");
    allow_descriptors();
    assert_int_equal(pthread_getattr_default_np(&usual), 0);
    huge = usual;
    assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 46), 0);
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    struct neap_serving *second = begin("k");
    pthread_setattr_default_np(&usual);
    struct neap_serving *refused[] = {first, second};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(neap_serving_stage(refused[i]), NEAP_SERVING_PROBLEM);
        assert_int_equal(neap_serving_problem(refused[i]), NEAP_PROBLEM_STORE_DOWN);
        assert_string_equal(neap_serving_message(refused[i]),
                            "the system gives no thread or no descriptors for the store");
        neap_serving_free(refused[i]);
    }
    serve("k", "paid");
    expect_replay("k", "paid");
}

static void a_result_that_cannot_be_read_is_a_problem_that_says_so(void **state)
{
    (void)state;
    occupy("k");
    struct neap_store *inner = inner_of(neap_desk_take(desk));
    assert_int_equal(neap_store_finish(inner, bytes_of("k"), token_of('o'), bytes_of("garbage"),
                                       neap_clock_wall_ns()),
                     NEAP_STORE_OK);
    neap_desk_give(desk);
    struct neap_serving *serving = begin("k");
    run_to(serving, NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_DAMAGED);
    assert_string_not_equal(neap_serving_message(serving), "");
    neap_serving_free(serving);
}

/* ------------------------------------------------------------------------------- virtual engines
 */

static void on_a_virtual_engine_all_is_done_at_once(void **state)
{
    (void)state;
    struct neap_serving *serving = begin("k");
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_RUN);
    answer_with(serving, "paid");
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    expect_replay("k", "paid");
    assert_int_equal(script.asked_here, script.asked[CLAIM] + script.asked[FINISH]);
}

static void there_the_lease_is_renewed_by_the_virtual_clock(void **state)
{
    (void)state;
    setup.policy.max_run_ns = setup.policy.ttl_ns = 10 * LONG_NS;
    struct neap_serving *serving = begin_handler("k");
    for (int i = 0; i < 7; i++)
        assert_true(neap_engine_turn(engine, NEAP_NEVER));
    assert_true(script.done[RENEW] >= 2);
    assert_int_equal(neap_serving_next_wakeup(serving), neap_loop_next(engine->loop));
    neap_serving_free(serving);
    assert_int_equal(neap_loop_next(engine->loop), NEAP_NEVER);
}

static void there_what_is_owed_ends_with_the_serving(void **state)
{
    (void)state;
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    struct neap_serving *serving = begin_handler("k");
    answer_with(serving, "paid");
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_ANSWER);
    assert_true(neap_serving_owes(serving));
    assert_true(neap_engine_turn(engine, NEAP_NEVER));
    assert_true(neap_serving_owes(serving));
    fail_with(FINISH, NEAP_STORE_OK);
    assert_true(neap_engine_turn(engine, NEAP_NEVER));
    assert_false(neap_serving_owes(serving));
    neap_serving_free(serving);
    expect_replay("k", "paid");
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    serving = begin_handler("other");
    answer_with(serving, "paid");
    neap_serving_free(serving);
    assert_false(neap_engine_turn(engine, NEAP_NEVER));
}

static void there_one_that_nobody_has_looked_at_lets_go_of_the_key(void **state)
{
    (void)state;
    neap_serving_free(begin("k"));
    assert_int_equal(script.done[RELEASE], 1);
    neap_serving_free(begin_handler("k"));
    assert_int_equal(script.done[RELEASE], 1);
}

static void there_one_that_waits_for_another_waits_by_the_virtual_clock(void **state)
{
    (void)state;
    setup.policy.on_conflict = NEAP_ON_CONFLICT_WAIT;
    setup.policy.lease_ns = NEAP_SECOND;
    occupy("k");
    struct neap_serving *serving = begin("k");
    run_to(serving, NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_CONFLICT);
    assert_int_equal(neap_loop_now(engine->loop), NEAP_SECOND);
    neap_serving_free(serving);
    neap_serving_free(begin("k"));
    assert_int_equal(neap_loop_next(engine->loop), NEAP_NEVER);
}

/* ------------------------------------------------------------------------------- a fork */

static struct neap_serving *serving;

static int steps(void)
{
    int sum = 0;
    for (int op = 0; op < OPS; op++)
        sum += script.asked[op];
    return sum;
}

/* Nothing of the parent's serving is touched, and nothing is left but what the parent's thread may
 * have had in hands. */
static bool child_leaves_it_alone(void)
{
    int before = steps();
    bool is_out = engine->busy > 0;
    bool is_well = !is_out || !neap_serving_run(serving);
    neap_serving_free(serving);
    release_desk();
    neap_engine_release(engine);
    return is_well && steps() == before;
}

static bool child_ends_the_handler(void)
{
    int before = steps();
    answer_with(serving, "of the child");
    bool is_well = neap_serving_run(serving) &&
                   neap_serving_stage(serving) == NEAP_SERVING_ANSWER && engine->busy == 0;
    neap_serving_free(serving);
    return is_well && steps() == before;
}

static bool child_serves_others(void)
{
    if (!child_ends_the_handler() || neap_engine_adopt(engine) != NEAP_OK)
        return false;
    serve("of the child", "paid");
    expect_replay("of the child", "paid");
    release_desk();
    return engine->references == 1;
}

static void a_child_of_a_handler_leaves_the_store_to_its_parent(void **state)
{
    (void)state;
    serving = begin_handler("k");
    assert_true(in_child(child_ends_the_handler));
    assert_true(in_child(child_serves_others));
    assert_true(in_child(child_leaves_it_alone));
    answer_with(serving, "of the parent");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    expect_replay("k", "of the parent");
}

static void a_child_frees_one_that_was_not_looked_at_without_letting_go_of_the_key(void **state)
{
    (void)state;
    serving = begin_unseen("k");
    assert_true(in_child(child_leaves_it_alone));
    run_to(serving, NEAP_SERVING_RUN);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    assert_int_equal(script.asked[RELEASE], 0);
}

static bool child_is_refused(void)
{
    struct neap_serving *other;
    setup.key = bytes_of("other");
    if (neap_serving_new(desk, engine, &setup, &other) != NEAP_OK)
        return false;
    neap_serving_begin(other);
    bool is_well = neap_serving_stage(other) == NEAP_SERVING_PROBLEM &&
                   neap_serving_problem(other) == NEAP_PROBLEM_STORE_DOWN &&
                   strstr(neap_serving_message(other), "forked") != NULL;
    neap_serving_free(other);
    return child_leaves_it_alone() && is_well;
}

static void a_child_of_a_claim_under_way_leaves_it_to_its_parent(void **state)
{
    (void)state;
    hold(CLAIM, true);
    serving = begin("k");
    wait_blocked(&script.asked[CLAIM], 1);
    assert_true(in_child(child_leaves_it_alone));
    assert_true(in_child(child_is_refused));
    hold(CLAIM, false);
    run_to(serving, NEAP_SERVING_RUN);
    neap_serving_free(serving);
    turn_until_idle();
}

static bool child_begins_what_its_parent_made(void)
{
    neap_serving_begin(serving);
    bool is_well = neap_serving_stage(serving) == NEAP_SERVING_PROBLEM;
    return child_leaves_it_alone() && is_well;
}

static void a_child_is_refused_what_its_parent_made(void **state)
{
    (void)state;
    serving = make("k");
    assert_true(in_child(child_begins_what_its_parent_made));
    neap_serving_free(serving);
}

static void a_child_of_what_is_owed_leaves_it_to_its_parent(void **state)
{
    (void)state;
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    serving = begin_handler("k");
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    assert_true(in_child(child_leaves_it_alone));
    neap_serving_free(serving);
    wait_turning(&script.done[FINISH], 3);
    fail_with(FINISH, NEAP_STORE_OK);
    turn_until_idle();
    expect_replay("k", "paid");
}

static void a_child_at_any_moment_of_a_renewal_leaves_it_alone(void **state)
{
    (void)state;
    setup.policy.lease_ns = 3 * NEAP_MS;
    serving = begin_handler("k");
    for (int i = 0; i < 40; i++) {
        wait_blocked(&script.asked[RENEW], i);
        assert_true(in_child(child_leaves_it_alone));
    }
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
}

static struct neap_tie *tie;

static bool child_ends_the_tie(void)
{
    int before = steps();
    neap_tie_end(tie);
    neap_tie_release(tie);
    return child_leaves_it_alone() && steps() == before;
}

static void a_tie_that_ends_in_a_child_is_not_the_parents(void **state)
{
    (void)state;
    assert_int_equal(neap_tie_new(&memory.alloc, &tie), NEAP_OK);
    serving = begin_unseen("k");
    neap_serving_tie(serving, tie);
    assert_true(in_child(child_ends_the_tie));
    run_to(serving, NEAP_SERVING_RUN);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    neap_tie_release(tie);
}

/* The clock and the timers of a virtual engine are the child's own. */
static bool child_frees_and_turns(void)
{
    int before = steps();
    neap_serving_free(serving);
    bool turned = neap_engine_turn(engine, NEAP_NEVER);
    return !turned && steps() == before;
}

static void a_child_frees_one_of_a_virtual_engine(void **state)
{
    (void)state;
    serving = begin_handler("k");
    assert_true(in_child(child_frees_and_turns));
    neap_serving_free(serving);
    serving = begin("other");
    assert_true(in_child(child_frees_and_turns));
    neap_serving_free(serving);
}

/* ------------------------------------------------------------------------------- exit */

static bool exit_in_handler(void)
{
    setup.policy.lease_ns = 3 * NEAP_MS;
    struct neap_serving *begun[] = {begin_handler("k"), begin_handler("l"), begin("m")};
    wait_blocked(&script.done[RENEW], 5);
    exit(begun[0] ? 0 : 1);
}

static bool exit_owing(void)
{
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    serving = begin_handler("k");
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    begin("l");
    exit(0);
}

/* As a program that closes its Lua state at exit, when the thread has ended already. */
static bool closes_at_exit;

static void at_exit(void)
{
    if (!closes_at_exit)
        return;
    neap_serving_free(serving);
    release_desk();
    if (script.freed != 1 || engine->busy != 0 || engine->references != 1)
        _exit(script.freed != 1 ? 3 : engine->busy != 0 ? 4 : 5);
}

static bool exit_and_close_in_handler(void)
{
    closes_at_exit = true;
    serving = begin_handler("k");
    exit(0);
}

static bool exit_and_close_unseen(void)
{
    closes_at_exit = true;
    serving = begin_unseen("k");
    exit(0);
}

static bool exit_and_close_with_a_claim_out(void)
{
    closes_at_exit = true;
    serving = begin("k");
    exit(0);
}

static bool exit_and_close_owing(void)
{
    closes_at_exit = true;
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    serving = begin_handler("k");
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    exit(0);
}

static void the_process_may_exit_at_any_point(void **state)
{
    static bool (*const ways[])(void) = {
        exit_in_handler,       exit_owing,           exit_and_close_in_handler,
        exit_and_close_unseen, exit_and_close_owing, exit_and_close_with_a_claim_out};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        for (int round = 0; round < 5; round++)
            if (!in_child(ways[i]))
                fail_msg("way %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_process_may_exit_at_any_point),
        TEST(each_allocation_of_a_life_may_fail),
        TEST(each_allocation_of_one_that_waits_may_fail),
        TEST(each_allocation_of_one_that_owes_may_fail),
        TEST(without_a_thread_or_descriptors_a_request_is_refused_and_the_next_one_served),
        TEST(a_result_that_cannot_be_read_is_a_problem_that_says_so),
        SQLITE_TEST(a_result_that_cannot_be_read_is_a_problem_that_says_so),
        VIRTUAL_TEST(on_a_virtual_engine_all_is_done_at_once),
        VIRTUAL_TEST(there_the_lease_is_renewed_by_the_virtual_clock),
        VIRTUAL_TEST(there_what_is_owed_ends_with_the_serving),
        VIRTUAL_TEST(there_one_that_nobody_has_looked_at_lets_go_of_the_key),
        VIRTUAL_TEST(there_one_that_waits_for_another_waits_by_the_virtual_clock),
        TEST(a_child_of_a_handler_leaves_the_store_to_its_parent),
        SQLITE_TEST(a_child_of_a_handler_leaves_the_store_to_its_parent),
        TEST(a_child_frees_one_that_was_not_looked_at_without_letting_go_of_the_key),
        TEST(a_child_of_a_claim_under_way_leaves_it_to_its_parent),
        TEST(a_child_is_refused_what_its_parent_made),
        TEST(a_child_of_what_is_owed_leaves_it_to_its_parent),
        TEST(a_child_at_any_moment_of_a_renewal_leaves_it_alone),
        SQLITE_TEST(a_child_at_any_moment_of_a_renewal_leaves_it_alone),
        TEST(a_tie_that_ends_in_a_child_is_not_the_parents),
        VIRTUAL_TEST(a_child_frees_one_of_a_virtual_engine),
    };
    atexit(at_exit);
    return cmocka_run_group_tests(tests, NULL, tear_down_all);
}
