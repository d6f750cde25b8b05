#include "transport/sigpipe.h"

#include <stddef.h>

static void only_sigpipe(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGPIPE);
}

void neap_sigpipe_hold(struct neap_sigpipe *guard)
{
    sigset_t pipe;
    only_sigpipe(&pipe);
    /* Where the program blocks it already, nothing is to be done and nothing to be swallowed. */
    guard->held = pthread_sigmask(SIG_BLOCK, &pipe, &guard->before) == 0 &&
                  !sigismember(&guard->before, SIGPIPE);
}

void neap_sigpipe_release(struct neap_sigpipe *guard)
{
    const struct timespec at_once = {0, 0};
    sigset_t pipe;
    if (!guard->held)
        return;
    only_sigpipe(&pipe);
    sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
    guard->held = false;
}
