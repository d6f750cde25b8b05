#include "platform/shared_lock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/clock.h"

static struct neap_shared_lock *lock;
static int ends[2];

static int set_up(void **state)
{
    (void)state;
    lock = mmap(NULL, sizeof *lock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return lock == MAP_FAILED || pipe(ends) != 0 || neap_shared_lock_init(lock) != NEAP_OK;
}

static int tear_down(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return munmap(lock, sizeof *lock);
}

/* A child that has the lock and waits to be killed. */
static pid_t start_owner(enum neap_taken expected, int64_t bound_ns)
{
    char byte = 'x';
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        byte = neap_shared_lock_take(lock, bound_ns) == expected ? 'y' : 'n';
        if (write(ends[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    return child;
}

static void kill_owner(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void taking_and_giving(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_TAKEN);
        neap_shared_lock_give(lock);
    }
}

static void waiting_is_bounded(void **state)
{
    (void)state;
    pid_t owner = start_owner(NEAP_TAKEN, 0);
    int64_t start = neap_clock_monotonic_ns();
    assert_int_equal(neap_shared_lock_take(lock, 20 * NEAP_MS), NEAP_NOT_TAKEN);
    assert_in_range(neap_clock_monotonic_ns() - start, 15 * NEAP_MS, 10 * NEAP_SECOND);
    assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_NOT_TAKEN);
    kill_owner(owner);
}

static void who_waits_gets_it(void **state)
{
    (void)state;
    char byte;
    assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_TAKEN);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool is_taken = write(ends[1], "", 1) == 1 &&
                        neap_shared_lock_take(lock, 100 * NEAP_SECOND) == NEAP_TAKEN;
        neap_shared_lock_give(lock);
        _exit(is_taken ? 0 : 1);
    }
    int status;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    neap_shared_lock_give(lock);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_dead_owner_is_told_of_once(void **state)
{
    (void)state;
    kill_owner(start_owner(NEAP_TAKEN, 0));
    assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_TAKEN_FROM_A_DEAD_ONE);
    neap_shared_lock_mended(lock);
    neap_shared_lock_give(lock);
    assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_TAKEN);
    neap_shared_lock_give(lock);
}

static void who_dies_while_mending_is_told_of_too(void **state)
{
    (void)state;
    kill_owner(start_owner(NEAP_TAKEN, 0));
    kill_owner(start_owner(NEAP_TAKEN_FROM_A_DEAD_ONE, 0));
    assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_TAKEN_FROM_A_DEAD_ONE);
    neap_shared_lock_mended(lock);
    neap_shared_lock_give(lock);
}

static void memory_that_holds_no_such_lock_is_not_taken(void **state)
{
    (void)state;
    static const pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
    lock->mutex = plain;
    assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_NOT_TAKEN);
    memset(lock, 0xff, sizeof *lock);
    assert_int_equal(neap_shared_lock_take(lock, 0), NEAP_NOT_TAKEN);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(taking_and_giving),
        SPEC(waiting_is_bounded),
        SPEC(who_waits_gets_it),
        SPEC(a_dead_owner_is_told_of_once),
        SPEC(who_dies_while_mending_is_told_of_too),
        SPEC(memory_that_holds_no_such_lock_is_not_taken),
    };
    return cmocka_run_group_tests_name("shared lock", tests, NULL, NULL);
}
