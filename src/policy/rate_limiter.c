#include "policy/rate_limiter.h"

#include "base/duration.h"
#include "base/private.h"

struct reservation {
    int64_t ready_ns; /* when the last of the units may go */
    int64_t tat_ns;
};

void neap_rate_limiter_init(struct neap_rate_limiter *limiter)
{
    atomic_init(&limiter->tat_ns, 0);
}

/* It is known before the state is read: the less happens between that and the swap, the fewer
 * others come in between. (units - 1) * T - tau is taken as (units - burst) * T: one product,
 * rounded once. */
static struct neap_rate_limiter_span span_of(const struct neap_rate_limiter_policy *policy,
                                             uint64_t units)
{
    return (struct neap_rate_limiter_span){
        .to_last_ns = neap_ns_from_seconds(((double)units - policy->burst) * policy->interval_s),
        .to_next_ns = neap_ns_from_seconds((double)units * policy->interval_s),
    };
}

void neap_rate_limiter_prepare(struct neap_rate_limiter_policy *policy)
{
    policy->one = span_of(policy, 1);
    policy->is_prepared = true;
}

static struct reservation reserve(struct neap_rate_limiter_span span, int64_t tat_ns,
                                  int64_t now_ns)
{
    int64_t start_ns = neap_time_max(tat_ns, now_ns);
    return (struct reservation){
        .ready_ns = neap_time_add(start_ns, span.to_last_ns),
        .tat_ns = neap_time_add(start_ns, span.to_next_ns),
    };
}

/* A moment past the end of time could never be honoured, and would block everybody for ever. */
static bool is_refused(struct reservation wanted, int64_t max_wait_ns, int64_t now_ns)
{
    return wanted.tat_ns == NEAP_NEVER || neap_time_since(wanted.ready_ns, now_ns) > max_wait_ns;
}

struct neap_admission neap_rate_limiter_acquire(struct neap_rate_limiter *limiter,
                                                const struct neap_rate_limiter_policy *policy,
                                                uint64_t units, int64_t max_wait_ns, int64_t now_ns)
{
    bool is_known = units == 1 && policy->is_prepared;
    struct neap_rate_limiter_span span = is_known ? policy->one : span_of(policy, units);
    int64_t tat_ns = atomic_load(&limiter->tat_ns);
    struct reservation wanted;
    do {
        wanted = reserve(span, tat_ns, now_ns);
        if (is_refused(wanted, max_wait_ns, now_ns))
            return (struct neap_admission){.decision = NEAP_REFUSE, .until_ns = wanted.ready_ns};
    } while (!NEAP_SWAP(&limiter->tat_ns, &tat_ns, wanted.tat_ns, policy->is_private));
    if (wanted.ready_ns <= now_ns)
        return (struct neap_admission){.decision = NEAP_ADMIT, .until_ns = now_ns};
    return (struct neap_admission){.decision = NEAP_WAIT, .until_ns = wanted.ready_ns};
}

bool neap_rate_limiter_pass_shared(struct neap_rate_limiter *limiter,
                                   const struct neap_rate_limiter_policy *policy, int64_t now_ns)
{
    return neap_rate_limiter_acquire(limiter, policy, 1, 0, now_ns).decision == NEAP_ADMIT;
}
