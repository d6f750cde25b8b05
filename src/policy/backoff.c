#include "policy/backoff.h"

#include <float.h>
#include <math.h>

static double longest(const struct neap_backoff *backoff)
{
    return isfinite(backoff->max_s) ? backoff->max_s : DBL_MAX;
}

static double growth(const struct neap_backoff *backoff, uint32_t n)
{
    switch (backoff->kind) {
    case NEAP_BACKOFF_FIXED:
        return 1;
    case NEAP_BACKOFF_LINEAR:
        return n;
    case NEAP_BACKOFF_EXPONENTIAL:
        return pow(backoff->factor, (double)n - 1);
    }
    return 1;
}

/* Nothing times an infinite growth would be NaN. */
static double undelayed(const struct neap_backoff *backoff, uint32_t n)
{
    if (!(backoff->base_s > 0))
        return 0;
    return fmin(backoff->base_s * growth(backoff, n > 0 ? n : 1), longest(backoff));
}

static void decorrelated_bounds(const struct neap_backoff *backoff, double previous_s,
                                double *low_s, double *high_s)
{
    double max_s = longest(backoff);
    double base_s = fmin(fmax(backoff->base_s, 0), max_s);
    double from_s = previous_s > 0 ? previous_s : base_s;
    *low_s = base_s;
    *high_s = fmax(base_s, fmin(max_s, 3 * from_s));
}

void neap_backoff_bounds(const struct neap_backoff *backoff, uint32_t n, double previous_s,
                         double *low_s, double *high_s)
{
    double d = undelayed(backoff, n);
    double max_s = longest(backoff);
    *low_s = *high_s = d;
    switch (backoff->jitter) {
    case NEAP_JITTER_NONE:
        break;
    case NEAP_JITTER_FULL:
        *low_s = 0;
        break;
    case NEAP_JITTER_EQUAL:
        *low_s = d / 2;
        break;
    case NEAP_JITTER_ADDITIVE:
        *low_s = fmin(d, max_s / 2);
        *high_s = fmin(2 * d, max_s);
        break;
    case NEAP_JITTER_SHARE:
        *low_s = d * (1 - backoff->share);
        *high_s = fmin(max_s, d * (1 + backoff->share));
        break;
    case NEAP_JITTER_DECORRELATED:
        decorrelated_bounds(backoff, previous_s, low_s, high_s);
        break;
    }
}

double neap_backoff_delay(const struct neap_backoff *backoff, uint32_t n, double previous_s,
                          double r)
{
    double low_s, high_s;
    if (backoff->jitter == NEAP_JITTER_NONE)
        return undelayed(backoff, n);
    neap_backoff_bounds(backoff, n, previous_s, &low_s, &high_s);
    return fmin(low_s + r * (high_s - low_s), high_s);
}
