/* The keys of `breaker`. */
#include <math.h>
#include <stdio.h>

#include "binding/option_message.h"
#include "binding/option_tables.h"
#include "binding/policy_options.h"
#include "policy/slices.h"

#define CLIENT(member) offsetof(struct neap_client_policy, member)

_Static_assert(sizeof(enum neap_key_choice) == sizeof(int), "a choice is written as an int");

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
     .max = NEAP_BREAKER_WINDOW_MAX, .number = 100, .about = "the last so many results"},
    {"seconds", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(window_seconds), .min = 1,
     .max = NEAP_SLICES_MAX, .unit = "seconds", .number = 0,
     .about = "the results of the last so many seconds", .otherwise = "none"},
};
static const struct neap_option_table window_table = NEAP_OPTION_ROWS(window_rows);

static const struct neap_option slow_call_rows[] = {
    {"duration", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = BREAKER(slow_call_ns), .number = HUGE_VAL,
     .about = "an attempt that lasts longer is slow"},
    {"rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = BREAKER(slow_call_rate), .max = 1, .number = 1,
     .about = "opens at this share of slow attempts"},
};
static const struct neap_option_table slow_call_table = NEAP_OPTION_ROWS(slow_call_rows);

/* Apart, because a number in the place of the table is the base. */
static const struct neap_option open_for_base = {"base",
                                                 .kind = NEAP_OPTION_NUMBER,
                                                 .flags = NEAP_OPTION_ABOVE,
                                                 .offset = BREAKER(open_base_s),
                                                 .unit = "seconds",
                                                 .number = 30,
                                                 .about = "the first opening; not above `max`"};
static const struct neap_option_table open_for_base_table = {.rows = &open_for_base, .count = 1};

static const struct neap_option open_for_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &open_for_base_table},
    {"factor", .kind = NEAP_OPTION_NUMBER, .offset = BREAKER(open_factor), .min = 1, .number = 1,
     .about = "growth with each opening in a row; back to `base` after a close"},
    {"max", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE, .offset = BREAKER(open_max_s),
     .unit = "seconds", .number = 300, .about = "longest opening before jitter"},
    {"jitter", .kind = NEAP_OPTION_NUMBER, .offset = BREAKER(open_jitter), .max = 1, .number = 0,
     .about = "plus or minus that share"},
};
static const struct neap_option_table open_for_table = NEAP_OPTION_ROWS(open_for_rows);

static const struct neap_option half_open_rows[] = {
    {"permits", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(permits), .min = 1,
     .max = NEAP_BREAKER_PERMITS_MAX, .number = 5, .about = "probes in all until it is decided"},
    {"lease", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = BREAKER(lease_ns),
     .number = 60, .about = "a probe silent for so long counts as failed"},
};
static const struct neap_option_table half_open_table = NEAP_OPTION_ROWS(half_open_rows);

static const struct neap_option ramp_rows[] = {
    {"seconds", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = BREAKER(ramp_ns), .number = 0, .about = "until everybody is admitted"},
    {"from", .kind = NEAP_OPTION_NUMBER, .offset = BREAKER(ramp_from), .max = 1, .number = 0.1,
     .about = "the share at the start"},
};
static const struct neap_option_table ramp_table = NEAP_OPTION_ROWS(ramp_rows);

static const struct neap_option breaker_rows[] = {
    {"window", .kind = NEAP_OPTION_TABLE, .table = &window_table, .check = check_window,
     .about = "either count or seconds"},
    {"min_calls", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(min_calls), .min = 1, .number = 10,
     .about =
         "results before a rate exists; at most the count window, or the probes while half open"},
    {"failure_rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE,
     .offset = BREAKER(failure_rate), .max = 1, .number = 0.5,
     .about = "opens at this share of failures"},
    {"slow_call", .kind = NEAP_OPTION_TABLE, .table = &slow_call_table,
     .about = "opens for slowness", .otherwise = "none"},
    {"consecutive_failures", .kind = NEAP_OPTION_INTEGER, .offset = BREAKER(consecutive_failures),
     .min = 1, .number = 0, .about = "opens at so many failures in a row, whatever the rate",
     .otherwise = "none"},
    {"open_for", .kind = NEAP_OPTION_TABLE, .table = &open_for_table, .other = &open_for_base,
     .check = check_open_for, .about = "how long it stays open; a number is `base`"},
    {"half_open", .kind = NEAP_OPTION_TABLE, .table = &half_open_table, .about = "the probes"},
    {"ramp", .kind = NEAP_OPTION_TABLE, .table = &ramp_table,
     .about = "a growing share after closing", .otherwise = "none"},
};
const struct neap_option_table neap_breaker_options = NEAP_OPTION_ROWS(breaker_rows);

/* What a client's breaker has besides: which calls share one, and whose judgement counts. */

static const struct neap_option_choice breaker_keys[] = {
    {"client", NEAP_KEY_CLIENT},
    {"host", NEAP_KEY_HOST},
    {NULL, 0},
};

static const struct neap_option breaker_key_function = {
    .kind = NEAP_OPTION_FUNCTION, .mark = CLIENT(breaker_key), .mark_value = NEAP_KEY_FUNCTION};

static const struct neap_option client_breaker_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = CLIENT(pipeline.breaker),
     .table = &neap_breaker_options},
    {"key", .kind = NEAP_OPTION_CHOICE, .offset = CLIENT(breaker_key), .choices = breaker_keys,
     .number = NEAP_KEY_CLIENT, .other = &breaker_key_function,
     .about = "one breaker; one each origin; or one each text of `(req) -> string`"},
    {"max_keys", .kind = NEAP_OPTION_INTEGER, .offset = CLIENT(breaker_max_keys), .min = 1,
     .number = 10000,
     .about = "breakers kept; the key idle longest makes room; where all are in use the call goes "
              "without"},
    {"failure", .kind = NEAP_OPTION_FUNCTION, .offset = CLIENT(pipeline.asks_failure),
     .about = "`(outcome) -> \"success\", \"failure\", \"ignore\" or nil`"},
    {"enforce", .kind = NEAP_OPTION_BOOLEAN, .flags = NEAP_OPTION_INVERTED,
     .offset = CLIENT(pipeline.breaker_shadow), .number = true,
     .about = "`false`: [shadow mode](shadow.md), it decides, counts and admits"},
};
const struct neap_option_table neap_client_breaker_options = NEAP_OPTION_ROWS(client_breaker_rows);
