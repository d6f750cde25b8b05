#include "pipeline/bounds.h"

#include <math.h>

#include "base/duration.h"

/* A random number comes as near to it as one likes. */
#define LARGEST_R 1.0

/* max_attempts may be billions. After so many a backoff has grown to its cap, or its next step is
 * taken for all that follow. */
#define STEPS_MAX 4096u

/* Where retry is off there is no max_server_delay to bound a gate. */
#define GATE_LIMIT_WITHOUT_RETRY_NS (60 * NEAP_SECOND)

int64_t neap_bounds_gate_ns(const struct neap_pipeline *pipeline)
{
    return pipeline->retry.enabled ? pipeline->retry.max_server_delay_ns
                                   : GATE_LIMIT_WITHOUT_RETRY_NS;
}

int64_t neap_bounds_attempt_ns(const struct neap_pipeline *pipeline)
{
    return neap_time_min(pipeline->timeout.attempt_ns, pipeline->timeout.total_ns);
}

static int64_t times(int64_t length_ns, uint32_t count)
{
    return neap_ns_from_seconds(neap_seconds_from_ns(length_ns) * count);
}

/* ------------------------------------------------------------------------------------- backoff */

/* The waits of a call, one after the other. */
struct waits {
    const struct neap_backoff *backoff;
    uint32_t n;
    double previous_s;
};

/* A wait at that place of its range, from 0 to 1. */
static double next_wait(struct waits *waits, double place)
{
    double low_s, high_s;
    neap_backoff_bounds(waits->backoff, ++waits->n, waits->previous_s, &low_s, &high_s);
    waits->previous_s = low_s + place * (high_s - low_s);
    return waits->previous_s;
}

static uint32_t retries_of(uint32_t attempts)
{
    return attempts > 0 ? attempts - 1 : 0;
}

/* The sum of the waits between so many attempts. */
static double sum_of_waits(const struct neap_backoff *backoff, uint32_t attempts, double place)
{
    struct waits waits = {.backoff = backoff};
    uint32_t retries = retries_of(attempts);
    double sum_s = 0;
    while (waits.n < retries && waits.n < STEPS_MAX)
        sum_s += next_wait(&waits, place);
    uint32_t left = retries - waits.n;
    return left > 0 ? sum_s + left * next_wait(&waits, place) : sum_s;
}

double neap_bounds_mean_backoff_s(const struct neap_pipeline *pipeline, uint32_t attempts)
{
    return sum_of_waits(&pipeline->retry.backoff, attempts, 0.5);
}

double neap_bounds_longest_backoff_s(const struct neap_pipeline *pipeline, uint32_t attempts)
{
    struct waits waits = {.backoff = &pipeline->retry.backoff};
    uint32_t retries = retries_of(attempts);
    double longest_s = 0;
    while (waits.n < retries && waits.n < STEPS_MAX)
        longest_s = fmax(longest_s, next_wait(&waits, LARGEST_R));
    return longest_s;
}

/* ---------------------------------------------------------------------------------- worst case */

/* The gate may close for longer while one waits, but never past max_wait; only the spread comes on
 * top. */
static int64_t longest_gate(const struct neap_pipeline *pipeline)
{
    if (!pipeline->has_gate || pipeline->gate.max_wait_ns <= 0)
        return 0;
    double spread_s =
        LARGEST_R * NEAP_GATE_SPREAD * neap_seconds_from_ns(neap_bounds_gate_ns(pipeline));
    return neap_time_add(pipeline->gate.max_wait_ns, neap_ns_from_seconds(spread_s));
}

static bool retries_a_status(const struct neap_retry_policy *retry)
{
    for (int status = 0; status < NEAP_STATUS_COUNT; status++)
        if (retry->status_rule[status] != NEAP_STATUS_NEVER)
            return true;
    return false;
}

/* The longest wait that a server can ask for between two attempts. */
static double longest_server_delay_s(const struct neap_pipeline *pipeline)
{
    const struct neap_retry_policy *retry = &pipeline->retry;
    double told_s = neap_seconds_from_ns(retry->max_server_delay_ns);
    if (!retry->honor_retry_after || (!pipeline->asks_when && !retries_a_status(retry)))
        return 0;
    return told_s + LARGEST_R * NEAP_RETRY_SPREAD * told_s;
}

/* All waits between the attempts. Decorrelated jitter goes on from what the server asked for. */
static int64_t longest_waits(const struct neap_pipeline *pipeline, uint32_t attempts)
{
    struct waits waits = {.backoff = &pipeline->retry.backoff};
    uint32_t retries = retries_of(attempts);
    double server_s = longest_server_delay_s(pipeline);
    int64_t sum_ns = 0, wait_ns = 0;
    if (retries > 0 && pipeline->asks_backoff)
        return NEAP_NEVER;
    while (waits.n < retries && waits.n < STEPS_MAX) {
        waits.previous_s = fmax(next_wait(&waits, LARGEST_R), server_s);
        wait_ns = neap_ns_from_seconds(waits.previous_s);
        sum_ns = neap_time_add(sum_ns, wait_ns);
    }
    uint32_t left = retries - waits.n;
    if (left > 0)
        wait_ns = neap_ns_from_seconds(fmax(next_wait(&waits, LARGEST_R), server_s));
    return neap_time_add(sum_ns, times(wait_ns, left));
}

void neap_bounds_read(struct neap_bounds *bounds, const struct neap_pipeline *pipeline)
{
    uint32_t attempts = pipeline->retry.max_attempts;
    bool limits_rate = pipeline->has_limiter && !pipeline->limiter_shadow;
    bool limits_places = pipeline->has_bulkhead && !pipeline->bulkhead_shadow;
    *bounds = (struct neap_bounds){
        .part_ns = {
            [NEAP_PART_ATTEMPTS] = times(neap_bounds_attempt_ns(pipeline), attempts),
            [NEAP_PART_BACKOFF] = longest_waits(pipeline, attempts),
            [NEAP_PART_GATE] = times(longest_gate(pipeline), attempts),
            [NEAP_PART_RATE_LIMIT] =
                times(limits_rate ? pipeline->limiter.max_wait_ns : 0, attempts),
            [NEAP_PART_BULKHEAD] =
                times(limits_places ? pipeline->bulkhead.max_wait_ns : 0, attempts),
        }};
}

int64_t neap_bounds_call_ns(const struct neap_bounds *bounds, const struct neap_pipeline *pipeline)
{
    int64_t sum_ns = 0;
    for (int part = 0; part < NEAP_PART_COUNT; part++)
        sum_ns = neap_time_add(sum_ns, bounds->part_ns[part]);
    return neap_time_min(sum_ns, pipeline->timeout.total_ns);
}

const char *neap_part_name(enum neap_part part)
{
    static const char *const names[NEAP_PART_COUNT] = {
        [NEAP_PART_ATTEMPTS] = "attempts", [NEAP_PART_BACKOFF] = "backoff",
        [NEAP_PART_GATE] = "gate",         [NEAP_PART_RATE_LIMIT] = "rate_limit",
        [NEAP_PART_BULKHEAD] = "bulkhead", [NEAP_PART_OTHERS] = "others"};
    return names[part];
}

/* ------------------------------------------------------------------------------------ attempts */

/* How many more of that length go into what is left. */
static uint32_t further(double left_s, double each_s, uint32_t most)
{
    double more = each_s > 0 ? fmax(floor(left_s / each_s), 0) : most;
    return (uint32_t)fmin(more, most);
}

uint32_t neap_bounds_attempts(const struct neap_pipeline *pipeline)
{
    struct waits waits = {.backoff = &pipeline->retry.backoff};
    uint32_t most = pipeline->retry.max_attempts, attempts = 1;
    double left_s = neap_seconds_from_ns(pipeline->timeout.total_ns - NEAP_LEAST_LEFT_NS);
    if (pipeline->asks_backoff)
        return most;
    while (attempts < most && attempts < STEPS_MAX) {
        left_s -= next_wait(&waits, 0);
        if (left_s < 0)
            return attempts;
        attempts++;
    }
    return attempts + further(left_s, next_wait(&waits, 0), most - attempts);
}

uint32_t neap_bounds_fitting(const struct neap_pipeline *pipeline, int64_t attempt_ns,
                             int64_t allowed_ns)
{
    struct waits waits = {.backoff = &pipeline->retry.backoff};
    uint32_t most = pipeline->retry.max_attempts, attempts = 1;
    double attempt_s = neap_seconds_from_ns(attempt_ns);
    double left_s = neap_seconds_from_ns(allowed_ns) - attempt_s;
    while (attempts < most && attempts < STEPS_MAX) {
        left_s -= next_wait(&waits, 0.5) + attempt_s;
        if (left_s < 0)
            return attempts;
        attempts++;
    }
    return attempts + further(left_s, next_wait(&waits, 0.5) + attempt_s, most - attempts);
}

double neap_bounds_load(const struct neap_pipeline *pipeline, double calls_per_s)
{
    double retries = retries_of(neap_bounds_attempts(pipeline));
    if (pipeline->has_budget)
        retries =
            fmin(retries, pipeline->budget.ratio + pipeline->budget.min_per_second / calls_per_s);
    return 1 + retries;
}
