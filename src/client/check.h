/* Check: what a client policy will come to, and what in it will not do what its author hopes.
 *
 * Nothing is asked but the policy, and what the caller knows of load and server. Each rule is
 * declared once, with its name, level, key and page; docs/check.md has the same table. The numbers
 * are those of pipeline/bounds.h. */
#ifndef NEAP_CLIENT_CHECK_H
#define NEAP_CLIENT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/policy.h"
#include "pipeline/bounds.h"

enum neap_check_level {
    NEAP_CHECK_ERROR,   /* the policy cannot do what it says, or is dangerous */
    NEAP_CHECK_WARNING, /* it will hurt in an outage */
    NEAP_CHECK_NOTE     /* worth knowing */
};

enum neap_check_rule {
    NEAP_RULE_UNREACHABLE_ATTEMPTS,
    NEAP_RULE_RETRY_COUNT,
    NEAP_RULE_SLOWER_THAN_ALLOWED,
    NEAP_RULE_ATTEMPT_BEYOND_TOTAL,
    NEAP_RULE_CONNECT_BEYOND_ATTEMPT,
    NEAP_RULE_ATTEMPT_WITHOUT_LIMIT,
    NEAP_RULE_SERVER_DELAY_PAST_DEADLINE,
    NEAP_RULE_WAIT_BEYOND_TOTAL,
    NEAP_RULE_UNBOUNDED_FUNCTION,
    NEAP_RULE_NO_JITTER,
    NEAP_RULE_NO_BUDGET,
    NEAP_RULE_BUDGET_NEVER_BINDS,
    NEAP_RULE_WRITES_WITHOUT_KEY,
    NEAP_RULE_BREAKER_NEVER_OPENS,
    NEAP_RULE_WINDOW_BELOW_MIN_CALLS,
    NEAP_RULE_SLOW_CALL_NEVER,
    NEAP_RULE_OPEN_SHORTER_THAN_BACKOFF,
    NEAP_RULE_LEASE_SHORTER_THAN_ATTEMPT,
    NEAP_RULE_BULKHEAD_OVER_POOL,
    NEAP_RULE_POOL_TOO_SMALL,
    NEAP_RULE_RATE_OVER_SERVER,
    NEAP_RULE_RATE_BELOW_LOAD,
    NEAP_RULE_FALLBACK_TO_ITSELF,
    NEAP_RULE_FALLBACK_SAME_SERVER,
    NEAP_RULE_FALLBACK_WITHOUT_CACHE,
    NEAP_RULE_NOT_ENFORCED,
    NEAP_RULE_CHAOS_ON,
    NEAP_RULE_TLS_NOT_VERIFIED,
    NEAP_RULE_CREDENTIALS_OVER_HTTP,
    NEAP_RULE_COUNT
};

struct neap_check_declaration {
    const char *name; /* stable: programs may look for it */
    enum neap_check_level level;
    const char *path;    /* the key that it is told at, unless it says so itself */
    const char *page;    /* below docs/ */
    const char *summary; /* what it finds, as a sentence */
};

/* What only the caller knows; 0 where it does not. */
struct neap_check_facts {
    double calls_per_s;        /* the load */
    double allowed_latency_s;  /* how long a call may take */
    double server_calls_per_s; /* what the server admits */
    uint32_t workers;          /* processes that share the policy's state; 0: one */
};

/* An entry of the chain of fallbacks, as far as it matters. */
struct neap_check_fallback {
    bool is_cache, is_service;
    bool calls_program;                       /* runs a function of the program's */
    const struct neap_client_policy *service; /* of the client that is asked */
    bool may_retime;                          /* a function makes the service's request */
};

struct neap_check_subject {
    const struct neap_client_policy *policy;
    struct neap_check_facts facts;
    struct neap_check_fallback fallback[NEAP_FALLBACK_MAX]; /* pipeline.fallback_count of them */
};

struct neap_finding {
    enum neap_check_rule rule;
    char path[64];
    char message[320]; /* why, and what to do about it */
};

/* Each rule once, but some for each wait, each function and each fallback. */
#define NEAP_FINDINGS_MAX (NEAP_RULE_COUNT + 16 + 3 * NEAP_FALLBACK_MAX)

struct neap_check_report {
    int64_t worst_ns;             /* the longest that a call can take */
    struct neap_bounds parts;     /* what that is made of, before timeout.total cuts it */
    uint32_t attempts;            /* the most it can make, unless the server asks for it */
    double load, load_unbudgeted; /* requests a call in a total outage; without the budget */
    size_t count;
    struct neap_finding finding[NEAP_FINDINGS_MAX];
};

/* Findings come in the order of the rules. */
void neap_check(const struct neap_check_subject *subject, struct neap_check_report *report);

const struct neap_check_declaration *neap_check_declaration(enum neap_check_rule rule);

/* "error", "warning", "note" */
const char *neap_check_level_name(enum neap_check_level level);

#endif
