/* The keys of `chaos`. */
#include "binding/option_message.h"
#include "binding/option_tables.h"

#define CHAOS(member) offsetof(struct neap_client_policy, pipeline.chaos.member)

/* What a network can do to an attempt. */
static const struct neap_option_choice error_kinds[] = {
    {"resolve", NEAP_KIND_RESOLVE},
    {"connect", NEAP_KIND_CONNECT},
    {"tls", NEAP_KIND_TLS},
    {"timeout", NEAP_KIND_TIMEOUT},
    {"reset", NEAP_KIND_RESET},
    {"protocol", NEAP_KIND_PROTOCOL},
    {NULL, 0},
};

static const struct neap_option chaos_rows[] = {
    {"rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_REQUIRED | NEAP_OPTION_ABOVE,
     .offset = CHAOS(rate), .max = 1, .number = 1, .about = "share of attempts that are disturbed"},
    {"latency", .kind = NEAP_OPTION_SECONDS, .offset = CHAOS(latency_ns), .number = 0,
     .about = "how late the attempt is, or what comes instead of it"},
    {"error", .kind = NEAP_OPTION_CHOICE, .offset = CHAOS(error), .choices = error_kinds,
     .number = NEAP_KIND_NONE,
     .about = "the kind of [error](errors.md) it ends in, unsent; a `timeout` has phase `read`",
     .otherwise = "none"},
    {"status", .kind = NEAP_OPTION_INTEGER, .offset = CHAOS(status), .min = 200, .max = 599,
     .number = 0,
     .about = "a response of that status, without body, in the server's place; not together with "
              "`error`",
     .otherwise = "none"},
    {"only", .kind = NEAP_OPTION_FUNCTION,
     .about = "`(req) -> boolean`, asked once a call: false or nil lets all its attempts be"},
};
const struct neap_option_table neap_chaos_options = NEAP_OPTION_ROWS(chaos_rows);

bool neap_check_chaos(struct neap_option_reader *reader, void *target)
{
    const struct neap_client_policy *policy = target;
    const struct neap_chaos_policy *chaos = &policy->pipeline.chaos;
    if (!policy->pipeline.has_chaos)
        return true;
    if (chaos->error != NEAP_KIND_NONE && chaos->status != 0)
        return neap_option_fail(reader, "expected either error or status, got both");
    if (chaos->latency_ns > 0 || neap_chaos_replaces(chaos))
        return true;
    return neap_option_fail(reader, "expected latency, error or status, got none of them");
}
