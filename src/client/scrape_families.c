#include "client/scrape_families.h"

#include "client/scrape_breakers.h"
#include "client/scrape_samples.h"

static const struct neap_counters *counters_of(const struct neap_scraped *scraped)
{
    return &scraped->client->board->counters;
}

static bool is_function(const struct neap_scraped *scraped)
{
    return scraped->client->carrier == NEAP_CARRIER_FUNCTION;
}

static const struct neap_pipeline *pipeline_of(const struct neap_scraped *scraped)
{
    return &scraped->client->policy.pipeline;
}

/* --------------------------------------------------------------------------------------- calls */

/* Of no call of a client: the serving side's. */
static bool is_foreign(enum neap_kind kind)
{
    return kind == NEAP_KIND_CONFLICT || kind == NEAP_KIND_STORE;
}

/* Can there be a refusal of that kind by this policy? */
static bool can_refuse(const struct neap_scraped *scraped, enum neap_kind kind)
{
    const struct neap_pipeline *pipeline = pipeline_of(scraped);
    const bool by_kind[NEAP_KIND_COUNT] = {
        [NEAP_KIND_BREAKER_OPEN] = pipeline->has_breaker,
        [NEAP_KIND_GATE] = pipeline->has_gate && !is_function(scraped),
        [NEAP_KIND_RATE_LIMITED] = pipeline->has_limiter,
        [NEAP_KIND_BULKHEAD_FULL] = pipeline->has_bulkhead,
        [NEAP_KIND_DEADLINE] = true,
    };
    return by_kind[kind];
}

static bool can_end_in(const struct neap_scraped *scraped, enum neap_kind kind)
{
    if (neap_kind_is_refusal(kind))
        return can_refuse(scraped, kind);
    bool is_everybodys = kind == NEAP_KIND_CANCELLED || kind == NEAP_KIND_PHASE;
    if (is_function(scraped))
        return is_everybodys || kind == NEAP_KIND_ERROR;
    return !is_foreign(kind) && kind != NEAP_KIND_ERROR;
}

static void write_calls(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    const struct neap_counters *counters = counters_of(scraped);
    neap_sample_expected(exposition, scraped, "result", "ok", &counters->ok, true);
    for (int i = 0; i < NEAP_FAILED_STATUS_COUNT; i++)
        neap_sample_expected(exposition, scraped, "result",
                             neap_failed_status_name((enum neap_failed_status)i),
                             &counters->failed[i], !is_function(scraped));
    for (int kind = 1; kind < NEAP_KIND_COUNT; kind++)
        neap_sample_expected(exposition, scraped, "result", neap_kind_name((enum neap_kind)kind),
                             &counters->errors[kind], can_end_in(scraped, (enum neap_kind)kind));
    neap_sample_expected(exposition, scraped, "result", "abandoned", &counters->abandoned, true);
}

static void write_call_duration(struct neap_exposition *exposition,
                                const struct neap_scraped *scraped)
{
    neap_exposition_histogram(exposition, scraped->label, scraped->label_count,
                              &counters_of(scraped)->latency);
}

static void write_in_flight(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    neap_sample_count(exposition, scraped, scraped->sums.in_flight);
}

static void write_coalesced(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    if (scraped->client->coalescing || counters_of(scraped)->coalesced > 0)
        neap_sample_counter(exposition, scraped, &counters_of(scraped)->coalesced);
}

static void write_rejections(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    for (int kind = 1; kind < NEAP_KIND_COUNT; kind++)
        neap_sample_expected(exposition, scraped, "by", neap_kind_name((enum neap_kind)kind),
                             &counters_of(scraped)->rejections[kind],
                             can_refuse(scraped, (enum neap_kind)kind));
}

static bool is_in_shadow(const struct neap_scraped *scraped, enum neap_shadow shadow)
{
    const struct neap_pipeline *pipeline = pipeline_of(scraped);
    const bool by_policy[NEAP_SHADOW_COUNT] = {
        [NEAP_SHADOW_BREAKER] = pipeline->has_breaker && pipeline->breaker_shadow,
        [NEAP_SHADOW_RATE_LIMIT] = pipeline->has_limiter && pipeline->limiter_shadow,
        [NEAP_SHADOW_BULKHEAD] = pipeline->has_bulkhead && pipeline->bulkhead_shadow,
    };
    return by_policy[shadow];
}

static void write_shadow(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                         const _Atomic uint64_t counters[NEAP_SHADOW_COUNT])
{
    for (int shadow = 0; shadow < NEAP_SHADOW_COUNT; shadow++)
        neap_sample_expected(exposition, scraped, "by", neap_shadow_name((enum neap_shadow)shadow),
                             &counters[shadow], is_in_shadow(scraped, (enum neap_shadow)shadow));
}

static void write_shadow_rejections(struct neap_exposition *exposition,
                                    const struct neap_scraped *scraped)
{
    write_shadow(exposition, scraped, counters_of(scraped)->shadow_rejections);
}

static void write_shadow_waits(struct neap_exposition *exposition,
                               const struct neap_scraped *scraped)
{
    write_shadow(exposition, scraped, counters_of(scraped)->shadow_waits);
}

/* Which of them the chain has is in Lua; those that it has not are worth a line each. */
static void write_fallbacks(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    bool has_chain = pipeline_of(scraped)->fallback_count > 0;
    for (int source = NEAP_SOURCE_NETWORK + 1; source < NEAP_SOURCE_COUNT; source++)
        neap_sample_expected(exposition, scraped, "source",
                             neap_source_name((enum neap_source)source),
                             &counters_of(scraped)->fallbacks[source], has_chain);
}

static void write_cache(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    for (int event = 0; event < NEAP_CACHE_EVENT_COUNT; event++)
        neap_sample_expected(
            exposition, scraped, "event", neap_cache_event_name((enum neap_cache_event)event),
            &counters_of(scraped)->cache[event], scraped->client->policy.cache.enabled);
}

/* ------------------------------------------------------------------------------------ attempts */

static void write_attempts(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    neap_sample_counter(exposition, scraped, &counters_of(scraped)->attempts);
}

static void write_chaos(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    if (pipeline_of(scraped)->has_chaos || counters_of(scraped)->chaos > 0)
        neap_sample_counter(exposition, scraped, &counters_of(scraped)->chaos);
}

static void write_attempt_duration(struct neap_exposition *exposition,
                                   const struct neap_scraped *scraped)
{
    neap_exposition_histogram(exposition, scraped->label, scraped->label_count,
                              &counters_of(scraped)->attempt_latency);
}

static bool can_retry(const struct neap_scraped *scraped, int reason)
{
    if (!pipeline_of(scraped)->retry.enabled)
        return false;
    if (is_function(scraped) || reason == (int)NEAP_KIND_ERROR)
        return is_function(scraped) && reason == (int)NEAP_KIND_ERROR;
    return reason >= NEAP_RETRY_401 || neap_kind_is_retried((enum neap_kind)reason);
}

static void write_retries(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    for (int reason = 1; reason < NEAP_RETRY_REASON_COUNT; reason++)
        neap_sample_expected(exposition, scraped, "reason",
                             neap_retry_reason_name((enum neap_retry_reason)reason),
                             &counters_of(scraped)->retries[reason], can_retry(scraped, reason));
}

static void write_timeouts(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    for (int phase = 1; phase < NEAP_PHASE_COUNT; phase++)
        neap_sample_expected(exposition, scraped, "phase", neap_phase_name((enum neap_phase)phase),
                             &counters_of(scraped)->timeouts[phase], !is_function(scraped));
}

/* ------------------------------------------------------------------------------------- breaker */

/* By hand a breaker gets into the last three. */
static void write_transitions(struct neap_exposition *exposition,
                              const struct neap_scraped *scraped)
{
    for (int state = 0; state < NEAP_BREAKER_STATE_COUNT; state++)
        neap_sample_expected(exposition, scraped, "to",
                             neap_breaker_state_name((enum neap_breaker_state)state),
                             &counters_of(scraped)->transitions[state],
                             pipeline_of(scraped)->has_breaker && state <= NEAP_BREAKER_HALF_OPEN);
}

/* -------------------------------------------------------------------------------------- alerts */

static void write_alerts(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    const struct neap_client *client = scraped->client;
    uint32_t firing = client->alerts ? neap_alerts_firing(client->alerts) : 0;
    for (int alert = 0; client->alerts && alert < NEAP_ALERT_COUNT; alert++)
        if (client->policy.alerts.has[alert])
            neap_sample_labelled(exposition, scraped, "alert",
                                 neap_alert_name((enum neap_alert)alert), firing >> alert & 1u);
}

/* ---------------------------------------------------------------------------------------- pool */

static bool has_pool(const struct neap_scraped *scraped)
{
    return scraped->client->carrier == NEAP_CARRIER_NETWORK;
}

static void write_connections(struct neap_exposition *exposition,
                              const struct neap_scraped *scraped)
{
    if (has_pool(scraped))
        neap_sample_count(exposition, scraped, scraped->sums.connections);
}

static void write_opened(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    if (has_pool(scraped))
        neap_sample_counter(exposition, scraped, &scraped->client->board->connections_opened);
}

static void write_reused(struct neap_exposition *exposition, const struct neap_scraped *scraped)
{
    if (has_pool(scraped))
        neap_sample_counter(exposition, scraped, &scraped->client->board->connections_reused);
}

static void write_listener_errors(struct neap_exposition *exposition,
                                  const struct neap_scraped *scraped)
{
    neap_sample_counter(exposition, scraped, &counters_of(scraped)->listener_errors);
}

/* ------------------------------------------------------------------------------- shared memory */

static void write_of_region(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                            uint64_t value)
{
    if (!scraped->is_first_of_region)
        return;
    struct neap_label region =
        neap_label("region", neap_region_name(scraped->client->cells.region));
    neap_exposition_count(exposition, &region, 1, value);
}

static void write_region_size(struct neap_exposition *exposition,
                              const struct neap_scraped *scraped)
{
    write_of_region(exposition, scraped, scraped->region.bytes);
}

static void write_region_used(struct neap_exposition *exposition,
                              const struct neap_scraped *scraped)
{
    write_of_region(exposition, scraped, scraped->region.used_bytes);
}

static void write_region_cells(struct neap_exposition *exposition,
                               const struct neap_scraped *scraped)
{
    write_of_region(exposition, scraped, scraped->region.cells);
}

static void write_region_evictions(struct neap_exposition *exposition,
                                   const struct neap_scraped *scraped)
{
    write_of_region(exposition, scraped, scraped->region.evicted);
}

static void write_region_refusals(struct neap_exposition *exposition,
                                  const struct neap_scraped *scraped)
{
    write_of_region(exposition, scraped, scraped->region.refused);
}

static void write_region_processes(struct neap_exposition *exposition,
                                   const struct neap_scraped *scraped)
{
    write_of_region(exposition, scraped, scraped->region.processes);
}

/* ------------------------------------------------------------------------------------ families */

#define COUNTER NEAP_METRIC_COUNTER
#define GAUGE NEAP_METRIC_GAUGE
#define HISTOGRAM NEAP_METRIC_HISTOGRAM

const struct neap_client_family neap_client_families[] = {
    {{"neap_calls_total", COUNTER, "Calls that have ended, by what they came to."}, write_calls},
    {{"neap_call_duration_seconds", HISTOGRAM,
      "How long calls took that made an attempt, from begin to end."},
     write_call_duration},
    {{"neap_in_flight", GAUGE, "Calls that have begun and not ended."}, write_in_flight},
    {{"neap_attempts_total", COUNTER, "Attempts that were begun."}, write_attempts},
    {{"neap_chaos_attempts_total", COUNTER, "Attempts that were disturbed on purpose."},
     write_chaos},
    {{"neap_attempt_duration_seconds", HISTOGRAM,
      "How long attempts took that were not broken off from outside."},
     write_attempt_duration},
    {{"neap_retries_total", COUNTER,
      "Retries that were decided on, by what came of the attempt before."},
     write_retries},
    {{"neap_timeouts_total", COUNTER, "Attempts that a time limit has ended, by the limit."},
     write_timeouts},
    {{"neap_rejections_total", COUNTER, "Attempts that neap refused before they began."},
     write_rejections},
    {{"neap_shadow_rejections_total", COUNTER,
      "Attempts that a policy in shadow mode would have refused."},
     write_shadow_rejections},
    {{"neap_shadow_waits_total", COUNTER,
      "Attempts that a policy in shadow mode would have had wait."},
     write_shadow_waits},
    {{"neap_fallbacks_total", COUNTER, "Calls that a fallback has answered, by its source."},
     write_fallbacks},
    {{"neap_cache_events_total", COUNTER, "What the cache of answers has done."}, write_cache},
    {{"neap_coalesced_calls_total", COUNTER,
      "Calls that the outcome of an identical one has served."},
     write_coalesced},
    {{"neap_breaker_state", GAUGE,
      "Circuit breakers in each state; without a key, those that are not named."},
     neap_write_breaker_states},
    {{"neap_breaker_failure_ratio", GAUGE,
      "Share of failures in the circuit breaker's window, where there are enough calls."},
     neap_write_breaker_ratios},
    {{"neap_breaker_transitions_total", COUNTER,
      "Changes of circuit breakers, by the state entered."},
     write_transitions},
    {{"neap_alert_firing", GAUGE, "Alerts of the policy: 1 while it fires, else 0."}, write_alerts},
    {{"neap_pool_connections", GAUGE, "Connections that are open, idle ones included."},
     write_connections},
    {{"neap_pool_opened_total", COUNTER, "Connections that were opened."}, write_opened},
    {{"neap_pool_reused_total", COUNTER,
      "Requests that were sent on a connection that had carried another."},
     write_reused},
    {{"neap_listener_errors_total", COUNTER, "Listeners of events that raised an error."},
     write_listener_errors},
    {{"neap_shared_size_bytes", GAUGE, "Size of the memory shared by processes."},
     write_region_size},
    {{"neap_shared_used_bytes", GAUGE, "Shared memory that is in use."}, write_region_used},
    {{"neap_shared_cells", GAUGE, "Pieces of state in shared memory."}, write_region_cells},
    {{"neap_shared_evictions_total", COUNTER,
      "Pieces of state that made room for others in shared memory."},
     write_region_evictions},
    {{"neap_shared_refusals_total", COUNTER,
      "Pieces of state that found no room in shared memory."},
     write_region_refusals},
    {{"neap_shared_processes", GAUGE, "Processes that use the shared memory."},
     write_region_processes},
};

const size_t neap_client_family_count =
    sizeof neap_client_families / sizeof neap_client_families[0];
