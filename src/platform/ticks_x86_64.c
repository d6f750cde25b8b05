#include "platform/ticks.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CLOCK_SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

/* "Invariant TSC": Intel's manual, volume 3, 17.17.1; AMD's, volume 2, 13.2. */
#define POWER_LEAF 0x80000007u
#define IS_INVARIANT (1u << 8)

static bool is_invariant(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(POWER_LEAF, &a, &b, &c, &d) && (d & IS_INVARIANT);
}

/* A process may have been forbidden to read it, and would be killed for that. */
static bool may_be_read(void)
{
    int how = 0;
    return prctl(PR_GET_TSC, &how) == 0 && how == PR_TSC_ENABLE;
}

static bool keeps_time(void)
{
    char name[8] = "";
    int fd = open(CLOCK_SOURCE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t bytes = read(fd, name, sizeof name - 1);
    close(fd);
    return bytes > 0 && strcmp(name, "tsc\n") == 0;
}

bool neap_ticks_are_steady(void)
{
    return may_be_read() && is_invariant() && keeps_time();
}

#endif
