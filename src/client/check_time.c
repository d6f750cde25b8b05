/* Limits, waits and retries: does what is allowed fit into the time there is? */
#include <math.h>
#include <stdio.h>

#include "base/duration.h"
#include "client/check_internal.h"
#include "pipeline/bounds.h"

static double seconds(int64_t ns)
{
    return neap_seconds_from_ns(ns);
}

/* ------------------------------------------------------------------------------------- retries */

static void look_at_reach(struct neap_check *check)
{
    uint32_t most = check->pipeline->retry.max_attempts;
    uint32_t attempts = check->report->attempts;
    if (attempts >= most)
        return;
    neap_check_find(check, NEAP_RULE_UNREACHABLE_ATTEMPTS,
                    "the shortest waits alone let only %u of %u attempts begin within "
                    "policy.timeout.total (%g s): set max_attempts to %u, or shorten "
                    "policy.retry.backoff",
                    attempts, most, seconds(check->pipeline->timeout.total_ns), attempts);
}

/* An attempt that the server does not answer: up to its own limit or, without one, to the end of
 * connecting and of the silence afterwards. */
static int64_t silent_attempt_ns(const struct neap_pipeline *pipeline)
{
    const struct neap_timeouts *timeout = &pipeline->timeout;
    int64_t silence_ns = neap_time_add(timeout->connect_ns, timeout->read_ns);
    return neap_time_min(neap_bounds_attempt_ns(pipeline), silence_ns);
}

static int64_t allowed_ns(const struct neap_check *check)
{
    double allowed_s = check->facts->allowed_latency_s;
    int64_t total_ns = check->pipeline->timeout.total_ns;
    return allowed_s > 0 ? neap_time_min(neap_ns_from_seconds(allowed_s), total_ns) : total_ns;
}

/* Writes the second half of the remedy, where a shorter attempt helps at all. */
static void advise_attempt(const struct neap_check *check, char *text, size_t bytes)
{
    uint32_t most = check->pipeline->retry.max_attempts;
    double waits_s = neap_bounds_mean_backoff_s(check->pipeline, most);
    double each_s = (seconds(allowed_ns(check)) - waits_s) / most;
    text[0] = '\0';
    if (each_s > 0)
        snprintf(text, bytes, ", or policy.timeout.attempt to %.2g", each_s);
}

static void look_at_count(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    int64_t attempt_ns = silent_attempt_ns(pipeline);
    uint32_t fitting = neap_bounds_fitting(pipeline, attempt_ns, allowed_ns(check));
    char advice[64];
    if (!neap_check_repeats(check) || pipeline->asks_backoff ||
        fitting >= pipeline->retry.max_attempts)
        return;
    advise_attempt(check, advice, sizeof advice);
    neap_check_find(check, NEAP_RULE_RETRY_COUNT,
                    "where the server is silent, %u of %u attempts (%g s each, and the mean "
                    "backoff between them) fit into %g s: set max_attempts to %u%s",
                    fitting, pipeline->retry.max_attempts, seconds(attempt_ns),
                    seconds(allowed_ns(check)), fitting, advice);
}

/* -------------------------------------------------------------------------------------- limits */

static void look_at_latency(struct neap_check *check)
{
    double allowed_s = check->facts->allowed_latency_s;
    double worst_s = seconds(check->report->worst_ns);
    if (allowed_s > 0 && worst_s > allowed_s)
        neap_check_find(check, NEAP_RULE_SLOWER_THAN_ALLOWED,
                        "a call can take %g s, and %g s are allowed: set policy.timeout.total to "
                        "%g",
                        worst_s, allowed_s, allowed_s);
}

static void look_at_limits(struct neap_check *check)
{
    const struct neap_timeouts *timeout = &check->pipeline->timeout;
    int64_t attempt_ns = neap_bounds_attempt_ns(check->pipeline);
    if (timeout->attempt_ns != NEAP_NEVER && timeout->attempt_ns > timeout->total_ns)
        neap_check_find(check, NEAP_RULE_ATTEMPT_BEYOND_TOTAL,
                        "%g s never pass, since policy.timeout.total (%g s) ends the call before: "
                        "set it below, by as much as another attempt needs",
                        seconds(timeout->attempt_ns), seconds(timeout->total_ns));
    if (timeout->connect_ns > attempt_ns)
        neap_check_find(check, NEAP_RULE_CONNECT_BEYOND_ATTEMPT,
                        "%g s never pass, since the attempt ends after %g s; a server that cannot "
                        "be reached looks like a slow one: set it below %g",
                        seconds(timeout->connect_ns), seconds(attempt_ns), seconds(attempt_ns));
    if (neap_check_repeats(check) && timeout->attempt_ns == NEAP_NEVER)
        neap_check_find(check, NEAP_RULE_ATTEMPT_WITHOUT_LIMIT,
                        "none is set, and policy.timeout.read (%g s) is about silence only: a "
                        "server that answers drop by drop keeps the first attempt up to "
                        "policy.timeout.total (%g s), and nothing is left for another one",
                        seconds(timeout->read_ns), seconds(timeout->total_ns));
}

static void look_at_server_delay(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    int64_t longest_ns = pipeline->retry.max_server_delay_ns;
    if (neap_check_repeats(check) && pipeline->retry.honor_retry_after &&
        longest_ns >= pipeline->timeout.total_ns)
        neap_check_find(check, NEAP_RULE_SERVER_DELAY_PAST_DEADLINE,
                        "a Retry-After of up to %g s is allowed, and one of policy.timeout.total "
                        "(%g s) or more ends the call at once: it only bounds how long a gate "
                        "closes for",
                        seconds(longest_ns), seconds(pipeline->timeout.total_ns));
}

/* --------------------------------------------------------------------------------------- waits */

static void look_at_wait(struct neap_check *check, bool is_on, int64_t wait_ns, const char *path)
{
    int64_t total_ns = check->pipeline->timeout.total_ns;
    if (is_on && wait_ns >= total_ns)
        neap_check_find_at(check, NEAP_RULE_WAIT_BEYOND_TOTAL, path,
                           "%g s, and policy.timeout.total (%g s) ends the call before: a wait "
                           "that leaves time for an attempt is shorter",
                           seconds(wait_ns), seconds(total_ns));
}

static void look_at_waits(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    look_at_wait(check, pipeline->has_gate, pipeline->gate.max_wait_ns, "policy.gate.max_wait");
    look_at_wait(check, neap_check_limits_rate(check), pipeline->limiter.max_wait_ns,
                 "policy.rate_limit.max_wait");
    look_at_wait(check, neap_check_limits_places(check), pipeline->bulkhead.max_wait_ns,
                 "policy.bulkhead.max_wait");
}

/* ----------------------------------------------------------------------------------- functions */

static void tell_function(struct neap_check *check, const char *path)
{
    neap_check_find_at(check, NEAP_RULE_UNBOUNDED_FUNCTION, path,
                       "what this function takes comes on top of the %g s that a call can take: "
                       "let it wait for nothing, or end by its own limit",
                       seconds(check->report->worst_ns));
}

static void look_at_functions(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    const struct {
        bool is_given;
        const char *path;
    } functions[] = {
        {pipeline->asks_refresh, "policy.retry.refresh"},
        {pipeline->asks_when, "policy.retry.when"},
        {pipeline->asks_backoff, "policy.retry.backoff"},
        {pipeline->asks_failure, "policy.breaker.failure"},
        {check->policy->asks_trace, "policy.trace"},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (functions[i].is_given)
            tell_function(check, functions[i].path);
    for (uint32_t i = 0; i < pipeline->fallback_count; i++) {
        char path[sizeof check->report->finding[0].path];
        snprintf(path, sizeof path, "policy.fallback[%u]", i + 1);
        if (check->subject->fallback[i].calls_program)
            tell_function(check, path);
    }
}

/* -------------------------------------------------------------------------- the form of retries */

static bool budget_binds(const struct neap_pipeline *pipeline)
{
    return pipeline->budget.ratio < pipeline->retry.max_attempts - 1.0;
}

static void look_at_herd(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    if (!neap_check_repeats(check))
        return;
    if (!pipeline->asks_backoff && pipeline->retry.backoff.jitter == NEAP_JITTER_NONE)
        neap_check_find(check, NEAP_RULE_NO_JITTER,
                        "callers that fail at one moment repeat at one moment, and the server "
                        "meets them all at once: \"full\", or a share such as 0.5, spreads them");
    if (!pipeline->has_budget)
        neap_check_find(check, NEAP_RULE_NO_BUDGET,
                        "in a total outage the server gets up to %g times the load until the "
                        "breaker opens: leave the budget on",
                        check->report->load_unbudgeted);
    else if (!budget_binds(pipeline))
        neap_check_find(check, NEAP_RULE_BUDGET_NEVER_BINDS,
                        "each call pays in %g retries and makes at most %u: a share below 1 "
                        "bounds the load of an outage",
                        pipeline->budget.ratio, pipeline->retry.max_attempts - 1);
}

static void look_at_writes(struct neap_check *check)
{
    if (neap_check_repeats(check) && check->policy->idempotency.source == NEAP_KEY_SOURCE_NONE)
        neap_check_find(check, NEAP_RULE_WRITES_WITHOUT_KEY,
                        "POST and PATCH are repeated only where nothing was sent: if the server "
                        "takes idempotency keys, set it to true; without them do not say "
                        "replayable = true in a request that must not be done twice");
}

void neap_check_time(struct neap_check *check)
{
    look_at_reach(check);
    look_at_count(check);
    look_at_latency(check);
    look_at_limits(check);
    look_at_server_delay(check);
    look_at_waits(check);
    look_at_functions(check);
    look_at_herd(check);
    look_at_writes(check);
}
