#include "policy/breaker_rates.h"

#include "base/duration.h"
#include "policy/breaker_window.h"

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

static uint32_t calls_needed(const struct neap_breaker_policy *policy,
                             enum neap_breaker_state state)
{
    if (state == NEAP_BREAKER_HALF_OPEN)
        return at_most(policy->min_calls, policy->permits);
    if (policy->window_count > 0)
        return at_most(policy->min_calls, policy->window_count);
    return policy->min_calls;
}

bool neap_breaker_has_rate(const struct neap_breaker_policy *policy, enum neap_breaker_state state,
                           const struct neap_tally *tally)
{
    uint64_t calls = tally->counter[NEAP_BREAKER_CALLS];
    return calls > 0 && calls >= calls_needed(policy, state);
}

/* Counts are far below 2^63, and a signed number becomes a double by one instruction. */
double neap_breaker_rate(const struct neap_tally *tally, enum neap_breaker_counter counter)
{
    return (double)(int64_t)tally->counter[counter] /
           (double)(int64_t)tally->counter[NEAP_BREAKER_CALLS];
}

/* No rate of nothing trips: thresholds are above 0. So the ordinary call divides nothing. */
static bool rate_trips(const struct neap_tally *tally, enum neap_breaker_counter counter,
                       double threshold)
{
    return tally->counter[counter] > 0 && neap_breaker_rate(tally, counter) >= threshold;
}

static bool any_rate_trips(const struct neap_breaker_policy *policy, const struct neap_tally *tally)
{
    return rate_trips(tally, NEAP_BREAKER_FAILURES, policy->failure_rate) ||
           (policy->slow_call_ns != NEAP_NEVER &&
            rate_trips(tally, NEAP_BREAKER_SLOW, policy->slow_call_rate));
}

static bool row_trips(const struct neap_breaker_policy *policy, uint32_t in_row)
{
    return policy->consecutive_failures > 0 &&
           in_row >= at_most(policy->consecutive_failures, NEAP_BREAKER_IN_ROW_MAX);
}

bool neap_breaker_trips(const struct neap_breaker_policy *policy, enum neap_breaker_state state,
                        const struct neap_tally *tally, uint32_t in_row)
{
    if (row_trips(policy, in_row))
        return true;
    return neap_breaker_has_rate(policy, state, tally) && any_rate_trips(policy, tally);
}
