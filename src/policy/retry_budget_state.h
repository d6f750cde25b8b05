/* The retry budget's memory, and a deposit as one thread makes it that has it alone, for callers in
 * a hurry. */
#ifndef NEAP_POLICY_RETRY_BUDGET_STATE_H
#define NEAP_POLICY_RETRY_BUDGET_STATE_H

#include "policy/retry_budget.h"
#include "policy/slices.h"

enum neap_retry_budget_counter { NEAP_BUDGET_DEPOSITS, NEAP_BUDGET_WITHDRAWALS };

/* As many slices as the policy's ttl has seconds. Of private state a hint is kept, see slices.h,
 * and the sum of the slices for as long as the hint holds. */
struct neap_retry_budget {
    struct neap_slices_hint hint;
    uint32_t sum[2];
    struct neap_slice slice[];
};

/* By far most calls are of a second in which there was one before. False where this is none, and
 * nothing has changed. */
static inline bool neap_retry_budget_count(struct neap_retry_budget *budget, int64_t now_ns,
                                           enum neap_retry_budget_counter counter)
{
    int added = neap_slices_count_hinted(budget->slice, now_ns, (int)counter, &budget->hint);
    if (added > 0)
        budget->sum[counter]++;
    return added >= 0;
}

#endif
