#include "platform/stop_signal.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/child.h"

/* Each runs in a child: signals are the process's. */

static bool is_readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

static bool note_first(int number)
{
    int fd;
    if (neap_stop_signal_install(&fd) != NEAP_OK || neap_stop_signal_has_come() || is_readable(fd))
        return false;
    raise(number);
    bool noted = neap_stop_signal_has_come() && is_readable(fd);
    neap_stop_signal_uninstall();
    return noted;
}

static bool note_term(void)
{
    return note_first(SIGTERM);
}

static bool note_int(void)
{
    return note_first(SIGINT);
}

static void the_first_signal_is_noted(void **state)
{
    (void)state;
    assert_true(in_child(note_term));
    assert_true(in_child(note_int));
}

/* The signal that ended a child which raised these two, the one so long after the other. */
static int end_by(int first, int second, int64_t pause_ns)
{
    int fd, status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (neap_stop_signal_install(&fd) != NEAP_OK)
            _exit(1);
        raise(first);
        if (pause_ns > 0)
            nanosleep(&(struct timespec){.tv_nsec = (long)pause_ns}, NULL);
        raise(second);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_second_one_ends_the_process(void **state)
{
    (void)state;
    int64_t later_ns = NEAP_STOP_ECHO_NS + NEAP_MS;
    assert_int_equal(end_by(SIGTERM, SIGTERM, later_ns), SIGTERM);
    assert_int_equal(end_by(SIGTERM, SIGINT, later_ns), SIGINT);
    assert_int_equal(end_by(SIGINT, SIGTERM, later_ns), SIGTERM);
}

static void its_echo_does_not(void **state)
{
    (void)state;
    assert_int_equal(end_by(SIGTERM, SIGTERM, 0), 0);
    assert_int_equal(end_by(SIGTERM, SIGINT, NEAP_MS), 0);
}

static bool leave_ignored(void)
{
    int fd;
    signal(SIGINT, SIG_IGN);
    if (neap_stop_signal_install(&fd) != NEAP_OK)
        return false;
    raise(SIGINT);
    if (neap_stop_signal_has_come())
        return false;
    raise(SIGTERM);
    raise(SIGINT);
    return neap_stop_signal_has_come();
}

static void an_ignored_signal_stays_ignored(void **state)
{
    (void)state;
    assert_true(in_child(leave_ignored));
}

static volatile sig_atomic_t heard;

static void hear(int number)
{
    (void)number;
    heard = 1;
}

static bool give_back(void)
{
    int fd, before;
    signal(SIGTERM, hear);
    before = open_descriptors();
    if (neap_stop_signal_install(&fd) != NEAP_OK || neap_stop_signal_install(&fd) != NEAP_INVALID)
        return false;
    raise(SIGTERM);
    neap_stop_signal_uninstall();
    neap_stop_signal_uninstall();
    bool silent = !heard;
    raise(SIGTERM);
    return silent && heard && open_descriptors() == before;
}

static void uninstalling_gives_the_signals_back(void **state)
{
    (void)state;
    assert_true(in_child(give_back));
}

static bool install_again(void)
{
    return note_first(SIGTERM) && note_first(SIGINT);
}

static void it_can_be_installed_again(void **state)
{
    (void)state;
    assert_true(in_child(install_again));
}

static bool install_without_descriptors(void)
{
    int fd = -7;
    limit_descriptors(0);
    enum neap_status status = neap_stop_signal_install(&fd);
    allow_descriptors();
    return status == NEAP_SYSTEM && fd == -7 && note_first(SIGTERM);
}

static void without_a_descriptor_nothing_is_installed(void **state)
{
    (void)state;
    assert_true(in_child(install_without_descriptors));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_signal_is_noted),
        cmocka_unit_test(a_second_one_ends_the_process),
        cmocka_unit_test(its_echo_does_not),
        cmocka_unit_test(an_ignored_signal_stays_ignored),
        cmocka_unit_test(uninstalling_gives_the_signals_back),
        cmocka_unit_test(it_can_be_installed_again),
        cmocka_unit_test(without_a_descriptor_nothing_is_installed),
    };
    return cmocka_run_group_tests_name("stop_signal", tests, NULL, NULL);
}
