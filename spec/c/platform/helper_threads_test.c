#include <pthread.h>
#include <signal.h>

#include "platform/helper_fixture.h"

/* ------------------------------------------------------------------------------- errands */

static void errands_run_and_come_back_in_order(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < ERRANDS; i++)
        post(&work[i]);
    wait_until_back(ERRANDS);
    for (int i = 0; i < ERRANDS; i++) {
        assert_int_equal(run_order[i], i);
        assert_int_equal(back_order[i], i);
    }
    assert_false(neap_helper_collect(helper));
}

static void one_that_is_back_may_post_another(void **state)
{
    (void)state;
    start();
    for (int i = 0; i + 1 < 100; i++)
        work[i].next = &work[i + 1];
    post(&work[0]);
    wait_until_back(100);
    assert_int_equal(back_order[99], 99);
}

static void run_for_good(struct neap_errand *errand)
{
    run_order[runs++ % ERRANDS] = ((struct work *)errand)->number;
}

static void an_errand_need_not_come_back(void **state)
{
    (void)state;
    start();
    work[0].errand = (struct neap_errand){.run = run_for_good};
    post(&work[0]);
    post(&work[1]);
    wait_until_back(1);
    assert_int_equal(run_order[0], 0);
    assert_int_equal(back_order[0], 1);
}

static void on_timer(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct work *done = (struct work *)((char *)timer - offsetof(struct work, timer));
    (void)now_ns;
    run(&done->errand);
}

static void run_later(struct neap_errand *errand)
{
    struct work *later = (struct work *)errand;
    struct neap_loop *loop = neap_helper_loop(later->helper);
    int64_t when_ns = neap_time_add(neap_loop_now(loop), 2 * NEAP_MS);
    later->timer.fire = on_timer;
    if (neap_loop_set(loop, &later->timer, when_ns) != NEAP_OK)
        run(errand);
}

static void an_errand_may_wait_on_the_loop_while_others_pass(void **state)
{
    (void)state;
    start();
    work[0].errand.run = run_later;
    post(&work[0]);
    post(&work[1]);
    wait_until_back(2);
    assert_int_equal(back_order[0], 1);
    assert_int_equal(back_order[1], 0);
}

static void starting_again_changes_nothing(void **state)
{
    (void)state;
    start();
    post(&work[0]);
    start();
    wait_until_back(1);
}

static void post_soon(struct work *errand)
{
    neap_helper_post_soon(errand->helper, &errand->errand);
}

static void errands_that_need_not_go_at_once_go_together(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 5; i++) {
        post_soon(&work[i]);
        assert_true(neap_helper_is_untold(helper));
    }
    assert_int_equal(runs, 0);
    neap_helper_flush(helper);
    assert_false(neap_helper_is_untold(helper));
    wait_until_back(5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(run_order[i], i);
}

static void they_go_with_the_next_one_that_is_posted(void **state)
{
    (void)state;
    start();
    post_soon(&work[0]);
    post(&work[1]);
    assert_false(neap_helper_is_untold(helper));
    while (backs < 2)
        neap_helper_collect(helper);
    assert_int_equal(run_order[0], 0);
}

static void who_collects_or_waits_need_not_flush(void **state)
{
    (void)state;
    int visitor = visit(neap_helper_doorbell(helper));
    start();
    post_soon(&work[0]);
    neap_helper_collect(helper);
    assert_false(neap_helper_is_untold(helper));
    assert_true(wait_for(visitor, 1));
    post_soon(&work[1]);
    (void)neap_helper_arm(helper); /* false where it has come back by now */
    assert_false(neap_helper_is_untold(helper));
    assert_true(wait_for(visitor, 2));
    close(visitor);
}

static void many_go_without_being_flushed(void **state)
{
    (void)state;
    start();
    int posted = 0;
    do
        post_soon(&work[posted++]);
    while (neap_helper_is_untold(helper) && posted < 100);
    assert_in_range(posted, 2, 64);
    while (atomic_load(&runs) < posted)
        continue;
    wait_until_back(posted);
}

/* What is posted while the thread has not come round to what it was told of is found with it. */
static void one_behind_what_was_told_is_no_news(void **state)
{
    (void)state;
    start();
    for (int round = 0; round < 200; round++) {
        post(&work[0]);
        post_soon(&work[1]);
        while (backs < 2 * round + 2)
            neap_helper_collect(helper);
    }
}

static sigset_t seen_mask;

static void note_mask(struct neap_errand *errand)
{
    pthread_sigmask(SIG_BLOCK, NULL, &seen_mask);
    run(errand);
}

static void its_thread_takes_no_signals(void **state)
{
    sigset_t mask;
    (void)state;
    start();
    work[0].errand.run = note_mask;
    post(&work[0]);
    wait_until_back(1);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < 32; number++) {
        assert_false(sigismember(&mask, number));
        if (number != SIGKILL && number != SIGSTOP)
            assert_true(sigismember(&seen_mask, number));
    }
}

/* ------------------------------------------------------------------------------- the bell */

/* A wake-up that was lost would be made up for by the heartbeat, on average a quarter of a second
 * late. The machine itself is allowed to be that late now and then. */
#define LATE_NS (150 * NEAP_MS)
#define LATE_MAX 3

static int late;

/* Comes back after anything up to 60 microseconds: while the owner connects, arms, begins to wait.
 */
static void run_for_a_while(struct neap_errand *errand)
{
    static int64_t length_ns;
    length_ns = (length_ns + 1237) % 60000;
    int64_t end_ns = neap_clock_monotonic_ns() + length_ns;
    while (neap_clock_monotonic_ns() < end_ns)
        continue;
    run(errand);
}

static void note_lateness(const struct work *last)
{
    if (neap_clock_monotonic_ns() - last->returned_ns > LATE_NS)
        late++;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    int visitor = visit(neap_helper_doorbell(helper)), posted = 0;
    start();
    late = 0;
    for (int i = 0; i < 4; i++)
        work[i].errand.run = run_for_a_while;
    for (int round = 0; round < 10000; round++) {
        int count = 1 + round % 4;
        for (int i = 0; i < count; i++)
            post(&work[i]);
        posted += count;
        assert_true(wait_for(visitor, posted));
        note_lateness(&work[count - 1]);
    }
    assert_in_range(late, 0, LATE_MAX);
    close(visitor);
}

static _Atomic bool begun, may_end;

static void run_until_told(struct neap_errand *errand)
{
    atomic_store(&begun, true);
    while (!atomic_load(&may_end))
        continue;
    run(errand);
}

/* The thread is busy while somebody connects and arms: it rings before it has let him in. */
static void no_wake_up_is_lost_to_who_has_just_connected(void **state)
{
    (void)state;
    start();
    late = 0;
    work[0].errand.run = run_until_told;
    for (int round = 0; round < 20; round++) {
        atomic_store(&begun, false);
        atomic_store(&may_end, false);
        post(&work[0]);
        while (!atomic_load(&begun))
            continue;
        int visitor = visit(neap_helper_doorbell(helper));
        assert_true(neap_helper_arm(helper));
        atomic_store(&may_end, true);
        assert_true(wait_for(visitor, round + 1));
        note_lateness(&work[0]);
        close(visitor);
    }
    assert_in_range(late, 0, LATE_MAX);
}

static void the_bell_is_silent_where_nobody_armed_it(void **state)
{
    (void)state;
    int visitor = visit(neap_helper_doorbell(helper));
    start();
    for (int i = 0; i < 100; i++)
        post(&work[i]);
    while (backs < 100)
        neap_helper_collect(helper);
    assert_in_range(count_rings(visitor), 0, 1); /* a heartbeat, on a slow machine */
    close(visitor);
}

static void arming_says_what_has_come_already(void **state)
{
    (void)state;
    start();
    post(&work[0]);
    while (neap_helper_arm(helper))
        continue;
    assert_int_equal(backs, 0);
    assert_true(neap_helper_collect(helper));
    assert_int_equal(backs, 1);
    assert_true(neap_helper_arm(helper));
}

static void a_nudge_rings_the_bell(void **state)
{
    (void)state;
    int visitor = visit(neap_helper_doorbell(helper));
    neap_helper_nudge(helper); /* harmless before there is a thread */
    start();
    assert_true(neap_helper_arm(helper));
    neap_helper_nudge(helper);
    neap_helper_nudge(helper);
    while (!neap_helper_collect(helper))
        assert_true(hears(visitor, LIMIT_MS) && count_rings(visitor) > 0);
    assert_true(neap_helper_arm(helper));
    neap_helper_nudge(helper);
    while (!neap_helper_collect(helper))
        assert_true(hears(visitor, LIMIT_MS) && count_rings(visitor) > 0);
    assert_int_equal(backs, 0);
    close(visitor);
}

static void *knock_once(void *unused)
{
    neap_helper_knock(helper);
    return unused;
}

static void anybody_may_knock_at_it(void **state)
{
    pthread_t thread;
    (void)state;
    int visitor = visit(neap_helper_doorbell(helper));
    start();
    for (int i = 0; i < 20; i++) {
        count_rings(visitor);
        assert_true(neap_helper_arm(helper));
        assert_int_equal(pthread_create(&thread, NULL, knock_once, NULL), 0);
        assert_true(hears(visitor, LIMIT_MS));
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_false(neap_helper_arm(helper)); /* as if something had come back */
        assert_false(neap_helper_collect(helper));
    }
    close(visitor);
}

/* What somebody else has for the owner, who is told by a knock and looks when he hears it. */
#define KNOCKS 20000

static _Atomic int brought, last_brought_ms;

static int milliseconds_now(void)
{
    return (int)(neap_clock_monotonic_ns() / NEAP_MS % 1000000000);
}

static void *bring(void *unused)
{
    for (int i = 0; i < KNOCKS; i++) {
        int64_t end_ns = neap_clock_monotonic_ns() + i * 37 % 30000;
        while (neap_clock_monotonic_ns() < end_ns)
            continue;
        last_brought_ms = milliseconds_now();
        brought++;
        neap_helper_knock(helper);
        while (i % 3 == 0 && brought > 0)
            continue; /* waits until it is taken: the owner is about to arm */
    }
    return unused;
}

static void no_knock_is_lost(void **state)
{
    pthread_t thread;
    (void)state;
    int visitor = visit(neap_helper_doorbell(helper)), taken = 0;
    late = 0;
    brought = 0;
    start();
    assert_int_equal(pthread_create(&thread, NULL, bring, NULL), 0);
    while (taken < KNOCKS) {
        neap_helper_collect(helper);
        int found = atomic_exchange(&brought, 0);
        taken += found;
        late += found > 0 && milliseconds_now() - last_brought_ms > LATE_NS / NEAP_MS;
        if (!neap_helper_arm(helper))
            continue;
        assert_true(hears(visitor, LIMIT_MS));
        count_rings(visitor);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(late, 0, LATE_MAX);
    close(visitor);
}

/* ------------------------------------------------------------------------------- the listener */

static struct neap_helper *heard;
static struct neap_helper_listener listener;
static _Atomic int told;
static _Atomic bool told_elsewhere;
static pthread_t owner;

static void on_told(struct neap_helper_listener *unused)
{
    (void)unused;
    told_elsewhere = !pthread_equal(pthread_self(), owner);
    told++;
}

static void make_heard(void)
{
    told = 0;
    owner = pthread_self();
    listener.returned = on_told;
    assert_int_equal(neap_helper_new_heard(&memory.alloc, &listener, &heard), NEAP_OK);
    for (int i = 0; i < ERRANDS; i++)
        work[i].helper = heard;
}

static void one_that_is_heard_tells_of_each_errand_at_once(void **state)
{
    (void)state;
    make_heard();
    assert_int_equal(neap_helper_doorbell(heard), -1);
    assert_int_equal(neap_helper_start(heard), NEAP_OK);
    atomic_store(&may_end, false);
    work[1].errand.run = run_until_told;
    for (int i = 0; i < 10; i++)
        post(&work[i]);
    while (told < 1)
        usleep(100); /* between two looks; the second errand holds the thread up */
    assert_true(neap_helper_collect(heard));
    assert_int_equal(backs, 1);
    atomic_store(&may_end, true);
    while (told < 10)
        usleep(100); /* between two looks */
    assert_true(neap_helper_collect(heard));
    assert_int_equal(backs, 10);
    assert_true(told_elsewhere);
    neap_helper_free(heard);
}

static void one_that_is_heard_is_told_of_the_end_too(void **state)
{
    (void)state;
    make_heard();
    assert_int_equal(neap_helper_start(heard), NEAP_OK);
    work[0].next = &work[1];
    post(&work[0]);
    neap_helper_free(heard);
    assert_int_equal(backs, 2);
    assert_int_equal(told, 2);
    assert_false(told_elsewhere);
}

/* ------------------------------------------------------------------------------- the end */

static void what_is_stopped_stays_stopped(void **state)
{
    (void)state;
    neap_helper_stop(NULL);
    start();
    work[0].next = &work[1];
    post(&work[0]);
    neap_helper_stop(helper);
    assert_int_equal(backs, 2);
    assert_int_equal(neap_helper_start(helper), NEAP_SYSTEM);
    assert_non_null(neap_helper_loop(helper));
    post(&work[2]);
    neap_helper_stop(helper);
    assert_int_equal(backs, 3);
    post(&work[3]);
    neap_helper_free(helper);
    helper = NULL;
    assert_int_equal(backs, 4);
}

static void errands_that_are_posted_end_before_it_does(void **state)
{
    (void)state;
    start();
    neap_helper_nudge(helper);
    for (int i = 0; i < ERRANDS; i++)
        post(&work[i]);
    neap_helper_free(helper);
    helper = NULL;
    assert_int_equal(runs, ERRANDS);
    assert_int_equal(backs, ERRANDS);
}

static void what_is_posted_at_the_end_is_run_too(void **state)
{
    (void)state;
    start();
    work[0].next = &work[1];
    work[1].next = &work[2];
    post(&work[0]);
    neap_helper_free(helper);
    helper = NULL;
    assert_int_equal(backs, 3);
}

static void one_that_never_ran_is_freed(void **state)
{
    (void)state;
    neap_helper_free(helper);
    helper = NULL;
    neap_helper_free(NULL);
}

static pthread_barrier_t barrier;

static void meet_and_return(struct neap_errand *errand)
{
    pthread_barrier_wait(&barrier);
    run(errand);
}

static void two_have_a_thread_each(void **state)
{
    struct neap_helper *other;
    (void)state;
    assert_int_equal(neap_helper_new(&memory.alloc, &other), NEAP_OK);
    assert_int_equal(neap_helper_start(other), NEAP_OK);
    start();
    pthread_barrier_init(&barrier, NULL, 2);
    work[0].helper = other;
    work[0].errand.run = meet_and_return;
    work[1].errand.run = meet_and_return;
    post(&work[0]);
    post(&work[1]);
    wait_until_back(1);
    neap_helper_free(other);
    assert_int_equal(backs, 2);
    pthread_barrier_destroy(&barrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(errands_run_and_come_back_in_order),
        TEST(one_that_is_back_may_post_another),
        TEST(an_errand_need_not_come_back),
        TEST(an_errand_may_wait_on_the_loop_while_others_pass),
        TEST(starting_again_changes_nothing),
        TEST(errands_that_need_not_go_at_once_go_together),
        TEST(they_go_with_the_next_one_that_is_posted),
        TEST(who_collects_or_waits_need_not_flush),
        TEST(many_go_without_being_flushed),
        TEST(one_behind_what_was_told_is_no_news),
        TEST(its_thread_takes_no_signals),
        TEST(no_wake_up_is_lost),
        TEST(no_wake_up_is_lost_to_who_has_just_connected),
        TEST(the_bell_is_silent_where_nobody_armed_it),
        TEST(arming_says_what_has_come_already),
        TEST(a_nudge_rings_the_bell),
        TEST(anybody_may_knock_at_it),
        TEST(no_knock_is_lost),
        TEST(one_that_is_heard_tells_of_each_errand_at_once),
        TEST(one_that_is_heard_is_told_of_the_end_too),
        TEST(what_is_stopped_stays_stopped),
        TEST(errands_that_are_posted_end_before_it_does),
        TEST(what_is_posted_at_the_end_is_run_too),
        TEST(one_that_never_ran_is_freed),
        TEST(two_have_a_thread_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
