/* Retry budget: retries as a share of calls, so that retrying cannot multiply an outage's load.
 *
 * Source: the RetryBudget of Twitter's Finagle. Each call deposits `ratio` of a retry, which lives
 * `ttl` seconds; on top stands a reserve of min_per_second * ttl retries in any ttl seconds. A
 * withdrawal weighs 1 and is forgotten after ttl seconds too. State is atomics without pointers in
 * `neap_retry_budget_bytes(policy)` bytes, aligned to 8. */
#ifndef NEAP_POLICY_RETRY_BUDGET_H
#define NEAP_POLICY_RETRY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct neap_retry_budget_policy {
    double ratio;          /* >= 0 */
    double min_per_second; /* >= 0 */
    uint32_t ttl_seconds;  /* 1 to NEAP_SLICES_MAX */
    bool is_private;       /* one thread alone has the state */
};

struct neap_retry_budget; /* lives in memory of the caller's */

size_t neap_retry_budget_bytes(const struct neap_retry_budget_policy *policy);
void neap_retry_budget_init(struct neap_retry_budget *budget,
                            const struct neap_retry_budget_policy *policy);

void neap_retry_budget_deposit(struct neap_retry_budget *budget,
                               const struct neap_retry_budget_policy *policy, int64_t now_ns);

/* Pays for one retry; false, and nothing changes, where less than one whole retry is left. Under
 * contention it may refuse one that would have fitted, never the other way round. */
bool neap_retry_budget_withdraw(struct neap_retry_budget *budget,
                                const struct neap_retry_budget_policy *policy, int64_t now_ns);

/* The whole number of retries that could be withdrawn now; never below 0. */
int64_t neap_retry_budget_balance(const struct neap_retry_budget *budget,
                                  const struct neap_retry_budget_policy *policy, int64_t now_ns);

#endif
