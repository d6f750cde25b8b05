/* The time-stamp counter. */
#ifndef NEAP_PLATFORM_TICKS_X86_64_H
#define NEAP_PLATFORM_TICKS_X86_64_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t neap_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

/* True where it may be read, has one rate in every state of the processor, and is what the kernel
 * itself keeps time by: then the kernel has found it alike on all processors. */
bool neap_ticks_are_steady(void);

#endif
