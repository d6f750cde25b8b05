#include "client/desk_fixture.h"

/* ------------------------------------------------------------------------------- errands */

static void errands_run_and_come_back_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < ERRANDS; i++)
        send(&work[i]);
    assert_int_equal(engine->busy, ERRANDS);
    assert_true(turn_until_back(ERRANDS));
    for (int i = 0; i < ERRANDS; i++) {
        assert_int_equal(run_order[i], i);
        assert_int_equal(back_order[i], i);
    }
    assert_int_equal(runs_here, 0);
    assert_int_equal(engine->busy, 0);
    assert_false(neap_engine_turn(engine, 0));
}

static void nothing_ends_outside_of_a_turn(void **state)
{
    (void)state;
    send(&work[0]);
    while (runs < 1)
        usleep(100); /* between two looks */
    send(&work[1]);
    assert_int_equal(backs, 0);
    assert_true(turn_until_back(2));
}

static void one_that_is_back_may_send_another(void **state)
{
    (void)state;
    for (int i = 0; i + 1 < ERRANDS; i++)
        work[i].next = &work[i + 1];
    send(&work[0]);
    assert_true(turn_until_back(ERRANDS));
    assert_int_equal(back_order[ERRANDS - 1], ERRANDS - 1);
}

static void an_engine_with_nothing_out_waits_for_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        send(&work[i]);
        assert_true(turn_until_back(i + 1));
        assert_false(neap_engine_turn(engine, NEAP_NEVER));
    }
}

static _Atomic bool may_go_on;

static void run_when_told(struct neap_desk_errand *errand)
{
    while (!atomic_load(&may_go_on))
        usleep(100); /* between two looks */
    run(errand);
}

/* The thread finds all of them at once: when it looks next they have been sent. */
static void one_that_is_done_waits_for_none_behind_it(void **state)
{
    (void)state;
    atomic_store(&may_go_on, false);
    work[0].errand.run = run_when_told;
    work[3].errand.run = run_slowly;
    for (int i = 0; i < 5; i++)
        send(&work[i]);
    atomic_store(&may_go_on, true);
    assert_true(turn_until_back(3));
    assert_int_equal(runs, 3);
    atomic_store(&may_end, true);
    assert_true(turn_until_back(5));
}

/* Comes back after anything up to 60 microseconds: while the owner sends, looks, begins to wait. */
static void run_for_a_while(struct neap_desk_errand *errand)
{
    static _Thread_local int64_t length_ns;
    length_ns = (length_ns + 1237) % 60000;
    int64_t end_ns = neap_clock_monotonic_ns() + length_ns;
    while (neap_clock_monotonic_ns() < end_ns)
        continue;
    run(errand);
}

#define ROUNDS 10000

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    int sent = 0;
    for (int i = 0; i < 4; i++)
        work[i].errand.run = run_for_a_while;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 1 + round % 4; i++, sent++)
            send(&work[i]);
        assert_true(turn_until_back(sent));
    }
}

/* A wake-up that was lost would be made up for by the bell's heartbeat, on average a quarter of a
 * second late. The machine itself is allowed to be that late now and then. */
#define LATE_NS (150 * NEAP_MS)
#define LATE_MAX 3

static void no_wake_up_is_lost_to_who_waits_at_the_doorbell(void **state)
{
    (void)state;
    int visitor = wait_at_doorbell(), sent = 0, late = 0;
    for (int i = 0; i < 4; i++)
        work[i].errand.run = run_for_a_while;
    for (int round = 0; round < ROUNDS; round++) {
        int count = 1 + round % 4;
        for (int i = 0; i < count; i++, sent++)
            send(&work[i]);
        assert_true(listen_until_back(visitor, sent));
        late += neap_clock_monotonic_ns() - work[count - 1].returned_ns > LATE_NS;
    }
    assert_in_range(late, 0, LATE_MAX);
    close(visitor);
}

/* Two stores and the engine's own helper at one doorbell. */
static struct neap_desk *other;

static void return_to_helper(struct neap_errand *errand)
{
    neap_helper_return(engine->helper, errand);
}

static void note_back(struct neap_errand *errand)
{
    (void)errand;
    backs++;
}

static void others_may_ring_at_the_same_doorbell(void **state)
{
    (void)state;
    int visitor = wait_at_doorbell(), sent = 0, late = 0;
    struct neap_errand own = {.run = return_to_helper, .back = note_back};
    assert_int_equal(neap_desk_new(&memory.alloc, slow_store(), false, &other), NEAP_OK);
    assert_int_equal(neap_helper_start(engine->helper), NEAP_OK);
    work[0].errand.run = work[1].errand.run = run_for_a_while;
    for (int round = 0; round < ROUNDS / 4; round++) {
        send(&work[0]);
        assert_int_equal(neap_desk_send(other, engine, &work[1].errand), NEAP_OK);
        neap_helper_post(engine->helper, &own);
        sent += 3;
        assert_true(listen_until_back(visitor, sent));
        int64_t last_ns = neap_time_max(work[0].returned_ns, work[1].returned_ns);
        late += neap_clock_monotonic_ns() - last_ns > LATE_NS;
    }
    assert_in_range(late, 0, LATE_MAX);
    neap_desk_release(other);
    stores_freed--;
    close(visitor);
}

/* ------------------------------------------------------------------------------- its thread */

static void on_timer(struct neap_loop_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    run(&NEAP_OWNER(timer, struct work, timer)->errand);
}

static void run_later(struct neap_desk_errand *errand)
{
    struct work *later = work_of(errand);
    struct neap_loop *loop = neap_desk_loop(errand->desk);
    later->timer.fire = on_timer;
    if (neap_loop_set(loop, &later->timer, neap_time_add(neap_loop_now(loop), 2 * NEAP_MS)) !=
        NEAP_OK)
        run(errand);
}

static void an_errand_may_wait_on_the_loop_while_others_pass(void **state)
{
    (void)state;
    work[0].errand.run = run_later;
    send(&work[0]);
    send(&work[1]);
    assert_true(turn_until_back(2));
    assert_int_equal(back_order[0], 1);
    assert_int_equal(back_order[1], 0);
}

static int steps; /* guarded by the store's lock, as the sanitizer sees */

static void take_a_step(void)
{
    neap_desk_take(desk);
    steps++;
    neap_desk_give(desk);
}

static void run_with_store(struct neap_desk_errand *errand)
{
    take_a_step();
    run(errand);
}

static void who_does_not_mind_waiting_takes_the_store(void **state)
{
    (void)state;
    steps = 0;
    for (int i = 0; i < ERRANDS; i++) {
        work[i].errand.run = run_with_store;
        send(&work[i]);
        take_a_step();
    }
    assert_true(turn_until_back(ERRANDS));
    assert_int_equal(steps, 2 * ERRANDS);
}

/* The thread may still be about to tell the former host of what has ended there. */
static void it_goes_over_to_another_engine(void **state)
{
    (void)state;
    for (int round = 0; round < 500; round++) {
        struct neap_engine *former = engine;
        int visitor = wait_at_doorbell();
        send(&work[0]);
        backs = 0;
        assert_true(listen_until_back(visitor, 1));
        assert_int_equal(neap_engine_new(&memory.alloc, &engine), NEAP_OK);
        engine->wants_helper = true;
        send(&work[1]);
        neap_engine_release(former);
        close(visitor);
        backs = 0;
        visitor = wait_at_doorbell();
        assert_true(listen_until_back(visitor, 1));
        close(visitor);
    }
}

static void errands_out_for_another_engine_are_in_the_way(void **state)
{
    struct neap_engine *another;
    (void)state;
    assert_int_equal(neap_engine_new(&memory.alloc, &another), NEAP_OK);
    send(&work[0]);
    assert_int_equal(neap_desk_send(desk, another, &work[1].errand), NEAP_INVALID);
    assert_true(turn_until_back(1));
    assert_int_equal(neap_desk_send(desk, another, &work[1].errand), NEAP_OK);
    neap_engine_desert(another);
    release_desk();
    assert_int_equal(backs, 2);
    neap_engine_release(another);
}

/* ------------------------------------------------------------------------------- the end */

static void what_is_out_ends_before_the_desk_does(void **state)
{
    (void)state;
    for (int i = 0; i < ERRANDS; i++)
        send(&work[i]);
    release_desk();
    assert_int_equal(stores_freed, 0);
    assert_true(turn_until_back(ERRANDS));
    assert_int_equal(runs, ERRANDS);
    assert_int_equal(runs_here, 0);
    assert_int_equal(stores_freed, 1);
}

static void nobody_waits_for_a_step_under_way(void **state)
{
    (void)state;
    work[0].errand.run = run_slowly;
    send(&work[0]);
    send(&work[1]);
    wait_until_begun();
    release_desk();
    assert_int_equal(backs, 0);
    atomic_store(&may_end, true);
    assert_true(turn_until_back(2));
    assert_int_equal(stores_freed, 1);
}

static void what_is_out_ends_here_where_nobody_turns_the_engine(void **state)
{
    (void)state;
    for (int i = 0; i < ERRANDS; i++)
        send(&work[i]);
    release_deserted_desk();
    assert_int_equal(backs, ERRANDS);
    assert_int_equal(stores_freed, 1);
}

static void a_desk_that_nobody_has_ends_with_its_engine(void **state)
{
    (void)state;
    for (int i = 0; i < ERRANDS; i++)
        send(&work[i]);
    release_desk();
    assert_int_equal(stores_freed, 0);
    neap_engine_desert(engine);
    assert_int_equal(backs, ERRANDS);
    assert_int_equal(stores_freed, 1);
}

static void *let_it_end(void *unused)
{
    usleep(20000); /* while the owner waits; it need not be so */
    atomic_store(&may_end, true);
    return unused;
}

static void
where_nobody_turns_the_engine_the_last_reference_waits_for_a_step_under_way(void **state)
{
    pthread_t thread;
    (void)state;
    work[0].errand.run = run_slowly;
    send(&work[0]);
    send(&work[1]);
    wait_until_begun();
    assert_int_equal(pthread_create(&thread, NULL, let_it_end, NULL), 0);
    release_deserted_desk();
    assert_int_equal(backs, 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void back_to_let_go(struct neap_desk_errand *errand)
{
    back(errand);
    neap_desk_release(desk);
    desk = NULL;
}

static void what_comes_back_may_let_go_of_the_desk(void **state)
{
    (void)state;
    work[0].errand.back = back_to_let_go;
    send(&work[0]);
    send(&work[1]);
    send(&work[2]);
    assert_true(turn_until_back(3));
    assert_null(desk);
}

static struct neap_desk *going;

static void send_again(struct neap_desk_errand *errand)
{
    back(errand);
    work[1].errand.back = back;
    assert_int_equal(neap_desk_send(going, engine, &work[1].errand), NEAP_OK);
}

static void what_comes_back_at_the_end_may_send_once_more(void **state)
{
    (void)state;
    work[0].errand.back = send_again;
    going = desk;
    send(&work[0]);
    release_deserted_desk();
    assert_int_equal(backs, 2);
    assert_int_equal(runs_here, 1);
}

static void run_and_stay(struct neap_desk_errand *errand)
{
    struct work *guest = work_of(errand);
    struct neap_loop *loop = neap_desk_loop(errand->desk);
    neap_desk_admit(errand->desk, &guest->guest);
    if (neap_loop_set(loop, &guest->timer, neap_time_add(neap_loop_now(loop), LIMIT_NS)) == NEAP_OK)
        run(errand);
}

static int evicted, last_evicted;

static void evict(struct neap_desk_guest *guest)
{
    struct work *leaves = NEAP_OWNER(guest, struct work, guest);
    neap_loop_clear(neap_desk_loop(going), &leaves->timer);
    neap_desk_take(going);
    neap_desk_give(going);
    assert_int_equal(stores_freed, 0);
    assert_true(pthread_equal(pthread_self(), owner));
    evicted++;
    last_evicted = leaves->number;
}

static void run_and_leave(struct neap_desk_errand *errand)
{
    neap_desk_dismiss(&(work_of(errand) - 2)->guest);
    run(errand);
}

static void guests_stay_until_they_leave_or_the_desk_goes(void **state)
{
    (void)state;
    evicted = 0;
    going = desk;
    for (int i = 0; i < 4; i++) {
        work[i].errand.run = i < 3 ? run_and_stay : run_and_leave;
        work[i].guest.evict = evict;
        work[i].timer.fire = on_timer;
        send(&work[i]);
    }
    assert_true(turn_until_back(4));
    release_desk();
    assert_int_equal(evicted, 2); /* all but work[1] */
    assert_int_equal(last_evicted, 0);
}

/* An errand that comes back later is a guest meanwhile. */
static void evict_and_return(struct neap_desk_guest *guest)
{
    struct work *leaves = NEAP_OWNER(guest, struct work, guest);
    neap_loop_clear(neap_desk_loop(leaves->errand.desk), &leaves->timer);
    neap_desk_return(&leaves->errand);
}

static void run_much_later(struct neap_desk_errand *errand)
{
    struct work *later = work_of(errand);
    struct neap_loop *loop = neap_desk_loop(errand->desk);
    neap_desk_admit(errand->desk, &later->guest);
    if (neap_loop_set(loop, &later->timer, neap_time_add(neap_loop_now(loop), LIMIT_NS)) != NEAP_OK)
        run(errand);
}

static void an_errand_that_would_come_back_later_comes_at_the_end(void **state)
{
    (void)state;
    work[0].errand.run = run_much_later;
    work[0].guest.evict = evict_and_return;
    work[0].timer.fire = on_timer;
    send(&work[0]);
    release_deserted_desk();
    assert_int_equal(backs, 1);
}

static void one_that_did_nothing_goes(void **state)
{
    (void)state;
    assert_ptr_equal(neap_desk_hold(desk), desk);
    neap_desk_release(desk);
    assert_int_equal(stores_freed, 0);
    assert_false(neap_desk_is_quick(desk));
    assert_false(neap_desk_is_lost(desk));
    release_desk();
    neap_desk_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(errands_run_and_come_back_in_order),
        TEST(nothing_ends_outside_of_a_turn),
        TEST(one_that_is_back_may_send_another),
        TEST(one_that_is_done_waits_for_none_behind_it),
        TEST(an_engine_with_nothing_out_waits_for_nothing),
        TEST(no_wake_up_is_lost),
        TEST(no_wake_up_is_lost_to_who_waits_at_the_doorbell),
        TEST(others_may_ring_at_the_same_doorbell),
        TEST(an_errand_may_wait_on_the_loop_while_others_pass),
        TEST(who_does_not_mind_waiting_takes_the_store),
        TEST(it_goes_over_to_another_engine),
        TEST(errands_out_for_another_engine_are_in_the_way),
        TEST(what_is_out_ends_before_the_desk_does),
        TEST(nobody_waits_for_a_step_under_way),
        TEST(what_is_out_ends_here_where_nobody_turns_the_engine),
        TEST(a_desk_that_nobody_has_ends_with_its_engine),
        TEST(where_nobody_turns_the_engine_the_last_reference_waits_for_a_step_under_way),
        TEST(what_comes_back_may_let_go_of_the_desk),
        TEST(what_comes_back_at_the_end_may_send_once_more),
        TEST(guests_stay_until_they_leave_or_the_desk_goes),
        TEST(an_errand_that_would_come_back_later_comes_at_the_end),
        TEST(one_that_did_nothing_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
