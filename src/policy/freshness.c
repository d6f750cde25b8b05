#include "policy/freshness.h"

#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "policy/blank.h"
#include "policy/http_date.h"

static int64_t ns_of(int64_t seconds)
{
    int64_t ns;
    if (__builtin_mul_overflow(seconds, NEAP_SECOND, &ns))
        return seconds < 0 ? INT64_MIN : NEAP_NEVER;
    return ns;
}

void neap_freshness_init(struct neap_freshness *freshness, int64_t requested_ns,
                         int64_t received_ns)
{
    *freshness = (struct neap_freshness){.requested_ns = requested_ns, .received_ns = received_ns};
    neap_cache_control_init(&freshness->control);
}

/* ---- reading the headers */

struct text {
    const char *at;
    size_t bytes;
};

static struct text trimmed(struct text text)
{
    const char *end = text.bytes > 0 ? text.at + text.bytes : text.at;
    neap_trim_blanks(&text.at, &end);
    text.bytes = (size_t)(end - text.at);
    return text;
}

static bool read_date(const struct neap_freshness *freshness, struct text value, int64_t *epoch_s)
{
    value = trimmed(value);
    return neap_http_date_parse(value.at, value.bytes, freshness->received_ns / NEAP_SECOND,
                                epoch_s);
}

/* An Age that cannot be read is ignored (RFC 9111 5.1). */
static void read_age(struct neap_freshness *freshness, struct text value)
{
    if (freshness->has_age)
        return;
    freshness->has_age = true;
    const char *comma = value.bytes > 0 ? memchr(value.at, ',', value.bytes) : NULL;
    if (comma)
        value.bytes = (size_t)(comma - value.at);
    value = trimmed(value);
    (void)neap_delta_seconds_parse(value.at, value.bytes, &freshness->age_s);
}

static void read_date_header(struct neap_freshness *freshness, struct text value)
{
    if (!freshness->has_date)
        freshness->has_date = read_date(freshness, value, &freshness->date_s);
}

/* Anything but a date, "0" above all, is a moment in the past (RFC 9111 5.3). */
static void read_expires(struct neap_freshness *freshness, struct text value)
{
    if (freshness->has_expires)
        return;
    freshness->has_expires = true;
    if (!read_date(freshness, value, &freshness->expires_s))
        freshness->expires_s = INT64_MIN;
}

static void read_control(struct neap_freshness *freshness, struct text value)
{
    neap_cache_control_add(&freshness->control, value.at, value.bytes);
}

static void read_etag(struct neap_freshness *freshness, struct text value)
{
    if (trimmed(value).bytes > 0)
        freshness->can_revalidate = true;
}

static void read_last_modified(struct neap_freshness *freshness, struct text value)
{
    int64_t ignored;
    if (read_date(freshness, value, &ignored))
        freshness->can_revalidate = true;
}

static const struct {
    const char *name;
    void (*read)(struct neap_freshness *freshness, struct text value);
} readers[] = {
    {"cache-control", read_control}, {"age", read_age},   {"date", read_date_header},
    {"expires", read_expires},       {"etag", read_etag}, {"last-modified", read_last_modified},
};

void neap_freshness_read(struct neap_freshness *freshness, const char *name, size_t name_bytes,
                         const char *value, size_t value_bytes)
{
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (strlen(readers[i].name) == name_bytes &&
            strncasecmp(readers[i].name, name, name_bytes) == 0)
            readers[i].read(freshness, (struct text){value, value_bytes});
}

/* ---- age and lifetime */

static int64_t initial_age(const struct neap_freshness *freshness)
{
    int64_t received_s = freshness->received_ns / NEAP_SECOND;
    int64_t apparent_ns =
        freshness->has_date ? ns_of(neap_time_since(received_s, freshness->date_s)) : 0;
    int64_t delay_ns = neap_time_since(freshness->received_ns, freshness->requested_ns);
    return neap_time_max(apparent_ns, neap_time_add(ns_of(freshness->age_s), delay_ns));
}

int64_t neap_freshness_age(const struct neap_freshness *freshness, int64_t now_ns)
{
    return neap_time_add(initial_age(freshness), neap_time_since(now_ns, freshness->received_ns));
}

int64_t neap_freshness_lifetime(const struct neap_freshness *freshness,
                                const struct neap_cache_policy *policy)
{
    if (freshness->redirected)
        return 0;
    if (freshness->control.max_age_s != NEAP_CACHE_UNSAID)
        return ns_of(freshness->control.max_age_s);
    if (freshness->has_expires) {
        int64_t from_s =
            freshness->has_date ? freshness->date_s : freshness->received_ns / NEAP_SECOND;
        return ns_of(neap_time_since(freshness->expires_s, from_s));
    }
    return policy->ttl_ns != NEAP_CACHE_UNSAID ? policy->ttl_ns : 0;
}

/* ---- verdicts */

/* The server's word where there is one, else the policy's, else NEAP_CACHE_UNSAID. */
static int64_t window_of(const struct neap_freshness *freshness, int64_t server_s,
                         int64_t policy_ns)
{
    if (server_s != NEAP_CACHE_UNSAID && !freshness->redirected)
        return ns_of(server_s);
    return policy_ns;
}

static int64_t error_window(const struct neap_freshness *freshness,
                            const struct neap_cache_policy *policy)
{
    return window_of(freshness, freshness->control.stale_if_error_s, policy->stale_if_error_ns);
}

static int64_t background_window(const struct neap_freshness *freshness,
                                 const struct neap_cache_policy *policy)
{
    return window_of(freshness, freshness->control.stale_while_revalidate_s,
                     policy->stale_while_revalidate_ns);
}

static bool suits(const struct neap_cache_control *request, int64_t age_ns, int64_t lifetime_ns)
{
    if (request->max_age_s != NEAP_CACHE_UNSAID && age_ns > ns_of(request->max_age_s))
        return false;
    return request->min_fresh_s == NEAP_CACHE_UNSAID ||
           neap_time_add(age_ns, ns_of(request->min_fresh_s)) <= lifetime_ns;
}

/* Stale by no more than the window, which may be NEAP_CACHE_UNSAID. */
static bool is_within(int64_t window_ns, int64_t age_ns, int64_t lifetime_ns)
{
    return window_ns != NEAP_CACHE_UNSAID && neap_time_since(age_ns, lifetime_ns) <= window_ns;
}

enum neap_cache_verdict neap_freshness_judge(const struct neap_freshness *freshness,
                                             const struct neap_cache_policy *policy,
                                             const struct neap_cache_control *request,
                                             int64_t now_ns)
{
    int64_t age_ns = neap_freshness_age(freshness, now_ns);
    int64_t lifetime_ns = neap_freshness_lifetime(freshness, policy);
    int64_t background_ns = background_window(freshness, policy);
    if (request->no_cache || freshness->control.no_cache || !suits(request, age_ns, lifetime_ns))
        return NEAP_CACHE_REVALIDATE;
    if (age_ns < lifetime_ns)
        return NEAP_CACHE_FRESH;
    if (freshness->control.must_revalidate)
        return NEAP_CACHE_REVALIDATE;
    if (background_ns != NEAP_CACHE_UNSAID && age_ns < neap_time_add(lifetime_ns, background_ns))
        return NEAP_CACHE_STALE_WHILE_REVALIDATE;
    int64_t accepted_ns =
        request->max_stale_s == NEAP_CACHE_UNSAID ? NEAP_CACHE_UNSAID : ns_of(request->max_stale_s);
    return is_within(accepted_ns, age_ns, lifetime_ns) ? NEAP_CACHE_STALE : NEAP_CACHE_REVALIDATE;
}

static enum neap_cache_verdict judge_within(const struct neap_freshness *freshness,
                                            const struct neap_cache_policy *policy,
                                            int64_t window_ns, int64_t now_ns)
{
    int64_t age_ns = neap_freshness_age(freshness, now_ns);
    int64_t lifetime_ns = neap_freshness_lifetime(freshness, policy);
    if (freshness->control.no_cache)
        return NEAP_CACHE_REVALIDATE;
    if (age_ns < lifetime_ns)
        return NEAP_CACHE_FRESH;
    if (freshness->control.must_revalidate || !is_within(window_ns, age_ns, lifetime_ns))
        return NEAP_CACHE_REVALIDATE;
    return NEAP_CACHE_STALE;
}

enum neap_cache_verdict neap_freshness_judge_error(const struct neap_freshness *freshness,
                                                   const struct neap_cache_policy *policy,
                                                   const struct neap_cache_control *request,
                                                   int64_t now_ns)
{
    int64_t window_ns = error_window(freshness, policy);
    if (request->no_cache || window_ns == NEAP_CACHE_UNSAID)
        return NEAP_CACHE_REVALIDATE;
    return judge_within(freshness, policy, window_ns, now_ns);
}

enum neap_cache_verdict neap_freshness_judge_fallback(const struct neap_freshness *freshness,
                                                      const struct neap_cache_policy *policy,
                                                      int64_t max_stale_ns, int64_t now_ns)
{
    return judge_within(freshness, policy, max_stale_ns, now_ns);
}

/* Windows include their last nanosecond, so the end is the one after it. */
int64_t neap_freshness_end(const struct neap_freshness *freshness,
                           const struct neap_cache_policy *policy, int64_t max_stale_ns)
{
    const struct neap_cache_control *control = &freshness->control;
    int64_t window_ns = NEAP_CACHE_UNSAID;
    if (!control->no_cache && !control->must_revalidate)
        window_ns =
            neap_time_max(max_stale_ns, neap_time_max(error_window(freshness, policy),
                                                      background_window(freshness, policy)));
    if (freshness->can_revalidate && !freshness->redirected)
        window_ns = neap_time_max(window_ns, NEAP_CACHE_VALIDATOR_NS);
    int64_t use_ns = control->no_cache ? 0 : neap_freshness_lifetime(freshness, policy);
    use_ns = neap_time_add(use_ns, window_ns == NEAP_CACHE_UNSAID ? 0 : window_ns);
    if (window_ns != NEAP_CACHE_UNSAID)
        use_ns = neap_time_add(use_ns, 1);
    return neap_time_add(freshness->received_ns,
                         use_ns == NEAP_NEVER ? NEAP_NEVER : use_ns - initial_age(freshness));
}
