/* Retry decision: is this outcome worth another attempt, and when?
 *
 * Pure: the caller gathers the facts, and acts on the answer. The order of the rules is fixed and
 * documented in docs/order.md; the retry budget is asked last, by the caller, once everything else
 * has said yes. */
#ifndef NEAP_POLICY_RETRY_H
#define NEAP_POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/outcome.h"
#include "policy/backoff.h"

#define NEAP_STATUS_COUNT 600

/* The share of a delay that a server asks for by which those who wait it are spread. */
#define NEAP_RETRY_SPREAD 0.1

enum neap_status_rule { NEAP_STATUS_NEVER, NEAP_STATUS_RETRY, NEAP_STATUS_ONCE };

struct neap_retry_policy {
    uint32_t max_attempts; /* 1: no retry at all, which is also what `retry = false` makes */
    bool enabled;          /* false: not even a token refresh */
    struct neap_backoff backoff;
    uint8_t status_rule[NEAP_STATUS_COUNT]; /* enum neap_status_rule by status */
    bool honor_retry_after;
    int64_t max_server_delay_ns;
};

/* Why a call does not try again; the words of a trace's `reason`. */
enum neap_stop {
    NEAP_STOP_NONE, /* nothing to say: a success, or not to be retried by its nature */
    NEAP_STOP_ATTEMPTS,
    NEAP_STOP_NOT_REPLAYABLE,
    NEAP_STOP_BREAKER_OPEN,
    NEAP_STOP_SERVER_DELAY,
    NEAP_STOP_DEADLINE,
    NEAP_STOP_BUDGET,
    NEAP_STOP_GATE,
    NEAP_STOP_RATE_LIMITED,
    NEAP_STOP_BULKHEAD_FULL,
    NEAP_STOP_COUNT
};

/* What a user's function says about an outcome. */
enum neap_opinion { NEAP_OPINION_DEFAULT, NEAP_OPINION_YES, NEAP_OPINION_NO };

struct neap_retry_facts {
    const struct neap_outcome *outcome;
    enum neap_opinion when;  /* the answer of retry.when */
    bool once_spent;         /* a "once" status of this number was retried before in this call */
    bool replayable;         /* by method, by key, or because the request says so */
    uint32_t attempts;       /* made so far, this one included */
    uint32_t retries;        /* waited for so far: the n of the next backoff is retries + 1 */
    int64_t server_delay_ns; /* from Retry-After; -1 where there is none */
    double previous_delay_s; /* of the retry before; 0 at first */
    double custom_delay_s;   /* what a backoff function answered; below 0 where there is none */
    int64_t breaker_open_until_ns;
    int64_t deadline_ns;
};

struct neap_retry_decision {
    bool retry;
    enum neap_stop stop; /* where retry is false */
    bool by_server;      /* the delay is the server's */
    double delay_s;      /* the delay before any rounding, for decorrelated jitter */
    int64_t until_ns;    /* when the next attempt may go */
};

/* Fills the table of statuses with the defaults: 408 425 429 502 503 504 always, 500 once. */
void neap_retry_default_statuses(uint8_t status_rule[NEAP_STATUS_COUNT]);

/* True if the outcome needs no retry at all: a response below 400. */
bool neap_outcome_is_success(const struct neap_outcome *outcome);

/* Kinds that are retried by default: resolve connect tls timeout reset protocol error. */
bool neap_kind_is_retried(enum neap_kind kind);

/* What table and kind say by themselves: may this outcome be retried? */
enum neap_status_rule neap_retry_rule(const struct neap_retry_policy *policy,
                                      const struct neap_outcome *outcome);

/* Rules 1 to 3 (worth it, attempts left, replayable): NEAP_STOP_NONE with *wanted false means that
 * the outcome is not to be retried. Asked before a backoff function is called for its delay. */
enum neap_stop neap_retry_screen(const struct neap_retry_policy *policy,
                                 const struct neap_retry_facts *facts, bool *wanted);

/* Rules 4 and 5 (the breaker, the delay), of an outcome that neap_retry_screen has nothing against.
 * `r` in [0,1) is the jitter's. */
struct neap_retry_decision neap_retry_schedule(const struct neap_retry_policy *policy,
                                               const struct neap_retry_facts *facts, int64_t now_ns,
                                               double r);

/* "attempts", "not_replayable", …; NULL for NEAP_STOP_NONE. */
const char *neap_stop_name(enum neap_stop stop);

#endif
