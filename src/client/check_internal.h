/* What the files of the check share: check.c declares and reports, check_time.c looks at limits and
 * retries, check_load.c at breaker, bulkhead and rates, check_trust.c at fallbacks, shadows and
 * secrets. */
#ifndef NEAP_CLIENT_CHECK_INTERNAL_H
#define NEAP_CLIENT_CHECK_INTERNAL_H

#include "client/check.h"

struct neap_check {
    const struct neap_check_subject *subject;
    const struct neap_client_policy *policy;
    const struct neap_pipeline *pipeline;
    const struct neap_check_facts *facts;
    struct neap_check_report *report;
};

/* Adds a finding at the rule's own key. */
__attribute__((format(printf, 3, 4))) void
neap_check_find(struct neap_check *check, enum neap_check_rule rule, const char *format, ...);

/* The same at another key. */
__attribute__((format(printf, 4, 5))) void neap_check_find_at(struct neap_check *check,
                                                              enum neap_check_rule rule,
                                                              const char *path, const char *format,
                                                              ...);

/* More than one attempt? */
bool neap_check_repeats(const struct neap_check *check);

/* Is there one that is enforced? */
bool neap_check_limits_rate(const struct neap_check *check);
bool neap_check_limits_places(const struct neap_check *check);

/* Is the server spoken to over plain HTTP, as far as base_url says? */
bool neap_check_is_plain(const struct neap_client_policy *policy);

void neap_check_time(struct neap_check *check);
void neap_check_load(struct neap_check *check);
void neap_check_trust(struct neap_check *check);

#endif
