/* Time inside the core: signed 64-bit nanoseconds that saturate instead of overflowing.
 *
 * `int64_t …_ns` is either a moment of a monotonic clock or a length. NEAP_NEVER stands for "no
 * limit" and survives every addition. Seconds as doubles exist only at the edge, where Lua is. */
#ifndef NEAP_BASE_DURATION_H
#define NEAP_BASE_DURATION_H

#include <stdint.h>

#define NEAP_NEVER INT64_MAX
#define NEAP_MS INT64_C(1000000)
#define NEAP_SECOND INT64_C(1000000000)

/* a + b, kept within [INT64_MIN, NEAP_NEVER]; NEAP_NEVER absorbs. */
static inline int64_t neap_time_add(int64_t a_ns, int64_t b_ns)
{
    int64_t sum;
    if (a_ns == NEAP_NEVER || b_ns == NEAP_NEVER)
        return NEAP_NEVER;
    if (__builtin_add_overflow(a_ns, b_ns, &sum))
        return b_ns > 0 ? NEAP_NEVER : INT64_MIN;
    return sum;
}

/* later - earlier, never below zero: a clock that stepped back has not moved. */
static inline int64_t neap_time_since(int64_t later_ns, int64_t earlier_ns)
{
    int64_t difference;
    if (later_ns <= earlier_ns)
        return 0;
    if (__builtin_sub_overflow(later_ns, earlier_ns, &difference))
        return NEAP_NEVER;
    return difference;
}

/* Seconds to the nearest nanosecond; NaN is 0, out of range saturates. */
int64_t neap_ns_from_seconds(double seconds);

/* NEAP_NEVER becomes HUGE_VAL. */
double neap_seconds_from_ns(int64_t ns);

static inline int64_t neap_time_min(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static inline int64_t neap_time_max(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

#endif
