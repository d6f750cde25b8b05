/* The cache of an instance: of each resource the moment at which its answer was stored. Answers
 * say nothing about caching, so the policy's own numbers decide, by the rules of policy/freshness.
 */
#include "base/duration.h"
#include "simulation/simulated_call.h"

/* As neap's own: a refresh that failed is not tried again for so long. */
#define REST_AFTER_FAILURE_NS NEAP_SECOND

static struct neap_freshness freshness_of(const struct neap_stored *stored)
{
    struct neap_freshness freshness;
    neap_freshness_init(&freshness, stored->at_ns, stored->at_ns);
    return freshness;
}

static const struct neap_stored *find(const struct neap_instance *instance, uint32_t resource)
{
    if (!instance->stored || instance->stored[resource].at_ns < 0)
        return NULL;
    return &instance->stored[resource];
}

static struct neap_answer answer_with(enum neap_cache_verdict verdict)
{
    return (struct neap_answer){.answered = true,
                                .ok = true,
                                .status = 200,
                                .source = verdict == NEAP_CACHE_FRESH ? NEAP_SOURCE_CACHE
                                                                      : NEAP_SOURCE_STALE};
}

bool neap_simulated_cache_serve(const struct neap_simulation *simulation,
                                struct neap_instance *instance, uint32_t resource,
                                struct neap_event *event, bool *refresh)
{
    struct neap_cache_control request;
    const struct neap_stored *stored = find(instance, resource);
    if (!simulation->setup.caches || !stored)
        return false;
    struct neap_freshness freshness = freshness_of(stored);
    neap_cache_control_init(&request);
    enum neap_cache_verdict verdict =
        neap_freshness_judge(&freshness, &simulation->setup.cache, &request, simulation->now_ns);
    if (verdict == NEAP_CACHE_REVALIDATE)
        return false;
    *event = (struct neap_event){.kind = NEAP_EVENT_SERVE, .answer = answer_with(verdict)};
    *refresh = verdict == NEAP_CACHE_STALE_WHILE_REVALIDATE &&
               simulation->now_ns >= stored->refresh_after_ns;
    if (*refresh)
        instance->stored[resource].refresh_after_ns = NEAP_NEVER;
    return true;
}

struct neap_answer neap_simulated_cache_stand_in(const struct neap_simulation *simulation,
                                                 const struct neap_simulated_call *call,
                                                 const struct neap_effect *effect)
{
    struct neap_cache_control request;
    const struct neap_cache_policy *policy = &simulation->setup.cache;
    const struct neap_stored *stored = find(call->instance, call->resource);
    const struct neap_answer none = {.source = NEAP_SOURCE_STALE};
    if (!stored)
        return none;
    struct neap_freshness freshness = freshness_of(stored);
    neap_cache_control_init(&request);
    enum neap_cache_verdict verdict =
        effect->max_stale_ns == NEAP_CACHE_UNSAID
            ? neap_freshness_judge_error(&freshness, policy, &request, simulation->now_ns)
            : neap_freshness_judge_fallback(&freshness, policy, effect->max_stale_ns,
                                            simulation->now_ns);
    return verdict == NEAP_CACHE_REVALIDATE ? none : answer_with(verdict);
}

void neap_simulated_cache_keep(const struct neap_simulation *simulation,
                               const struct neap_simulated_call *call)
{
    const struct neap_result *result = &call->call.result;
    bool is_good = result->kind == NEAP_RESULT_RESPONSE && result->outcome.status == 200;
    if (!call->instance->stored)
        return;
    struct neap_stored *stored = &call->instance->stored[call->resource];
    if (is_good)
        stored->at_ns = simulation->now_ns;
    if (call->is_refresh)
        stored->refresh_after_ns =
            is_good ? 0 : neap_time_add(simulation->now_ns, REST_AFTER_FAILURE_NS);
}
