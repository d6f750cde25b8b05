/* The straight way: a call that everybody admits at once, or that an open breaker refuses, without
 * the states of a call. What it counts and asks is what neap_call_step would; a call that turns out
 * to need more becomes one of those, as if it had been one from the beginning.
 *
 *     neap_straight_begin    admitted: the attempt may begin
 *                            not admitted: nothing has happened; make a call, and BEGIN it
 *     neap_straight_refuse   refused: the call has come to that, and is over
 *                            not refused: nothing has happened
 *     neap_straight_succeed  the attempt has succeeded, and with it the call
 *     neap_straight_fail     it has failed
 *         AGAIN     the next attempt may begin
 *         OVER      the call is over; of `call` outcome, attempts, beginning and trace are there
 *         BETWEEN   it is a call between two attempts now: step it with TIME
 *     neap_straight_become   the attempt goes on as one of a call, whose OUTCOME, CANCEL or
 *                            neap_call_deinit comes next
 *
 * The first and the third of them stand in pipeline/straight_way.h.
 *
 * Failures leave their entries in the trace of `call`, which must be initialised; nothing else of
 * it is looked at. The setup must suit, be the same for all steps, and outlive them. Used by one
 * thread, as a call is. */
#ifndef NEAP_PIPELINE_STRAIGHT_H
#define NEAP_PIPELINE_STRAIGHT_H

#include "pipeline/call.h"

struct neap_straight {
    int64_t began_ns, started_ns;            /* the call; its latest attempt */
    int64_t breaker_permit, bulkhead_permit; /* 0: none */
    uint32_t attempts;
    bool draws; /* its breaker can make use of a random number */
    double previous_delay_s;
};

enum neap_straight_next { NEAP_STRAIGHT_AGAIN, NEAP_STRAIGHT_OVER, NEAP_STRAIGHT_BETWEEN };

/* False where a success has to be told or asked about, or may not be the end: listeners, gates, a
 * function that judges outcomes, hedging. Calls of such a setup are never straight. */
bool neap_straight_suits(const struct neap_call_setup *setup);

/* False where a failure or a refusal has: neap_straight_refuse and neap_straight_fail are not for
 * such a setup. */
bool neap_straight_suits_failures(const struct neap_call_setup *setup);

/* `retry_after_ns`: -1 where nobody knows. */
bool neap_straight_refuse(const struct neap_call_setup *setup, int64_t now_ns,
                          int64_t *retry_after_ns);

/* The outcome is that of `call->result` where it is OVER, and `call->error` BETWEEN: what it says
 * for people may be written there. It must be no part of the call. */
enum neap_straight_next neap_straight_fail(struct neap_straight *straight,
                                           const struct neap_call_setup *setup,
                                           struct neap_call *call,
                                           const struct neap_outcome *outcome, int64_t now_ns);

/* The call must not move afterwards. */
void neap_straight_become(const struct neap_straight *straight, const struct neap_call_setup *setup,
                          struct neap_call *call);

#endif
