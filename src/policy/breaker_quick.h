/* Answers of the circuit breaker that change no state, for callers in a hurry. */
#ifndef NEAP_POLICY_BREAKER_QUICK_H
#define NEAP_POLICY_BREAKER_QUICK_H

#include "policy/breaker_internal.h"
#include "policy/breaker_words.h"

/* The general case of neap_breaker_pass. */
int64_t neap_breaker_pass_anyhow(const struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, int64_t now_ns);

/* A permit where `acquire` would admit anybody: closed and on no ramp, disabled, or metrics_only. 0
 * elsewhere. Changes nothing. */
static inline int64_t neap_breaker_pass(const struct neap_breaker *breaker,
                                        const struct neap_breaker_policy *policy, int64_t now_ns)
{
    uint64_t bits = atomic_load(&breaker->word);
    uint64_t state = bits & (NEAP_BREAKER_STATE_MASK | NEAP_BREAKER_RAMP);
    return state == NEAP_BREAKER_CLOSED
               ? neap_breaker_plain_permit(neap_breaker_generation_of(bits))
               : neap_breaker_pass_anyhow(breaker, policy, now_ns);
}

/* Records a success that was not slow, where the last N results are all like it: then nothing can
 * trip, and no random number is asked for. False elsewhere, and nothing is recorded.
 *
 * Nothing is written either: one more success in a ring of nothing else puts it where another one
 * leaves, and which place of such a ring comes next makes no difference. A failure that has taken
 * its place meanwhile, and is not in it yet, comes after this success. */
static inline bool neap_breaker_record_success(const struct neap_breaker *breaker,
                                               const struct neap_breaker_policy *policy,
                                               int64_t permit, int64_t elapsed_ns)
{
    uint64_t bits = atomic_load(&breaker->word);
    uint32_t generation = neap_breaker_generation_of(bits);
    uint64_t places = NEAP_BREAKER_PLACE_MASK << NEAP_BREAKER_SEQUENCE_PLACE_SHIFT;
    return (bits & NEAP_BREAKER_STATE_MASK) == NEAP_BREAKER_CLOSED &&
           permit == neap_breaker_plain_permit(generation) && elapsed_ns <= policy->slow_call_ns &&
           policy->window_count > 0 &&
           (atomic_load(&breaker->sequence) & ~places) == neap_breaker_sequence(generation, 0, 0) &&
           atomic_load(&breaker->totals) ==
               neap_breaker_no_totals(generation) +
                   policy->window_count * NEAP_BREAKER_ONE(NEAP_BREAKER_CALLS);
}

#endif
