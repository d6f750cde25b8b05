#include "binding/policy_options.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "binding/option_message.h"
#include "binding/policy_fallback.h"
#include "binding/policy_readers.h"
#include "policy/slices.h"

_Static_assert(sizeof(enum neap_jitter) == sizeof(int), "a choice is written as an int");
_Static_assert(sizeof(enum neap_backoff_kind) == sizeof(int), "a choice is written as an int");
_Static_assert(sizeof(enum neap_key_choice) == sizeof(int), "a choice is written as an int");
_Static_assert(sizeof(enum neap_key_source) == sizeof(int), "a choice is written as an int");

#define ROOT "policy"
#define TYPE(name) (1u << LUA_T##name)
#define CLIENT(member) offsetof(struct neap_client_policy, member)

/* ------------------------------------------------------------------------------------- timeout */

#define TIMEOUT(member) offsetof(struct neap_timeouts, member)

static const struct neap_option timeout_rows[] = {
    {"connect", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = TIMEOUT(connect_ns), .number = 2},
    {"write", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = TIMEOUT(write_ns),
     .number = 5},
    {"read", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = TIMEOUT(read_ns),
     .number = 5},
    {"attempt", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = TIMEOUT(attempt_ns), .number = HUGE_VAL},
    {"total", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = TIMEOUT(total_ns),
     .number = 30},
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
     .number = NEAP_BACKOFF_EXPONENTIAL},
    {"base", .kind = NEAP_OPTION_NUMBER, .offset = BACKOFF(base_s), .unit = "seconds", .number = 1},
    {"factor", .kind = NEAP_OPTION_NUMBER, .offset = BACKOFF(factor), .min = 1, .number = 2},
    {"max", .kind = NEAP_OPTION_NUMBER, .offset = BACKOFF(max_s), .unit = "seconds", .number = 10},
    {"jitter", .kind = NEAP_OPTION_CHOICE, .offset = BACKOFF(jitter), .choices = jitters,
     .number = NEAP_JITTER_SHARE, .other = &jitter_share},
};
const struct neap_option_table neap_backoff_options = NEAP_OPTION_ROWS(backoff_rows);

/* -------------------------------------------------------------------------------- retry.budget */

#define BUDGET(member) offsetof(struct neap_retry_budget_policy, member)

static const struct neap_option budget_rows[] = {
    {"ratio", .kind = NEAP_OPTION_NUMBER, .offset = BUDGET(ratio), .number = 0.2},
    {"min_per_second", .kind = NEAP_OPTION_NUMBER, .offset = BUDGET(min_per_second), .number = 10},
    {"ttl", .kind = NEAP_OPTION_INTEGER, .offset = BUDGET(ttl_seconds), .min = 1,
     .max = NEAP_SLICES_MAX, .unit = "seconds", .number = 10},
};
static const struct neap_option_table budget_table = NEAP_OPTION_ROWS(budget_rows);

/* --------------------------------------------------------------------------------------- retry */

static void default_statuses(void *target)
{
    struct neap_client_policy *policy = target;
    neap_retry_default_statuses(policy->pipeline.retry.status_rule);
}

/* `retry = false`: one attempt, and nothing that a budget could be for. */
static bool check_retry(struct neap_option_reader *reader, void *target)
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
     .min = 1, .number = 3},
    {"backoff", .kind = NEAP_OPTION_TABLE, .offset = CLIENT(pipeline.retry.backoff),
     .table = &neap_backoff_options, .other = &backoff_function},
    {"statuses", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE),
     .expected = "a table of statuses", .read = neap_read_statuses,
     .set_default = default_statuses},
    {"refresh", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(pipeline.asks_refresh)},
    {"when", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(pipeline.asks_when)},
    {"honor_retry_after", .kind = NEAP_OPTION_BOOLEAN,
     .offset = CLIENT(pipeline.retry.honor_retry_after), .number = true},
    {"max_server_delay", .kind = NEAP_OPTION_SECONDS,
     .offset = CLIENT(pipeline.retry.max_server_delay_ns), .number = 60},
    {"budget", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE,
     .offset = CLIENT(pipeline.budget), .table = &budget_table, .on = CLIENT(pipeline.has_budget)},
};
static const struct neap_option_table retry_table = NEAP_OPTION_ROWS(retry_rows);

/* ------------------------------------------------------------------------------------- breaker */

#define BREAKER(member) offsetof(struct neap_breaker_policy, member)

/* The default of `count` is there already; it gives way to seconds, two windows do not. */
static bool check_window(struct neap_option_reader *reader, void *target)
{
    struct neap_breaker_policy *policy = target;
    if (policy->window_seconds == 0)
        return true;
    lua_pushliteral(reader->L, "count");
    lua_rawget(reader->L, -2);
    if (!lua_isnil(reader->L, -1))
        return neap_option_fail(reader, "expected either count or seconds, got both");
    lua_pop(reader->L, 1);
    policy->window_count = 0;
    return true;
}

/* A number alone is meant as it is: the default of `max` does not cut it. */
static bool check_open_for(struct neap_option_reader *reader, void *target)
{
    struct neap_breaker_policy *policy = target;
    if (lua_type(reader->L, -1) == LUA_TNUMBER)
        policy->open_max_s = fmax(policy->open_max_s, policy->open_base_s);
    if (policy->open_base_s <= policy->open_max_s)
        return true;
    char got[80];
    snprintf(got, sizeof got, "base %.14g and max %.14g", policy->open_base_s, policy->open_max_s);
    return neap_option_fail(reader, "expected base <= max, got %s", got);
}

static const struct neap_option window_rows[] = {
    {"count", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(window_count), .min = 1,
     .max = NEAP_BREAKER_WINDOW_MAX, .number = 100},
    {"seconds", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(window_seconds), .min = 1,
     .max = NEAP_SLICES_MAX, .unit = "seconds", .number = 0},
};
static const struct neap_option_table window_table = NEAP_OPTION_ROWS(window_rows);

static const struct neap_option slow_call_rows[] = {
    {"duration", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = BREAKER(slow_call_ns), .number = HUGE_VAL},
    {"rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = BREAKER(slow_call_rate), .max = 1, .number = 1},
};
static const struct neap_option_table slow_call_table = NEAP_OPTION_ROWS(slow_call_rows);

/* Apart, because a number in the place of the table is the base. */
static const struct neap_option open_for_base = {"base",
                                                 .kind = NEAP_OPTION_NUMBER,
                                                 .flags = NEAP_OPTION_ABOVE,
                                                 .offset = BREAKER(open_base_s),
                                                 .unit = "seconds",
                                                 .number = 30};
static const struct neap_option_table open_for_base_table = {.rows = &open_for_base, .count = 1};

static const struct neap_option open_for_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &open_for_base_table},
    {"factor", .kind = NEAP_OPTION_NUMBER, .offset = BREAKER(open_factor), .min = 1, .number = 1},
    {"max", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE, .offset = BREAKER(open_max_s),
     .unit = "seconds", .number = 300},
    {"jitter", .kind = NEAP_OPTION_NUMBER, .offset = BREAKER(open_jitter), .max = 1, .number = 0},
};
static const struct neap_option_table open_for_table = NEAP_OPTION_ROWS(open_for_rows);

static const struct neap_option half_open_rows[] = {
    {"permits", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(permits), .min = 1,
     .max = NEAP_BREAKER_PERMITS_MAX, .number = 5},
    {"lease", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = BREAKER(lease_ns),
     .number = 60},
};
static const struct neap_option_table half_open_table = NEAP_OPTION_ROWS(half_open_rows);

static const struct neap_option ramp_rows[] = {
    {"seconds", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = BREAKER(ramp_ns), .number = 0},
    {"from", .kind = NEAP_OPTION_NUMBER, .offset = BREAKER(ramp_from), .max = 1, .number = 0.1},
};
static const struct neap_option_table ramp_table = NEAP_OPTION_ROWS(ramp_rows);

static const struct neap_option breaker_rows[] = {
    {"window", .kind = NEAP_OPTION_TABLE, .table = &window_table, .check = check_window},
    {"min_calls", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(min_calls), .min = 1,
     .number = 10},
    {"failure_rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE,
     .offset = BREAKER(failure_rate), .max = 1, .number = 0.5},
    {"slow_call", .kind = NEAP_OPTION_TABLE, .table = &slow_call_table},
    {"consecutive_failures", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(consecutive_failures),
     .min = 1, .number = 0},
    {"open_for", .kind = NEAP_OPTION_TABLE, .table = &open_for_table, .other = &open_for_base,
     .check = check_open_for},
    {"half_open", .kind = NEAP_OPTION_TABLE, .table = &half_open_table},
    {"ramp", .kind = NEAP_OPTION_TABLE, .table = &ramp_table},
};
static const struct neap_option_table breaker_table = NEAP_OPTION_ROWS(breaker_rows);

/* What a client's breaker has besides: which calls share one, and whose judgement counts. */

static const struct neap_option_choice breaker_keys[] = {
    {"client", NEAP_KEY_CLIENT},
    {"host", NEAP_KEY_HOST},
    {NULL, 0},
};

static const struct neap_option breaker_key_function = {
    .kind = NEAP_OPTION_FUNCTION, .mark = CLIENT(breaker_key), .mark_value = NEAP_KEY_FUNCTION};

static const struct neap_option client_breaker_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .offset = CLIENT(pipeline.breaker), .table = &breaker_table},
    {"key", .kind = NEAP_OPTION_CHOICE, .offset = CLIENT(breaker_key), .choices = breaker_keys,
     .number = NEAP_KEY_CLIENT, .other = &breaker_key_function},
    {"max_keys", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(breaker_max_keys), .min = 1,
     .number = 10000},
    {"failure", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(pipeline.asks_failure)},
};
static const struct neap_option_table client_breaker_table = NEAP_OPTION_ROWS(client_breaker_rows);

/* ---------------------------------------------------------------------------------------- gate */

static const struct neap_option gate_rows[] = {
    {"max_wait", .kind = NEAP_OPTION_SECONDS, .offset = CLIENT(pipeline.gate.max_wait_ns),
     .number = 10},
    {"key", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(gate_key_is_function)},
};
static const struct neap_option_table gate_table = NEAP_OPTION_ROWS(gate_rows);

/* ---------------------------------------------------------------------------------- rate_limit */

/* As written; the policy knows the interval between two units instead. */
struct rate_options {
    double rate, per, burst; /* burst 0: not given */
    int64_t max_wait_ns;
};

#define RATE(member) offsetof(struct rate_options, member)

static const struct neap_option rate_rows[] = {
    {"rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = RATE(rate)},
    {"per", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE, .offset = RATE(per),
     .unit = "seconds", .number = 1},
    {"burst", .kind = NEAP_OPTION_NUMBER, .offset = RATE(burst), .min = 1, .number = 0},
};
static const struct neap_option_table rate_table = NEAP_OPTION_ROWS(rate_rows);

static const struct neap_option client_rate_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &rate_table},
    {"max_wait", .kind = NEAP_OPTION_SECONDS, .offset = RATE(max_wait_ns), .number = 0},
};
static const struct neap_option_table client_rate_table = NEAP_OPTION_ROWS(client_rate_rows);

/* Without the bound, an interval that overflows would become no number where it is multiplied. */
static struct neap_rate_limiter_policy limiter_of(const struct rate_options *options)
{
    return (struct neap_rate_limiter_policy){
        .interval_s = fmin(options->per / options->rate, DBL_MAX),
        .burst = options->burst > 0 ? options->burst : fmax(options->rate, 1),
        .max_wait_ns = options->max_wait_ns,
    };
}

static bool read_rate_limit(struct neap_option_reader *reader, void *target)
{
    struct neap_client_policy *policy = target;
    struct rate_options options;
    if (!neap_option_read_table(reader, &client_rate_table, &options))
        return false;
    policy->pipeline.limiter = limiter_of(&options);
    return true;
}

/* ------------------------------------------------------------------------------------ bulkhead */

#define BULKHEAD(member) offsetof(struct neap_bulkhead_policy, member)

static const struct neap_option bulkhead_rows[] = {
    {"max_concurrent", .kind = NEAP_OPTION_INTEGER, .flags = NEAP_OPTION_REQUIRED,
     .offset = BULKHEAD(max_concurrent), .min = 1, .max = NEAP_BULKHEAD_MAX},
    {"max_wait", .kind = NEAP_OPTION_SECONDS, .offset = BULKHEAD(max_wait_ns), .number = 0},
    {"max_queue", .kind = NEAP_OPTION_INTEGER, .offset = BULKHEAD(max_queue), .number = 1000},
};
static const struct neap_option_table bulkhead_table = NEAP_OPTION_ROWS(bulkhead_rows);

/* ----------------------------------------------------------------------------------- pool, tls */

static const struct neap_option pool_rows[] = {
    {"max_connections", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(transport.max_connections),
     .min = 1, .number = 100},
    {"per_host", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(transport.per_host), .min = 1,
     .number = 20},
    {"ttl", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = CLIENT(transport.ttl_ns), .number = 300},
    {"idle", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = CLIENT(transport.idle_ns), .number = 60},
    {"validate_after", .kind = NEAP_OPTION_SECONDS, .offset = CLIENT(transport.validate_after_ns),
     .number = 1},
    {"http2", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(transport.http2), .number = true},
};
static const struct neap_option_table pool_table = NEAP_OPTION_ROWS(pool_rows);

static const struct neap_option_choice tls_versions[] = {{"1.2", 12}, {"1.3", 13}, {NULL, 0}};

static const struct neap_option tls_rows[] = {
    {"verify", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(transport.verify), .number = true},
    {"ca_file", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.ca_file)},
    {"ca_path", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.ca_path)},
    {"cert", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.cert)},
    {"key", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.key)},
    {"min_version", .kind = NEAP_OPTION_CHOICE, .flags = NEAP_OPTION_BY_TEXT,
     .offset = CLIENT(transport.min_tls), .choices = tls_versions, .number = 12},
};
static const struct neap_option_table tls_table = NEAP_OPTION_ROWS(tls_rows);

/* --------------------------------------------------------------------------------- idempotency */

static const struct neap_option key_function = {.kind = NEAP_OPTION_FUNCTION,
                                                .mark = CLIENT(idempotency.source),
                                                .mark_value = NEAP_KEY_CUSTOM};

static const struct neap_option idempotency_rows[] = {
    {"header", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(idempotency.header),
     .is_valid = neap_is_header_name, .noun = "a header name", .text = "Idempotency-Key"},
    {"methods", .kind = NEAP_OPTION_TEXTS, .flags = NEAP_OPTION_UPPER,
     .offset = CLIENT(idempotency.methods), .count = CLIENT(idempotency.method_count),
     .is_valid = neap_method_is_safe, .noun = "a method name", .expected = "a list of method names",
     .text = "POST PATCH"},
    {"from", .kind = NEAP_OPTION_TEXTS, .offset = CLIENT(idempotency.fields),
     .count = CLIENT(idempotency.field_count), .expected = "a list of field names",
     .mark = CLIENT(idempotency.source), .mark_value = NEAP_KEY_FIELDS, .other = &key_function},
    {"quoted", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(idempotency.quoted), .number = false},
    {"prefix", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(idempotency.prefix),
     .is_valid = neap_is_key_prefix,
     .noun = "a string of 1 to 191 printable ASCII characters, the first one no space"},
};
static const struct neap_option_table idempotency_table = NEAP_OPTION_ROWS(idempotency_rows);

/* --------------------------------------------------------------------------------------- cache */

static bool read_store(struct neap_option_reader *reader, void *target)
{
    (void)target;
    lua_pushvalue(reader->L, -1);
    lua_setfield(reader->L, reader->functions, "cache.store");
    return true;
}

/* What was not given is for the server to say. */
#define UNSAID_S (NEAP_CACHE_UNSAID * 1e-9)

static const struct neap_option cache_rows[] = {
    {"store", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE), .expected = "a store",
     .read = read_store},
    {"ttl", .kind = NEAP_OPTION_SECONDS, .offset = CLIENT(cache.freshness.ttl_ns),
     .number = UNSAID_S},
    {"stale_if_error", .kind = NEAP_OPTION_SECONDS,
     .offset = CLIENT(cache.freshness.stale_if_error_ns), .number = UNSAID_S},
    {"stale_while_revalidate", .kind = NEAP_OPTION_SECONDS,
     .offset = CLIENT(cache.freshness.stale_while_revalidate_ns), .number = UNSAID_S},
    {"max_entries", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(cache.max_entries), .min = 1,
     .max = 1000000000, .number = 1000},
    {"max_bytes", .kind = NEAP_OPTION_BYTES, .offset = CLIENT(cache.max_bytes), .min = 1024,
     .number = 67108864},
    {"vary", .kind = NEAP_OPTION_TEXTS, .offset = CLIENT(cache.vary),
     .count = CLIENT(cache.vary_count), .is_valid = neap_is_header_name, .noun = "a header name",
     .expected = "a list of header names"},
};
static const struct neap_option_table cache_table = NEAP_OPTION_ROWS(cache_rows);

/* -------------------------------------------------------------------------------------- alerts */

#define ALERT(member) offsetof(struct neap_alert_policy, member)

static const struct neap_option alert_rows[] = {
    {"window", .kind = NEAP_OPTION_SECONDS, .offset = ALERT(window_ns), .min = 0.1, .number = 60},
    {"p99", .kind = NEAP_OPTION_NUMBER,
     .flags = NEAP_OPTION_ABOVE | NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE, .offset = ALERT(p99_s),
     .unit = "seconds", .number = 0, .on = ALERT(has[NEAP_ALERT_P99])},
    {"p99_factor", .kind = NEAP_OPTION_NUMBER, .offset = ALERT(p99_factor), .min = 1, .number = 2},
    {"error_rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_OR_FALSE,
     .offset = ALERT(error_rate), .max = 1, .number = 0.05,
     .on = ALERT(has[NEAP_ALERT_ERROR_RATE])},
    {"breaker_open", .kind = NEAP_OPTION_BOOLEAN, .offset = ALERT(has[NEAP_ALERT_BREAKER_OPEN]),
     .number = true},
    {"retry_surge", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_OR_FALSE,
     .offset = ALERT(retry_surge), .min = 1, .number = 3, .on = ALERT(has[NEAP_ALERT_RETRY_SURGE])},
    {"timeout_surge", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_OR_FALSE,
     .offset = ALERT(timeout_surge), .min = 1, .number = 3,
     .on = ALERT(has[NEAP_ALERT_TIMEOUT_SURGE])},
    {"min_calls", .kind = NEAP_OPTION_INTEGER, .offset = ALERT(min_calls), .min = 1, .number = 20},
    {"notify", .kind = NEAP_OPTION_FUNCTION},
};
static const struct neap_option_table alert_table = NEAP_OPTION_ROWS(alert_rows);

/* -------------------------------------------------------------------------------------- client */

static const struct neap_option client_rows[] = {
    {"name", .kind = NEAP_OPTION_TEXT, .flags = NEAP_OPTION_REQUIRED, .offset = CLIENT(name),
     .is_valid = neap_is_policy_name, .noun = "a string of printable characters"},
    {"base_url", .kind = NEAP_OPTION_TEXT, .flags = NEAP_OPTION_SECRET, .offset = CLIENT(base_url),
     .check = neap_check_base_url},
    {"headers", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE),
     .expected = "a table of header names and values", .read = neap_read_headers},
    {"timeout", .kind = NEAP_OPTION_TABLE, .offset = CLIENT(pipeline.timeout),
     .table = &neap_timeout_options},
    {"retry", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE, .table = &retry_table,
     .on = CLIENT(pipeline.retry.enabled), .check = check_retry},
    {"breaker", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE,
     .table = &client_breaker_table, .on = CLIENT(pipeline.has_breaker)},
    {"gate", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE, .table = &gate_table,
     .on = CLIENT(pipeline.has_gate)},
    {"rate_limit", .kind = NEAP_OPTION_CUSTOM, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .types = TYPE(TABLE), .expected = "a table", .read = read_rate_limit,
     .on = CLIENT(pipeline.has_limiter)},
    {"bulkhead", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .offset = CLIENT(pipeline.bulkhead), .table = &bulkhead_table,
     .on = CLIENT(pipeline.has_bulkhead)},
    {"pool", .kind = NEAP_OPTION_TABLE, .table = &pool_table},
    {"idempotency", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_TRUE | NEAP_OPTION_OR_FALSE,
     .table = &idempotency_table, .mark = CLIENT(idempotency.source), .mark_value = NEAP_KEY_UUID},
    {"cache", .kind = NEAP_OPTION_TABLE,
     .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_TRUE | NEAP_OPTION_OR_FALSE, .table = &cache_table,
     .on = CLIENT(cache.enabled)},
    {"coalesce", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(coalesce), .number = false},
    {"fallback", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE), .expected = "a list",
     .read = neap_read_fallback},
    {"alerts", .kind = NEAP_OPTION_TABLE,
     .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_TRUE | NEAP_OPTION_OR_FALSE,
     .offset = CLIENT(alerts), .table = &alert_table, .on = CLIENT(has_alerts)},
    {"tls", .kind = NEAP_OPTION_TABLE, .table = &tls_table},
    {"proxy", .kind = NEAP_OPTION_CUSTOM, .flags = NEAP_OPTION_SECRET, .types = TYPE(STRING),
     .expected = "a URL or \"environment\"", .read = neap_read_proxy},
    {"redirects", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(transport.redirects), .max = 100,
     .number = 5},
    {"max_response_bytes", .kind = NEAP_OPTION_BYTES,
     .offset = CLIENT(transport.max_response_bytes), .min = 1, .number = 16777216},
    {"max_header_bytes", .kind = NEAP_OPTION_BYTES, .offset = CLIENT(transport.max_header_bytes),
     .min = 1, .number = 65536},
    {"max_request_bytes", .kind = NEAP_OPTION_BYTES, .offset = CLIENT(max_request_bytes),
     .number = HUGE_VAL},
    {"trace", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(asks_trace)},
    {"deadline_header", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(deadline_header),
     .is_valid = neap_is_header_name, .noun = "a header name"},
};
static const struct neap_option_table client_table = NEAP_OPTION_ROWS(client_rows);

bool neap_read_client_policy(lua_State *L, int index, struct neap_client_policy *policy)
{
    index = lua_absindex(L, index);
    lua_newtable(L);
    int functions = lua_gettop(L);
    neap_options_defaults(L, &client_table, policy, policy->alloc);
    if (neap_options_read(L, index, ROOT, &client_table, policy, policy->alloc, functions))
        return true;
    lua_remove(L, functions);
    return false;
}

/* --------------------------------------------------------------------------------- stand-alone */

/* `name` comes first in each struct: one row serves them all. */
static bool read_lone_name(struct neap_option_reader *reader, void *target);

static const struct neap_option lone_name_row = {
    "name", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(STRING),
    .expected = "a string of printable characters", .read = read_lone_name};
static const struct neap_option_table lone_name_table = {.rows = &lone_name_row, .count = 1};

static bool read_lone_name(struct neap_option_reader *reader, void *target)
{
    struct neap_policy_name *name = target;
    size_t bytes;
    const char *text = lua_tolstring(reader->L, -1, &bytes);
    if (bytes == 0 || !neap_is_policy_name(text, bytes))
        return neap_option_fail_expected(reader, &lone_name_row);
    *name = (struct neap_policy_name){text, bytes};
    return true;
}

struct lone_breaker {
    struct neap_policy_name name;
    struct neap_breaker_policy policy;
};
struct lone_bulkhead {
    struct neap_policy_name name;
    struct neap_bulkhead_policy policy;
};
struct lone_limiter {
    struct neap_policy_name name;
    struct rate_options rate;
};
struct lone_budget {
    struct neap_policy_name name;
    struct neap_retry_budget_policy policy;
};

static const struct neap_option lone_breaker_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_breaker, policy),
     .table = &breaker_table},
};
static const struct neap_option lone_bulkhead_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_bulkhead, policy),
     .table = &bulkhead_table},
};
static const struct neap_option lone_limiter_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_limiter, rate),
     .table = &rate_table},
    {"max_wait", .kind = NEAP_OPTION_SECONDS,
     .offset = offsetof(struct lone_limiter, rate.max_wait_ns), .number = HUGE_VAL},
};
static const struct neap_option lone_budget_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_budget, policy),
     .table = &budget_table},
};
static const struct neap_option_table lone_breaker_table = NEAP_OPTION_ROWS(lone_breaker_rows);
static const struct neap_option_table lone_bulkhead_table = NEAP_OPTION_ROWS(lone_bulkhead_rows);
static const struct neap_option_table lone_limiter_table = NEAP_OPTION_ROWS(lone_limiter_rows);
static const struct neap_option_table lone_budget_table = NEAP_OPTION_ROWS(lone_budget_rows);

static bool read_lone(lua_State *L, int index, const struct neap_option_table *table, void *target)
{
    neap_options_defaults(L, table, target, NULL);
    return neap_options_read(L, index, ROOT, table, target, NULL, 0);
}

bool neap_read_breaker_policy(lua_State *L, int index, struct neap_breaker_policy *policy,
                              struct neap_policy_name *name)
{
    struct lone_breaker read = {.name.text = NULL};
    if (!read_lone(L, index, &lone_breaker_table, &read))
        return false;
    *policy = read.policy;
    *name = read.name;
    return true;
}

bool neap_read_bulkhead_policy(lua_State *L, int index, struct neap_bulkhead_policy *policy,
                               struct neap_policy_name *name)
{
    struct lone_bulkhead read = {.name.text = NULL};
    if (!read_lone(L, index, &lone_bulkhead_table, &read))
        return false;
    *policy = read.policy;
    *name = read.name;
    return true;
}

bool neap_read_rate_limiter_policy(lua_State *L, int index, struct neap_rate_limiter_policy *policy,
                                   struct neap_policy_name *name)
{
    struct lone_limiter read = {.name.text = NULL};
    if (!read_lone(L, index, &lone_limiter_table, &read))
        return false;
    *policy = limiter_of(&read.rate);
    *name = read.name;
    return true;
}

bool neap_read_retry_budget_policy(lua_State *L, int index, struct neap_retry_budget_policy *policy,
                                   struct neap_policy_name *name)
{
    struct lone_budget read = {.name.text = NULL};
    if (!read_lone(L, index, &lone_budget_table, &read))
        return false;
    *policy = read.policy;
    *name = read.name;
    return true;
}

bool neap_read_backoff(lua_State *L, int index, struct neap_backoff *backoff)
{
    return read_lone(L, index, &neap_backoff_options, backoff);
}
