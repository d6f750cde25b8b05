/* Rate limiter: GCRA with reservation (ITU-T I.371, the virtual scheduling form).
 *
 * With T = per / rate and tau = (burst - 1) * T, one number is kept: the theoretical arrival time.
 * State is one atomic; any number of threads or processes may share it. */
#ifndef NEAP_POLICY_RATE_LIMITER_H
#define NEAP_POLICY_RATE_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/duration.h"
#include "policy/admission.h"

struct neap_rate_limiter {
    _Atomic int64_t tat_ns;
};

/* How far it is from the start of the units to the last of them, and to the next one after them. */
struct neap_rate_limiter_span {
    int64_t to_last_ns, to_next_ns;
};

struct neap_rate_limiter_policy {
    double interval_s; /* T */
    double burst;      /* >= 1 */
    int64_t max_wait_ns;
    bool is_private;  /* one thread alone has the state */
    bool is_prepared; /* see neap_rate_limiter_prepare */
    struct neap_rate_limiter_span one;
};

/* Works out what each acquisition of one unit needs to know; once `interval_s` and `burst` are as
 * they stay. A policy that is not prepared is only slower. */
void neap_rate_limiter_prepare(struct neap_rate_limiter_policy *policy);

void neap_rate_limiter_init(struct neap_rate_limiter *limiter);

/* Asks for `units` (>= 1). ADMIT, or WAIT until the last of them may go: they are reserved. REFUSE
 * (nothing changes) where that wait is longer than `max_wait_ns`; `until_ns` then says when they
 * could have gone. */
struct neap_admission neap_rate_limiter_acquire(struct neap_rate_limiter *limiter,
                                                const struct neap_rate_limiter_policy *policy,
                                                uint64_t units, int64_t max_wait_ns,
                                                int64_t now_ns);

/* The general case of neap_rate_limiter_pass. */
bool neap_rate_limiter_pass_shared(struct neap_rate_limiter *limiter,
                                   const struct neap_rate_limiter_policy *policy, int64_t now_ns);

/* One unit, where it may go now; false, and nothing changes, elsewhere. The arrival time is never
 * below 0, so the next one is too large where it is NEAP_NEVER. */
static inline bool neap_rate_limiter_pass(struct neap_rate_limiter *limiter,
                                          const struct neap_rate_limiter_policy *policy,
                                          int64_t now_ns)
{
    if (!policy->is_private || !policy->is_prepared)
        return neap_rate_limiter_pass_shared(limiter, policy, now_ns);
    int64_t tat_ns = atomic_load_explicit(&limiter->tat_ns, memory_order_relaxed);
    uint64_t next_ns = (uint64_t)neap_time_max(tat_ns, now_ns) + (uint64_t)policy->one.to_next_ns;
    bool has_to_wait = tat_ns > now_ns && neap_time_add(tat_ns, policy->one.to_last_ns) > now_ns;
    if (has_to_wait || next_ns >= NEAP_NEVER)
        return false;
    atomic_store_explicit(&limiter->tat_ns, (int64_t)next_ns, memory_order_relaxed);
    return true;
}

#endif
