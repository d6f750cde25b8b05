/* Fallbacks that fail with what they stand in for, policies that only pretend, and secrets that go
 * where they should not. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "client/check_internal.h"
#include "transport/transport.h"
#include "transport/url.h"

/* ----------------------------------------------------------------------------------- fallbacks */

static bool find_origin(const struct neap_client_policy *policy, struct neap_url *url)
{
    return policy->base_url &&
           neap_url_resolve(policy->alloc, NULL, policy->base_url, NULL, 0, url) == NEAP_URL_OK;
}

static bool same_server(const struct neap_client_policy *a, const struct neap_client_policy *b)
{
    struct neap_url of_a, of_b;
    if (!find_origin(a, &of_a))
        return false;
    bool found = find_origin(b, &of_b);
    bool same = found && strcmp(of_a.origin, of_b.origin) == 0;
    if (found)
        neap_url_deinit(&of_b);
    neap_url_deinit(&of_a);
    return same;
}

typedef void look_at_entry(struct neap_check *check, const struct neap_check_fallback *entry,
                           const char *path);

static void look_for_itself(struct neap_check *check, const struct neap_check_fallback *entry,
                            const char *path)
{
    if (entry->service && strcmp(entry->service->name, check->policy->name) == 0)
        neap_check_find_at(check, NEAP_RULE_FALLBACK_TO_ITSELF, path,
                           "the service is named \"%.64s\" too: where state is shared it has the "
                           "same breaker, which is open by then; ask another one, or give it a "
                           "name of its own",
                           check->policy->name);
}

static void look_for_server(struct neap_check *check, const struct neap_check_fallback *entry,
                            const char *path)
{
    if (entry->service && same_server(check->policy, entry->service))
        neap_check_find_at(check, NEAP_RULE_FALLBACK_SAME_SERVER, path,
                           "the service \"%.64s\" asks the server of policy.base_url: it fails "
                           "when this call does, and adds to the load; ask another server",
                           entry->service->name);
}

static void look_for_cache(struct neap_check *check, const struct neap_check_fallback *entry,
                           const char *path)
{
    if (entry->is_cache && !check->policy->cache.enabled)
        neap_check_find_at(check, NEAP_RULE_FALLBACK_WITHOUT_CACHE, path,
                           "without policy.cache answers are kept in this process's memory, for "
                           "this fallback alone: a restart empties it, and nothing is answered "
                           "from it while the server is well; set policy.cache to true, or give "
                           "it a store");
}

static void look_at_each(struct neap_check *check, look_at_entry *look)
{
    for (uint32_t i = 0; i < check->pipeline->fallback_count; i++) {
        char path[sizeof check->report->finding[0].path];
        snprintf(path, sizeof path, "policy.fallback[%u]", i + 1);
        look(check, &check->subject->fallback[i], path);
    }
}

/* ------------------------------------------------------------------------------ shadow, chaos */

static void look_at_shadow(struct neap_check *check, bool is_shadow, const char *path)
{
    if (is_shadow)
        neap_check_find_at(check, NEAP_RULE_NOT_ENFORCED, path,
                           "it decides and counts, and nobody waits or is refused: once what it "
                           "counts is what you want, leave it out");
}

static void look_at_shadows(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    look_at_shadow(check, pipeline->has_breaker && pipeline->breaker_shadow,
                   "policy.breaker.enforce");
    look_at_shadow(check, pipeline->has_limiter && pipeline->limiter_shadow,
                   "policy.rate_limit.enforce");
    look_at_shadow(check, pipeline->has_bulkhead && pipeline->bulkhead_shadow,
                   "policy.bulkhead.enforce");
}

static void look_at_chaos(struct neap_check *check)
{
    const struct neap_pipeline *pipeline = check->pipeline;
    if (pipeline->has_chaos)
        neap_check_find(check, NEAP_RULE_CHAOS_ON,
                        "%g of all attempts are disturbed on purpose, wherever this policy is "
                        "used: leave it out where nobody is looking",
                        pipeline->chaos.rate);
}

/* --------------------------------------------------------------------------------------- trust */

static void look_at_tls(struct neap_check *check)
{
    if (!check->policy->transport.verify)
        neap_check_find(check, NEAP_RULE_TLS_NOT_VERIFIED,
                        "no certificate is looked at, so anybody on the way can answer in the "
                        "server's place: leave it true, and name an authority of your own in "
                        "policy.tls.ca_file");
}

/* "http://host:port": loopback by RFC 5735 and RFC 6761, or ::1. */
static bool is_loopback(const char *origin)
{
    static const char *const starts[] = {"http://127.", "http://localhost:", "http://[::1]:"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncmp(origin, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static bool leaves_machine(const struct neap_client_policy *policy)
{
    struct neap_url url;
    if (!neap_check_is_plain(policy) || !find_origin(policy, &url))
        return false;
    bool leaves = !is_loopback(url.origin);
    neap_url_deinit(&url);
    return leaves;
}

/* Names of headers that carry a secret, whole or as their end: X-Api-Key, X-Auth-Token. */
static bool is_credential(const char *name)
{
    static const char *const ends[] = {"Authorization", "Cookie",   "Api-Key", "Apikey",
                                       "Token",         "Password", "Secret",  "Signature"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end = strlen(ends[i]);
        if (length >= end && strcasecmp(name + length - end, ends[i]) == 0)
            return true;
    }
    return false;
}

static void look_at_credentials(struct neap_check *check)
{
    const struct neap_client_policy *policy = check->policy;
    if (!leaves_machine(policy))
        return;
    for (size_t i = 0; i < policy->header_count; i++) {
        if (!is_credential(policy->headers[i].name))
            continue;
        neap_check_find(check, NEAP_RULE_CREDENTIALS_OVER_HTTP,
                        "%.64s goes to policy.base_url over http, and anybody on the way can read "
                        "it: use https",
                        policy->headers[i].name);
        return;
    }
}

void neap_check_trust(struct neap_check *check)
{
    look_at_each(check, look_for_itself);
    look_at_each(check, look_for_server);
    look_at_each(check, look_for_cache);
    look_at_shadows(check);
    look_at_chaos(check);
    look_at_tls(check);
    look_at_credentials(check);
}
