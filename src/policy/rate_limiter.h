/* Rate limiter: GCRA with reservation (ITU-T I.371, the virtual scheduling form).
 *
 * With T = per / rate and tau = (burst - 1) * T, one number is kept: the theoretical arrival time.
 * State is one atomic; any number of threads or processes may share it. */
#ifndef NEAP_POLICY_RATE_LIMITER_H
#define NEAP_POLICY_RATE_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/admission.h"

struct neap_rate_limiter {
    _Atomic int64_t tat_ns;
};

struct neap_rate_limiter_policy {
    double interval_s; /* T */
    double burst;      /* >= 1 */
    int64_t max_wait_ns;
    bool is_private; /* one thread alone has the state */
};

void neap_rate_limiter_init(struct neap_rate_limiter *limiter);

/* Asks for `units` (>= 1). ADMIT, or WAIT until the last of them may go: they are reserved. REFUSE
 * (nothing changes) where that wait is longer than `max_wait_ns`; `until_ns` then says when they
 * could have gone. */
struct neap_admission neap_rate_limiter_acquire(struct neap_rate_limiter *limiter,
                                                const struct neap_rate_limiter_policy *policy,
                                                uint32_t units, int64_t max_wait_ns,
                                                int64_t now_ns);

#endif
