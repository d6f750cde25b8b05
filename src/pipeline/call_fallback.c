/* What stands in for a call that has failed: a stored answer by stale-if-error, then the chain of
 * fallbacks. */
#include "base/duration.h"
#include "pipeline/call_internal.h"
#include "pipeline/classify.h"

static bool fallback_applies(const struct neap_call *call, uint32_t index)
{
    uint32_t kinds = call->setup.pipeline->fallback_kinds[index];
    if (kinds == 0)
        return true;
    return call->result.kind == NEAP_RESULT_ERROR &&
           (kinds & (1u << call->result.outcome.kind)) != 0;
}

static bool entry_is_cache(const struct neap_call *call)
{
    return call->setup.pipeline->fallback_caches & UINT32_C(1) << call->fallback;
}

static struct neap_effect ask_cache(struct neap_call *call, int64_t max_stale_ns)
{
    return (struct neap_effect){
        .kind = NEAP_EFFECT_STORED, .fallback = call->fallback, .max_stale_ns = max_stale_ns};
}

static bool may_ask_cache(const struct neap_call *call)
{
    return call->setup.has_cache && !call->asked_cache &&
           neap_classify_allows_stale(&call->result.outcome);
}

static struct neap_effect run_fallback(struct neap_call *call, int64_t now_ns)
{
    call->fallback_began_ns = now_ns;
    neap_call_enter(call, NEAP_CALL_FALLBACK);
    if (entry_is_cache(call))
        return ask_cache(call, call->setup.pipeline->fallback_max_stale_ns[call->fallback]);
    return (struct neap_effect){.kind = NEAP_EFFECT_FALLBACK, .fallback = call->fallback};
}

/* The server's own word, or the policy's, about errors comes before the chain. */
static struct neap_effect cover_failure(struct neap_call *call, int64_t now_ns)
{
    uint32_t count = call->setup.pipeline->fallback_count;
    if (may_ask_cache(call)) {
        call->fallback_began_ns = now_ns;
        neap_call_enter(call, NEAP_CALL_FALLBACK);
        return ask_cache(call, NEAP_CACHE_UNSAID);
    }
    call->asked_cache = true;
    while (call->fallback < count && !fallback_applies(call, call->fallback))
        call->fallback++;
    return call->fallback < count
               ? run_fallback(call, now_ns)
               : neap_call_done(call, now_ns, false, call->result.outcome.status);
}

struct neap_effect neap_call_cover(struct neap_call *call, int64_t now_ns)
{
    bool may_cover = !call->broken_off && !call->setup.without_fallbacks;
    if (may_cover && neap_classify_is_failure(&call->result.outcome))
        return cover_failure(call, now_ns);
    const struct neap_outcome *outcome = &call->result.outcome;
    return neap_call_done(call, now_ns, neap_outcome_is_success(outcome), outcome->status);
}

static void trace_fallback(struct neap_call *call, int64_t now_ns, const struct neap_answer *answer)
{
    struct neap_trace_entry *entry =
        neap_trace_add(&call->trace, NEAP_TRACE_FALLBACK, call->fallback_began_ns);
    if (!entry)
        return;
    entry->elapsed_ns = neap_time_since(now_ns, call->fallback_began_ns);
    entry->reason = neap_source_name(answer->source);
    entry->error = answer->error;
    entry->status = answer->status;
    if (!neap_call_tells(call, NEAP_NOTICE_FALLBACK))
        return;
    neap_call_note(call, &(struct neap_notice){.kind = NEAP_NOTICE_FALLBACK,
                                               .at_ns = now_ns,
                                               .attempt = call->attempts,
                                               .entry = *entry});
}

/* A cache that has nothing for an error has not been asked by anybody, and leaves no trace. */
static struct neap_effect pass_over(struct neap_call *call, int64_t now_ns,
                                    const struct neap_answer *answer)
{
    if (!call->asked_cache) {
        call->asked_cache = true;
        return neap_call_cover(call, now_ns);
    }
    trace_fallback(call, now_ns, answer);
    call->fallback++;
    return neap_call_cover(call, now_ns);
}

struct neap_effect neap_call_fallback_answer(struct neap_call *call, int64_t now_ns,
                                             const struct neap_answer *answer)
{
    struct neap_result *result = &call->result;
    if (!answer->answered)
        return pass_over(call, now_ns, answer);
    trace_fallback(call, now_ns, answer);
    neap_count(&call->setup.counters->fallbacks[answer->source]);
    result->source = answer->source;
    result->kind = NEAP_RESULT_FALLBACK;
    if (!call->asked_cache || entry_is_cache(call)) {
        result->kind = NEAP_RESULT_STORED;
        result->outcome = (struct neap_outcome){.status = answer->status};
    }
    return neap_call_done(call, now_ns, answer->ok, answer->status);
}
