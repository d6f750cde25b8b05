/* What a server says about when to come back: Retry-After, RateLimit, X-RateLimit.
 *
 * Pure parsers of one field value each (optional white space around it is skipped). Delays are
 * whole seconds, saturating at NEAP_SERVER_DELAY_MAX. A malformed value answers false and leaves
 * the result untouched: the field then counts as absent. */
#ifndef NEAP_POLICY_SERVER_DELAY_H
#define NEAP_POLICY_SERVER_DELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEAP_SERVER_DELAY_MAX INT64_C(4000000000)

/* RFC 9110 10.2.3: a non-negative decimal integer of seconds, or an HTTP date measured against
 * `reference_epoch_s` (the response's own Date where there is one, else the wall clock). A date in
 * the past is 0. "+5", "-1", "1.5", "5 s" and "" are malformed. */
bool neap_retry_after_parse(const char *text, size_t bytes, int64_t reference_epoch_s,
                            int64_t *delay_s);

/* draft-ietf-httpapi-ratelimit-headers: a structured list (RFC 8941) of quota policies, such as
 * `"default";r=0;t=30, burst;r=3;t=1`. Names are strings or tokens; r and t are non-negative
 * integers. True if a member is exhausted (r = 0) and says t; of several the latest t. One
 * malformed member makes the whole field malformed. */
bool neap_rate_limit_parse(const char *text, size_t bytes, int64_t *delay_s);

/* X-RateLimit-Remaining: 0 together with X-RateLimit-Reset: seconds, or an epoch where the number
 * is larger than 10^9 (one in the past is 0). */
bool neap_x_rate_limit_parse(const char *remaining, size_t remaining_bytes, const char *reset,
                             size_t reset_bytes, int64_t now_epoch_s, int64_t *delay_s);

#endif
