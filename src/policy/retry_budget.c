#include "policy/retry_budget.h"

#include <math.h>

#include "base/attributes.h"
#include "policy/retry_budget_state.h"

#define ROUNDING_SLACK 1e-9
#define ONE_GENERATION 0
#define LARGEST_BALANCE 0x1p53

size_t neap_retry_budget_bytes(const struct neap_retry_budget_policy *policy)
{
    return sizeof(struct neap_retry_budget) + policy->ttl_seconds * sizeof(struct neap_slice);
}

void neap_retry_budget_init(struct neap_retry_budget *budget,
                            const struct neap_retry_budget_policy *policy)
{
    budget->hint = (struct neap_slices_hint){0};
    budget->sum[NEAP_BUDGET_DEPOSITS] = budget->sum[NEAP_BUDGET_WITHDRAWALS] = 0;
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
    return left_of(policy, sum.counter[NEAP_BUDGET_DEPOSITS], sum.counter[NEAP_BUDGET_WITHDRAWALS]);
}

static NEAP_SELDOM void add_elsewhere(struct neap_retry_budget *budget,
                                      const struct neap_retry_budget_policy *policy, int64_t now_ns,
                                      enum neap_retry_budget_counter counter)
{
    struct neap_tally one = {{0}};
    one.counter[counter] = 1;
    neap_slices_add_hinted(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one,
                           &budget->hint);
    struct neap_tally sum = sum_of(budget, policy, now_ns);
    for (int i = NEAP_BUDGET_DEPOSITS; i <= NEAP_BUDGET_WITHDRAWALS; i++)
        budget->sum[i] = (uint32_t)sum.counter[i];
}

static void add_private(struct neap_retry_budget *budget,
                        const struct neap_retry_budget_policy *policy, int64_t now_ns,
                        enum neap_retry_budget_counter counter)
{
    if (!neap_retry_budget_count(budget, now_ns, counter))
        add_elsewhere(budget, policy, now_ns, counter);
}

static NEAP_SELDOM void deposit_shared(struct neap_retry_budget *budget,
                                       const struct neap_retry_budget_policy *policy,
                                       int64_t now_ns)
{
    struct neap_tally one = {.counter = {[NEAP_BUDGET_DEPOSITS] = 1}};
    neap_slices_add(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one);
}

void neap_retry_budget_deposit(struct neap_retry_budget *budget,
                               const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    if (policy->is_private)
        add_private(budget, policy, now_ns, NEAP_BUDGET_DEPOSITS);
    else
        deposit_shared(budget, policy, now_ns);
}

static NEAP_SELDOM void give_back(struct neap_retry_budget *budget,
                                  const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    struct neap_tally one = {.counter = {[NEAP_BUDGET_WITHDRAWALS] = 1}};
    neap_slices_subtract(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one);
}

/* Where there is one thread, the sum is known after each addition. */
static bool withdraw_private(struct neap_retry_budget *budget,
                             const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    add_private(budget, policy, now_ns, NEAP_BUDGET_WITHDRAWALS);
    if (left_of(policy, budget->sum[NEAP_BUDGET_DEPOSITS], budget->sum[NEAP_BUDGET_WITHDRAWALS]) >=
        0)
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
    struct neap_tally one = {.counter = {[NEAP_BUDGET_WITHDRAWALS] = 1}};
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
