/* Stop signal: SIGTERM and SIGINT noted for a program that wants to finish what it has begun.
 *
 * For tools, which own their process; the library never installs it. The first of the two signals
 * is noted; a second one ends the process at once, whatever it is doing, as it would have without
 * us. What comes within NEAP_STOP_ECHO_NS of the first is taken for the same: timeout(1), for one,
 * signals its child and then its child's group. One that was ignored (a shell's background job and
 * SIGINT) stays ignored. Who waits in a loop watches the descriptor.
 *
 * A signal has no object to hang on: the one installed stop signal of the process is a static of
 * stop_signal.c. A child made by fork has the parent's; a program it executes has the defaults.
 * Functions are for one thread; the signal may come on any. */
#ifndef NEAP_PLATFORM_STOP_SIGNAL_H
#define NEAP_PLATFORM_STOP_SIGNAL_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/duration.h"
#include "base/status.h"

#define NEAP_STOP_ECHO_NS (250 * NEAP_MS)

/* `*fd` is readable from the first signal on; it stays the stop signal's. NEAP_INVALID: it is
 * installed already. NEAP_SYSTEM: the system gives no descriptor. */
NEAP_MUST_CHECK enum neap_status neap_stop_signal_install(int *fd);

/* Has one come since it was installed? */
bool neap_stop_signal_has_come(void);

/* The signals do again what they did before. Harmless where it is not installed. */
void neap_stop_signal_uninstall(void);

#endif
