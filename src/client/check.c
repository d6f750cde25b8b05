#include "client/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/duration.h"
#include "client/check_internal.h"

#define RULE(rule_name, its_level, its_path, its_page, what)                                       \
    {                                                                                              \
        .name = (rule_name), .level = NEAP_CHECK_##its_level, .path = "policy." its_path,          \
        .page = (its_page), .summary = (what)                                                      \
    }

static const struct neap_check_declaration declarations[NEAP_RULE_COUNT] = {
    [NEAP_RULE_UNREACHABLE_ATTEMPTS] =
        RULE("unreachable_attempts", ERROR, "retry.max_attempts", "retry.md",
             "attempts that cannot begin before the deadline even if each fails at once"),
    [NEAP_RULE_RETRY_COUNT] =
        RULE("retry_count", WARNING, "retry.max_attempts", "retry.md",
             "more attempts than fit into the allowed latency where the server is silent"),
    [NEAP_RULE_SLOWER_THAN_ALLOWED] =
        RULE("slower_than_allowed", ERROR, "timeout.total", "timeouts.md",
             "a call can take longer than the allowed latency"),
    [NEAP_RULE_ATTEMPT_BEYOND_TOTAL] =
        RULE("attempt_beyond_total", WARNING, "timeout.attempt", "timeouts.md",
             "an attempt's limit that the deadline always comes before"),
    [NEAP_RULE_CONNECT_BEYOND_ATTEMPT] =
        RULE("connect_beyond_attempt", WARNING, "timeout.connect", "timeouts.md",
             "a limit for connecting that the attempt's limit always comes before"),
    [NEAP_RULE_ATTEMPT_WITHOUT_LIMIT] =
        RULE("attempt_without_limit", NOTE, "timeout.attempt", "timeouts.md",
             "retries, and one attempt can use up the time of all"),
    [NEAP_RULE_SERVER_DELAY_PAST_DEADLINE] =
        RULE("server_delay_past_deadline", NOTE, "retry.max_server_delay", "retry.md",
             "a server's delay that is allowed, and can never be waited for"),
    [NEAP_RULE_WAIT_BEYOND_TOTAL] = RULE("wait_beyond_total", NOTE, "gate.max_wait", "timeouts.md",
                                         "a wait that is allowed for longer than the whole call"),
    [NEAP_RULE_UNBOUNDED_FUNCTION] = RULE("unbounded_function", NOTE, "retry.when", "timeouts.md",
                                          "a function of the program's, whose time no limit ends"),
    [NEAP_RULE_NO_JITTER] = RULE("no_jitter", WARNING, "retry.backoff.jitter", "retry.md",
                                 "callers that fail together come back together"),
    [NEAP_RULE_NO_BUDGET] = RULE("no_budget", WARNING, "retry.budget", "limits.md",
                                 "retries multiply the load of an outage without bound"),
    [NEAP_RULE_BUDGET_NEVER_BINDS] =
        RULE("budget_never_binds", WARNING, "retry.budget.ratio", "limits.md",
             "a budget that pays for every retry there can be"),
    [NEAP_RULE_WRITES_WITHOUT_KEY] =
        RULE("writes_without_key", NOTE, "idempotency", "idempotency.md",
             "POST and PATCH are not repeated for want of a key"),
    [NEAP_RULE_BREAKER_NEVER_OPENS] =
        RULE("breaker_never_opens", ERROR, "breaker.min_calls", "breaker.md",
             "the rate limit lets fewer calls through than the breaker needs to judge"),
    [NEAP_RULE_WINDOW_BELOW_MIN_CALLS] =
        RULE("window_below_min_calls", WARNING, "breaker.min_calls", "breaker.md",
             "a window of time that does not see enough calls at the given rate"),
    [NEAP_RULE_SLOW_CALL_NEVER] =
        RULE("slow_call_never", WARNING, "breaker.slow_call.duration", "breaker.md",
             "no attempt can last long enough to count as slow"),
    [NEAP_RULE_OPEN_SHORTER_THAN_BACKOFF] =
        RULE("open_shorter_than_backoff", WARNING, "breaker.open_for", "breaker.md",
             "retries sleep through the open state and come back as its probes"),
    [NEAP_RULE_LEASE_SHORTER_THAN_ATTEMPT] =
        RULE("lease_shorter_than_attempt", WARNING, "breaker.half_open.lease", "breaker.md",
             "a probe counts as failed while it is still allowed to answer"),
    [NEAP_RULE_BULKHEAD_OVER_POOL] =
        RULE("bulkhead_over_pool", WARNING, "bulkhead.max_concurrent", "limits.md",
             "admitted attempts wait for a connection, and their limits run"),
    [NEAP_RULE_POOL_TOO_SMALL] =
        RULE("pool_too_small", WARNING, "pool.max_connections", "transport.md",
             "a pool with fewer connections than one server, or the bulkhead, may use"),
    [NEAP_RULE_RATE_OVER_SERVER] = RULE("rate_over_server", ERROR, "rate_limit.rate", "limits.md",
                                        "more requests than the server has announced to take"),
    [NEAP_RULE_RATE_BELOW_LOAD] = RULE("rate_below_load", WARNING, "rate_limit.rate", "limits.md",
                                       "a rate limit below the load: the rest is refused for ever"),
    [NEAP_RULE_FALLBACK_TO_ITSELF] = RULE("fallback_to_itself", ERROR, "fallback", "fallback.md",
                                          "a service of the same name, with the same breaker"),
    [NEAP_RULE_FALLBACK_SAME_SERVER] =
        RULE("fallback_same_server", WARNING, "fallback", "fallback.md",
             "a service on the server whose failure it is for"),
    [NEAP_RULE_FALLBACK_WITHOUT_CACHE] =
        RULE("fallback_without_cache", NOTE, "fallback", "fallback.md",
             "stale answers without a cache: this process's memory has them alone"),
    [NEAP_RULE_NOT_ENFORCED] = RULE("not_enforced", NOTE, "breaker.enforce", "shadow.md",
                                    "a policy in shadow mode, which protects nobody"),
    [NEAP_RULE_CHAOS_ON] =
        RULE("chaos_on", WARNING, "chaos", "chaos.md", "attempts are disturbed on purpose"),
    [NEAP_RULE_TLS_NOT_VERIFIED] = RULE("tls_not_verified", ERROR, "tls.verify", "transport.md",
                                        "anybody on the way can read and answer"),
    [NEAP_RULE_CREDENTIALS_OVER_HTTP] =
        RULE("credentials_over_http", ERROR, "headers", "transport.md",
             "a secret is sent in the clear to another machine"),
};

const struct neap_check_declaration *neap_check_declaration(enum neap_check_rule rule)
{
    return &declarations[rule];
}

const char *neap_check_level_name(enum neap_check_level level)
{
    static const char *const names[] = {
        [NEAP_CHECK_ERROR] = "error", [NEAP_CHECK_WARNING] = "warning", [NEAP_CHECK_NOTE] = "note"};
    return names[level];
}

/* ------------------------------------------------------------------------------------ findings */

__attribute__((format(printf, 4, 0))) static void add_finding(struct neap_check *check,
                                                              enum neap_check_rule rule,
                                                              const char *path, const char *format,
                                                              va_list values)
{
    struct neap_check_report *report = check->report;
    if (report->count == NEAP_FINDINGS_MAX)
        return;
    struct neap_finding *finding = &report->finding[report->count++];
    finding->rule = rule;
    snprintf(finding->path, sizeof finding->path, "%s", path);
    vsnprintf(finding->message, sizeof finding->message, format, values);
}

void neap_check_find(struct neap_check *check, enum neap_check_rule rule, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    add_finding(check, rule, declarations[rule].path, format, values);
    va_end(values);
}

void neap_check_find_at(struct neap_check *check, enum neap_check_rule rule, const char *path,
                        const char *format, ...)
{
    va_list values;
    va_start(values, format);
    add_finding(check, rule, path, format, values);
    va_end(values);
}

/* ------------------------------------------------------------------------------------- figures */

bool neap_check_repeats(const struct neap_check *check)
{
    return check->pipeline->retry.max_attempts > 1;
}

bool neap_check_limits_rate(const struct neap_check *check)
{
    return check->pipeline->has_limiter && !check->pipeline->limiter_shadow;
}

bool neap_check_limits_places(const struct neap_check *check)
{
    return check->pipeline->has_bulkhead && !check->pipeline->bulkhead_shadow;
}

bool neap_check_is_plain(const struct neap_client_policy *policy)
{
    return policy->base_url && strncasecmp(policy->base_url, "http://", 7) == 0;
}

/* A service's call ends with this one's deadline, and with its own. A follower of a coalesced call
 * may set out on its own when the time of the leader's call is over. */
static int64_t longest_of_others(const struct neap_check_subject *subject)
{
    int64_t sum_ns = subject->policy->coalesce ? NEAP_NEVER : 0;
    for (uint32_t i = 0; i < subject->policy->pipeline.fallback_count; i++) {
        const struct neap_check_fallback *entry = &subject->fallback[i];
        if (!entry->is_service)
            continue;
        bool is_bounded = entry->service && !entry->may_retime;
        sum_ns = neap_time_add(sum_ns,
                               is_bounded ? entry->service->pipeline.timeout.total_ns : NEAP_NEVER);
    }
    return sum_ns;
}

void neap_check(const struct neap_check_subject *subject, struct neap_check_report *report)
{
    struct neap_check check = {
        .subject = subject,
        .policy = subject->policy,
        .pipeline = &subject->policy->pipeline,
        .facts = &subject->facts,
        .report = report,
    };
    double calls_per_s = subject->facts.calls_per_s;
    neap_bounds_read(&report->parts, check.pipeline);
    report->parts.part_ns[NEAP_PART_OTHERS] = longest_of_others(subject);
    report->worst_ns = neap_bounds_call_ns(&report->parts, check.pipeline);
    report->attempts = neap_bounds_attempts(check.pipeline);
    report->load = neap_bounds_load(check.pipeline, calls_per_s > 0 ? calls_per_s : HUGE_VAL);
    report->load_unbudgeted = report->attempts;
    report->count = 0;
    neap_check_time(&check);
    neap_check_load(&check);
    neap_check_trust(&check);
}
