/* Bulkhead: at most so many attempts at once (the term is M. Nygard's, "Release It!").
 *
 * State is atomics without pointers in `neap_bulkhead_bytes(policy)` bytes, aligned to 8; any
 * number of threads or processes may share it, each with an equal policy. A permit names its slot,
 * its holder (base/holder.h) and how often the slot was used, so giving the same permit back twice
 * changes nothing, and what a dead holder had can be given back by others. Waiting is the caller's
 * matter. */
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
    bool is_private; /* one thread alone has the state */
};

struct neap_bulkhead; /* lives in memory of the caller's */

/* 20 and 4 for each place, rounded up to a multiple of 8: 64 for 10 places, 424 for 100. */
size_t neap_bulkhead_bytes(const struct neap_bulkhead_policy *policy);
void neap_bulkhead_init(struct neap_bulkhead *bulkhead, const struct neap_bulkhead_policy *policy);

/* ADMIT with a permit of that holder (at most NEAP_HOLDER_MAX), or REFUSE where all are out. */
struct neap_admission neap_bulkhead_acquire(struct neap_bulkhead *bulkhead,
                                            const struct neap_bulkhead_policy *policy,
                                            uint32_t holder, int64_t now_ns);

/* The permit alone; 0 where all are out. */
int64_t neap_bulkhead_take(struct neap_bulkhead *bulkhead,
                           const struct neap_bulkhead_policy *policy, uint32_t holder);

/* False, and nothing changes, for a permit that is not out. */
bool neap_bulkhead_release(struct neap_bulkhead *bulkhead,
                           const struct neap_bulkhead_policy *policy, int64_t permit);

/* Which place a permit that was given is for, from 0 on; one permit at most is out for each. */
uint32_t neap_bulkhead_place(int64_t permit);

/* Gives back each permit that this holder has out; how many there were. To be called for every
 * bulkhead that a dead process may have used, even where it has nothing out: see bulkhead.c. */
uint32_t neap_bulkhead_reclaim(struct neap_bulkhead *bulkhead,
                               const struct neap_bulkhead_policy *policy, uint32_t holder);

/* Looks at each slot: for people and tests, not for the way of a call. */
uint32_t neap_bulkhead_in_use(const struct neap_bulkhead *bulkhead,
                              const struct neap_bulkhead_policy *policy);

#endif
