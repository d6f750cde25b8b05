#include "platform/fork_lock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/child.h"

static struct neap_fork_lock lock, other;
static pthread_barrier_t barrier;

static int set_up(void **state)
{
    (void)state;
    neap_fork_lock_init(&lock);
    neap_fork_lock_init(&other);
    return pthread_barrier_init(&barrier, NULL, 2);
}

static int tear_down(void **state)
{
    (void)state;
    neap_fork_lock_deinit(&lock);
    neap_fork_lock_deinit(&other);
    return pthread_barrier_destroy(&barrier);
}

/* By a thread of its own, between two meetings. */
static void *hold(void *unused)
{
    neap_fork_lock_take(&lock);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    neap_fork_lock_give(&lock);
    return unused;
}

static bool take_whole(struct neap_fork_lock *taken)
{
    bool is_whole = !neap_fork_lock_is_torn(taken);
    neap_fork_lock_take(taken);
    neap_fork_lock_give(taken);
    return is_whole;
}

static bool is_free(void)
{
    return take_whole(&lock) && take_whole(&other);
}

static bool is_free_in_grandchild(void)
{
    return in_child(is_free) && is_free();
}

static void nobody_having_it_a_child_finds_it_whole(void **state)
{
    (void)state;
    assert_true(take_whole(&lock));
    assert_true(in_child(is_free));
    assert_true(in_child(is_free_in_grandchild));
    assert_true(take_whole(&lock));
}

static bool is_torn(void)
{
    return !take_whole(&lock) && take_whole(&other);
}

static bool is_torn_in_grandchild(void)
{
    return in_child(is_torn) && is_torn();
}

static void another_thread_having_it_a_child_finds_it_torn(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold, NULL), 0);
    pthread_barrier_wait(&barrier);
    assert_true(in_child(is_torn));
    assert_true(in_child(is_torn_in_grandchild));
    assert_false(neap_fork_lock_is_torn(&lock));
    pthread_barrier_wait(&barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(take_whole(&lock));
    assert_true(in_child(is_free));
}

static bool end_torn(void)
{
    neap_fork_lock_deinit(&lock);
    neap_fork_lock_init(&lock);
    return take_whole(&lock);
}

static void a_child_may_end_what_is_torn(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold, NULL), 0);
    pthread_barrier_wait(&barrier);
    assert_true(in_child(end_torn));
    pthread_barrier_wait(&barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_having_it_a_child_finds_it_whole),
        TEST(another_thread_having_it_a_child_finds_it_torn),
        TEST(a_child_may_end_what_is_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
