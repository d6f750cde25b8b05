#include "metrics/counters.h"

#include <stddef.h>
#include <string.h>

static const struct {
    int status;
    const char *name;
} reason_statuses[NEAP_RETRY_REASON_COUNT] = {
    [NEAP_RETRY_401] = {401, "401"},   [NEAP_RETRY_408] = {408, "408"},
    [NEAP_RETRY_425] = {425, "425"},   [NEAP_RETRY_429] = {429, "429"},
    [NEAP_RETRY_500] = {500, "500"},   [NEAP_RETRY_502] = {502, "502"},
    [NEAP_RETRY_503] = {503, "503"},   [NEAP_RETRY_504] = {504, "504"},
    [NEAP_RETRY_OTHER] = {0, "other"},
};

static const char *const source_names[NEAP_SOURCE_COUNT] = {
    [NEAP_SOURCE_NETWORK] = "network", [NEAP_SOURCE_CACHE] = "cache",
    [NEAP_SOURCE_STALE] = "stale",     [NEAP_SOURCE_SERVICE] = "service",
    [NEAP_SOURCE_DEFAULT] = "default", [NEAP_SOURCE_FUNCTION] = "function",
    [NEAP_SOURCE_QUEUE] = "queue",
};

static const char *const cache_event_names[NEAP_CACHE_EVENT_COUNT] = {
    [NEAP_CACHE_EVENT_HIT] = "hits",
    [NEAP_CACHE_EVENT_STALE] = "stale",
    [NEAP_CACHE_EVENT_REVALIDATED] = "revalidated",
    [NEAP_CACHE_EVENT_MISS] = "misses",
    [NEAP_CACHE_EVENT_ERROR] = "errors",
};

void neap_counters_init(struct neap_counters *counters)
{
    memset(counters, 0, sizeof *counters);
    neap_histogram_init(&counters->latency);
    neap_histogram_init(&counters->attempt_latency);
    neap_history_init(&counters->history);
}

const char *neap_failed_status_name(enum neap_failed_status failed)
{
    static const char *const names[] = {[NEAP_FAILED_4XX] = "4xx", [NEAP_FAILED_5XX] = "5xx"};
    return failed < NEAP_FAILED_STATUS_COUNT ? names[failed] : NULL;
}

enum neap_retry_reason neap_retry_reason_of(const struct neap_outcome *outcome)
{
    if (outcome->kind != NEAP_KIND_NONE)
        return (enum neap_retry_reason)(NEAP_RETRY_KIND_FIRST + (int)outcome->kind);
    for (int i = NEAP_RETRY_401; i < NEAP_RETRY_OTHER; i++)
        if (reason_statuses[i].status == outcome->status)
            return (enum neap_retry_reason)i;
    return NEAP_RETRY_OTHER;
}

const char *neap_retry_reason_name(enum neap_retry_reason reason)
{
    if (reason >= NEAP_RETRY_REASON_COUNT)
        return NULL;
    if ((int)reason < NEAP_KIND_COUNT)
        return neap_kind_name((enum neap_kind)reason);
    return reason_statuses[reason].name;
}

const char *neap_shadow_name(enum neap_shadow shadow)
{
    static const char *const names[] = {[NEAP_SHADOW_BREAKER] = "breaker",
                                        [NEAP_SHADOW_RATE_LIMIT] = "rate_limit",
                                        [NEAP_SHADOW_BULKHEAD] = "bulkhead"};
    return shadow < NEAP_SHADOW_COUNT ? names[shadow] : NULL;
}

const char *neap_source_name(enum neap_source source)
{
    return source < NEAP_SOURCE_COUNT ? source_names[source] : NULL;
}

const char *neap_cache_event_name(enum neap_cache_event event)
{
    return event < NEAP_CACHE_EVENT_COUNT ? cache_event_names[event] : NULL;
}
