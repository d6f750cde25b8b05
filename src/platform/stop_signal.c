#include "platform/stop_signal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "platform/clock.h"

static const int signals[] = {SIGTERM, SIGINT};
#define SIGNALS (sizeof signals / sizeof signals[0])

static const struct sigaction ending = {.sa_handler = SIG_DFL};

/* All that a handler can reach. */
static struct {
    bool installed;
    struct sigaction before[SIGNALS];
    _Atomic int fd;
    atomic_bool come;
    _Atomic int64_t come_ns;
} stop;

/* By the default of the signal, once this handler has returned. */
static void end_process(int number)
{
    sigaction(number, &ending, NULL);
    raise(number);
}

static void wake(void)
{
    const uint64_t one = 1;
    ssize_t written = write(atomic_load(&stop.fd), &one, sizeof one);
    (void)written; /* who cannot be told so still sees the flag */
}

/* Only what is safe in a handler: sigaction, raise, write and clock_gettime are. */
static void note(int number)
{
    int kept = errno;
    int64_t now_ns = neap_clock_monotonic_ns();
    if (!atomic_load(&stop.come)) {
        atomic_store(&stop.come_ns, now_ns);
        atomic_store(&stop.come, true);
        wake();
    } else if (neap_time_since(now_ns, atomic_load(&stop.come_ns)) >= NEAP_STOP_ECHO_NS) {
        end_process(number);
    }
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
