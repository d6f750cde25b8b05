/* The clocks of the machine. Only the drivers read them; the core is told the time. */
#ifndef NEAP_PLATFORM_CLOCK_H
#define NEAP_PLATFORM_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some moment in the past; never steps back, and stands still while the machine
 * sleeps. The same for all processes of the machine. */
int64_t neap_clock_monotonic_ns(void);

/* Nanoseconds since 1970 in UTC; may be set, also backwards. */
int64_t neap_clock_wall_ns(void);

#endif
