/* Backoff: how long to wait before the n-th retry, and how the waits are spread.
 *
 * Source of the jitter forms: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog,
 * 2015). Pure functions in seconds; `r` is a random number in [0,1) passed in. A delay never
 * exceeds `max_s`, is never NaN or infinite however large n is, and the range never shrinks to a
 * point at the cap. Undelayed value d: fixed base; linear base*n; exponential base*factor^(n-1);
 * capped at max. Jitter picks [low, high]:
 *
 *     none          d                  d
 *     full          0                  d
 *     equal         d/2                d
 *     additive      min(d, max/2)      min(2d, max)
 *     share f       d(1-f)             min(max, d(1+f))
 *     decorrelated  base               max(base, min(max, 3*previous)), previous = base at first */
#ifndef NEAP_POLICY_BACKOFF_H
#define NEAP_POLICY_BACKOFF_H

#include <stdint.h>

enum neap_backoff_kind { NEAP_BACKOFF_FIXED, NEAP_BACKOFF_LINEAR, NEAP_BACKOFF_EXPONENTIAL };

enum neap_jitter {
    NEAP_JITTER_NONE,
    NEAP_JITTER_FULL,
    NEAP_JITTER_EQUAL,
    NEAP_JITTER_ADDITIVE,
    NEAP_JITTER_DECORRELATED,
    NEAP_JITTER_SHARE
};

struct neap_backoff {
    enum neap_backoff_kind kind;
    double base_s, factor, max_s;
    enum neap_jitter jitter;
    double share; /* NEAP_JITTER_SHARE: (0, 1] */
};

/* n counts retries from 1; 0 is taken as 1. `previous_s` is the delay before this one, 0 at first;
 * only decorrelated jitter looks at it. */
void neap_backoff_bounds(const struct neap_backoff *backoff, uint32_t n, double previous_s,
                         double *low_s, double *high_s);

/* low + r * (high - low) */
double neap_backoff_delay(const struct neap_backoff *backoff, uint32_t n, double previous_s,
                          double r);

#endif
