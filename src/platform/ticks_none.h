/* Of an architecture whose counter nobody has looked into. */
#ifndef NEAP_PLATFORM_TICKS_NONE_H
#define NEAP_PLATFORM_TICKS_NONE_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t neap_ticks(void)
{
    return 0;
}

static inline bool neap_ticks_are_steady(void)
{
    return false;
}

#endif
