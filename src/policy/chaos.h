/* Chaos: disturbs a share of the attempts on purpose, to see what the other policies make of it.
 *
 * It decides only; the transport's edge does it: a real attempt is late by `latency_ns`, or instead
 * of one there is an error or a response, after that time. Off unless asked for, and switched off
 * at any time by hand. The practice is fault injection as in chaos engineering
 * (principlesofchaos.org); proxies such as Envoy have the same two faults, delay and abort. */
#ifndef NEAP_POLICY_CHAOS_H
#define NEAP_POLICY_CHAOS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/kind.h"

struct neap_chaos_policy {
    double rate;          /* share of attempts, above 0 and at most 1 */
    int64_t latency_ns;   /* 0: none */
    enum neap_kind error; /* NONE: no error */
    uint32_t status;      /* 0: no response of ours */
};

/* Is this attempt disturbed? `r` is a random number in [0,1). */
bool neap_chaos_strikes(const struct neap_chaos_policy *policy, double r);

/* Is there an error or a response in the place of a real attempt? */
bool neap_chaos_replaces(const struct neap_chaos_policy *policy);

#endif
