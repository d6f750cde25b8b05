#include "platform/clock.h"

#include <time.h>

#include "base/duration.h"

static int64_t read_clock(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NEAP_SECOND + now.tv_nsec;
}

int64_t neap_clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t neap_clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}
