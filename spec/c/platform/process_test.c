#include "platform/process.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];

/* A child that lives until it is killed, and has done `work` when this returns. */
static struct neap_process start_child(void (*work)(void))
{
    char byte;
    struct neap_process child = {0};
    assert_int_equal(pipe(ends), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        work();
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    child.start = neap_process_start(child.pid);
    child.pid_namespace = neap_process_namespace();
    return child;
}

static void tell(void)
{
    if (write(ends[1], "", 1) != 1)
        _exit(1);
}

static void kill_child(const struct neap_process *child)
{
    siginfo_t info;
    assert_int_equal(kill((pid_t)child->pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), 0);
}

static void bury(const struct neap_process *child)
{
    assert_int_equal(waitpid((pid_t)child->pid, NULL, 0), child->pid);
    close(ends[0]);
    close(ends[1]);
}

static void a_process_knows_itself(void **state)
{
    (void)state;
    struct neap_process self = neap_process_self();
    assert_int_equal(self.pid, getpid());
    assert_int_equal(self.pid, neap_process_id());
    assert_int_not_equal(self.start, 0);
    assert_int_equal(self.start, neap_process_start(getpid()));
    assert_int_not_equal(self.pid_namespace, 0);
    assert_true(neap_process_lives(&self));
}

static void a_forked_child_has_a_number_of_its_own(void **state)
{
    (void)state;
    int status;
    assert_int_equal(neap_process_id(), getpid());
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* tells nobody, unlike fork(3) */
    if (child == 0)
        _exit(neap_process_id() == getpid() && neap_process_id() != getppid() ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(neap_process_id(), getpid());
}

static void the_first_process_started_before_this_one(void **state)
{
    (void)state;
    assert_in_range(neap_process_start(1), 0, neap_process_start(getpid()));
}

static void what_is_no_process_has_no_start(void **state)
{
    (void)state;
    assert_int_equal(neap_process_start(0), 0);
    assert_int_equal(neap_process_start(-1), 0);
    assert_int_equal(neap_process_start(INT64_MAX), 0);
}

static void a_child_lives_until_it_is_killed(void **state)
{
    (void)state;
    struct neap_process child = start_child(tell);
    assert_true(child.start >= neap_process_start(getpid()));
    assert_true(neap_process_lives(&child));
    kill_child(&child);
    assert_false(neap_process_lives(&child));
    bury(&child);
    assert_false(neap_process_lives(&child));
}

static void take_a_bad_name(void)
{
    if (prctl(PR_SET_NAME, ") Z 1 (2) 3") != 0)
        _exit(1);
    tell();
}

static void names_with_spaces_and_parentheses_do_not_confuse(void **state)
{
    (void)state;
    struct neap_process child = start_child(take_a_bad_name);
    assert_int_not_equal(child.start, 0);
    assert_true(child.start >= neap_process_start(getpid()));
    assert_true(neap_process_lives(&child));
    kill_child(&child);
    assert_false(neap_process_lives(&child));
    bury(&child);
}

static void *tell_when_the_first_thread_has_ended(void *first)
{
    (void)pthread_join(*(pthread_t *)first, NULL);
    tell();
    for (;;)
        pause();
    return NULL;
}

static void end_the_first_thread(void)
{
    static pthread_t first, second;
    first = pthread_self();
    if (pthread_create(&second, NULL, tell_when_the_first_thread_has_ended, &first) != 0)
        _exit(1);
    pthread_exit(NULL);
}

static void a_process_lives_on_without_its_first_thread(void **state)
{
    (void)state;
    struct neap_process child = start_child(end_the_first_thread);
    assert_true(neap_process_lives(&child));
    kill_child(&child);
    assert_false(neap_process_lives(&child));
    bury(&child);
}

static void one_that_started_at_another_time_is_another(void **state)
{
    (void)state;
    struct neap_process self = neap_process_self();
    self.start++;
    assert_false(neap_process_lives(&self));
}

static void without_a_start_the_number_decides(void **state)
{
    (void)state;
    struct neap_process self = neap_process_self();
    self.start = 0;
    assert_true(neap_process_lives(&self));
}

static void one_of_another_namespace_is_never_called_dead(void **state)
{
    (void)state;
    struct neap_process nobody = {.pid = 1, .start = 1, .pid_namespace = 1};
    assert_true(neap_process_lives(&nobody));
}

static void numbers_that_no_process_can_have_are_dead(void **state)
{
    (void)state;
    struct neap_process nobody = neap_process_self();
    static const int64_t pids[] = {0, -1, INT64_MIN, INT64_MAX, INT64_C(1) << 32};
    for (size_t i = 0; i < sizeof pids / sizeof *pids; i++) {
        nobody.pid = pids[i];
        assert_false(neap_process_lives(&nobody));
    }
}

/* Signals to it are refused, which is an answer of somebody who lives. */
static void one_of_another_user_lives(void **state)
{
    (void)state;
    struct neap_process child = start_child(tell);
    if (geteuid() == 0)
        assert_int_equal(seteuid(12345), 0);
    struct neap_process first = {1, neap_process_start(1), neap_process_namespace()};
    bool lives = neap_process_lives(&child) && neap_process_lives(&first);
    first.start++;
    bool is_mistaken = neap_process_lives(&first);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_true(lives);
    assert_int_equal(is_mistaken, first.start == 1);
    kill_child(&child);
    bury(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_knows_itself),
        cmocka_unit_test(a_forked_child_has_a_number_of_its_own),
        cmocka_unit_test(the_first_process_started_before_this_one),
        cmocka_unit_test(what_is_no_process_has_no_start),
        cmocka_unit_test(a_child_lives_until_it_is_killed),
        cmocka_unit_test(names_with_spaces_and_parentheses_do_not_confuse),
        cmocka_unit_test(a_process_lives_on_without_its_first_thread),
        cmocka_unit_test(one_that_started_at_another_time_is_another),
        cmocka_unit_test(without_a_start_the_number_decides),
        cmocka_unit_test(one_of_another_namespace_is_never_called_dead),
        cmocka_unit_test(numbers_that_no_process_can_have_are_dead),
        cmocka_unit_test(one_of_another_user_lives),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
