/* Bulkhead: at most so many attempts at once (the term is M. Nygard's, "Release It!").
 *
 * State is atomics without pointers in `neap_bulkhead_bytes(policy)` bytes, aligned to 8; any
 * number of threads or processes may share it. A permit names its slot and how often the slot was
 * used, so giving the same permit back twice changes nothing. Waiting is the caller's matter. */
#ifndef NEAP_POLICY_BULKHEAD_H
#define NEAP_POLICY_BULKHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/admission.h"

#define NEAP_BULKHEAD_MAX 65535u

struct neap_bulkhead_policy {
    uint32_t max_concurrent; /* 1 to NEAP_BULKHEAD_MAX */
    int64_t max_wait_ns;
    uint32_t max_queue;
};

struct neap_bulkhead; /* lives in memory of the caller's */

size_t neap_bulkhead_bytes(const struct neap_bulkhead_policy *policy);
void neap_bulkhead_init(struct neap_bulkhead *bulkhead, const struct neap_bulkhead_policy *policy);

/* ADMIT with a permit, or REFUSE where all are out. */
struct neap_admission neap_bulkhead_acquire(struct neap_bulkhead *bulkhead,
                                            const struct neap_bulkhead_policy *policy,
                                            int64_t now_ns);

/* False, and nothing changes, for a permit that is not out. */
bool neap_bulkhead_release(struct neap_bulkhead *bulkhead,
                           const struct neap_bulkhead_policy *policy, int64_t permit);

uint32_t neap_bulkhead_in_use(const struct neap_bulkhead *bulkhead);

#endif
