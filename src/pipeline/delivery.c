#include "pipeline/delivery.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "pipeline/classify.h"

#define BODY_EXCERPT 200u
#define SPREAD 0.1
#define HOLD_S 1.0

enum fate { AGAIN, NEVER, REFUSED };

static const enum fate kind_fate[NEAP_KIND_COUNT] = {
    [NEAP_KIND_TOO_LARGE] = NEVER,       [NEAP_KIND_REDIRECT] = NEVER,
    [NEAP_KIND_CONFLICT] = NEVER,        [NEAP_KIND_BREAKER_OPEN] = REFUSED,
    [NEAP_KIND_GATE] = REFUSED,          [NEAP_KIND_RATE_LIMITED] = REFUSED,
    [NEAP_KIND_BULKHEAD_FULL] = REFUSED, [NEAP_KIND_DEADLINE] = REFUSED,
    [NEAP_KIND_CANCELLED] = REFUSED,     [NEAP_KIND_PHASE] = REFUSED,
};

static enum fate fate_of(const struct neap_delivery_facts *facts)
{
    int status = facts->outcome.status;
    if (facts->outcome.kind != NEAP_KIND_NONE)
        return kind_fate[facts->outcome.kind];
    if (neap_classify_is_failure(&facts->outcome))
        return AGAIN;
    return status >= 400 && facts->retry_after_ns >= 0 ? AGAIN : NEVER;
}

static bool is_delivered(const struct neap_outcome *outcome)
{
    return outcome->kind == NEAP_KIND_NONE && outcome->status >= 200 && outcome->status < 400;
}

static bool refuses_all(const struct neap_delivery_policy *policy,
                        const struct neap_delivery_facts *facts)
{
    static const bool is_of_client[NEAP_KIND_COUNT] = {
        [NEAP_KIND_RATE_LIMITED] = true,
        [NEAP_KIND_BULKHEAD_FULL] = true,
        [NEAP_KIND_CANCELLED] = true,
        [NEAP_KIND_PHASE] = true,
    };
    if (facts->outcome.kind == NEAP_KIND_BREAKER_OPEN)
        return policy->one_breaker;
    if (facts->outcome.kind == NEAP_KIND_GATE)
        return policy->one_gate && !facts->own_credential;
    return is_of_client[facts->outcome.kind];
}

/* ---- when */

/* Nobody keeps the waits of former rounds: for decorrelated jitter each of them counts as the
 * middle of its range. */
static double previous_s(const struct neap_backoff *backoff, uint32_t n)
{
    double previous = 0, low, high;
    if (backoff->jitter != NEAP_JITTER_DECORRELATED)
        return 0;
    for (uint32_t k = 1; k < n; k++) {
        neap_backoff_bounds(backoff, k, previous, &low, &high);
        double middle = low + (high - low) / 2;
        if (k > 1 && middle <= previous)
            break;
        previous = middle;
    }
    return previous;
}

static double backoff_s(const struct neap_backoff *backoff, uint32_t n, double r)
{
    return neap_backoff_delay(backoff, n, previous_s(backoff, n), r);
}

static double told_s(const struct neap_delivery_facts *facts, double r)
{
    double told = facts->retry_after_ns > 0 ? neap_seconds_from_ns(facts->retry_after_ns) : 0;
    return told * (1 + r * SPREAD);
}

static double wait_s(const struct neap_delivery_policy *policy,
                     const struct neap_delivery_facts *facts, enum fate fate, double r)
{
    double told = told_s(facts, r);
    if (fate == REFUSED)
        return told > 0 ? told : fmax(backoff_s(&policy->backoff, 1, r), HOLD_S);
    uint32_t n = facts->attempts < UINT32_MAX ? facts->attempts + 1 : UINT32_MAX;
    double own = backoff_s(&policy->backoff, n, r);
    return told > own ? told : own;
}

/* ---- why */

/* The beginning of the body, without half a character of UTF-8 at its end. */
static void append_excerpt(char *reason, struct neap_text body)
{
    size_t used = strlen(reason), bytes = body.bytes < BODY_EXCERPT ? body.bytes : BODY_EXCERPT;
    if (body.bytes > bytes)
        while (bytes > 0 && ((unsigned char)body.text[bytes] & 0xC0) == 0x80)
            bytes--;
    if (bytes == 0)
        return;
    memcpy(reason + used, ": ", 2);
    used += 2;
    for (size_t i = 0; i < bytes; i++)
        reason[used++] = body.text[i] == '\0' ? ' ' : body.text[i];
    reason[used] = '\0';
}

/* What servers and functions of the policy say may have any number of lines. */
static void make_one_line(char *reason)
{
    for (char *at = reason; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            *at = ' ';
}

static void write_reason(const char *why, const struct neap_delivery_facts *facts, char *reason)
{
    const struct neap_outcome *outcome = &facts->outcome;
    const char *phase = neap_phase_name(outcome->phase);
    if (outcome->kind == NEAP_KIND_NONE) {
        snprintf(reason, NEAP_REASON_BYTES, "%s: status %d", why, outcome->status);
        append_excerpt(reason, facts->body);
    } else {
        snprintf(reason, NEAP_REASON_BYTES, "%s: %s%s%s%s: %s", why, neap_kind_name(outcome->kind),
                 phase ? " (" : "", phase ? phase : "", phase ? ")" : "", outcome->message);
    }
    make_one_line(reason);
}

static void bury(struct neap_delivery *delivery, const char *why,
                 const struct neap_delivery_facts *facts)
{
    delivery->verdict = NEAP_DELIVERY_BURY;
    write_reason(why, facts, delivery->reason);
}

void neap_delivery_decide(const struct neap_delivery_policy *policy,
                          const struct neap_delivery_facts *facts, double r,
                          struct neap_delivery *delivery)
{
    enum fate fate = fate_of(facts);
    *delivery = (struct neap_delivery){.verdict = NEAP_DELIVERY_DONE};
    if (is_delivered(&facts->outcome))
        return;
    if (fate == NEVER) {
        bury(delivery, "rejected", facts);
        return;
    }
    if (fate == AGAIN && facts->attempts + UINT64_C(1) >= policy->max_attempts) {
        bury(delivery, "attempts", facts);
        return;
    }
    int64_t due_ns =
        neap_time_add(facts->now_ns, neap_ns_from_seconds(wait_s(policy, facts, fate, r)));
    bool was_tried = fate == AGAIN || facts->attempts > 0;
    if (was_tried && due_ns >= neap_time_add(facts->put_ns, policy->max_age_ns)) {
        bury(delivery, "max_age", facts);
        return;
    }
    delivery->verdict = fate == REFUSED ? NEAP_DELIVERY_HOLD : NEAP_DELIVERY_RETRY;
    delivery->due_ns = due_ns;
    delivery->all = fate == REFUSED && refuses_all(policy, facts);
}
