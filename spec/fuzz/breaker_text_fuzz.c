/* What neap.breaker's import is given: any text is refused with nothing changed, or makes a breaker
 * that works; what that one exports is understood, and exports the same again. */
#include "base/duration.h"
#include "fuzz/fuzz.h"
#include "platform/memory.h"
#include "policy/breaker.h"

static struct neap_breaker_policy some_policy(struct fuzz_input *input)
{
    uint8_t shape = fuzz_byte(input), size = fuzz_byte(input);
    struct neap_breaker_policy policy = {
        .window_count = shape & 1 ? 1u + size : 0,
        .window_seconds = 1u + size,
        .min_calls = 1u + shape / 16,
        .failure_rate = 0.5,
        .slow_call_ns = shape & 2 ? NEAP_SECOND : NEAP_NEVER,
        .slow_call_rate = 1,
        .consecutive_failures = shape & 4 ? 3 : 0,
        .open_base_s = 30,
        .open_factor = 2,
        .open_max_s = 300,
        .permits = 1u + size % 7,
        .lease_ns = 60 * NEAP_SECOND,
        .ramp_ns = shape & 8 ? 10 * NEAP_SECOND : 0,
        .ramp_from = 0.1,
    };
    return policy;
}

static struct neap_breaker *make(const struct neap_breaker_policy *policy)
{
    struct neap_breaker *breaker = neap_alloc(neap_platform_alloc(), neap_breaker_bytes(policy));
    promise(breaker);
    neap_breaker_init(breaker, policy);
    return breaker;
}

static char *export_of(const struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                       int64_t now_ns)
{
    char *text;
    promise(neap_breaker_export(breaker, policy, now_ns, neap_platform_alloc(), &text) == NEAP_OK);
    for (const char *at = text; *at; at++)
        promise(*at >= 0x20 && *at <= 0x7e);
    return text;
}

static void check_snapshot(const struct neap_breaker *breaker,
                           const struct neap_breaker_policy *policy, int64_t now_ns)
{
    struct neap_breaker_snapshot seen;
    neap_breaker_read(breaker, policy, now_ns, &seen);
    promise(seen.state < NEAP_BREAKER_STATE_COUNT);
    promise(seen.retry_after_ns >= 0);
    promise(seen.failures <= seen.calls && seen.slow <= seen.calls);
    if (policy->window_count > 0)
        promise(seen.calls <= policy->window_count || seen.calls <= policy->permits);
}

static void check_export(const struct neap_breaker *breaker,
                         const struct neap_breaker_policy *policy, int64_t now_ns)
{
    char *text = export_of(breaker, policy, now_ns);
    struct neap_breaker *other = make(policy);
    promise(neap_breaker_import(other, policy, now_ns, text, strlen(text)) == NEAP_OK);
    char *again = export_of(other, policy, now_ns);
    promise(strcmp(text, again) == 0);
    neap_free(neap_platform_alloc(), again);
    neap_free(neap_platform_alloc(), other);
    neap_free(neap_platform_alloc(), text);
}

static void live_on(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                    int64_t now_ns)
{
    for (int i = 0; i < 20; i++) {
        struct neap_breaker_change change;
        struct neap_admission admission =
            neap_breaker_acquire(breaker, policy, 1, now_ns, 0.5, &change);
        if (admission.decision == NEAP_ADMIT)
            (void)neap_breaker_record(breaker, policy, admission.permit,
                                      i % 3 ? NEAP_VERDICT_FAILURE : NEAP_VERDICT_SUCCESS,
                                      2 * NEAP_SECOND, now_ns, 0.5);
        check_snapshot(breaker, policy, now_ns);
        now_ns += 7 * NEAP_SECOND;
    }
}

/* Policy, moment, and the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    struct neap_breaker_policy policy = some_policy(&input);
    int64_t now_ns = (int64_t)fuzz_number(&input, 2) * NEAP_SECOND;
    struct neap_breaker *breaker = make(&policy);
    char *before = export_of(breaker, &policy, now_ns);
    enum neap_status status =
        neap_breaker_import(breaker, &policy, now_ns, (const char *)input.at, fuzz_left(&input));
    if (status != NEAP_OK) {
        char *behind = export_of(breaker, &policy, now_ns);
        promise(strcmp(before, behind) == 0);
        neap_free(neap_platform_alloc(), behind);
    }
    check_snapshot(breaker, &policy, now_ns);
    check_export(breaker, &policy, now_ns);
    live_on(breaker, &policy, now_ns);
    neap_free(neap_platform_alloc(), before);
    neap_free(neap_platform_alloc(), breaker);
    return 0;
}
