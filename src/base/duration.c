#include "base/duration.h"

#include <math.h>

/* Below, a double holds every nanosecond, and one division rounds once. */
#define EXACT_NS (INT64_C(1) << 53)

int64_t neap_time_add(int64_t a_ns, int64_t b_ns)
{
    int64_t sum;
    if (a_ns == NEAP_NEVER || b_ns == NEAP_NEVER)
        return NEAP_NEVER;
    if (__builtin_add_overflow(a_ns, b_ns, &sum))
        return b_ns > 0 ? NEAP_NEVER : INT64_MIN;
    return sum;
}

int64_t neap_time_since(int64_t later_ns, int64_t earlier_ns)
{
    int64_t difference;
    if (later_ns <= earlier_ns)
        return 0;
    if (__builtin_sub_overflow(later_ns, earlier_ns, &difference))
        return NEAP_NEVER;
    return difference;
}

int64_t neap_ns_from_seconds(double seconds)
{
    double ns = seconds * 1e9;
    if (isnan(ns))
        return 0;
    if (ns >= 0x1p63)
        return NEAP_NEVER;
    if (ns <= -0x1p63)
        return INT64_MIN;
    return llround(ns);
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

int64_t neap_time_min(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

int64_t neap_time_max(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}
