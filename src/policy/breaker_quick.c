#include "policy/breaker_quick.h"

#include "base/duration.h"
#include "base/private.h"

static bool is_on_ramp(const struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                       struct neap_breaker_word word, int64_t now_ns)
{
    return word.state == NEAP_BREAKER_CLOSED && word.ramp && policy->ramp_ns > 0 &&
           neap_time_since(now_ns, atomic_load(&breaker->closed_at_ns)) < policy->ramp_ns;
}

int64_t neap_breaker_pass_anyhow(const struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, int64_t now_ns)
{
    struct neap_breaker_word word = neap_breaker_word_load(breaker);
    bool admits_all = neap_breaker_has_window(word.state) || word.state == NEAP_BREAKER_DISABLED;
    return admits_all && !is_on_ramp(breaker, policy, word, now_ns)
               ? neap_breaker_plain_permit(word.generation)
               : 0;
}

/* The moment is of the state that was seen only if that is current still. */
int64_t neap_breaker_refuses(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                             int64_t now_ns)
{
    struct neap_breaker_word word = neap_breaker_word_load(breaker);
    bool is_open = word.state == NEAP_BREAKER_OPEN;
    if (!is_open && word.state != NEAP_BREAKER_FORCED_OPEN)
        return INT64_MIN;
    int64_t until_ns = is_open ? atomic_load(&breaker->open_until_ns) : NEAP_NEVER;
    if (now_ns >= until_ns || !neap_breaker_is_current(breaker, word.generation))
        return INT64_MIN;
    NEAP_ADD(&breaker->not_permitted, 1, policy->is_private);
    return until_ns;
}
