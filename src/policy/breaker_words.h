/* The two words of a breaker's window that every result looks at. The rule that makes it safe
 * stands above struct neap_breaker.
 *
 *     sequence   generation 28 | next place in the ring 14 | failures in a row 22
 *     totals     generation 19 (its low bits) | slow calls, failures, calls of the ring, 15 each
 *
 * Each word of a window carries its generation, and a word of another one is empty. So a change of
 * state empties the window by itself; whoever writes a stale word first replaces it. The totals
 * could take a stale word for a new one only after 2^19 changes of state, and exactly so many.
 *
 * Two callers that are a whole lap apart may swap the same place of the ring in either order: each
 * adds to the totals what it put in minus what it found, so they agree with the ring as soon as
 * both are done. Until then a total may be below zero, so each counts from NEAP_BREAKER_TOTAL_ZERO
 * on. A process that is killed between the two leaves the totals one result off until the
 * generation ends. A result that finds in its place what it brings swaps neither of them. */
#ifndef NEAP_POLICY_BREAKER_WORDS_H
#define NEAP_POLICY_BREAKER_WORDS_H

#include <stdint.h>

#include "policy/breaker_rates.h"

#define NEAP_BREAKER_SEQUENCE_GENERATION_SHIFT 36
#define NEAP_BREAKER_SEQUENCE_PLACE_SHIFT 22
#define NEAP_BREAKER_PLACE_MASK UINT64_C(0x3FFF)

#define NEAP_BREAKER_TOTAL_BITS 15
#define NEAP_BREAKER_TOTAL_MASK ((UINT64_C(1) << NEAP_BREAKER_TOTAL_BITS) - 1)
#define NEAP_BREAKER_TOTAL_ZERO (UINT64_C(1) << (NEAP_BREAKER_TOTAL_BITS - 1))
#define NEAP_BREAKER_TOTALS_GENERATION_SHIFT (3 * NEAP_BREAKER_TOTAL_BITS)
#define NEAP_BREAKER_ONE(counter) (UINT64_C(1) << ((counter)*NEAP_BREAKER_TOTAL_BITS))

static inline uint64_t neap_breaker_sequence(uint32_t generation, uint32_t place, uint32_t in_row)
{
    return (uint64_t)generation << NEAP_BREAKER_SEQUENCE_GENERATION_SHIFT |
           (uint64_t)place << NEAP_BREAKER_SEQUENCE_PLACE_SHIFT | in_row;
}

/* Of an empty window. */
static inline uint64_t neap_breaker_no_totals(uint32_t generation)
{
    return (uint64_t)generation << NEAP_BREAKER_TOTALS_GENERATION_SHIFT |
           NEAP_BREAKER_TOTAL_ZERO * (NEAP_BREAKER_ONE(NEAP_BREAKER_CALLS) |
                                      NEAP_BREAKER_ONE(NEAP_BREAKER_FAILURES) |
                                      NEAP_BREAKER_ONE(NEAP_BREAKER_SLOW));
}

#endif
