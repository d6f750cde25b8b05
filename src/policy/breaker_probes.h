/* The probes of a half-open circuit breaker: one cell for each permit, which is free, out with a
 * lease and its holder's name, or holds a result. A half-open generation spends each cell once, so
 * never more than `permits` probes go; whoever dies with a probe leaves a lease behind that ends,
 * and a name by which others give it back at once. */
#ifndef NEAP_POLICY_BREAKER_PROBES_H
#define NEAP_POLICY_BREAKER_PROBES_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/breaker.h"
#include "policy/slices.h"

void neap_breaker_probes_init(struct neap_breaker *breaker,
                              const struct neap_breaker_policy *policy);

/* Lays out the cells for the generation that follows `generation`, an open one: all are free. Does
 * nothing once the state has changed. */
void neap_breaker_probes_prepare(struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, uint32_t generation);

/* A free cell's permit, or 0 where there is none or the generation has moved on. */
int64_t neap_breaker_probes_take(struct neap_breaker *breaker,
                                 const struct neap_breaker_policy *policy, uint32_t generation,
                                 uint32_t holder, int64_t now_ns);

/* Puts a result into the permit's cell; 0 frees it. False if that probe is not out. */
bool neap_breaker_probes_settle(struct neap_breaker *breaker,
                                const struct neap_breaker_policy *policy, int64_t permit,
                                unsigned result);

/* Of the probes whose lease has ended, settles the one that ended first as failed. False if there
 * is none, or the generation has moved on. */
bool neap_breaker_probes_expire(struct neap_breaker *breaker,
                                const struct neap_breaker_policy *policy, uint32_t generation,
                                int64_t now_ns, int64_t *ended_ns);

/* Frees each cell that is out in that holder's name; how many there were. */
uint32_t neap_breaker_probes_reclaim(struct neap_breaker *breaker,
                                     const struct neap_breaker_policy *policy, uint32_t generation,
                                     uint32_t holder);

struct neap_tally neap_breaker_probes_tally(const struct neap_breaker *breaker,
                                            const struct neap_breaker_policy *policy,
                                            uint32_t generation);

#endif
