/* Guard: the life of one request under an idempotency key, on the side that serves it: a state
 * machine that is told events and answers effects.
 *
 * It does no I/O, reads no clock and calls nobody. The driver, which has the store, the handler and
 * the caller, performs each effect and comes back with an event:
 *
 *     PASS      run the handler as if there were no guard          -> nothing any more
 *     CLAIM     claim the key in the store                         -> CLAIMED
 *     WAIT      nothing can be done now                            -> TIME at the next wakeup
 *     RUN       begin the handler; `recovered` goes to it          -> TIME at the next wakeup as
 *                                                                     long as it runs, HANDLED
 *     RENEW     renew the lease                                    -> RENEWED
 *     FINISH    store the result: the handler's answer, or that of -> SETTLED
 *               `problem`
 *     RELEASE   release the key                                    -> SETTLED
 *     ANSWER    give the handler's answer to the caller            -> TIME if there is `more`
 *     PROBLEM   give the answer of `problem` to the caller         -> TIME if there is `more`
 *     REPLAY    give the stored answer, with Idempotent-Replayed   -> nothing any more
 *     DONE      nothing is left to do                              -> nothing any more
 *
 * Each life holds exactly one of PASS, ANSWER, PROBLEM and REPLAY. At most one step of the store is
 * out at a time, and the store answers each, if only with DOWN. The handler may end while a renewal
 * is out: HANDLED is told at once, the guard waits for RENEWED. A host that cannot step while the
 * handler runs goes without renewals. A guard may be forgotten at any time: what it holds in the
 * store ends with the lease.
 *
 * Where the store fails after the handler has ended, the handler's answer goes to the caller at
 * once, and the FINISH or RELEASE is repeated behind its back (`more`) as long as the lease lasts.
 * Until then nobody else can claim the key; if the store is not back by then, the next owner runs
 * the handler again, told that it is `recovered`. Where the store is down before, the answer is
 * 503; if that claim was made though its answer was lost, the key is free when its lease ends.
 *
 * `now_ns` is monotonic; the store's own times are the driver's business. A guard is used by one
 * thread. Source: draft-ietf-httpapi-idempotency-key-header, and docs/idempotency.md. */
#ifndef NEAP_PIPELINE_GUARD_H
#define NEAP_PIPELINE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/problem.h"
#include "policy/key_field.h"

enum neap_on_conflict { NEAP_ON_CONFLICT_REJECT, NEAP_ON_CONFLICT_WAIT };
enum neap_on_error { NEAP_ON_ERROR_STORE, NEAP_ON_ERROR_RELEASE };

/* All times are above 0. */
struct neap_guard_policy {
    int64_t ttl_ns; /* of a key, from its first claim: for the store only */
    int64_t lease_ns, max_run_ns;
    bool required;
    enum neap_on_conflict on_conflict;
    enum neap_on_error on_error;
};

/* What the store said to CLAIM. The owner's token is made once for each guard. */
enum neap_guard_claim {
    NEAP_GUARD_CLAIM_NEW,
    NEAP_GUARD_CLAIM_RECOVERED,  /* new; an earlier owner's lease ended without a result */
    NEAP_GUARD_CLAIM_RUNNING,    /* somebody else has it */
    NEAP_GUARD_CLAIM_OTHER_WORK, /* running or done under another fingerprint */
    NEAP_GUARD_CLAIM_DONE,       /* there is a result, and it can be read */
    NEAP_GUARD_CLAIM_DAMAGED,    /* there is a result that cannot be read */
    NEAP_GUARD_CLAIM_DOWN        /* down, full, or no memory */
};

/* What the store said to RENEW, FINISH and RELEASE. */
enum neap_guard_store {
    NEAP_GUARD_STORE_OK,
    NEAP_GUARD_STORE_LOST, /* the claim is not this owner's any more */
    NEAP_GUARD_STORE_FULL, /* the result has no room; anywhere else the same as DOWN */
    NEAP_GUARD_STORE_DOWN  /* or no memory */
};

/* Whether the handler's answer is a result: what store_statuses said. */
enum neap_guard_verdict {
    NEAP_GUARD_BY_STATUS, /* there is no such function, or it raised */
    NEAP_GUARD_STORE_IT,
    NEAP_GUARD_DROP_IT
};

/* How the handler ended. */
struct neap_guard_handled {
    bool raised; /* it raised, was killed, or returned no answer; the rest does not matter then */
    int status;
    enum neap_guard_verdict verdict;
};

enum neap_guard_event_kind {
    NEAP_GUARD_EVENT_BEGIN,
    NEAP_GUARD_EVENT_TIME,
    NEAP_GUARD_EVENT_CLAIMED,
    NEAP_GUARD_EVENT_RENEWED,
    NEAP_GUARD_EVENT_HANDLED,
    NEAP_GUARD_EVENT_SETTLED
};

struct neap_guard_event {
    enum neap_guard_event_kind kind;
    enum neap_guard_claim claim;       /* CLAIMED */
    enum neap_guard_store store;       /* RENEWED, SETTLED */
    struct neap_guard_handled handled; /* HANDLED */
};

enum neap_guard_effect_kind {
    NEAP_GUARD_PASS,
    NEAP_GUARD_CLAIM,
    NEAP_GUARD_WAIT,
    NEAP_GUARD_RUN,
    NEAP_GUARD_RENEW,
    NEAP_GUARD_FINISH,
    NEAP_GUARD_RELEASE,
    NEAP_GUARD_ANSWER,
    NEAP_GUARD_PROBLEM,
    NEAP_GUARD_REPLAY,
    NEAP_GUARD_DONE
};

struct neap_guard_effect {
    enum neap_guard_effect_kind kind;
    bool recovered;            /* RUN */
    enum neap_problem problem; /* PROBLEM; FINISH: NONE for the handler's answer */
    bool more;                 /* ANSWER, PROBLEM: the store is to be told yet */
};

enum neap_guard_state {
    NEAP_GUARD_STATE_NEW,
    NEAP_GUARD_STATE_CLAIMING,
    NEAP_GUARD_STATE_POLLING,
    NEAP_GUARD_STATE_STARTING,
    NEAP_GUARD_STATE_RUNNING,
    NEAP_GUARD_STATE_RENEWING,
    NEAP_GUARD_STATE_SETTLING,
    NEAP_GUARD_STATE_OWING,
    NEAP_GUARD_STATE_DONE
};

struct neap_guard {
    const struct neap_guard_policy *policy;
    enum neap_key_fault fault;
    bool guarded;
    enum neap_guard_state state;
    int64_t began_ns;
    int64_t claimed_ns;   /* when the claim that counts was asked for */
    int64_t asked_ns;     /* when the last step of the store was asked for */
    int64_t lease_end_ns; /* of what is held for certain */
    int64_t due_ns;       /* POLLING, OWING: the next try; RUNNING, RENEWING: the next renewal */
    uint32_t tries;       /* in a row, for the growth of the pauses */
    bool recovered;
    bool ended;    /* the handler has; see `handled` */
    bool lost;     /* the claim is somebody else's */
    bool answered; /* the caller has its answer */
    struct neap_guard_handled handled;
    struct neap_guard_effect settling; /* FINISH or RELEASE */
};

/* Does such a request go to the handler as if there were no guard? */
bool neap_guard_passes(const struct neap_guard_policy *policy, bool guarded,
                       enum neap_key_fault fault);

/* `guarded`: the request's method is one of the policy's. `fault` is that of its key, see
 * neap_key_field_read. The policy must outlive the guard; there is nothing to deinit. */
void neap_guard_init(struct neap_guard *guard, const struct neap_guard_policy *policy, bool guarded,
                     enum neap_key_fault fault);

/* `r` in [0,1) spreads the pauses. An event that does not belong to the state changes nothing. */
struct neap_guard_effect neap_guard_step(struct neap_guard *guard, int64_t now_ns, double r,
                                         const struct neap_guard_event *event);

/* When to step with TIME at the latest; NEAP_NEVER while only another event helps. */
int64_t neap_guard_next_wakeup(const struct neap_guard *guard);

#endif
