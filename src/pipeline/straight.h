/* The straight way: a call of one attempt that everybody admits at once, and that succeeds, in two
 * steps without the states of a call. What it counts and asks is what neap_call_step would; a call
 * that turns out to need more becomes one of those, as if it had been one from the beginning.
 *
 *     neap_straight_begin    admitted: the attempt may begin
 *                            not admitted: nothing has happened; make a call, and BEGIN it
 *     neap_straight_succeed  the attempt has succeeded, and with it the call
 *     neap_straight_become   the attempt goes on as the first of a call, whose OUTCOME, CANCEL or
 *                            neap_call_deinit comes next
 *
 * The setup must suit, be the same for all steps, and outlive them. Used by one thread, as a call
 * is. */
#ifndef NEAP_PIPELINE_STRAIGHT_H
#define NEAP_PIPELINE_STRAIGHT_H

#include "pipeline/call.h"

struct neap_straight {
    int64_t began_ns;
    int64_t breaker_permit, bulkhead_permit; /* 0: none */
};

/* False where a success has to be told or asked about, or may not be the end: listeners, gates, a
 * function that judges outcomes, hedging. Calls of such a setup are never straight. */
bool neap_straight_suits(const struct neap_call_setup *setup);

bool neap_straight_begin(struct neap_straight *straight, const struct neap_call_setup *setup,
                         int64_t now_ns);

void neap_straight_succeed(const struct neap_straight *straight,
                           const struct neap_call_setup *setup, int64_t now_ns);

/* The call is initialised here; it must not move afterwards. */
void neap_straight_become(const struct neap_straight *straight, const struct neap_call_setup *setup,
                          struct neap_call *call);

#endif
