#include "pipeline/classify.h"

#include "policy/retry.h"

static const enum neap_verdict kind_verdict[NEAP_KIND_COUNT] = {
    [NEAP_KIND_NONE] = NEAP_VERDICT_SUCCESS,        [NEAP_KIND_RESOLVE] = NEAP_VERDICT_FAILURE,
    [NEAP_KIND_CONNECT] = NEAP_VERDICT_FAILURE,     [NEAP_KIND_TLS] = NEAP_VERDICT_FAILURE,
    [NEAP_KIND_TIMEOUT] = NEAP_VERDICT_FAILURE,     [NEAP_KIND_RESET] = NEAP_VERDICT_FAILURE,
    [NEAP_KIND_PROTOCOL] = NEAP_VERDICT_FAILURE,    [NEAP_KIND_TOO_LARGE] = NEAP_VERDICT_FAILURE,
    [NEAP_KIND_BREAKER_OPEN] = NEAP_VERDICT_IGNORE, [NEAP_KIND_GATE] = NEAP_VERDICT_IGNORE,
    [NEAP_KIND_RATE_LIMITED] = NEAP_VERDICT_IGNORE, [NEAP_KIND_BULKHEAD_FULL] = NEAP_VERDICT_IGNORE,
    [NEAP_KIND_DEADLINE] = NEAP_VERDICT_IGNORE,     [NEAP_KIND_CANCELLED] = NEAP_VERDICT_IGNORE,
    [NEAP_KIND_REDIRECT] = NEAP_VERDICT_FAILURE,    [NEAP_KIND_CONFLICT] = NEAP_VERDICT_IGNORE,
    [NEAP_KIND_STORE] = NEAP_VERDICT_IGNORE,        [NEAP_KIND_PHASE] = NEAP_VERDICT_IGNORE,
    [NEAP_KIND_ERROR] = NEAP_VERDICT_FAILURE,
};

enum neap_verdict neap_classify_verdict(const struct neap_outcome *outcome)
{
    if (outcome->forbidden || outcome->ours)
        return NEAP_VERDICT_IGNORE;
    if (outcome->kind != NEAP_KIND_NONE)
        return kind_verdict[outcome->kind];
    if (outcome->status == 429)
        return NEAP_VERDICT_IGNORE;
    if (outcome->status == 500 || (outcome->status >= 502 && outcome->status <= 504))
        return NEAP_VERDICT_FAILURE;
    return NEAP_VERDICT_SUCCESS;
}

bool neap_classify_allows_stale(const struct neap_outcome *outcome)
{
    return neap_kind_is_refusal(outcome->kind) || outcome->forbidden || outcome->ours ||
           neap_classify_verdict(outcome) == NEAP_VERDICT_FAILURE;
}

bool neap_classify_is_failure(const struct neap_outcome *outcome)
{
    if (outcome->kind != NEAP_KIND_NONE)
        return true;
    return outcome->status == 408 || outcome->status == 425 || outcome->status == 429 ||
           outcome->status >= 500;
}

bool neap_classify_is_retryable(const struct neap_outcome *outcome, bool replayable)
{
    if (neap_kind_is_refusal(outcome->kind))
        return true;
    if (outcome->kind == NEAP_KIND_NONE || outcome->certificate || outcome->forbidden ||
        !neap_kind_is_retried(outcome->kind))
        return false;
    return replayable || outcome->unsent;
}
