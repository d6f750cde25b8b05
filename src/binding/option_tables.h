/* The tables of keys that make up the policy of a client, one file a policy. */
#ifndef NEAP_BINDING_OPTION_TABLES_H
#define NEAP_BINDING_OPTION_TABLES_H

#include <stddef.h>

#include "binding/options.h"
#include "client/policy.h"

#define NEAP_OPTION_ROOT "policy"

/* For struct neap_client_policy: all of it, and its parts. The functions are those of their row:
 * false with a message. */
extern const struct neap_option_table neap_client_options;
extern const struct neap_option_table neap_retry_options;
NEAP_MUST_CHECK bool neap_check_retry(struct neap_option_reader *reader, void *target);
extern const struct neap_option_table neap_client_breaker_options;
extern const struct neap_option_table neap_gate_options;
extern const struct neap_option_table neap_client_bulkhead_options;
extern const struct neap_option_table neap_chaos_options;
NEAP_MUST_CHECK bool neap_check_chaos(struct neap_option_reader *reader, void *target);
NEAP_MUST_CHECK bool neap_read_client_rate_limit(struct neap_option_reader *reader, void *target);

/* For the struct of the policy alone. */
extern const struct neap_option_table neap_breaker_options;
extern const struct neap_option_table neap_budget_options;
extern const struct neap_option_table neap_bulkhead_options;

/* A rate limit as it is written; the policy knows the interval between two units instead. */
struct neap_rate_options {
    double rate, per, burst; /* burst 0: not given */
    int64_t max_wait_ns;
    bool in_shadow;
};
extern const struct neap_option_table neap_rate_options;        /* all but max_wait */
extern const struct neap_option_table neap_client_rate_options; /* with it */
struct neap_rate_limiter_policy neap_limiter_of(const struct neap_rate_options *options);

/* For structs of the files that have them; here to be described. */
extern const struct neap_option_table neap_lone_breaker_options;
extern const struct neap_option_table neap_lone_bulkhead_options;
extern const struct neap_option_table neap_lone_limiter_options;
extern const struct neap_option_table neap_lone_budget_options;
extern const struct neap_option_table neap_guard_options;
extern const struct neap_option_table neap_outbox_options;
extern const struct neap_option_table neap_memory_store_options;
extern const struct neap_option_table neap_sqlite_store_options;
extern const struct neap_option_table neap_redis_store_options;
extern const struct neap_option_table neap_shared_options;

/* The description of a row in Lua, `option_rows()` of neap.core, is a table of
 *   path = "retry.backoff.base"
 *   kind = "number", as in enum neap_option_kind in lower case
 *   expected = "a number >= 0 (seconds)", as messages have it
 *   default = a value; `otherwise` = words in its place; required = true
 *   min, max, unit, above = true where min itself is out of range
 *   choices = a list; or_true, or_false = true; other = { kind, … }, what else it takes
 *   about = what it means */

#endif
