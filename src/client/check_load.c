/* Breaker, bulkhead, pool and rates: do they fit each other, the load and the server? */
#include <math.h>

#include "base/duration.h"
#include "client/check_internal.h"
#include "pipeline/bounds.h"

static double seconds(int64_t ns)
{
    return neap_seconds_from_ns(ns);
}

static double limited_rate(const struct neap_pipeline *pipeline)
{
    return 1 / pipeline->limiter.interval_s;
}

/* ------------------------------------------------------------------------------------- breaker */

/* A count window judges by what it holds, if that is less. */
static uint32_t needed_calls(const struct neap_breaker_policy *breaker)
{
    if (breaker->window_count > 0 && breaker->window_count < breaker->min_calls)
        return breaker->window_count;
    return breaker->min_calls;
}

static bool judges_by_time(const struct neap_pipeline *pipeline)
{
    return pipeline->has_breaker && pipeline->breaker.window_seconds > 0 &&
           pipeline->breaker.consecutive_failures == 0;
}

/* The most results that one window can hold: what began within it, or within the length of an
 * attempt before it. */
static double most_results(const struct neap_pipeline *pipeline)
{
    double span_s = pipeline->breaker.window_seconds + seconds(neap_bounds_attempt_ns(pipeline));
    return floor(pipeline->limiter.burst + span_s * limited_rate(pipeline));
}

static void look_at_judgement(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    uint32_t needed = needed_calls(&pipeline->breaker);
    if (!judges_by_time(pipeline) || !neap_check_limits_rate(check) ||
        most_results(pipeline) >= needed)
        return;
    neap_check_find(check, NEAP_RULE_BREAKER_NEVER_OPENS,
                    "policy.rate_limit lets at most %g results come into a window of %u s, and %u "
                    "are needed for a rate: lower min_calls, lengthen policy.breaker.window, or "
                    "set policy.breaker.consecutive_failures",
                    most_results(pipeline), pipeline->breaker.window_seconds, needed);
}

/* In an outage there are retries too. */
static void look_at_window(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    uint32_t needed = needed_calls(&pipeline->breaker);
    double rate = check->facts->calls_per_s * check->report->load;
    double seen = rate * pipeline->breaker.window_seconds;
    if (!judges_by_time(pipeline) || rate <= 0 || seen >= needed)
        return;
    neap_check_find(check, NEAP_RULE_WINDOW_BELOW_MIN_CALLS,
                    "at %g calls a second a window of %u s sees %g attempts of an outage, and %u "
                    "are needed: set min_calls to %g or less, or policy.breaker.window.seconds to "
                    "%g",
                    check->facts->calls_per_s, pipeline->breaker.window_seconds, seen, needed,
                    fmax(floor(seen), 1), ceil(needed / rate));
}

static void look_at_slow_calls(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    int64_t slow_ns = pipeline->breaker.slow_call_ns;
    int64_t longest_ns = neap_bounds_attempt_ns(pipeline);
    if (pipeline->has_breaker && slow_ns != NEAP_NEVER && slow_ns >= longest_ns)
        neap_check_find(check, NEAP_RULE_SLOW_CALL_NEVER,
                        "an attempt ends after %g s, and only what lasts longer than %g s counts "
                        "as slow: set it below %g",
                        seconds(longest_ns), seconds(slow_ns), seconds(longest_ns));
}

static void look_at_open_time(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    const struct neap_breaker_policy *breaker = &pipeline->breaker;
    double shortest_s = breaker->open_base_s * (1 - breaker->open_jitter);
    double longest_s = neap_bounds_longest_backoff_s(pipeline, check->report->attempts);
    if (pipeline->has_breaker && !pipeline->asks_backoff && shortest_s < longest_s)
        neap_check_find(check, NEAP_RULE_OPEN_SHORTER_THAN_BACKOFF,
                        "it can be over after %g s, and a retry can wait for %g s: callers sleep "
                        "through the open state in place of falling back: set its base above %g",
                        shortest_s, longest_s, longest_s);
}

static void look_at_lease(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    int64_t longest_ns = neap_bounds_attempt_ns(pipeline);
    if (pipeline->has_breaker && pipeline->breaker.lease_ns < longest_ns)
        neap_check_find(check, NEAP_RULE_LEASE_SHORTER_THAN_ATTEMPT,
                        "a probe counts as failed after %g s, and may answer for %g s: set it to "
                        "%g or more, or policy.timeout.attempt below it",
                        seconds(pipeline->breaker.lease_ns), seconds(longest_ns),
                        seconds(longest_ns));
}

/* ---------------------------------------------------------------------------- bulkhead and pool */

/* Over HTTP/2 one connection carries many attempts. */
static bool counts_connections(const struct neap_check *check)
{
    return !check->policy->transport.http2 || neap_check_is_plain(check->policy);
}

static double workers_of(const struct neap_check *check)
{
    return check->facts->workers > 0 ? check->facts->workers : 1;
}

static void look_at_bulkhead(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    double places = pipeline->bulkhead.max_concurrent;
    double connections = check->policy->transport.per_host * workers_of(check);
    if (!neap_check_limits_places(check) || !counts_connections(check) || places <= connections)
        return;
    neap_check_find(check, NEAP_RULE_BULKHEAD_OVER_POOL,
                    "%g attempts are admitted, and policy.pool.per_host has %g connections to one "
                    "server: the others wait for one while their limits run: set it to %g, or "
                    "per_host to %g",
                    places, connections, connections, ceil(places / workers_of(check)));
}

static void look_at_pool(struct neap_check *check)
{
    const struct neap_transport_settings *transport = &check->policy->transport;
    double needed = transport->per_host;
    const char *by = "policy.pool.per_host";
    double places = check->pipeline->bulkhead.max_concurrent / workers_of(check);
    if (neap_check_limits_places(check) && places > needed && counts_connections(check)) {
        needed = ceil(places);
        by = "policy.bulkhead.max_concurrent";
    }
    if (transport->max_connections < needed)
        neap_check_find(check, NEAP_RULE_POOL_TOO_SMALL,
                        "%u connections, and %s may use %g: set it to %g",
                        transport->max_connections, by, needed, needed);
}

/* --------------------------------------------------------------------------------------- rates */

static void look_at_announced(struct neap_check *check)
{
    double announced = check->facts->server_calls_per_s;
    double load = check->facts->calls_per_s * check->report->load;
    if (announced <= 0)
        return;
    if (neap_check_limits_rate(check) && limited_rate(check->pipeline) > announced)
        neap_check_find(check, NEAP_RULE_RATE_OVER_SERVER,
                        "%g a second, and the server takes %g: the rest comes back as 429; set it "
                        "to %g",
                        limited_rate(check->pipeline), announced, announced);
    if (!neap_check_limits_rate(check) && load > announced)
        neap_check_find_at(check, NEAP_RULE_RATE_OVER_SERVER, "policy.rate_limit",
                           "none is set, and an outage makes %g calls a second %g requests, of "
                           "which the server takes %g: set its rate to %g",
                           check->facts->calls_per_s, load, announced, announced);
}

static void look_at_own_rate(struct neap_check *check)
{
    double load = check->facts->calls_per_s;
    if (neap_check_limits_rate(check) && load > limited_rate(check->pipeline))
        neap_check_find(check, NEAP_RULE_RATE_BELOW_LOAD,
                        "%g a second, and %g calls a second are made: %g of them are refused, "
                        "however long they may wait; set it to %g, or make fewer",
                        limited_rate(check->pipeline), load, load - limited_rate(check->pipeline),
                        load);
}

void neap_check_load(struct neap_check *check)
{
    look_at_judgement(check);
    look_at_window(check);
    look_at_slow_calls(check);
    look_at_open_time(check);
    look_at_lease(check);
    look_at_bulkhead(check);
    look_at_pool(check);
    look_at_announced(check);
    look_at_own_rate(check);
}
