/* How a policy answers somebody who wants to go: it decides, and never waits itself. */
#ifndef NEAP_POLICY_ADMISSION_H
#define NEAP_POLICY_ADMISSION_H

#include <stdint.h>

enum neap_decision {
    NEAP_ADMIT, /* go now */
    NEAP_WAIT, /* go at `until_ns`; what was asked for is already reserved, unless said otherwise */
    NEAP_REFUSE /* do not go; nothing has changed */
};

struct neap_admission {
    enum neap_decision decision;
    /* WAIT: when to go. REFUSE: when asking again makes sense, NEAP_NEVER where nobody knows.
     * ADMIT: the `now` that was passed in. */
    int64_t until_ns;
    /* ADMIT by a policy that hands out permits: what to give back. Positive and below 2^53, so that
     * a Lua number of either interpreter holds it. Otherwise 0. */
    int64_t permit;
};

/* What an attempt's result means to the circuit breaker. */
enum neap_verdict { NEAP_VERDICT_SUCCESS, NEAP_VERDICT_FAILURE, NEAP_VERDICT_IGNORE };

#endif
