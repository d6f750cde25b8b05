/* A second attempt beside the one that takes long. */
#include "base/duration.h"
#include "pipeline/call_internal.h"

const struct neap_attempt *neap_call_lone_attempt(const struct neap_call *call)
{
    const struct neap_attempt *one = &call->live[0], *other = &call->live[1];
    const struct neap_attempt *lone = one->number ? one : other;
    bool is_alone = !one->number || !other->number;
    bool is_newest = lone->number > 0 && lone->number == call->attempts;
    bool is_open = !lone->cancelling && call->hedge_asked != lone->number;
    return is_alone && is_newest && is_open ? lone : NULL;
}

static bool hedge_is_due(const struct neap_call *call, int64_t now_ns)
{
    const struct neap_attempt *lone = neap_call_lone_attempt(call);
    return lone && now_ns >= neap_time_add(lone->started_ns, call->setup.pipeline->hedge_after_ns);
}

static bool may_hedge(const struct neap_call *call, int64_t now_ns)
{
    return call->setup.replayable && call->attempts < call->setup.pipeline->retry.max_attempts &&
           neap_call_has_time(call, now_ns);
}

static bool pay(struct neap_call *call, int64_t now_ns)
{
    const struct neap_pipeline *pipeline = call->setup.pipeline;
    return !pipeline->has_budget ||
           neap_retry_budget_withdraw(call->setup.state.budget, &pipeline->budget, now_ns);
}

static bool is_admitted_at_once(struct neap_call *call, int64_t now_ns)
{
    for (enum neap_stage stage = NEAP_STAGE_BREAKER; stage < NEAP_STAGE_COUNT; stage++) {
        enum neap_decision decision = neap_call_stages[stage](call, now_ns).decision;
        if (decision != NEAP_ADMIT && !neap_call_overrules(call, now_ns, stage, decision))
            return false;
    }
    return true;
}

bool neap_call_hedge(struct neap_call *call, int64_t now_ns, struct neap_effect *effect)
{
    if (call->setup.pipeline->hedge_after_ns == NEAP_NEVER || !hedge_is_due(call, now_ns))
        return false;
    call->hedge_asked = call->attempts;
    if (!may_hedge(call, now_ns) || !pay(call, now_ns))
        return false;
    if (!is_admitted_at_once(call, now_ns)) {
        neap_call_drop_admission(call, now_ns);
        return false;
    }
    *effect = neap_call_send(call, now_ns);
    return effect->kind == NEAP_EFFECT_SEND;
}
