/* Gate: a server that says "not before" holds back every caller of the same origin or credential.
 *
 * Source of the moments: Retry-After (RFC 9110 10.2.3), the RateLimit field of the IETF httpapi
 * draft, and the X-RateLimit fields in wide use. State is two atomics without pointers; any number
 * of threads or processes may share a gate. */
#ifndef NEAP_POLICY_GATE_H
#define NEAP_POLICY_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/admission.h"

/* The share of a gate's length by which those who wait are spread. */
#define NEAP_GATE_SPREAD 0.1

struct neap_gate {
    _Atomic int64_t until_ns;  /* closed before this moment; 0 at first */
    _Atomic int64_t length_ns; /* how long it closed for, which is what the spread is a share of */
};

struct neap_gate_policy {
    int64_t max_wait_ns;
};

void neap_gate_init(struct neap_gate *gate);

/* Closes the gate for `delay_ns`, at most `longest_ns`. Only a later end counts: a gate never opens
 * earlier than told before. True if the end has moved. */
bool neap_gate_close(struct neap_gate *gate, int64_t delay_ns, int64_t longest_ns, int64_t now_ns);

/* May a caller go that has `waited_ns` of its max_wait behind it and must go before `deadline_ns`?
 * Of the `count` gates (NULL entries are skipped) the one that opens last decides. Who waits goes
 * at end + r * NEAP_GATE_SPREAD * length. REFUSE where end - now + waited is more than max_wait, or
 * end + spread is at or past the deadline; `until_ns` is then the end. */
struct neap_admission neap_gate_ask(struct neap_gate *const *gates, size_t count,
                                    const struct neap_gate_policy *policy, int64_t waited_ns,
                                    int64_t deadline_ns, int64_t now_ns, double r);

#endif
