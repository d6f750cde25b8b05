#include "binding/policy_options.h"

#include <math.h>

#include "binding/option_message.h"
#include "binding/option_tables.h"
#include "binding/policy_fallback.h"
#include "binding/policy_readers.h"

#define CLIENT(member) offsetof(struct neap_client_policy, member)
#define TYPE(name) (1u << LUA_T##name)

_Static_assert(sizeof(enum neap_key_source) == sizeof(int), "a choice is written as an int");

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
    {"retry", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE,
     .table = &neap_retry_options, .on = CLIENT(pipeline.retry.enabled), .check = neap_check_retry},
    {"breaker", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE,
     .table = &neap_client_breaker_options, .on = CLIENT(pipeline.has_breaker)},
    {"gate", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE, .table = &neap_gate_options,
     .on = CLIENT(pipeline.has_gate)},
    {"rate_limit", .kind = NEAP_OPTION_CUSTOM, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .types = TYPE(TABLE), .expected = "a table", .read = neap_read_client_rate_limit,
     .on = CLIENT(pipeline.has_limiter)},
    {"bulkhead", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .table = &neap_client_bulkhead_options, .on = CLIENT(pipeline.has_bulkhead)},
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
    {"chaos", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .table = &neap_chaos_options, .on = CLIENT(pipeline.has_chaos), .check = neap_check_chaos},
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
    if (neap_options_read(L, index, NEAP_OPTION_ROOT, &client_table, policy, policy->alloc,
                          functions))
        return true;
    lua_remove(L, functions);
    return false;
}
