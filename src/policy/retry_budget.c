#include "policy/retry_budget.h"

#include <math.h>

#include "policy/slices.h"

/* Counters of a slice. */
enum { DEPOSITS, WITHDRAWALS };

#define ROUNDING_SLACK 1e-9
#define ONE_GENERATION 0
#define LARGEST_BALANCE 0x1p53

/* As many slices as the policy's ttl has seconds. */
struct neap_retry_budget {
    int64_t hint; /* of private state, see slices.h */
    int64_t unused;
    struct neap_slice slice[];
};

size_t neap_retry_budget_bytes(const struct neap_retry_budget_policy *policy)
{
    return sizeof(struct neap_retry_budget) + policy->ttl_seconds * sizeof(struct neap_slice);
}

void neap_retry_budget_init(struct neap_retry_budget *budget,
                            const struct neap_retry_budget_policy *policy)
{
    budget->hint = budget->unused = 0;
    neap_slices_init(budget->slice, policy->ttl_seconds);
}

/* Below zero where more was withdrawn than there is. */
static double balance_of(const struct neap_retry_budget *budget,
                         const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    struct neap_tally sum =
        neap_slices_sum(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns);
    double reserve = policy->min_per_second * policy->ttl_seconds;
    double deposited = (double)sum.counter[DEPOSITS] * policy->ratio;
    return floor(deposited + reserve - (double)sum.counter[WITHDRAWALS] + ROUNDING_SLACK);
}

static void add(struct neap_retry_budget *budget, const struct neap_retry_budget_policy *policy,
                int64_t now_ns, struct neap_tally addend)
{
    if (policy->is_private)
        neap_slices_add_hinted(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, addend,
                               &budget->hint);
    else
        neap_slices_add(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, addend);
}

void neap_retry_budget_deposit(struct neap_retry_budget *budget,
                               const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    struct neap_tally one = {.counter = {[DEPOSITS] = 1}};
    add(budget, policy, now_ns, one);
}

/* Paying first and looking afterwards keeps two that pay at once from both taking the last one. */
bool neap_retry_budget_withdraw(struct neap_retry_budget *budget,
                                const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    struct neap_tally one = {.counter = {[WITHDRAWALS] = 1}};
    add(budget, policy, now_ns, one);
    if (balance_of(budget, policy, now_ns) >= 0)
        return true;
    neap_slices_subtract(budget->slice, policy->ttl_seconds, ONE_GENERATION, now_ns, one);
    return false;
}

int64_t neap_retry_budget_balance(const struct neap_retry_budget *budget,
                                  const struct neap_retry_budget_policy *policy, int64_t now_ns)
{
    return (int64_t)fmin(fmax(balance_of(budget, policy, now_ns), 0), LARGEST_BALANCE);
}
