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
int64_t neap_time_add(int64_t a_ns, int64_t b_ns);

/* later - earlier, never below zero: a clock that stepped back has not moved. */
int64_t neap_time_since(int64_t later_ns, int64_t earlier_ns);

/* Seconds to the nearest nanosecond; NaN is 0, out of range saturates. */
int64_t neap_ns_from_seconds(double seconds);

/* NEAP_NEVER becomes HUGE_VAL. */
double neap_seconds_from_ns(int64_t ns);

int64_t neap_time_min(int64_t a_ns, int64_t b_ns);
int64_t neap_time_max(int64_t a_ns, int64_t b_ns);

#endif
