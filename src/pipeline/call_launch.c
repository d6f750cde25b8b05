/* An attempt that all policies have admitted begins, if there is time for it. */
#include "base/duration.h"
#include "pipeline/call_count.h"
#include "pipeline/call_internal.h"

bool neap_call_has_time(const struct neap_call *call, int64_t now_ns)
{
    return call->deadline_ns == NEAP_NEVER ||
           neap_time_since(call->deadline_ns, now_ns) >= NEAP_LEAST_LEFT_NS;
}

static struct neap_attempt *free_slot(struct neap_call *call)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (!call->live[i].number)
            return &call->live[i];
    return NULL;
}

static int64_t attempt_limit(const struct neap_call *call, int64_t now_ns)
{
    if (call->setup.uninterruptible)
        return NEAP_NEVER;
    return neap_time_min(neap_time_add(now_ns, call->setup.timeout.attempt_ns), call->deadline_ns);
}

static bool is_disturbed(struct neap_call *call)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    const _Atomic bool *off = call->setup.chaos_off;
    if (!pipeline->has_chaos || !off || atomic_load_explicit(off, memory_order_relaxed))
        return false;
    return neap_chaos_strikes(&pipeline->chaos, neap_call_random(call));
}

static void note_chaos(struct neap_call *call, uint32_t trace_index)
{
    neap_count(&call->setup.counters->chaos);
    if (trace_index != UINT32_MAX)
        call->trace.entry[trace_index].chaos = true;
}

uint32_t neap_call_launch(struct neap_call *call, int64_t now_ns)
{
    call->attempts++;
    uint32_t trace_index = call->trace.count;
    if (!neap_trace_add(&call->trace, NEAP_TRACE_ATTEMPT, now_ns))
        trace_index = UINT32_MAX;
    *free_slot(call) = (struct neap_attempt){.number = call->attempts,
                                             .started_ns = now_ns,
                                             .limit_ns = attempt_limit(call, now_ns),
                                             .breaker_permit = call->breaker_permit,
                                             .bulkhead_permit = call->bulkhead_permit,
                                             .trace_index = trace_index};
    call->breaker_permit = call->bulkhead_permit = 0;
    neap_call_enter(call, NEAP_CALL_LIVE);
    return trace_index;
}

struct neap_effect neap_call_send(struct neap_call *call, int64_t now_ns)
{
    int64_t left_ns =
        call->deadline_ns == NEAP_NEVER ? NEAP_NEVER : neap_time_since(call->deadline_ns, now_ns);
    if (!neap_call_has_time(call, now_ns))
        return neap_call_out_of_time(call, now_ns);

    neap_count_attempt(&call->setup);
    uint32_t trace_index = neap_call_launch(call, now_ns);
    bool chaos = is_disturbed(call);
    if (chaos)
        note_chaos(call, trace_index);
    return (struct neap_effect){
        .kind = NEAP_EFFECT_SEND, .attempt = call->attempts, .left_ns = left_ns, .chaos = chaos};
}
