/* What the sanitizer for threads cannot follow: children of a program with threads make threads. */
#include <pthread.h>
#include <stdlib.h>

#include "platform/exit_stop.h"
#include "platform/helper_fixture.h"

/* ------------------------------------------------------------------------------- what is refused
 */

static void making_one_tells_what_is_out(void **state)
{
    struct neap_helper *none;
    (void)state;
    int before = open_descriptors();
    size_t blocks = memory.outstanding;
    for (size_t n = 1; n <= 4; n++) {
        failing_alloc_fail(&memory, n);
        assert_int_equal(neap_helper_new(&memory.alloc, &none), NEAP_NO_MEMORY);
        assert_int_equal(memory.outstanding, blocks);
        assert_int_equal(open_descriptors(), before);
    }
    failing_alloc_fail(&memory, 0);
    for (int count = 0; count < 4; count++) {
        limit_descriptors(count);
        enum neap_status status = neap_helper_new(&memory.alloc, &none);
        allow_descriptors();
        assert_int_equal(status, NEAP_SYSTEM);
        assert_int_equal(memory.outstanding, blocks);
        assert_int_equal(open_descriptors(), before);
    }
}

static void ignore(struct neap_helper_listener *unused)
{
    (void)unused;
}

static void making_one_that_is_heard_tells_what_is_out(void **state)
{
    struct neap_helper_listener listener = {ignore};
    struct neap_helper *none;
    (void)state;
    int before = open_descriptors();
    size_t blocks = memory.outstanding;
    for (size_t n = 1; n <= 3; n++) {
        failing_alloc_fail(&memory, n);
        assert_int_equal(neap_helper_new_heard(&memory.alloc, &listener, &none), NEAP_NO_MEMORY);
        assert_int_equal(memory.outstanding, blocks);
        assert_int_equal(open_descriptors(), before);
    }
    failing_alloc_fail(&memory, 0);
    for (int count = 0; count < 2; count++) {
        limit_descriptors(count);
        enum neap_status status = neap_helper_new_heard(&memory.alloc, &listener, &none);
        allow_descriptors();
        assert_int_equal(status, NEAP_SYSTEM);
        assert_int_equal(memory.outstanding, blocks);
        assert_int_equal(open_descriptors(), before);
    }
    assert_int_equal(neap_helper_new_heard(&memory.alloc, &listener, &none), NEAP_OK);
    neap_helper_free(none);
}

/* Threads of so large a stack are not to be had. */
static void starting_one_tells_that_there_are_no_threads(void **state)
{
    pthread_attr_t usual, huge;
    (void)state;
    assert_int_equal(pthread_getattr_default_np(&usual), 0);
    huge = usual;
    assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 46), 0);
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    enum neap_status status = neap_helper_start(helper);
    pthread_setattr_default_np(&usual);
    assert_int_equal(status, NEAP_SYSTEM);
    start();
    post(&work[0]);
    wait_until_back(1);
}

/* ------------------------------------------------------------------------------- a fork */

static struct neap_helper *own; /* the child's */
static _Atomic bool thread_has_ended;

static void note_end(void *unused)
{
    (void)unused;
    atomic_store(&thread_has_ended, true);
}

static void watch_end(struct neap_errand *errand)
{
    pthread_key_t key;
    pthread_key_create(&key, note_end);
    pthread_setspecific(key, errand);
    run(errand);
}

static void run_for_ever(struct neap_errand *errand)
{
    neap_helper_post(((struct work *)errand)->helper, errand);
}

static bool work_in_child(void)
{
    for (int i = 0; i < 3; i++)
        work[i].helper = own;
    backs = 0;
    runs = 0;
    helper = own;
    work[0].errand = (struct neap_errand){.run = watch_end, .back = back};
    post(&work[0]);
    int visitor = visit(neap_helper_doorbell(own));
    bool done = visitor >= 0 && wait_for(visitor, 1);
    close(visitor);
    return done;
}

static bool make_own(void)
{
    return neap_helper_new(&memory.alloc, &own) == NEAP_OK && neap_helper_start(own) == NEAP_OK &&
           work_in_child();
}

/* Handlers of exit() run in the reverse order: what was there before the first helper is torn down
 * after the last one has ended. */
static enum { NOTHING, EXPECT_THE_END, FREE } when_exiting;

static void at_exit(void)
{
    if (when_exiting != NOTHING && !atomic_load(&thread_has_ended))
        _exit(2);
    if (when_exiting != FREE)
        return;
    backs = 0;
    post(&work[1]);
    neap_helper_free(own);
    if (backs != 1)
        _exit(3);
}

/* It is busy all the time. */
static bool exit_with_a_busy_helper(void)
{
    when_exiting = EXPECT_THE_END;
    if (!make_own())
        return false;
    work[2].errand = (struct neap_errand){.run = run_for_ever};
    post(&work[2]);
    exit(0);
}

static bool exit_and_free_afterwards(void)
{
    when_exiting = FREE;
    if (make_own())
        exit(0);
    return false;
}

static void take_library_down(void)
{
    if (!atomic_load(&thread_has_ended))
        _exit(4);
}

/* Which the helper uses, and which was set up after it. */
static bool exit_with_a_library(void)
{
    if (!make_own())
        return false;
    atexit(take_library_down);
    neap_exit_stop_before_libraries();
    exit(0);
}

static bool forsake_and_exit(void)
{
    neap_helper_forsake(helper);
    exit_with_a_busy_helper();
    return false;
}

/* A child that has nothing to do with it. */
static bool just_exit(void)
{
    exit(0);
}

static bool free_own(void)
{
    neap_helper_forsake(helper);
    if (!make_own())
        return false;
    neap_helper_free(own);
    return true;
}

/* In a program where no helper runs, and in one where one runs and goes on. */
static void a_child_may_exit_while_its_helper_runs(void **state)
{
    (void)state;
    assert_true(in_child(exit_with_a_busy_helper));
    assert_true(in_child(exit_and_free_afterwards));
    assert_true(in_child(exit_with_a_library));
    start();
    for (int i = 0; i < 5; i++) {
        post(&work[i]);
        assert_true(in_child(forsake_and_exit));
        assert_true(in_child(exit_with_a_busy_helper));
        assert_true(in_child(exit_with_a_library));
        assert_true(in_child(just_exit));
        assert_true(in_child(free_own));
        wait_until_back(i + 1);
    }
}

static bool forsake(void)
{
    int before = open_descriptors(); /* before the fork the thread may just have let somebody in */
    neap_helper_forsake(helper);
    return open_descriptors() <= before - 4; /* loop, eventfd, the bell's two */
}

static void a_child_forsakes_it_and_the_parent_goes_on(void **state)
{
    (void)state;
    int visitor = visit(neap_helper_doorbell(helper));
    start();
    for (int i = 0; i < 20; i++) {
        post(&work[i]);
        assert_true(in_child(forsake));
        assert_true(wait_for(visitor, i + 1));
    }
    close(visitor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_may_exit_while_its_helper_runs),
        TEST(a_child_forsakes_it_and_the_parent_goes_on),
        TEST(making_one_tells_what_is_out),
        TEST(making_one_that_is_heard_tells_what_is_out),
        TEST(starting_one_tells_that_there_are_no_threads),
    };
    atexit(at_exit);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
