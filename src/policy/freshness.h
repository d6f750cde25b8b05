/* Freshness: how old a stored answer is, how long it is fresh, and what may be done with it now.
 *
 * Sources: RFC 9111 4.2 (age and lifetime), RFC 5861 (stale-while-revalidate, stale-if-error). A
 * private cache without heuristics. Moments are wall-clock nanoseconds since 1970, passed in; a
 * clock that steps back makes nothing older. Pure, no allocation. */
#ifndef NEAP_POLICY_FRESHNESS_H
#define NEAP_POLICY_FRESHNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/cache_control.h"

/* How long an answer that can be revalidated is kept after all else that it was good for. */
#define NEAP_CACHE_VALIDATOR_NS (INT64_C(86400) * 1000 * 1000 * 1000)

/* What the client's policy adds where the server is silent; NEAP_CACHE_UNSAID: nothing. */
struct neap_cache_policy {
    int64_t ttl_ns, stale_while_revalidate_ns, stale_if_error_ns;
};

/* What an answer says about its age and its lifetime. */
struct neap_freshness {
    struct neap_cache_control control;
    int64_t requested_ns, received_ns; /* when the request was sent, and the answer had come */
    int64_t age_s;                     /* of the Age header; 0 without one */
    int64_t date_s, expires_s;         /* an Expires that is no date has passed long ago */
    bool has_age, has_date, has_expires;
    bool can_revalidate; /* it has an ETag, or a Last-Modified that is a date */
    /* It came from another place than the one that was asked: what its server says about reuse is
     * not said of this URL. It is never fresh, and its validators are for somebody else. */
    bool redirected;
};

void neap_freshness_init(struct neap_freshness *freshness, int64_t requested_ns,
                         int64_t received_ns);

/* Reads one header of the answer; all of them are given, in their order. Of Age, Date and Expires
 * the first counts, and of an Age that is a list its first member. */
void neap_freshness_read(struct neap_freshness *freshness, const char *name, size_t name_bytes,
                         const char *value, size_t value_bytes);

/* RFC 9111 4.2.3, in nanoseconds. Dates know whole seconds, so that less than a second between Date
 * and the arrival is no age. */
int64_t neap_freshness_age(const struct neap_freshness *freshness, int64_t now_ns);

/* RFC 9111 4.2.1: max-age, else Expires minus Date (the moment of arrival where there is no Date),
 * else the policy's ttl, else 0. */
int64_t neap_freshness_lifetime(const struct neap_freshness *freshness,
                                const struct neap_cache_policy *policy);

enum neap_cache_verdict {
    NEAP_CACHE_REVALIDATE, /* ask the server first */
    NEAP_CACHE_FRESH,
    NEAP_CACHE_STALE, /* answer with it though it is stale: the request's max-stale allows it */
    NEAP_CACHE_STALE_WHILE_REVALIDATE /* the same, and refresh it in the background */
};

/* Before a request: fresh while age < lifetime, as far as the request's own max-age and min-fresh
 * agree; stale-while-revalidate while age < lifetime + s. `request` is the request's Cache-Control.
 * A request that says no-store is not to come here. */
enum neap_cache_verdict neap_freshness_judge(const struct neap_freshness *freshness,
                                             const struct neap_cache_policy *policy,
                                             const struct neap_cache_control *request,
                                             int64_t now_ns);

/* After an error: NEAP_CACHE_FRESH, NEAP_CACHE_STALE while age - lifetime <= stale-if-error, else
 * NEAP_CACHE_REVALIDATE. A request with no-cache wants no stored answer then either. */
enum neap_cache_verdict neap_freshness_judge_error(const struct neap_freshness *freshness,
                                                   const struct neap_cache_policy *policy,
                                                   const struct neap_cache_control *request,
                                                   int64_t now_ns);

/* As a fallback: the same while age - lifetime <= max_stale, whatever the server does not forbid:
 * must-revalidate and no-cache. */
enum neap_cache_verdict neap_freshness_judge_fallback(const struct neap_freshness *freshness,
                                                      const struct neap_cache_policy *policy,
                                                      int64_t max_stale_ns, int64_t now_ns);

/* The moment at which the answer is of no use any more; one that has passed where it never was.
 * `max_stale_ns` is that of the client's fallback, NEAP_CACHE_UNSAID without one. */
int64_t neap_freshness_end(const struct neap_freshness *freshness,
                           const struct neap_cache_policy *policy, int64_t max_stale_ns);

#endif
