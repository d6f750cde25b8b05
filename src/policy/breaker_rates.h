/* When a circuit breaker trips: the arithmetic of its rates, without state. */
#ifndef NEAP_POLICY_BREAKER_RATES_H
#define NEAP_POLICY_BREAKER_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/breaker.h"
#include "policy/slices.h"

/* The counters of a neap_tally in the breaker. */
enum neap_breaker_counter { NEAP_BREAKER_CALLS, NEAP_BREAKER_FAILURES, NEAP_BREAKER_SLOW };

/* Enough calls for the rates to count: min_calls, or as many as there can be where that is less. */
bool neap_breaker_has_rate(const struct neap_breaker_policy *policy, enum neap_breaker_state state,
                           const struct neap_tally *tally);

/* Between 0 and 1; only where there are calls. */
double neap_breaker_rate(const struct neap_tally *tally, enum neap_breaker_counter counter);

/* A rate has reached its threshold, or the failures in a row have. */
bool neap_breaker_trips(const struct neap_breaker_policy *policy, enum neap_breaker_state state,
                        const struct neap_tally *tally, uint32_t in_row);

#endif
