/* Freshness of an answer with any headers at any moment: no age, lifetime or directive below zero,
 * nothing gets younger while time goes on, what is fresh is younger than its lifetime, and where
 * the server forbids stale answers none is given. */
#include "base/duration.h"
#include "fuzz/fuzz.h"
#include "policy/freshness.h"

static int64_t some_time(struct fuzz_input *input)
{
    uint8_t draw = fuzz_byte(input);
    return draw == 255   ? INT64_MAX
           : draw == 254 ? INT64_MIN
                         : (int64_t)fuzz_number(input, draw % 9);
}

static int64_t some_limit(struct fuzz_input *input)
{
    int64_t limit_ns = some_time(input);
    return limit_ns < 0 ? NEAP_CACHE_UNSAID : limit_ns;
}

static void check_seconds(int64_t seconds)
{
    promise(seconds == NEAP_CACHE_UNSAID || (seconds >= 0 && seconds <= NEAP_CACHE_SECONDS_MAX));
}

static void check_control(const struct neap_cache_control *control)
{
    check_seconds(control->max_age_s);
    check_seconds(control->stale_while_revalidate_s);
    check_seconds(control->stale_if_error_s);
    check_seconds(control->min_fresh_s);
    check_seconds(control->max_stale_s);
}

static void read_headers(struct neap_freshness *answer, struct neap_cache_control *request,
                         struct fuzz_input *input)
{
    while (fuzz_left(input) > 0) {
        size_t bytes;
        const char *line = fuzz_line(input, &bytes);
        const char *colon = bytes > 0 ? memchr(line, ':', bytes) : NULL;
        if (colon)
            neap_freshness_read(answer, line, (size_t)(colon - line), colon + 1,
                                bytes - (size_t)(colon - line) - 1);
        else
            neap_cache_control_add(request, line, bytes);
    }
}

static void check_verdict(enum neap_cache_verdict verdict, const struct neap_freshness *answer,
                          int64_t age_ns, int64_t lifetime_ns)
{
    if (verdict == NEAP_CACHE_FRESH)
        promise(age_ns < lifetime_ns && !answer->control.no_cache);
    if (verdict == NEAP_CACHE_STALE || verdict == NEAP_CACHE_STALE_WHILE_REVALIDATE)
        promise(!answer->control.must_revalidate && !answer->control.no_cache);
}

/* Moments and policy first; a line with a colon is a header of the answer, one without is the
 * request's Cache-Control. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    struct neap_freshness answer;
    struct neap_cache_control request;
    int64_t requested_ns = some_time(&input), received_ns = some_time(&input);
    int64_t now_ns = some_time(&input), later_ns = some_time(&input);
    struct neap_cache_policy policy = {some_limit(&input), some_limit(&input), some_limit(&input)};
    int64_t max_stale_ns = some_limit(&input);
    neap_freshness_init(&answer, requested_ns, received_ns);
    neap_cache_control_init(&request);
    read_headers(&answer, &request, &input);
    check_control(&answer.control);
    check_control(&request);

    int64_t age_ns = neap_freshness_age(&answer, now_ns);
    int64_t lifetime_ns = neap_freshness_lifetime(&answer, &policy);
    promise(age_ns >= 0 && lifetime_ns >= 0);
    promise(neap_freshness_age(&answer, neap_time_max(now_ns, later_ns)) >= age_ns);
    check_verdict(neap_freshness_judge(&answer, &policy, &request, now_ns), &answer, age_ns,
                  lifetime_ns);
    check_verdict(neap_freshness_judge_error(&answer, &policy, &request, now_ns), &answer, age_ns,
                  lifetime_ns);
    if (max_stale_ns >= 0)
        check_verdict(neap_freshness_judge_fallback(&answer, &policy, max_stale_ns, now_ns),
                      &answer, age_ns, lifetime_ns);
    (void)neap_freshness_end(&answer, &policy, max_stale_ns);
    return 0;
}
