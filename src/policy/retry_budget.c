#include "policy/retry_budget.h"

#include <math.h>

#include "base/attributes.h"
#include "policy/slices.h"

/* Counters of a slice. */
enum { DEPOSITS, WITHDRAWALS };

#define ROUNDING_SLACK 1e-9
#define ONE_GENERATION 0
#define LARGEST_BALANCE 0x1p53

/* As many slices as the policy's ttl has seconds. Of private state a hint is kept, see slices.h,
 * and the sum of the slices for as long as the hint holds. */
struct neap_retry_budget {
    struct neap_slices_hint hint;
    uint32_t sum[2];
    struct neap_slice slice[];
};

size_t neap_retry_budget_bytes(const struct neap_retry_budget_policy *policy)
{
    return sizeof(struct neap_retry_budget) + policy->ttl_seconds * sizeof(struct neap_slice);
}

void neap_retry_budget_init(struct neap_retry_budget *budget,
                            const struct neap_retry_budget_policy *policy)
{
    budget->hint = (struct neap_slices_hint){0};
    budget->sum[DEPOSITS] = budget->sum[WITHDRAWALS] = 0;
    neap_slices_init(budget->slice, policy->ttl_seconds);
}

/* In whole retries it is the next smaller number. */
static double left_of(const struct neap_retry_budget_policy *policy, uint64_t deposits,
                      uint64_t withdrawals)
{
    double reserve = policy->min_per_second * policy->ttl_seconds;
    double deposited = (double)deposits * policy->ratio;
    return deposited + reserve - (double)withdrawals + ROUNDING_SLACK;
}

static struct neap_tally sum_of(const struct neap_retry_budget *budget,
                                const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    return neap_slices_sum(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns);
}

/* Below zero where more was withdrawn than there is. */
static double balance_of(const struct neap_retry_budget *budget,
                         const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    struct neap_tally sum = sum_of(budget, policy, now_ns);
    return left_of(policy, sum.counter[DEPOSITS], sum.counter[WITHDRAWALS]);
}

static NEAP_SELDOM void add_elsewhere(struct neap_retry_budget *budget,
                                      const struct neap_retry_budget_policy *policy, int64_t now_ns,
                                      int counter)
{
    struct neap_tally one = {{0}};
    one.counter[counter] = 1;
    neap_slices_add_hinted(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one,
                           &budget->hint);
    struct neap_tally sum = sum_of(budget, policy, now_ns);
    for (int i = DEPOSITS; i <= WITHDRAWALS; i++)
        budget->sum[i] = (uint32_t)sum.counter[i];
}

/* By far most calls are of a second in which there was one before. */
NEAP_INLINE void add_private(struct neap_retry_budget *budget,
                             const struct neap_retry_budget_policy *policy, int64_t now_ns,
                             int counter)
{
    int added = neap_slices_count_hinted(budget->slice, now_ns, counter, &budget->hint);
    if (added < 0)
        add_elsewhere(budget, policy, now_ns, counter);
    else
        budget->sum[counter] += (uint32_t)added;
}

static NEAP_SELDOM void deposit_shared(struct neap_retry_budget *budget,
                                       const struct neap_retry_budget_policy *policy,
                                       int64_t now_ns)
{
    struct neap_tally one = {.counter = {[DEPOSITS] = 1}};
    neap_slices_add(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one);
}

void neap_retry_budget_deposit(struct neap_retry_budget *budget,
                               const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    if (policy->is_private)
        add_private(budget, policy, now_ns, DEPOSITS);
    else
        deposit_shared(budget, policy, now_ns);
}

static NEAP_SELDOM void give_back(struct neap_retry_budget *budget,
                                  const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    struct neap_tally one = {.counter = {[WITHDRAWALS] = 1}};
    neap_slices_subtract(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one);
}

/* Where there is one thread, the sum is known after each addition. */
static bool withdraw_private(struct neap_retry_budget *budget,
                             const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    add_private(budget, policy, now_ns, WITHDRAWALS);
    if (left_of(policy, budget->sum[DEPOSITS], budget->sum[WITHDRAWALS]) >= 0)
        return true;
    give_back(budget, policy, now_ns);
    budget->hint = (struct neap_slices_hint){0}; /* nor is the sum what it was */
    return false;
}

/* Paying first and looking afterwards keeps two that pay at once from both taking the last one. */
static NEAP_SELDOM bool withdraw_shared(struct neap_retry_budget *budget,
                                        const struct neap_retry_budget_policy *policy,
                                        int64_t now_ns)
{
    struct neap_tally one = {.counter = {[WITHDRAWALS] = 1}};
    neap_slices_add(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one);
    if (balance_of(budget, policy, now_ns) >= 0)
        return true;
    give_back(budget, policy, now_ns);
    return false;
}

bool neap_retry_budget_withdraw(struct neap_retry_budget *budget,
                                const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    return policy->is_private ? withdraw_private(budget, policy, now_ns)
                              : withdraw_shared(budget, policy, now_ns);
}

int64_t neap_retry_budget_balance(const struct neap_retry_budget *budget,
                                  const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    return (int64_t)fmin(fmax(floor(balance_of(budget, policy, now_ns)), 0), LARGEST_BALANCE);
}
