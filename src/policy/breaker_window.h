/* The window of a circuit breaker: the last N results in a ring, or the last N seconds in slices,
 * and the number of failures in a row. Each generation begins with an empty window. */
#ifndef NEAP_POLICY_BREAKER_WINDOW_H
#define NEAP_POLICY_BREAKER_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/breaker.h"
#include "policy/slices.h"

#define NEAP_BREAKER_IN_ROW_MAX ((UINT32_C(1) << 22) - 1)

/* In words of 8 bytes. */
size_t neap_breaker_window_words(const struct neap_breaker_policy *policy);

void neap_breaker_window_init(struct neap_breaker *breaker,
                              const struct neap_breaker_policy *policy);

/* Counts one result. True where the window or the row may have tripped: the window then holds
 * `tally`. False where nothing in it has failed or was slow, and where the generation has moved on,
 * so that the result counts for nothing. */
bool neap_breaker_window_add(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                             uint32_t generation, unsigned result, int64_t now_ns,
                             struct neap_tally *tally, uint32_t *in_row);

/* Counts a result for the failures in a row only; their number, or 0 if the generation has moved.
 */
uint32_t neap_breaker_window_add_to_row(struct neap_breaker *breaker,
                                        const struct neap_breaker_policy *policy,
                                        uint32_t generation, unsigned result);

struct neap_tally neap_breaker_window_tally(const struct neap_breaker *breaker,
                                            const struct neap_breaker_policy *policy,
                                            uint32_t generation, int64_t now_ns);

uint32_t neap_breaker_window_in_row(const struct neap_breaker *breaker, uint32_t generation);

/* For import, while nobody else calls. */
void neap_breaker_window_set_in_row(struct neap_breaker *breaker, uint32_t generation,
                                    uint32_t in_row);

/* The i-th result of the ring from the oldest place on (i < window_count); 0: none there. */
unsigned neap_breaker_window_result(const struct neap_breaker *breaker,
                                    const struct neap_breaker_policy *policy, uint32_t generation,
                                    uint32_t i);

/* The slices of a time window; all of them are of (uint16_t)generation. */
struct neap_slice *neap_breaker_window_slices(struct neap_breaker *breaker,
                                              const struct neap_breaker_policy *policy);
const struct neap_slice *neap_breaker_window_slices_const(const struct neap_breaker *breaker,
                                                          const struct neap_breaker_policy *policy);

#endif
