/* The keys of `timeout`, `retry` and its backoff and budget. */
#include <math.h>

#include "binding/option_tables.h"
#include "binding/policy_options.h"
#include "binding/policy_readers.h"
#include "policy/slices.h"

#define CLIENT(member) offsetof(struct neap_client_policy, member)
#define TYPE(name) (1u << LUA_T##name)

_Static_assert(sizeof(enum neap_jitter) == sizeof(int), "a choice is written as an int");
_Static_assert(sizeof(enum neap_backoff_kind) == sizeof(int), "a choice is written as an int");

/* ------------------------------------------------------------------------------------- timeout */

#define TIMEOUT(member) offsetof(struct neap_timeouts, member)

static const struct neap_option timeout_rows[] = {
    {"connect", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = TIMEOUT(connect_ns), .number = 2,
     .about = "resolving, connecting, a proxy and TLS, until the connection can be used"},
    {"write", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = TIMEOUT(write_ns),
     .number = 5, .about = "longest silence while the request is being sent"},
    {"read", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = TIMEOUT(read_ns),
     .number = 5, .about = "longest silence while waiting for the response or its next byte"},
    {"attempt", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = TIMEOUT(attempt_ns), .number = HUGE_VAL,
     .about = "one attempt as a whole, redirects and the wait for the pool included"},
    {"total", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = TIMEOUT(total_ns),
     .number = 30, .about = "the call as a whole: attempts, waits, fallbacks that use the network"},
};
const struct neap_option_table neap_timeout_options = NEAP_OPTION_ROWS(timeout_rows);

/* ------------------------------------------------------------------------------- retry.backoff */

#define BACKOFF(member) offsetof(struct neap_backoff, member)

static const struct neap_option_choice backoff_kinds[] = {
    {"fixed", NEAP_BACKOFF_FIXED},
    {"linear", NEAP_BACKOFF_LINEAR},
    {"exponential", NEAP_BACKOFF_EXPONENTIAL},
    {NULL, 0},
};

static const struct neap_option_choice jitters[] = {
    {"none", NEAP_JITTER_NONE},
    {"full", NEAP_JITTER_FULL},
    {"equal", NEAP_JITTER_EQUAL},
    {"additive", NEAP_JITTER_ADDITIVE},
    {"decorrelated", NEAP_JITTER_DECORRELATED},
    {NULL, 0},
};

static const struct neap_option jitter_share = {.kind = NEAP_OPTION_NUMBER,
                                                .flags = NEAP_OPTION_ABOVE,
                                                .offset = BACKOFF(share),
                                                .max = 1,
                                                .number = 0.5,
                                                .mark = BACKOFF(jitter),
                                                .mark_value = NEAP_JITTER_SHARE};

static const struct neap_option backoff_rows[] = {
    {"kind", .kind = NEAP_OPTION_CHOICE, .offset = BACKOFF(kind), .choices = backoff_kinds,
     .number = NEAP_BACKOFF_EXPONENTIAL, .about = "base; base*n; base*factor^(n-1)"},
    {"base", .kind = NEAP_OPTION_NUMBER, .offset = BACKOFF(base_s), .unit = "seconds", .number = 1,
     .about = "the first wait before jitter"},
    {"factor", .kind = NEAP_OPTION_NUMBER, .offset = BACKOFF(factor), .min = 1, .number = 2,
     .about = "growth; exponential only"},
    {"max", .kind = NEAP_OPTION_NUMBER, .offset = BACKOFF(max_s), .unit = "seconds", .number = 10,
     .about = "no wait is longer, jitter included"},
    {"jitter", .kind = NEAP_OPTION_CHOICE, .offset = BACKOFF(jitter), .choices = jitters,
     .number = NEAP_JITTER_SHARE, .other = &jitter_share,
     .about = "how waits are spread; a number is plus or minus that share"},
};
const struct neap_option_table neap_backoff_options = NEAP_OPTION_ROWS(backoff_rows);

/* -------------------------------------------------------------------------------- retry.budget */

#define BUDGET(member) offsetof(struct neap_retry_budget_policy, member)

static const struct neap_option budget_rows[] = {
    {"ratio", .kind = NEAP_OPTION_NUMBER, .offset = BUDGET(ratio), .number = 0.2,
     .about = "retries that each call pays in"},
    {"min_per_second", .kind = NEAP_OPTION_NUMBER, .offset = BUDGET(min_per_second), .number = 10,
     .about = "reserve: so many times `ttl` retries in any `ttl` seconds"},
    {"ttl", .kind = NEAP_OPTION_INTEGER, .offset = BUDGET(ttl_seconds), .min = 1,
     .max = NEAP_SLICES_MAX, .unit = "seconds", .number = 10,
     .about = "how long a deposit or a withdrawal counts"},
};
const struct neap_option_table neap_budget_options = NEAP_OPTION_ROWS(budget_rows);

/* --------------------------------------------------------------------------------------- retry */

static void default_statuses(void *target)
{
    struct neap_client_policy *policy = target;
    neap_retry_default_statuses(policy->pipeline.retry.status_rule);
}

/* `retry = false`: one attempt, and nothing that a budget could be for. */
bool neap_check_retry(struct neap_option_reader *reader, void *target)
{
    struct neap_client_policy *policy = target;
    (void)reader;
    if (!policy->pipeline.retry.enabled) {
        policy->pipeline.retry.max_attempts = 1;
        policy->pipeline.has_budget = false;
    }
    return true;
}

static const struct neap_option backoff_function = {.kind = NEAP_OPTION_FUNCTION,
                                                    .offset = CLIENT(pipeline.asks_backoff)};

static const struct neap_option retry_rows[] = {
    {"max_attempts", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(pipeline.retry.max_attempts),
     .min = 1, .number = 3, .about = "attempts in all, the first one and a refreshed one counted"},
    {"backoff", .kind = NEAP_OPTION_TABLE, .offset = CLIENT(pipeline.retry.backoff),
     .table = &neap_backoff_options, .other = &backoff_function,
     .about = "the wait before the n-th retry; a function is `(n, outcome) -> seconds`"},
    {"statuses", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE),
     .expected = "a table of statuses", .read = neap_read_statuses, .set_default = default_statuses,
     .about = "status (100 to 599) to `true`, `\"once\"` (a single retry for this reason in the "
              "call) or `false`; yours override the defaults one by one",
     .otherwise = "`{ [408] = true, [425] = true, [429] = true, [500] = \"once\", [502] = true, "
                  "[503] = true, [504] = true }`"},
    {"refresh", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(pipeline.asks_refresh),
     .about = "`(req, res) -> headers or nil`, on 401, once a call: a new token"},
    {"when", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(pipeline.asks_when),
     .about = "`(outcome) -> true, false or nil`; nil leaves the default"},
    {"honor_retry_after", .kind = NEAP_OPTION_BOOLEAN,
     .offset = CLIENT(pipeline.retry.honor_retry_after), .number = true,
     .about = "a server's delay replaces the backoff"},
    {"max_server_delay", .kind = NEAP_OPTION_SECONDS,
     .offset = CLIENT(pipeline.retry.max_server_delay_ns), .number = 60,
     .about = "a longer one ends the call at once; also the longest time a gate closes for"},
    {"budget", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE,
     .offset = CLIENT(pipeline.budget), .table = &neap_budget_options,
     .on = CLIENT(pipeline.has_budget),
     .about = "retries as a share of calls, see [limits](limits.md); `false`: no budget"},
};
const struct neap_option_table neap_retry_options = NEAP_OPTION_ROWS(retry_rows);
