/* Cache-Control as a private cache reads it: RFC 9111 5.2, and the two directives of RFC 5861.
 *
 * Directives are told apart in any letter case, with an argument bare or quoted. Of one that is
 * repeated the first counts (RFC 9111 4.2.1). What is only for shared caches (private, public,
 * s-maxage, proxy-revalidate) or unknown is passed over, and so is what cannot be read; but
 *
 *   - a max-age without a sound number is 0: a server that meant something meant it to end;
 *   - no-store, no-cache and must-revalidate count whatever stands behind them, so that
 *     no-cache="Set-Cookie" is no-cache for the whole answer.
 *
 * Numbers are whole seconds, saturating at NEAP_CACHE_SECONDS_MAX. Pure, no allocation. */
#ifndef NEAP_POLICY_CACHE_CONTROL_H
#define NEAP_POLICY_CACHE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEAP_CACHE_SECONDS_MAX INT64_C(2147483648) /* RFC 9111 1.2.2 */
#define NEAP_CACHE_UNSAID (-1)                     /* for each number of seconds */

struct neap_cache_control {
    bool no_store, no_cache;
    int64_t max_age_s;
    /* of a response */
    bool must_revalidate;
    int64_t stale_while_revalidate_s, stale_if_error_s;
    /* of a request; max-stale without a number is NEAP_CACHE_SECONDS_MAX */
    int64_t min_fresh_s, max_stale_s;
};

/* Nothing is said yet. */
void neap_cache_control_init(struct neap_cache_control *control);

/* Adds what one field's value says. A header that is repeated is added field by field, in order. */
void neap_cache_control_add(struct neap_cache_control *control, const char *value, size_t bytes);

/* RFC 9111 1.2.2: digits alone. False, and *seconds untouched, for anything else. */
bool neap_delta_seconds_parse(const char *text, size_t bytes, int64_t *seconds);

#endif
