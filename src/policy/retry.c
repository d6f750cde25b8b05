#include "policy/retry.h"

#include <stddef.h>
#include <string.h>

#include "base/duration.h"

static const char *const stop_names[NEAP_STOP_COUNT] = {
    [NEAP_STOP_ATTEMPTS] = "attempts",
    [NEAP_STOP_NOT_REPLAYABLE] = "not_replayable",
    [NEAP_STOP_BREAKER_OPEN] = "breaker_open",
    [NEAP_STOP_SERVER_DELAY] = "server_delay",
    [NEAP_STOP_DEADLINE] = "deadline",
    [NEAP_STOP_BUDGET] = "budget",
    [NEAP_STOP_GATE] = "gate",
    [NEAP_STOP_RATE_LIMITED] = "rate_limited",
    [NEAP_STOP_BULKHEAD_FULL] = "bulkhead_full",
};

static const bool retried_kind[NEAP_KIND_COUNT] = {
    [NEAP_KIND_RESOLVE] = true, [NEAP_KIND_CONNECT] = true, [NEAP_KIND_TLS] = true,
    [NEAP_KIND_TIMEOUT] = true, [NEAP_KIND_RESET] = true,   [NEAP_KIND_PROTOCOL] = true,
    [NEAP_KIND_ERROR] = true,
};

void neap_retry_default_statuses(uint8_t status_rule[NEAP_STATUS_COUNT])
{
    static const int always[] = {408, 425, 429, 502, 503, 504};
    memset(status_rule, NEAP_STATUS_NEVER, NEAP_STATUS_COUNT);
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        status_rule[always[i]] = NEAP_STATUS_RETRY;
    status_rule[500] = NEAP_STATUS_ONCE;
}

bool neap_outcome_is_success(const struct neap_outcome *outcome)
{
    return outcome->kind == NEAP_KIND_NONE && outcome->status < 400;
}

bool neap_kind_is_retried(enum neap_kind kind)
{
    return retried_kind[kind];
}

enum neap_status_rule neap_retry_rule(const struct neap_retry_policy *policy,
                                      const struct neap_outcome *outcome)
{
    if (outcome->kind == NEAP_KIND_NONE) {
        if (outcome->status < 0 || outcome->status >= NEAP_STATUS_COUNT)
            return NEAP_STATUS_NEVER;
        return (enum neap_status_rule)policy->status_rule[outcome->status];
    }
    if (outcome->certificate || outcome->forbidden || outcome->phase == NEAP_PHASE_TOTAL)
        return NEAP_STATUS_NEVER;
    return retried_kind[outcome->kind] ? NEAP_STATUS_RETRY : NEAP_STATUS_NEVER;
}

static bool is_wanted(const struct neap_retry_policy *policy, const struct neap_retry_facts *facts)
{
    if (neap_outcome_is_success(facts->outcome) || facts->outcome->kind == NEAP_KIND_CANCELLED ||
        facts->outcome->forbidden)
        return false;
    if (facts->when != NEAP_OPINION_DEFAULT)
        return facts->when == NEAP_OPINION_YES;
    return neap_retry_rule(policy, facts->outcome) != NEAP_STATUS_NEVER;
}

static bool is_spent(const struct neap_retry_policy *policy, const struct neap_retry_facts *facts)
{
    if (facts->attempts >= policy->max_attempts)
        return true;
    return facts->once_spent && facts->when == NEAP_OPINION_DEFAULT &&
           neap_retry_rule(policy, facts->outcome) == NEAP_STATUS_ONCE;
}

enum neap_stop neap_retry_screen(const struct neap_retry_policy *policy,
                                 const struct neap_retry_facts *facts, bool *wanted)
{
    *wanted = policy->enabled && is_wanted(policy, facts);
    if (!*wanted)
        return NEAP_STOP_NONE;
    if (is_spent(policy, facts))
        return NEAP_STOP_ATTEMPTS;
    if (!facts->replayable && !facts->outcome->unsent)
        return NEAP_STOP_NOT_REPLAYABLE;
    return NEAP_STOP_NONE;
}

static bool server_decides(const struct neap_retry_policy *policy,
                           const struct neap_retry_facts *facts)
{
    return policy->honor_retry_after && facts->server_delay_ns >= 0;
}

static double delay_of(const struct neap_retry_policy *policy, const struct neap_retry_facts *facts,
                       double r)
{
    if (server_decides(policy, facts)) {
        double told_s = neap_seconds_from_ns(facts->server_delay_ns);
        return told_s + r * NEAP_RETRY_SPREAD * told_s;
    }
    if (facts->custom_delay_s >= 0)
        return facts->custom_delay_s;
    return neap_backoff_delay(&policy->backoff, facts->retries + 1, facts->previous_delay_s, r);
}

static struct neap_retry_decision stopped(enum neap_stop stop)
{
    return (struct neap_retry_decision){.retry = false, .stop = stop};
}

struct neap_retry_decision neap_retry_schedule(const struct neap_retry_policy *policy,
                                               const struct neap_retry_facts *facts, int64_t now_ns,
                                               double r)
{
    double delay_s = delay_of(policy, facts, r);
    int64_t until_ns = neap_time_add(now_ns, neap_ns_from_seconds(delay_s));
    if (facts->breaker_open_until_ns > until_ns)
        return stopped(NEAP_STOP_BREAKER_OPEN);
    if (server_decides(policy, facts) && facts->server_delay_ns > policy->max_server_delay_ns)
        return stopped(NEAP_STOP_SERVER_DELAY);
    if (until_ns >= facts->deadline_ns)
        return stopped(NEAP_STOP_DEADLINE);
    return (struct neap_retry_decision){.retry = true,
                                        .by_server = server_decides(policy, facts),
                                        .delay_s = delay_s,
                                        .until_ns = until_ns};
}

const char *neap_stop_name(enum neap_stop stop)
{
    return stop > NEAP_STOP_NONE && stop < NEAP_STOP_COUNT ? stop_names[stop] : NULL;
}
