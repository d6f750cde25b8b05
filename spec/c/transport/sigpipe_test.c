#include "transport/sigpipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_blocked(void)
{
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    return sigismember(&now, SIGPIPE) == 1;
}

static bool is_pending(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
}

static void a_signal_while_it_is_held_is_gone(void **state)
{
    struct neap_sigpipe guard;
    (void)state;
    neap_sigpipe_hold(&guard);
    assert_true(is_blocked());
    raise(SIGPIPE);
    neap_sigpipe_release(&guard);
    assert_false(is_blocked());
    assert_false(is_pending());
}

static void without_a_signal_only_the_mask_is_put_back(void **state)
{
    struct neap_sigpipe guard;
    (void)state;
    neap_sigpipe_hold(&guard);
    neap_sigpipe_release(&guard);
    assert_false(is_blocked());
}

static void what_the_program_blocks_stays_its_own(void **state)
{
    struct neap_sigpipe guard;
    sigset_t pipe;
    (void)state;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    raise(SIGPIPE);
    neap_sigpipe_hold(&guard);
    neap_sigpipe_release(&guard);
    assert_true(is_blocked());
    assert_true(is_pending());
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
    signal(SIGPIPE, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_while_it_is_held_is_gone),
        cmocka_unit_test(without_a_signal_only_the_mask_is_put_back),
        cmocka_unit_test(what_the_program_blocks_stays_its_own),
    };
    return cmocka_run_group_tests_name("sigpipe", tests, NULL, NULL);
}
