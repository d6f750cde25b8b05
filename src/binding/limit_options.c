/* The keys of `gate`, `rate_limit` and `bulkhead`. */
#include <float.h>
#include <math.h>

#include "binding/option_tables.h"

#define CLIENT(member) offsetof(struct neap_client_policy, member)

/* ---------------------------------------------------------------------------------------- gate */

static const struct neap_option gate_rows[] = {
    {"max_wait", .kind = NEAP_OPTION_SECONDS, .offset = CLIENT(pipeline.gate.max_wait_ns),
     .number = 10, .about = "who would wait longer is refused at once"},
    {"key", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(gate_key_is_function),
     .about = "`(req) -> string`: what tells credentials apart, in place of the digest of "
              "`Authorization`"},
};
const struct neap_option_table neap_gate_options = NEAP_OPTION_ROWS(gate_rows);

/* ---------------------------------------------------------------------------------- rate_limit */

#define RATE(member) offsetof(struct neap_rate_options, member)

static const struct neap_option rate_rows[] = {
    {"rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = RATE(rate), .about = "units in `per` seconds"},
    {"per", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE, .offset = RATE(per),
     .unit = "seconds", .number = 1, .about = "see rate"},
    {"burst", .kind = NEAP_OPTION_NUMBER, .offset = RATE(burst), .min = 1, .number = 0,
     .about = "units at once after a pause; at least 1", .otherwise = "rate"},
};
const struct neap_option_table neap_rate_options = NEAP_OPTION_ROWS(rate_rows);

static const struct neap_option client_rate_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &neap_rate_options},
    {"max_wait", .kind = NEAP_OPTION_SECONDS, .offset = RATE(max_wait_ns), .number = 0,
     .about = "who would wait longer is refused: `rate_limited`; stand-alone: no limit"},
    {"enforce", .kind = NEAP_OPTION_BOOLEAN, .flags = NEAP_OPTION_INVERTED,
     .offset = RATE(in_shadow), .number = true,
     .about = "`false`: [shadow mode](shadow.md), nobody waits, nobody is refused"},
};
const struct neap_option_table neap_client_rate_options = NEAP_OPTION_ROWS(client_rate_rows);

/* Without the bound, an interval that overflows would become no number where it is multiplied. */
struct neap_rate_limiter_policy neap_limiter_of(const struct neap_rate_options *options)
{
    return (struct neap_rate_limiter_policy){
        .interval_s = fmin(options->per / options->rate, DBL_MAX),
        .burst = options->burst > 0 ? options->burst : fmax(options->rate, 1),
        .max_wait_ns = options->max_wait_ns,
    };
}

bool neap_read_client_rate_limit(struct neap_option_reader *reader, void *target)
{
    struct neap_client_policy *policy = target;
    struct neap_rate_options options;
    if (!neap_option_read_table(reader, &neap_client_rate_options, &options))
        return false;
    policy->pipeline.limiter = neap_limiter_of(&options);
    policy->pipeline.limiter_shadow = options.in_shadow;
    return true;
}

/* ------------------------------------------------------------------------------------ bulkhead */

#define BULKHEAD(member) offsetof(struct neap_bulkhead_policy, member)

static const struct neap_option bulkhead_rows[] = {
    {"max_concurrent", .kind = NEAP_OPTION_INTEGER, .flags = NEAP_OPTION_REQUIRED,
     .offset = BULKHEAD(max_concurrent), .min = 1, .max = NEAP_BULKHEAD_MAX,
     .about = "attempts on the wire at once"},
    {"max_wait", .kind = NEAP_OPTION_SECONDS, .offset = BULKHEAD(max_wait_ns), .number = 0,
     .about = "longest wait for a place"},
    {"max_queue", .kind = NEAP_OPTION_INTEGER, .offset = BULKHEAD(max_queue), .number = 1000,
     .about = "calls that may wait; more are refused at once"},
};
const struct neap_option_table neap_bulkhead_options = NEAP_OPTION_ROWS(bulkhead_rows);

static const struct neap_option client_bulkhead_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = CLIENT(pipeline.bulkhead),
     .table = &neap_bulkhead_options},
    {"enforce", .kind = NEAP_OPTION_BOOLEAN, .flags = NEAP_OPTION_INVERTED,
     .offset = CLIENT(pipeline.bulkhead_shadow), .number = true,
     .about = "`false`: [shadow mode](shadow.md), nobody queues, nobody is refused"},
};
const struct neap_option_table neap_client_bulkhead_options =
    NEAP_OPTION_ROWS(client_bulkhead_rows);
