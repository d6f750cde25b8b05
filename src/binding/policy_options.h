/* The keys of every policy, with their ranges and defaults, and what makes C policies of them.
 *
 * Each reader takes the value at `index` and begins its messages with "policy". Mistakes do not
 * raise; a lack of memory does. */
#ifndef NEAP_BINDING_POLICY_OPTIONS_H
#define NEAP_BINDING_POLICY_OPTIONS_H

#include <stdbool.h>

#include "base/attributes.h"
#include "binding/compat.h"
#include "binding/options.h"
#include "client/policy.h"

/* For a client and for neap.wrap alike, so that both can share a policy. `policy` is initialised
 * and lives in a userdata whose __gc releases it; it is to be released after a failure too.
 *
 * One value is pushed: where it fails the message, else a table with what stays in Lua:
 *   functions by their path: "idempotency.from", "gate.key", "breaker.key", "breaker.failure",
 *     "retry.backoff", "retry.refresh", "retry.when", as far as they were given;
 *   "fallback", if given: a list as long as pipeline.fallback_count of
 *     { kind = "function" | "service" | "default" | "cache" | "queue", value = what was given,
 *       request = function | nil };
 *   "cache.store", if given: a table that the face must still look at.
 */
NEAP_MUST_CHECK bool neap_read_client_policy(lua_State *L, int index,
                                             struct neap_client_policy *policy);

/* The name of a stand-alone policy's state. The text is Lua's, and lives as long as the table that
 * was read holds it; NULL where none was given. */
struct neap_policy_name {
    const char *text;
    size_t bytes;
};

/* For the stand-alone objects. True with nothing pushed, or false with the message pushed.
 * Functions are not taken; the breaker has no `key`, `max_keys` and `failure` here, and the rate
 * limiter waits without limit by default. All but the backoff may have a name. `policy` and `name`
 * need no preparation and hold no memory. */
NEAP_MUST_CHECK bool neap_read_breaker_policy(lua_State *L, int index,
                                              struct neap_breaker_policy *policy,
                                              struct neap_policy_name *name);
NEAP_MUST_CHECK bool neap_read_bulkhead_policy(lua_State *L, int index,
                                               struct neap_bulkhead_policy *policy,
                                               struct neap_policy_name *name);
NEAP_MUST_CHECK bool neap_read_rate_limiter_policy(lua_State *L, int index,
                                                   struct neap_rate_limiter_policy *policy,
                                                   struct neap_policy_name *name);
NEAP_MUST_CHECK bool neap_read_retry_budget_policy(lua_State *L, int index,
                                                   struct neap_retry_budget_policy *policy,
                                                   struct neap_policy_name *name);
NEAP_MUST_CHECK bool neap_read_backoff(lua_State *L, int index, struct neap_backoff *backoff);

/* The keys of `timeout`, for struct neap_timeouts: a request has the same. */
extern const struct neap_option_table neap_timeout_options;

/* The keys of a backoff, for struct neap_backoff. */
extern const struct neap_option_table neap_backoff_options;

#endif
