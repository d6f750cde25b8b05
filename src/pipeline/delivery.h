/* Delivery: what becomes of an entry of the outbox after one round, that is one call through the
 * client's pipeline, with the retries that the client makes in it.
 *
 *     a response 200 to 399                            delivered
 *     408 425 429, 500 and above                       retried
 *     any other response that carries Retry-After      retried: it says that it can pass (409 while
 *                                                      the first try still runs)
 *     any other response                               buried (rejected)
 *     too_large, redirect, conflict                    buried (rejected): they come again each time
 *     breaker_open, gate, rate_limited, bulkhead_full  held: nothing was tried, so it is no round
 *     deadline, cancelled, phase                       held
 *     any other error                                  retried
 *
 * The n-th retry waits as long as the backoff says, or as the server asked for (with a spread of up
 * to a tenth upwards) where that is longer. What is held waits as long as the refusal says, else as
 * for a first retry, but no less than a second. An entry is buried where `max_attempts` rounds have
 * been made, and where it would wait until it is `max_age` old or older. It is tried at least once,
 * however old it is: one that has only met refusals is held on.
 *
 * Pure; any thread. Times are wall-clock, since they must mean the same to the next process. */
#ifndef NEAP_PIPELINE_DELIVERY_H
#define NEAP_PIPELINE_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/outcome.h"
#include "policy/backoff.h"
#include "policy/idempotency_key.h"

struct neap_delivery_policy {
    uint32_t max_attempts; /* rounds, from 1 */
    int64_t max_age_ns;    /* since it was put */
    struct neap_backoff backoff;
    bool one_breaker, one_gate; /* every entry meets the same one */
};

struct neap_delivery_facts {
    struct neap_outcome outcome; /* what the call came to */
    struct neap_text body;       /* of the response, for the reason of a dead letter */
    int64_t retry_after_ns;      /* of the response or the refusal; -1: none */
    uint32_t attempts;           /* rounds before this one */
    int64_t put_ns, now_ns;
    bool own_credential; /* the request brings one, so its gate is its own */
};

enum neap_delivery_verdict {
    NEAP_DELIVERY_DONE,
    NEAP_DELIVERY_RETRY,
    NEAP_DELIVERY_HOLD, /* again at `due_ns`, and the round does not count */
    NEAP_DELIVERY_BURY
};

#define NEAP_REASON_BYTES 512

struct neap_delivery {
    enum neap_delivery_verdict verdict;
    int64_t due_ns; /* RETRY, HOLD */
    bool all;       /* HOLD: every other entry would be refused as well */
    /* BURY: "rejected", "attempts" or "max_age", a colon, and what the last round came to, with
     * the beginning of the body; as UTF-8 as the body is, without control characters */
    char reason[NEAP_REASON_BYTES];
};

/* `r` in [0,1) spreads the wait. */
void neap_delivery_decide(const struct neap_delivery_policy *policy,
                          const struct neap_delivery_facts *facts, double r,
                          struct neap_delivery *delivery);

#endif
