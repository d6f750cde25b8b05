/* The processor's counter of time, read by one instruction that waits for nothing: a third of what
 * clock_gettime costs, which reads it in order and in a loop. Its unit is nobody's business but the
 * ticker's (platform/ticker.h).
 *
 * A file for each architecture says how it is read; where there is none, it is never steady. */
#ifndef NEAP_PLATFORM_TICKS_H
#define NEAP_PLATFORM_TICKS_H

#if defined(__x86_64__)
#include "platform/ticks_x86_64.h"
#else
#include "platform/ticks_none.h"
#endif

#endif
