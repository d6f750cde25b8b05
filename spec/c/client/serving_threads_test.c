#include "client/serving_fixture.h"

/* ------------------------------------------------------------------------------- stages */

static void a_new_key_runs_its_handler_and_is_replayed(void **state)
{
    (void)state;
    struct neap_serving *serving = begin_handler("k");
    assert_false(neap_serving_is_recovered(serving));
    assert_key("k", NEAP_CLAIM_RUNNING);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    expect_replay("k", "paid");
    expect_replay("k", "paid");
    assert_int_equal(script.done[FINISH], 1);
}

static void what_needs_no_store_needs_no_thread(void **state)
{
    (void)state;
    setup.guarded = false;
    struct neap_serving *serving = begin("k");
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_PASS);
    neap_serving_free(serving);
    setup.guarded = true;
    setup.fault = NEAP_KEY_FAULT_MISSING;
    serving = begin("");
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_KEY);
    neap_serving_free(serving);
    assert_int_equal(open_descriptors(), descriptors + 1); /* the engine's epoll */
}

static void a_key_that_another_has_is_a_conflict(void **state)
{
    (void)state;
    occupy("k");
    expect_problem("k", NEAP_PROBLEM_CONFLICT);
    setup.fingerprint[0] = 1;
    expect_problem("k", NEAP_PROBLEM_OTHER_WORK);
}

static void one_that_waits_is_replayed_when_the_first_ends(void **state)
{
    (void)state;
    struct neap_serving *first = begin_handler("k");
    setup.policy.on_conflict = NEAP_ON_CONFLICT_WAIT;
    struct neap_serving *second = begin("k");
    wait_blocked(&script.done[CLAIM], 3);
    assert_int_equal(neap_serving_stage(second), NEAP_SERVING_WAITS);
    answer_with(first, "paid");
    run_to(first, NEAP_SERVING_ANSWER);
    run_to(second, NEAP_SERVING_REPLAY);
    neap_serving_free(first);
    neap_serving_free(second);
}

static void one_that_waits_runs_when_the_key_is_let_go_of(void **state)
{
    (void)state;
    setup.policy.on_conflict = NEAP_ON_CONFLICT_WAIT;
    occupy("k");
    struct neap_serving *serving = begin("k");
    wait_blocked(&script.done[CLAIM], 2);
    let_go("k");
    run_to(serving, NEAP_SERVING_RUN);
    raise_in_handler(serving);
    run_to(serving, NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_RAISED);
    neap_serving_free(serving);
    assert_key("k", NEAP_CLAIM_DONE);
}

static void many_keys_at_once(void **state)
{
    struct neap_serving *serving[40];
    char key[16];
    (void)state;
    setup.policy.lease_ns = SHORT_NS;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        serving[i] = begin(key);
    }
    for (int i = 0; i < 40; i++)
        run_to(serving[i], NEAP_SERVING_RUN);
    wait_blocked(&script.done[RENEW], 80);
    for (int i = 0; i < 40; i += 2)
        answer_with(serving[i], "paid");
    for (int i = 0; i < 40; i++)
        if (i % 2 == 0)
            run_to(serving[i], NEAP_SERVING_ANSWER);
    for (int i = 0; i < 40; i++)
        neap_serving_free(serving[i]);
    turn_until_idle();
    assert_int_equal(script.done[FINISH], 20);
}

/* ------------------------------------------------------------------------------- the lease */

static void wait_out(int64_t length_ns)
{
    int64_t end_ns = neap_clock_monotonic_ns() + length_ns;
    while (neap_clock_monotonic_ns() < end_ns)
        usleep_a_little();
}

static void it_is_renewed_while_the_owner_blocks(void **state)
{
    (void)state;
    setup.policy.lease_ns = SHORT_NS;
    struct neap_serving *serving = begin_handler("k");
    wait_blocked(&script.done[RENEW], 5);
    assert_key("k", NEAP_CLAIM_RUNNING);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    expect_replay("k", "paid");
}

static void wait_until_free(const char *key)
{
    int64_t end_ns = neap_clock_monotonic_ns() + WAIT_NS;
    struct neap_claim claim = look_at(key);
    while (claim.state == NEAP_CLAIM_RUNNING) {
        assert_true(neap_clock_monotonic_ns() < end_ns);
        usleep_a_little();
        claim = look_at(key);
    }
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
    assert_true(claim.recovered);
}

static void after_max_run_the_key_is_anothers_and_the_late_answer_only_its_callers(void **state)
{
    (void)state;
    setup.policy.lease_ns = SHORT_NS;
    setup.policy.max_run_ns = 2 * SHORT_NS;
    struct neap_serving *late = begin_handler("k");
    wait_until_free("k");
    setup.policy.max_run_ns = LONG_NS;
    serve("k", "of the other");
    answer_with(late, "late");
    run_to(late, NEAP_SERVING_ANSWER);
    neap_serving_free(late);
    expect_replay("k", "of the other");
}

static void a_claim_slower_than_its_lease_is_renewed_before_the_handler_begins(void **state)
{
    (void)state;
    setup.policy.lease_ns = SHORT_NS;
    hold(CLAIM, true);
    struct neap_serving *serving = begin("k");
    wait_out(SHORT_NS);
    hold(CLAIM, false);
    run_to(serving, NEAP_SERVING_RUN);
    assert_true(script.done[RENEW] >= 1);
    assert_key("k", NEAP_CLAIM_RUNNING);
    neap_serving_free(serving);
}

static void expect_refusal(const char *message)
{
    struct neap_serving *serving = begin("k");
    run_to(serving, NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_STORE_DOWN);
    assert_string_equal(neap_serving_message(serving), message);
    neap_serving_free(serving);
}

/* Who came before the store was found down has waited for it; each might wait as long once more. */
static void what_waits_behind_a_step_that_fails_fails_with_it(void **state)
{
    struct neap_serving *servings[20];
    (void)state;
    hold(CLAIM, true);
    fail_with(CLAIM, NEAP_STORE_UNAVAILABLE);
    for (int i = 0; i < 20; i++)
        servings[i] = begin("k");
    wait_blocked(&script.asked[CLAIM], 1);
    wait_out(2 * NEAP_MS);
    hold(CLAIM, false);
    for (int i = 0; i < 20; i++) {
        run_to(servings[i], NEAP_SERVING_PROBLEM);
        assert_int_equal(neap_serving_problem(servings[i]), NEAP_PROBLEM_STORE_DOWN);
        assert_string_equal(neap_serving_message(servings[i]), "down today");
        neap_serving_free(servings[i]);
    }
    assert_int_equal(script.asked[CLAIM], 1);
    expect_problem("k", NEAP_PROBLEM_STORE_DOWN); /* who comes later asks anew */
    assert_int_equal(script.asked[CLAIM], 2);
    fail_with(CLAIM, NEAP_STORE_OK);
    serve("k", "paid");
}

static void a_claim_slower_than_max_run_is_refused(void **state)
{
    (void)state;
    setup.policy.lease_ns = setup.policy.max_run_ns = NEAP_MS;
    hold(CLAIM, true);
    struct neap_serving *serving = begin("k");
    wait_out(2 * NEAP_MS);
    hold(CLAIM, false);
    run_to(serving, NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_STORE_DOWN);
    assert_string_not_equal(neap_serving_message(serving), "");
    neap_serving_free(serving);
}

/* ------------------------------------------------------------------------------- a store that
 * fails
 */

static void a_store_that_cannot_claim_refuses_and_says_why(void **state)
{
    (void)state;
    fail_with(CLAIM, NEAP_STORE_UNAVAILABLE);
    expect_refusal("down today");
    fail_with(CLAIM, NEAP_STORE_FULL);
    expect_refusal("the store has no room");
    fail_with(CLAIM, NEAP_STORE_NO_MEMORY);
    expect_refusal("not enough memory");
    fail_with(CLAIM, NEAP_STORE_INVALID);
    expect_refusal("the clock says that it is before 1970");
    fail_with(CLAIM, NEAP_STORE_OK);
    serve("k", "paid");
}

static void one_that_cannot_renew_is_asked_again(void **state)
{
    (void)state;
    setup.policy.lease_ns = 4 * SHORT_NS;
    fail_with(RENEW, NEAP_STORE_UNAVAILABLE);
    struct neap_serving *serving = begin_handler("k");
    wait_blocked(&script.done[RENEW], 2);
    fail_with(RENEW, NEAP_STORE_OK);
    wait_blocked(&script.done[RENEW], 4);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    expect_replay("k", "paid");
}

static void one_that_says_that_the_claim_is_lost_is_not_told_the_answer(void **state)
{
    (void)state;
    setup.policy.lease_ns = SHORT_NS;
    fail_with(RENEW, NEAP_STORE_LOST);
    struct neap_serving *serving = begin_handler("k");
    wait_blocked(&script.done[RENEW], 1);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    turn_until_idle();
    assert_int_equal(script.asked[RENEW], 1);
    assert_int_equal(script.asked[FINISH], 0);
}

/* The caller has its answer; the store knows nothing of it. */
static struct neap_serving *owing(const char *key)
{
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    struct neap_serving *serving = begin_handler(key);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    assert_true(script.done[FINISH] >= 1);
    return serving;
}

static void what_cannot_be_stored_is_answered_at_once_and_stored_later(void **state)
{
    (void)state;
    struct neap_serving *serving = owing("k");
    neap_serving_free(serving);
    wait_turning(&script.done[FINISH], 4);
    assert_key("k", NEAP_CLAIM_RUNNING);
    fail_with(FINISH, NEAP_STORE_OK);
    turn_until_idle();
    expect_replay("k", "paid");
}

static void it_is_stored_too_while_the_caller_keeps_the_serving(void **state)
{
    (void)state;
    struct neap_serving *serving = owing("k");
    fail_with(FINISH, NEAP_STORE_OK);
    int before = script.done[FINISH];
    wait_blocked(&script.done[FINISH], before + 1);
    neap_serving_free(serving);
    turn_until_idle();
    expect_replay("k", "paid");
}

static void it_is_tried_as_long_as_the_lease_lasts(void **state)
{
    (void)state;
    setup.policy.lease_ns = SHORT_NS;
    struct neap_serving *serving = owing("k");
    neap_serving_free(serving);
    turn_until_idle();
    wait_until_free("k");
}

static void a_step_whose_success_was_lost_is_not_done_twice(void **state)
{
    (void)state;
    atomic_store(&script.after[FINISH], true);
    struct neap_serving *serving = owing("k");
    neap_serving_free(serving);
    assert_key("k", NEAP_CLAIM_DONE);
    fail_with(FINISH, NEAP_STORE_OK);
    turn_until_idle();
    expect_replay("k", "paid");
}

static void an_answer_without_room_leaves_a_short_one(void **state)
{
    (void)state;
    fail_with(FINISH, NEAP_STORE_FULL);
    struct neap_serving *serving = begin_handler("k");
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    assert_true(script.done[FINISH] >= 2);
    neap_serving_free(serving);
    fail_with(FINISH, NEAP_STORE_OK);
    turn_until_idle();
    struct neap_serving *later = begin("k");
    run_to(later, NEAP_SERVING_REPLAY);
    assert_int_equal(neap_serving_replay(later)->status, 500);
    neap_serving_free(later);
}

static void a_key_that_cannot_be_released_is_released_later(void **state)
{
    (void)state;
    setup.policy.on_error = NEAP_ON_ERROR_RELEASE;
    fail_with(RELEASE, NEAP_STORE_UNAVAILABLE);
    struct neap_serving *serving = begin_handler("k");
    raise_in_handler(serving);
    run_to(serving, NEAP_SERVING_PROBLEM);
    assert_key("k", NEAP_CLAIM_RUNNING);
    neap_serving_free(serving);
    wait_turning(&script.done[RELEASE], 3);
    fail_with(RELEASE, NEAP_STORE_OK);
    turn_until_idle();
    assert_key("k", NEAP_CLAIM_NEW);
}

/* For ThreadSanitizer: what the owner may read, while the thread tries again and again. */
static void the_owner_may_look_while_the_thread_tries(void **state)
{
    (void)state;
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    struct neap_serving *serving = begin_handler("k");
    raise_in_handler(serving);
    run_to(serving, NEAP_SERVING_PROBLEM);
    while (script.done[FINISH] < 5) {
        assert_string_equal(neap_serving_message(serving), "");
        assert_int_equal(neap_serving_problem(serving), NEAP_PROBLEM_RAISED);
        assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_PROBLEM);
        assert_false(neap_serving_is_recovered(serving));
        assert_false(neap_serving_owes(serving));
        assert_int_equal(neap_serving_next_wakeup(serving), NEAP_NEVER);
    }
    neap_serving_free(serving);
}

/* ------------------------------------------------------------------------------- freed early */

static void one_that_was_not_begun_leaves_nothing(void **state)
{
    (void)state;
    neap_serving_free(make("k"));
    neap_serving_free(NULL);
    assert_int_equal(script.asked[CLAIM], 0);
}

static void one_whose_claim_is_out_lets_go_of_the_key(void **state)
{
    (void)state;
    hold(CLAIM, true);
    struct neap_serving *serving = begin("k");
    wait_blocked(&script.asked[CLAIM], 1);
    neap_serving_free(serving);
    hold(CLAIM, false);
    turn_until_idle();
    assert_int_equal(script.done[RELEASE], 1);
    assert_key("k", NEAP_CLAIM_NEW);
}

static void one_whose_claim_has_not_begun_makes_none(void **state)
{
    (void)state;
    hold(CLAIM, true);
    struct neap_serving *first = begin("first"), *second = begin("second");
    wait_blocked(&script.asked[CLAIM], 1);
    neap_serving_free(second);
    hold(CLAIM, false);
    run_to(first, NEAP_SERVING_RUN);
    neap_serving_free(first);
    turn_until_idle();
    assert_int_equal(script.asked[CLAIM], 1);
}

static void one_that_nobody_has_looked_at_lets_go_of_the_key(void **state)
{
    (void)state;
    neap_serving_free(begin_unseen("k"));
    turn_until_idle();
    assert_key("k", NEAP_CLAIM_NEW);
}

static void one_in_the_handler_leaves_the_key_to_its_lease(void **state)
{
    (void)state;
    setup.policy.lease_ns = 2 * SHORT_NS;
    struct neap_serving *serving = begin_handler("k");
    wait_blocked(&script.done[RENEW], 1);
    neap_serving_free(serving);
    turn_until_idle();
    assert_key("k", NEAP_CLAIM_RUNNING);
    wait_until_free("k");
    assert_int_equal(script.asked[RELEASE], 0);
}

static void one_whose_answer_is_on_its_way_has_it_stored(void **state)
{
    (void)state;
    hold(FINISH, true);
    struct neap_serving *serving = begin_handler("k");
    answer_with(serving, "paid");
    wait_blocked(&script.asked[FINISH], 1);
    neap_serving_free(serving);
    hold(FINISH, false);
    turn_until_idle();
    expect_replay("k", "paid");
}

static void one_whose_answer_cannot_be_stored_yet_has_it_stored_later(void **state)
{
    (void)state;
    hold(FINISH, true);
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    struct neap_serving *serving = begin_handler("k");
    answer_with(serving, "paid");
    neap_serving_free(serving);
    hold(FINISH, false);
    wait_turning(&script.done[FINISH], 3);
    fail_with(FINISH, NEAP_STORE_OK);
    turn_until_idle();
    expect_replay("k", "paid");
}

static void one_that_waits_for_another_stops_asking(void **state)
{
    (void)state;
    setup.policy.on_conflict = NEAP_ON_CONFLICT_WAIT;
    occupy("k");
    struct neap_serving *serving = begin("k");
    wait_blocked(&script.done[CLAIM], 2);
    neap_serving_free(serving);
    turn_until_idle();
    let_go("k");
    assert_key("k", NEAP_CLAIM_NEW);
}

static void one_that_was_refused_or_replayed_leaves_nothing(void **state)
{
    (void)state;
    serve("k", "paid");
    neap_serving_free(begin_unseen("k"));
    occupy("other");
    neap_serving_free(begin_unseen("other"));
    assert_int_equal(engine->busy, 0);
}

static void a_handler_that_ends_twice_or_was_never_begun_changes_nothing(void **state)
{
    (void)state;
    struct neap_serving *serving = make("k");
    answer_with(serving, "too early");
    neap_serving_begin(serving);
    answer_with(serving, "too early");
    run_to(serving, NEAP_SERVING_RUN);
    answer_with(serving, "paid");
    answer_with(serving, "again");
    run_to(serving, NEAP_SERVING_ANSWER);
    answer_with(serving, "again");
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    expect_replay("k", "paid");
}

/* ------------------------------------------------------------------------------- ties */

static struct neap_tie *tie;

static void open_tie(void)
{
    assert_int_equal(neap_tie_new(&memory.alloc, &tie), NEAP_OK);
}

static struct neap_serving *begin_tied(const char *key)
{
    struct neap_serving *serving = make(key);
    neap_serving_tie(serving, tie);
    neap_serving_begin(serving);
    return serving;
}

/* What was tied tells nothing any more, and is not heard any more. */
static void end_tie(struct neap_serving *serving)
{
    neap_tie_end(tie);
    neap_tie_release(tie);
    hold(CLAIM, false);
    hold(FINISH, false);
    answer_with(serving, "after the end");
    turn_until_idle();
    assert_int_equal(neap_serving_stage(serving), NEAP_SERVING_WAITS);
    assert_false(neap_serving_run(serving));
    assert_null(neap_engine_take_ready(engine));
    neap_serving_free(serving);
    turn_until_idle();
}

static void a_tie_that_ends_before_the_claim_leaves_nothing(void **state)
{
    (void)state;
    open_tie();
    struct neap_serving *serving = make("k");
    neap_serving_tie(serving, tie);
    end_tie(serving);
    assert_key("k", NEAP_CLAIM_NEW);
}

static void one_that_ends_during_the_claim_lets_go_of_the_key(void **state)
{
    (void)state;
    open_tie();
    hold(CLAIM, true);
    struct neap_serving *serving = begin_tied("k");
    wait_blocked(&script.asked[CLAIM], 1);
    end_tie(serving);
    assert_key("k", NEAP_CLAIM_NEW);
}

static void one_that_ends_before_the_handler_lets_go_of_the_key(void **state)
{
    (void)state;
    open_tie();
    struct neap_serving *serving = begin_tied("k");
    assert_true(neap_serving_run(serving));
    neap_tie_end(tie);
    neap_tie_release(tie);
    turn_until_idle();
    neap_serving_free(serving);
    assert_key("k", NEAP_CLAIM_NEW);
}

static void one_that_ends_in_the_handler_leaves_the_key_to_its_lease(void **state)
{
    (void)state;
    open_tie();
    setup.policy.lease_ns = SHORT_NS;
    struct neap_serving *serving = begin_tied("k");
    run_to(serving, NEAP_SERVING_RUN);
    end_tie(serving);
    wait_until_free("k");
    assert_int_equal(script.asked[FINISH], 0);
}

static void one_that_ends_while_the_answer_is_stored_has_it_stored(void **state)
{
    (void)state;
    open_tie();
    hold(FINISH, true);
    struct neap_serving *serving = begin_tied("k");
    run_to(serving, NEAP_SERVING_RUN);
    answer_with(serving, "paid");
    wait_blocked(&script.asked[FINISH], 1);
    end_tie(serving);
    expect_replay("k", "paid");
}

static void one_that_ends_while_the_answer_is_owed_has_it_stored(void **state)
{
    (void)state;
    open_tie();
    fail_with(FINISH, NEAP_STORE_UNAVAILABLE);
    struct neap_serving *serving = begin_tied("k");
    run_to(serving, NEAP_SERVING_RUN);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_tie_end(tie);
    neap_tie_release(tie);
    wait_turning(&script.done[FINISH], 3);
    fail_with(FINISH, NEAP_STORE_OK);
    turn_until_idle();
    neap_serving_free(serving);
    expect_replay("k", "paid");
}

static void one_that_ends_while_it_waits_for_another_stops_asking(void **state)
{
    (void)state;
    open_tie();
    setup.policy.on_conflict = NEAP_ON_CONFLICT_WAIT;
    occupy("k");
    struct neap_serving *serving = begin_tied("k");
    wait_blocked(&script.done[CLAIM], 2);
    end_tie(serving);
    let_go("k");
    assert_key("k", NEAP_CLAIM_NEW);
}

static void one_that_has_ended_gives_up_what_is_tied_to_it(void **state)
{
    (void)state;
    open_tie();
    neap_tie_end(tie);
    struct neap_serving *serving = begin_tied("k");
    turn_until_idle();
    assert_false(neap_serving_run(serving));
    neap_tie_release(tie);
    neap_serving_free(serving);
    assert_int_equal(script.asked[CLAIM], 0);
}

/* ------------------------------------------------------------------------------- the desk's end */

static void a_serving_keeps_the_desk(void **state)
{
    (void)state;
    struct neap_serving *serving = begin_handler("k");
    struct neap_desk *kept = neap_desk_hold(desk);
    neap_desk_release(kept);
    answer_with(serving, "paid");
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
    expect_replay("k", "paid");
}

static void what_is_out_when_the_desk_goes_is_done(void **state)
{
    (void)state;
    hold(CLAIM, true);
    struct neap_serving *claims = begin("claims");
    wait_blocked(&script.asked[CLAIM], 1);
    neap_serving_free(claims);
    neap_serving_free(begin("never"));
    hold(CLAIM, false);
    release_desk();
    assert_int_equal(script.asked[CLAIM], 1);
    assert_int_equal(script.done[RELEASE], 1);
    assert_int_equal(engine->busy, 0);
    open_desk(&store_kinds[0]);
    script.freed = 0;
}

static void what_is_owed_when_the_desk_goes_is_tried_a_last_time(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct neap_serving *serving = owing(i == 0 ? "told to end" : "k");
        neap_serving_free(serving);
        if (i == 0)
            wait_turning(&script.done[FINISH], 3); /* the thread has been asked to forget it */
    }
    hold(FINISH, true); /* the thread is not quicker than the end */
    int before = script.asked[FINISH];
    wait_blocked(&script.asked[FINISH], before + 1);
    hold(FINISH, false);
    release_desk();
    assert_true(script.asked_here >= 1);
    assert_int_equal(script.freed, 1);
    assert_int_equal(engine->busy, 0);
    open_desk(&store_kinds[0]);
    script.freed = 0;
}

/* A store that waits for a network each time would hold the end up for as many times. */
static void a_store_that_stays_down_is_asked_once_for_all_when_the_desk_goes(void **state)
{
    char key[16];
    (void)state;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        neap_serving_free(owing(key));
    }
    release_desk();
    assert_int_equal(script.asked_here, 1);
    assert_int_equal(engine->busy, 0);
    open_desk(&store_kinds[0]);
    script.freed = 0;
}

/* Nobody has it any more but what is owed. */
static void a_desk_stays_for_what_is_owed_as_long_as_the_host_goes_on(void **state)
{
    (void)state;
    struct neap_serving *serving = owing("k");
    neap_desk_release(desk);
    neap_serving_free(serving);
    wait_turning(&script.done[FINISH], 3);
    assert_int_equal(script.freed, 0);
    fail_with(FINISH, NEAP_STORE_OK);
    turn_until_idle();
    assert_int_equal(script.freed, 1);
    assert_int_equal(script.asked_here, 0);
    open_desk(&store_kinds[0]);
    script.freed = 0;
}

static void the_last_serving_may_be_the_desks_end(void **state)
{
    (void)state;
    struct neap_serving *handled = begin_handler("k"), *unseen = begin_unseen("other");
    struct neap_serving *owes = owing("third");
    neap_desk_release(desk);
    neap_serving_free(handled);
    neap_serving_free(unseen);
    neap_serving_free(owes);
    assert_int_equal(script.freed, 0);
    neap_engine_desert(engine);
    assert_int_equal(script.freed, 1);
    assert_int_equal(engine->busy, 0);
    open_desk(&store_kinds[0]);
    script.freed = 0;
}

/* ------------------------------------------------------------------------------- another engine */

/* While an errand of another engine is out nothing can be sent to the thread. */
static void an_answer_that_cannot_be_sent_is_the_callers_at_once(void **state)
{
    struct neap_engine *first = engine, *second;
    (void)state;
    setup.policy.lease_ns = SHORT_NS;
    struct neap_serving *stuck = begin_handler("stuck"), *seen = begin_handler("seen");
    struct neap_serving *unseen = begin_unseen("unseen");
    assert_int_equal(neap_engine_new(&memory.alloc, &second), NEAP_OK);
    engine = second;
    hold(CLAIM, true);
    struct neap_serving *other = begin("other");
    wait_blocked(&script.asked[CLAIM], 4);
    answer_with(stuck, "paid");
    assert_int_equal(neap_serving_stage(stuck), NEAP_SERVING_ANSWER);
    neap_serving_free(stuck);
    neap_serving_free(seen);
    neap_serving_free(unseen);
    hold(CLAIM, false);
    run_to(other, NEAP_SERVING_RUN);
    int renewals = script.done[RENEW];
    wait_blocked(&script.done[RENEW], renewals + 6); /* the other's */
    assert_key("stuck", NEAP_CLAIM_NEW);
    answer_with(other, "paid");
    run_to(other, NEAP_SERVING_ANSWER);
    neap_serving_free(other);
    release_desk();
    engine = first;
    neap_engine_release(second);
    assert_int_equal(engine->references, 1);
    open_desk(&store_kinds[0]);
    script.freed = 0;
}

/* It is told to the store all the same, and its memory comes back with the desk's. */
static void what_is_owed_by_one_that_cannot_be_called_off_is_stored(void **state)
{
    struct neap_engine *first = engine, *second;
    (void)state;
    struct neap_serving *owes = owing("k");
    assert_int_equal(neap_engine_new(&memory.alloc, &second), NEAP_OK);
    engine = second;
    hold(CLAIM, true);
    struct neap_serving *other = begin("other");
    neap_serving_free(owes);
    hold(CLAIM, false);
    run_to(other, NEAP_SERVING_RUN);
    fail_with(FINISH, NEAP_STORE_OK);
    int before = script.done[FINISH];
    wait_blocked(&script.done[FINISH], before + 1);
    expect_replay("k", "paid");
    neap_serving_free(other);
    turn_until_idle();
    release_desk();
    engine = first;
    neap_engine_release(second);
    assert_int_equal(engine->references, 1);
    open_desk(&store_kinds[0]);
    script.freed = 0;
}

/* ------------------------------------------------------------------------------- any order */

#define LIVES 24
#define KEYS 60

static struct life {
    struct neap_serving *serving;
    struct neap_tie *tie;
    int key;
} lives[LIVES];
static bool seen[KEYS]; /* a handler was begun under that key */
static int handlers;

static void begin_life(struct life *life, struct neap_random *random)
{
    char key[16];
    life->key = (int)(neap_random_next(random) % KEYS);
    (void)snprintf(key, sizeof key, "k%d", life->key);
    setup.policy.on_conflict =
        neap_random_next(random) % 2 ? NEAP_ON_CONFLICT_WAIT : NEAP_ON_CONFLICT_REJECT;
    life->serving = make(key);
    assert_int_equal(neap_tie_new(&memory.alloc, &life->tie), NEAP_OK);
    neap_serving_tie(life->serving, life->tie);
    neap_serving_begin(life->serving);
}

static void end_life(struct life *life)
{
    neap_serving_free(life->serving);
    neap_tie_release(life->tie);
    *life = (struct life){0};
}

/* No lease ends during the test, so that a handler begins once for each key. */
static void look(struct life *life, bool answers)
{
    if (neap_serving_stage(life->serving) != NEAP_SERVING_RUN)
        return;
    assert_false(seen[life->key]);
    assert_false(neap_serving_is_recovered(life->serving));
    seen[life->key] = true;
    handlers++;
    if (answers)
        answer_with(life->serving, "paid");
    else
        raise_in_handler(life->serving);
}

static void do_anything(struct life *life, struct neap_random *random)
{
    static const enum neap_store_status statuses[] = {NEAP_STORE_OK, NEAP_STORE_OK,
                                                      NEAP_STORE_UNAVAILABLE, NEAP_STORE_NO_MEMORY};
    uint64_t choice = neap_random_next(random) % 16;
    if (choice == 0)
        end_life(life);
    else if (choice == 1)
        neap_tie_end(life->tie);
    else if (choice == 2)
        fail_with((enum op)(neap_random_next(random) % OPS),
                  statuses[neap_random_next(random) % 4]);
    else if (choice < 8)
        look(life, choice < 7);
    else
        neap_engine_turn(engine, neap_clock_monotonic_ns() + (int64_t)(choice % 3) * 100000);
}

static void in_any_order_a_handler_begins_once_and_nothing_is_left(void **state)
{
    struct neap_random random;
    (void)state;
    neap_random_init(&random, 7);
    memset(seen, 0, sizeof seen);
    handlers = 0;
    for (int i = 0; i < 6000; i++) {
        struct life *life = &lives[neap_random_next(&random) % LIVES];
        if (!life->serving)
            begin_life(life, &random);
        else
            do_anything(life, &random);
    }
    for (int op = 0; op < OPS; op++)
        fail_with((enum op)op, NEAP_STORE_OK);
    for (int i = 0; i < LIVES; i++)
        if (lives[i].serving)
            end_life(&lives[i]);
    turn_until_idle();
    assert_in_range(handlers, KEYS / 3, KEYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_key_runs_its_handler_and_is_replayed),
        SQLITE_TEST(a_new_key_runs_its_handler_and_is_replayed),
        TEST(what_needs_no_store_needs_no_thread),
        TEST(a_key_that_another_has_is_a_conflict),
        TEST(one_that_waits_is_replayed_when_the_first_ends),
        SQLITE_TEST(one_that_waits_is_replayed_when_the_first_ends),
        TEST(one_that_waits_runs_when_the_key_is_let_go_of),
        TEST(many_keys_at_once),
        TEST(it_is_renewed_while_the_owner_blocks),
        SQLITE_TEST(it_is_renewed_while_the_owner_blocks),
        TEST(after_max_run_the_key_is_anothers_and_the_late_answer_only_its_callers),
        SQLITE_TEST(after_max_run_the_key_is_anothers_and_the_late_answer_only_its_callers),
        TEST(a_claim_slower_than_its_lease_is_renewed_before_the_handler_begins),
        TEST(what_waits_behind_a_step_that_fails_fails_with_it),
        TEST(a_claim_slower_than_max_run_is_refused),
        TEST(a_store_that_cannot_claim_refuses_and_says_why),
        TEST(one_that_cannot_renew_is_asked_again),
        TEST(one_that_says_that_the_claim_is_lost_is_not_told_the_answer),
        TEST(what_cannot_be_stored_is_answered_at_once_and_stored_later),
        SQLITE_TEST(what_cannot_be_stored_is_answered_at_once_and_stored_later),
        TEST(it_is_stored_too_while_the_caller_keeps_the_serving),
        TEST(it_is_tried_as_long_as_the_lease_lasts),
        TEST(a_step_whose_success_was_lost_is_not_done_twice),
        TEST(an_answer_without_room_leaves_a_short_one),
        TEST(a_key_that_cannot_be_released_is_released_later),
        TEST(the_owner_may_look_while_the_thread_tries),
        TEST(one_that_was_not_begun_leaves_nothing),
        TEST(one_whose_claim_is_out_lets_go_of_the_key),
        TEST(one_whose_claim_has_not_begun_makes_none),
        TEST(one_that_nobody_has_looked_at_lets_go_of_the_key),
        TEST(one_in_the_handler_leaves_the_key_to_its_lease),
        TEST(one_whose_answer_is_on_its_way_has_it_stored),
        TEST(one_whose_answer_cannot_be_stored_yet_has_it_stored_later),
        TEST(one_that_waits_for_another_stops_asking),
        TEST(one_that_was_refused_or_replayed_leaves_nothing),
        TEST(a_handler_that_ends_twice_or_was_never_begun_changes_nothing),
        TEST(a_tie_that_ends_before_the_claim_leaves_nothing),
        TEST(one_that_ends_during_the_claim_lets_go_of_the_key),
        TEST(one_that_ends_before_the_handler_lets_go_of_the_key),
        TEST(one_that_ends_in_the_handler_leaves_the_key_to_its_lease),
        TEST(one_that_ends_while_the_answer_is_stored_has_it_stored),
        TEST(one_that_ends_while_the_answer_is_owed_has_it_stored),
        TEST(one_that_ends_while_it_waits_for_another_stops_asking),
        TEST(one_that_has_ended_gives_up_what_is_tied_to_it),
        TEST(a_serving_keeps_the_desk),
        TEST(what_is_out_when_the_desk_goes_is_done),
        TEST(what_is_owed_when_the_desk_goes_is_tried_a_last_time),
        TEST(a_store_that_stays_down_is_asked_once_for_all_when_the_desk_goes),
        TEST(a_desk_stays_for_what_is_owed_as_long_as_the_host_goes_on),
        TEST(the_last_serving_may_be_the_desks_end),
        TEST(an_answer_that_cannot_be_sent_is_the_callers_at_once),
        TEST(what_is_owed_by_one_that_cannot_be_called_off_is_stored),
        TEST(in_any_order_a_handler_begins_once_and_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down_all);
}
