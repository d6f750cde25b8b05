/* Bounds: what the calls of a pipeline can come to at most, reckoned without making one.
 *
 * Pure arithmetic on the policy, for neap.check. A bound holds for every server and every neighbour
 * that a call can have; nothing is known of functions of the program's, which may take as long as
 * they like. The parts of a call and their order are those of docs/order.md. */
#ifndef NEAP_PIPELINE_BOUNDS_H
#define NEAP_PIPELINE_BOUNDS_H

#include <stdint.h>

#include "pipeline/pipeline.h"

/* The longest that one attempt can take. Silences do not bound it: a server that sends a byte now
 * and then keeps it up to the limit of the attempt or of the call. */
int64_t neap_bounds_attempt_ns(const struct neap_pipeline *pipeline);

/* What a call's time goes into. */
enum neap_part {
    NEAP_PART_ATTEMPTS,
    NEAP_PART_BACKOFF, /* or what a server asks for in its place */
    NEAP_PART_GATE,
    NEAP_PART_RATE_LIMIT,
    NEAP_PART_BULKHEAD,
    NEAP_PART_OTHERS, /* clients that are asked in place of this one: not the pipeline's matter */
    NEAP_PART_COUNT
};

struct neap_bounds {
    int64_t part_ns[NEAP_PART_COUNT]; /* NEAP_NEVER: as long as somebody likes */
};

/* Each part of a call at its longest: each attempt at its limit, each wait at its upper bound. It
 * is the sum over all attempts; what the call's own limit leaves of it is the next function's
 * matter. Other clients that close the same gates are taken to have no longer max_server_delay. */
void neap_bounds_read(struct neap_bounds *bounds, const struct neap_pipeline *pipeline);

/* The longest from the beginning of a call to its end: the sum of the parts, cut by its limit. */
int64_t neap_bounds_call_ns(const struct neap_bounds *bounds, const struct neap_pipeline *pipeline);

/* "attempts", "backoff", "gate", "rate_limit", "bulkhead", "others" */
const char *neap_part_name(enum neap_part part);

/* How many attempts can begin before the call's limit where each fails at once and is repeated
 * after the shortest backoff; a server that asks for a shorter delay than that can have more. */
uint32_t neap_bounds_attempts(const struct neap_pipeline *pipeline);

/* How many attempts of that length, with the mean backoff between them, end within `allowed_ns`; at
 * least 1. */
uint32_t neap_bounds_fitting(const struct neap_pipeline *pipeline, int64_t attempt_ns,
                             int64_t allowed_ns);

/* The mean of all waits between `attempts` attempts. */
double neap_bounds_mean_backoff_s(const struct neap_pipeline *pipeline, uint32_t attempts);

/* The longest backoff between two of so many attempts. */
double neap_bounds_longest_backoff_s(const struct neap_pipeline *pipeline, uint32_t attempts);

/* The requests that one call makes on average where all fail at once and the breaker has not opened
 * yet: with the budget where there is one, its reserve spread over `calls_per_s` (HUGE_VAL: so many
 * that the reserve does not count). */
double neap_bounds_load(const struct neap_pipeline *pipeline, double calls_per_s);

/* The longest that a server's word can close a gate for. */
int64_t neap_bounds_gate_ns(const struct neap_pipeline *pipeline);

#endif
