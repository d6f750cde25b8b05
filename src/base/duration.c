#include "base/duration.h"

#include <math.h>

/* Below, a double holds every nanosecond, and one division rounds once. */
#define EXACT_NS (INT64_C(1) << 53)

int64_t neap_ns_from_seconds(double seconds)
{
    double ns = seconds * 1e9;
    if (isnan(ns))
        return 0;
    if (ns >= 0x1p63)
        return NEAP_NEVER;
    if (ns <= -0x1p63)
        return INT64_MIN;
    int64_t whole_ns = (int64_t)ns;
    double rest_ns = ns - (double)whole_ns; /* exact, and 0 where a double has no fractions */
    return whole_ns + (rest_ns >= 0.5) - (rest_ns <= -0.5);
}

double neap_seconds_from_ns(int64_t ns)
{
    if (ns == NEAP_NEVER)
        return HUGE_VAL;
    if (ns < EXACT_NS && ns > -EXACT_NS)
        return (double)ns / 1e9;
    int64_t whole = ns / NEAP_SECOND, rest = ns % NEAP_SECOND;
    return (double)whole + (double)rest / 1e9;
}
