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
     .min = 1, .number = 100, .about = "connections of the client in all"},
    {"per_host", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(transport.per_host), .min = 1,
     .number = 20, .about = "connections to one host; more requests wait for a place"},
    {"ttl", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = CLIENT(transport.ttl_ns), .number = 300,
     .about = "a connection is not used again after so long; whole seconds count"},
    {"idle", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = CLIENT(transport.idle_ns), .number = 60,
     .about = "nor after so long without use; whole seconds count"},
    {"validate_after", .kind = NEAP_OPTION_SECONDS, .offset = CLIENT(transport.validate_after_ns),
     .number = 1,
     .about = "accepted without effect: libcurl looks at an idle connection each time"},
    {"http2", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(transport.http2), .number = true,
     .about = "HTTP/2 over TLS (ALPN) where the server speaks it; plain http is HTTP/1.1"},
};
static const struct neap_option_table pool_table = NEAP_OPTION_ROWS(pool_rows);

static const struct neap_option_choice tls_versions[] = {{"1.2", 12}, {"1.3", 13}, {NULL, 0}};

static const struct neap_option tls_rows[] = {
    {"verify", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(transport.verify), .number = true,
     .about = "the certificate and name of the server, and of a proxy by https"},
    {"ca_file", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.ca_file),
     .about = "trust these authorities only, in place of the system's", .otherwise = "system"},
    {"ca_path", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.ca_path),
     .about = "likewise, a directory", .otherwise = "system"},
    {"cert", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.cert),
     .about = "client certificate, PEM; for the origin of the request only"},
    {"key", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(transport.key),
     .about = "its private key, PEM"},
    {"min_version", .kind = NEAP_OPTION_CHOICE, .flags = NEAP_OPTION_BY_TEXT,
     .offset = CLIENT(transport.min_tls), .choices = tls_versions, .number = 12,
     .about = "lowest version"},
};
static const struct neap_option_table tls_table = NEAP_OPTION_ROWS(tls_rows);

/* --------------------------------------------------------------------------------- idempotency */

static const struct neap_option key_function = {.kind = NEAP_OPTION_FUNCTION,
                                                .mark = CLIENT(idempotency.source),
                                                .mark_value = NEAP_KEY_CUSTOM};

static const struct neap_option idempotency_rows[] = {
    {"header", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(idempotency.header),
     .is_valid = neap_is_header_name, .noun = "a header name", .text = "Idempotency-Key",
     .about = "carries the key"},
    {"methods", .kind = NEAP_OPTION_TEXTS, .flags = NEAP_OPTION_UPPER,
     .offset = CLIENT(idempotency.methods), .count = CLIENT(idempotency.method_count),
     .is_valid = neap_method_is_safe, .noun = "a method name", .expected = "a list of method names",
     .text = "POST PATCH", .about = "methods that get a key by themselves"},
    {"from", .kind = NEAP_OPTION_TEXTS, .offset = CLIENT(idempotency.fields),
     .count = CLIENT(idempotency.field_count), .expected = "a list of field names",
     .mark = CLIENT(idempotency.source), .mark_value = NEAP_KEY_FIELDS, .other = &key_function,
     .about = "what the key is made of: fields, or `(req) -> string`; none: a UUID version 4"},
    {"quoted", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(idempotency.quoted), .number = false,
     .about = "the value as an RFC 8941 string, in quotes"},
    {"prefix", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(idempotency.prefix),
     .is_valid = neap_is_key_prefix,
     .noun = "a string of 1 to 191 printable ASCII characters, the first one no space",
     .about = "stands in front of a made key"},
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
     .read = read_store, .about = "where answers are kept",
     .otherwise = "memory of the client's own"},
    {"ttl", .kind = NEAP_OPTION_SECONDS, .offset = CLIENT(cache.freshness.ttl_ns),
     .number = UNSAID_S, .about = "lifetime of an answer whose server says nothing about it",
     .otherwise = "none"},
    {"stale_if_error", .kind = NEAP_OPTION_SECONDS,
     .offset = CLIENT(cache.freshness.stale_if_error_ns), .number = UNSAID_S,
     .about = "where the server is silent: stale for so long, it stands in for an error",
     .otherwise = "none"},
    {"stale_while_revalidate", .kind = NEAP_OPTION_SECONDS,
     .offset = CLIENT(cache.freshness.stale_while_revalidate_ns), .number = UNSAID_S,
     .about = "where the server is silent: stale for so long, it is answered at once and refreshed "
              "beside the caller",
     .otherwise = "none"},
    {"max_entries", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(cache.max_entries), .min = 1,
     .max = 1000000000, .number = 1000,
     .about = "answers in memory; without effect where a store is given"},
    {"max_bytes", .kind = NEAP_OPTION_BYTES, .offset = CLIENT(cache.max_bytes), .min = 1024,
     .number = 67108864, .about = "of that memory, likewise"},
    {"vary", .kind = NEAP_OPTION_TEXTS, .offset = CLIENT(cache.vary),
     .count = CLIENT(cache.vary_count), .is_valid = neap_is_header_name, .noun = "a header name",
     .expected = "a list of header names",
     .about = "request headers that answers depend on, whatever `Vary` says"},
};
static const struct neap_option_table cache_table = NEAP_OPTION_ROWS(cache_rows);

/* -------------------------------------------------------------------------------------- alerts */

#define ALERT(member) offsetof(struct neap_alert_policy, member)

static const struct neap_option alert_rows[] = {
    {"window", .kind = NEAP_OPTION_SECONDS, .offset = ALERT(window_ns), .min = 0.1, .number = 60,
     .about = "length of the windows in which is counted"},
    {"p99", .kind = NEAP_OPTION_NUMBER,
     .flags = NEAP_OPTION_ABOVE | NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE, .offset = ALERT(p99_s),
     .unit = "seconds", .number = 0, .on = ALERT(has[NEAP_ALERT_P99]),
     .about = "expected latency at the 99th percentile; none: this alert is off"},
    {"p99_factor", .kind = NEAP_OPTION_NUMBER, .offset = ALERT(p99_factor), .min = 1, .number = 2,
     .about = "how many times that is too much"},
    {"error_rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_OR_FALSE,
     .offset = ALERT(error_rate), .max = 1, .number = 0.05, .on = ALERT(has[NEAP_ALERT_ERROR_RATE]),
     .about = "share of calls that may fail; `false`: this alert is off, here and below"},
    {"breaker_open", .kind = NEAP_OPTION_BOOLEAN, .offset = ALERT(has[NEAP_ALERT_BREAKER_OPEN]),
     .number = true, .about = "tells that the breaker is open"},
    {"retry_surge", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_OR_FALSE,
     .offset = ALERT(retry_surge), .min = 1, .number = 3, .on = ALERT(has[NEAP_ALERT_RETRY_SURGE]),
     .about = "retries, as a multiple of the mean of the ten windows before"},
    {"timeout_surge", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_OR_FALSE,
     .offset = ALERT(timeout_surge), .min = 1, .number = 3,
     .on = ALERT(has[NEAP_ALERT_TIMEOUT_SURGE]), .about = "likewise, timeouts of attempts"},
    {"min_calls", .kind = NEAP_OPTION_INTEGER, .offset = ALERT(min_calls), .min = 1, .number = 20,
     .about = "fewer calls, retries or timeouts in a window say nothing"},
    {"notify", .kind = NEAP_OPTION_FUNCTION,
     .about = "`function(alert)`, told when an alert begins and when it ends"},
};
static const struct neap_option_table alert_table = NEAP_OPTION_ROWS(alert_rows);

/* -------------------------------------------------------------------------------------- client */

static const struct neap_option client_rows[] = {
    {"name", .kind = NEAP_OPTION_TEXT, .flags = NEAP_OPTION_REQUIRED, .offset = CLIENT(name),
     .is_valid = neap_is_policy_name, .noun = "a string of printable characters",
     .about = "label in errors, events and `neap.stats()`; UTF-8 without control characters"},
    {"base_url", .kind = NEAP_OPTION_TEXT, .flags = NEAP_OPTION_SECRET, .offset = CLIENT(base_url),
     .check = neap_check_base_url,
     .about = "joined with `path` by RFC 3986; http or https; without a slash at the end its last "
              "segment is replaced"},
    {"headers", .kind = NEAP_OPTION_CUSTOM, .flags = NEAP_OPTION_SECRET, .types = TYPE(TABLE),
     .expected = "a table of header names and values", .read = neap_read_headers,
     .about = "name to string, number or list; sent with each request; a request's own header of "
              "that name replaces it",
     .otherwise = "`{}`"},
    {"timeout", .kind = NEAP_OPTION_TABLE, .offset = CLIENT(pipeline.timeout),
     .table = &neap_timeout_options,
     .about = "see [timeouts](timeouts.md); a request may override key by key"},
    {"retry", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE,
     .table = &neap_retry_options, .on = CLIENT(pipeline.retry.enabled), .check = neap_check_retry,
     .about = "see [retry](retry.md); `false`: one attempt, no refresh, no budget"},
    {"breaker", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE,
     .table = &neap_client_breaker_options, .on = CLIENT(pipeline.has_breaker),
     .about = "see [breaker](breaker.md); `false`: none"},
    {"gate", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_FALSE, .table = &neap_gate_options,
     .on = CLIENT(pipeline.has_gate),
     .about = "see [gate](gate.md); `false`: nothing closes and nothing waits"},
    {"rate_limit", .kind = NEAP_OPTION_CUSTOM, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .types = TYPE(TABLE), .expected = "a table", .keys = &neap_client_rate_options,
     .read = neap_read_client_rate_limit, .on = CLIENT(pipeline.has_limiter),
     .about = "our own promise of a rate, see [limits](limits.md)"},
    {"bulkhead", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .table = &neap_client_bulkhead_options, .on = CLIENT(pipeline.has_bulkhead),
     .about = "places on the wire, see [limits](limits.md)"},
    {"pool", .kind = NEAP_OPTION_TABLE, .table = &pool_table,
     .about = "connections, see [transport](transport.md)"},
    {"idempotency", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OR_TRUE | NEAP_OPTION_OR_FALSE,
     .table = &idempotency_table, .mark = CLIENT(idempotency.source), .mark_value = NEAP_KEY_UUID,
     .about = "see [idempotency](idempotency.md); `true`: all defaults", .otherwise = "none"},
    {"cache", .kind = NEAP_OPTION_TABLE,
     .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_TRUE | NEAP_OPTION_OR_FALSE, .table = &cache_table,
     .on = CLIENT(cache.enabled), .about = "see [cache](cache.md); `true` is `{}`"},
    {"coalesce", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(coalesce), .number = false,
     .about = "see [coalescing](coalescing.md); `true`: identical GETs and HEADs in flight share "
              "the attempts of the first"},
    {"fallback", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE), .expected = "a list",
     .read = neap_read_fallback,
     .about = "what answers when the call has failed, see [fallback](fallback.md); up to 32 "
              "entries, tried in order"},
    {"alerts", .kind = NEAP_OPTION_TABLE,
     .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_TRUE | NEAP_OPTION_OR_FALSE,
     .offset = CLIENT(alerts), .table = &alert_table, .on = CLIENT(has_alerts),
     .about = "see [alerts](alerts.md); `true` is `{}`: all but `p99`"},
    {"chaos", .kind = NEAP_OPTION_TABLE, .flags = NEAP_OPTION_OFF | NEAP_OPTION_OR_FALSE,
     .table = &neap_chaos_options, .on = CLIENT(pipeline.has_chaos), .check = neap_check_chaos,
     .about = "faults on purpose, see [chaos](chaos.md)"},
    {"tls", .kind = NEAP_OPTION_TABLE, .table = &tls_table,
     .about = "of connections to https, and to a proxy by https"},
    {"proxy", .kind = NEAP_OPTION_CUSTOM, .flags = NEAP_OPTION_SECRET, .types = TYPE(STRING),
     .expected = "a URL or \"environment\"", .read = neap_read_proxy,
     .about = "http, https, socks4, socks4a, socks5 or socks5h; without it no proxy is used, "
              "whatever the environment says"},
    {"allow_hosts", .kind = NEAP_OPTION_TEXTS, .offset = CLIENT(transport.allow_hosts),
     .count = CLIENT(transport.allow_host_count), .is_valid = neap_is_host_pattern,
     .noun = "a host name, or \"*.\" and a host name", .expected = "a list of host names",
     .check = neap_check_allow_hosts,
     .about = "no other host is asked, nor followed a redirect to; `*.example.com` is each "
              "sub-domain, not `example.com`"},
    {"deny_private", .kind = NEAP_OPTION_BOOLEAN, .offset = CLIENT(transport.deny_private),
     .number = false, .check = neap_check_deny_private,
     .about = "`true`: no connection to an [inner address](transport.md#hosts-and-addresses); not "
              "together with `proxy`"},
    {"redirects", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(transport.redirects), .max = 100,
     .number = 5, .about = "followed at most; 0: none, a 302 is then a response"},
    {"max_response_bytes", .kind = NEAP_OPTION_BYTES,
     .offset = CLIENT(transport.max_response_bytes), .min = 1, .number = 16777216,
     .about = "of the decoded body; more is `too_large`"},
    {"max_header_bytes", .kind = NEAP_OPTION_BYTES, .offset = CLIENT(transport.max_header_bytes),
     .min = 1, .number = 65536,
     .about = "of the whole head, interim heads and trailers included; more is `too_large`"},
    {"max_request_bytes", .kind = NEAP_OPTION_BYTES, .offset = CLIENT(max_request_bytes),
     .number = HUGE_VAL, .about = "a longer body is misuse"},
    {"trace", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(asks_trace),
     .about = "`(req, attempt) -> headers or nil`, before each attempt: see "
              "[watching](watching.md#passing-a-trace-on)"},
    {"deadline_header", .kind = NEAP_OPTION_TEXT, .offset = CLIENT(deadline_header),
     .is_valid = neap_is_header_name, .noun = "a header name",
     .about = "name of a header that carries the whole milliseconds left"},
};
const struct neap_option_table neap_client_options = NEAP_OPTION_ROWS(client_rows);

bool neap_read_client_policy(lua_State *L, int index, struct neap_client_policy *policy)
{
    index = lua_absindex(L, index);
    lua_newtable(L);
    int functions = lua_gettop(L);
    neap_options_defaults(L, &neap_client_options, policy, policy->alloc);
    if (neap_options_read(L, index, NEAP_OPTION_ROOT, &neap_client_options, policy, policy->alloc,
                          functions))
        return true;
    lua_remove(L, functions);
    return false;
}
