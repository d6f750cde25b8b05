#include "platform/stop_signal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int signals[] = {SIGTERM, SIGINT};
#define SIGNALS (sizeof signals / sizeof signals[0])

static const struct sigaction ending = {.sa_handler = SIG_DFL};

/* All that a handler can reach. */
static struct {
    bool installed;
    struct sigaction before[SIGNALS];
    _Atomic int fd;
    atomic_bool come;
} stop;

/* Only what is safe in a handler: sigaction and write are. */
static void note(int number)
{
    const uint64_t one = 1;
    int kept = errno;
    (void)number;
    atomic_store(&stop.come, true);
    for (size_t i = 0; i < SIGNALS; i++)
        if (stop.before[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &ending, NULL);
    ssize_t written = write(atomic_load(&stop.fd), &one, sizeof one);
    (void)written; /* who cannot be told so still sees the flag */
    errno = kept;
}

enum neap_status neap_stop_signal_install(int *fd)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    if (stop.installed)
        return NEAP_INVALID;
    int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0)
        return NEAP_SYSTEM;
    atomic_store(&stop.fd, made);
    atomic_store(&stop.come, false);
    stop.installed = true;
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], NULL, &stop.before[i]);
    for (size_t i = 0; i < SIGNALS; i++)
        if (stop.before[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    *fd = made;
    return NEAP_OK;
}

bool neap_stop_signal_has_come(void)
{
    return atomic_load(&stop.come);
}

void neap_stop_signal_uninstall(void)
{
    if (!stop.installed)
        return;
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &stop.before[i], NULL);
    close(atomic_load(&stop.fd));
    stop.installed = false;
}
