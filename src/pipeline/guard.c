#include "pipeline/guard.h"

#include <string.h>

#include "base/duration.h"
#include "policy/backoff.h"

#define RENEWALS_PER_LEASE 3

/* The one place where a state is assigned.
 *
 *     NEW       -> CLAIMING, DONE             nothing is held
 *     CLAIMING  -> POLLING, STARTING, RUNNING, DONE
 *                                             a claim is out
 *     POLLING   -> CLAIMING                   somebody else holds the key; due_ns says when to ask
 *     STARTING  -> STARTING, RUNNING, DONE    the claim came after its own lease: it is renewed
 *                                             before the handler begins
 *     RUNNING   -> RENEWING, SETTLING, DONE   the handler runs; the key is held unless `lost`
 *     RENEWING  -> RUNNING, SETTLING, DONE    the same, or the handler has ended; a renewal is out
 *     SETTLING  -> SETTLING, OWING, DONE      the handler has ended; FINISH or RELEASE is out
 *     OWING     -> SETTLING, DONE             the caller has its answer, the store knows nothing of
 *                                             it yet; the lease lasts
 *     DONE                                    the caller has its answer
 *
 * The handler begins once, on the way into RUNNING, and only within a lease. The caller is answered
 * once: on the way into DONE, or else into OWING. */
static void enter(struct neap_guard *guard, enum neap_guard_state state)
{
    guard->state = state;
}

void neap_guard_init(struct neap_guard *guard, const struct neap_guard_policy *policy, bool guarded,
                     enum neap_key_fault fault)
{
    memset(guard, 0, sizeof *guard);
    guard->policy = policy;
    guard->guarded = guarded;
    guard->fault = fault;
}

/* ---- times ---- */

/* Before the store is asked once more: 50 ms at first, 1 s at last, down to half of it by jitter.
 */
static int64_t next_try(struct neap_guard *guard, int64_t now_ns, double r)
{
    static const struct neap_backoff pause = {.kind = NEAP_BACKOFF_EXPONENTIAL,
                                              .base_s = 0.05,
                                              .factor = 1.5,
                                              .max_s = 1,
                                              .jitter = NEAP_JITTER_EQUAL};
    if (guard->tries < UINT32_MAX)
        guard->tries++;
    double pause_s = neap_backoff_delay(&pause, guard->tries, 0, r);
    return neap_time_add(now_ns, neap_ns_from_seconds(pause_s));
}

static bool may_renew(const struct neap_guard *guard, int64_t now_ns)
{
    int64_t stop_ns = neap_time_add(guard->claimed_ns, guard->policy->max_run_ns);
    return !guard->lost && now_ns < stop_ns;
}

/* The lease counts from the moment when it was asked for: the store's began no earlier. */
static void hold_lease(struct neap_guard *guard)
{
    int64_t lease_ns = guard->policy->lease_ns;
    int64_t third_ns = neap_time_max(lease_ns / RENEWALS_PER_LEASE, 1);
    guard->lease_end_ns = neap_time_add(guard->asked_ns, lease_ns);
    guard->due_ns = neap_time_add(guard->asked_ns, third_ns);
    guard->tries = 0;
}

/* ---- effects ---- */

static struct neap_guard_effect wait(void)
{
    return (struct neap_guard_effect){.kind = NEAP_GUARD_WAIT};
}

static struct neap_guard_effect end(struct neap_guard *guard, enum neap_guard_effect_kind kind)
{
    enter(guard, NEAP_GUARD_STATE_DONE);
    return (struct neap_guard_effect){.kind = kind};
}

static struct neap_guard_effect end_with_problem(struct neap_guard *guard,
                                                 enum neap_problem problem)
{
    enter(guard, NEAP_GUARD_STATE_DONE);
    return (struct neap_guard_effect){.kind = NEAP_GUARD_PROBLEM, .problem = problem};
}

/* A step of the store. */
static struct neap_guard_effect ask(struct neap_guard *guard, int64_t now_ns,
                                    enum neap_guard_state state, struct neap_guard_effect effect)
{
    guard->asked_ns = now_ns;
    enter(guard, state);
    return effect;
}

static struct neap_guard_effect claim(struct neap_guard *guard, int64_t now_ns)
{
    return ask(guard, now_ns, NEAP_GUARD_STATE_CLAIMING,
               (struct neap_guard_effect){.kind = NEAP_GUARD_CLAIM});
}

static struct neap_guard_effect renew(struct neap_guard *guard, int64_t now_ns,
                                      enum neap_guard_state state)
{
    return ask(guard, now_ns, state, (struct neap_guard_effect){.kind = NEAP_GUARD_RENEW});
}

static struct neap_guard_effect settle(struct neap_guard *guard, int64_t now_ns)
{
    return ask(guard, now_ns, NEAP_GUARD_STATE_SETTLING, guard->settling);
}

/* What the handler came to, for its own caller; nothing where the caller has it by now. */
static struct neap_guard_effect answer(struct neap_guard *guard, enum neap_guard_state state)
{
    struct neap_guard_effect effect = {.kind = NEAP_GUARD_ANSWER,
                                       .more = state == NEAP_GUARD_STATE_OWING};
    if (guard->handled.raised) {
        effect.kind = NEAP_GUARD_PROBLEM;
        effect.problem = NEAP_PROBLEM_RAISED;
    }
    if (guard->answered)
        effect = effect.more ? wait() : (struct neap_guard_effect){.kind = NEAP_GUARD_DONE};
    guard->answered = true;
    enter(guard, state);
    return effect;
}

/* ---- before the handler ---- */

bool neap_guard_passes(const struct neap_guard_policy *policy, bool guarded,
                       enum neap_key_fault fault)
{
    return !guarded || (fault == NEAP_KEY_FAULT_MISSING && !policy->required);
}

static struct neap_guard_effect begin(struct neap_guard *guard, int64_t now_ns)
{
    if (neap_guard_passes(guard->policy, guard->guarded, guard->fault))
        return end(guard, NEAP_GUARD_PASS);
    if (guard->fault != NEAP_KEY_FAULT_NONE)
        return end_with_problem(guard, NEAP_PROBLEM_KEY);
    guard->began_ns = now_ns;
    return claim(guard, now_ns);
}

/* Somebody else runs. Who waits asks a last time when the whole of a lease has been waited for. */
static struct neap_guard_effect meet_another(struct neap_guard *guard, int64_t now_ns, double r)
{
    int64_t end_ns = neap_time_add(guard->began_ns, guard->policy->lease_ns);
    bool may_wait = guard->policy->on_conflict == NEAP_ON_CONFLICT_WAIT;
    if (!may_wait || now_ns >= end_ns)
        return end_with_problem(guard, NEAP_PROBLEM_CONFLICT);
    guard->due_ns = neap_time_min(next_try(guard, now_ns, r), end_ns);
    enter(guard, NEAP_GUARD_STATE_POLLING);
    return wait();
}

/* A store that was slow, or a process that was stopped, may give a claim whose lease is over:
 * another owner may be running by now. */
static struct neap_guard_effect start(struct neap_guard *guard, int64_t now_ns)
{
    hold_lease(guard);
    if (now_ns < guard->lease_end_ns) {
        enter(guard, NEAP_GUARD_STATE_RUNNING);
        return (struct neap_guard_effect){.kind = NEAP_GUARD_RUN, .recovered = guard->recovered};
    }
    if (may_renew(guard, now_ns))
        return renew(guard, now_ns, NEAP_GUARD_STATE_STARTING);
    return end_with_problem(guard, NEAP_PROBLEM_STORE_DOWN);
}

static struct neap_guard_effect on_claimed(struct neap_guard *guard, int64_t now_ns, double r,
                                           enum neap_guard_claim said)
{
    switch (said) {
    case NEAP_GUARD_CLAIM_NEW:
    case NEAP_GUARD_CLAIM_RECOVERED:
        guard->claimed_ns = guard->asked_ns;
        guard->recovered = said == NEAP_GUARD_CLAIM_RECOVERED;
        return start(guard, now_ns);
    case NEAP_GUARD_CLAIM_RUNNING:
        return meet_another(guard, now_ns, r);
    case NEAP_GUARD_CLAIM_OTHER_WORK:
        return end_with_problem(guard, NEAP_PROBLEM_OTHER_WORK);
    case NEAP_GUARD_CLAIM_DONE:
        return end(guard, NEAP_GUARD_REPLAY);
    case NEAP_GUARD_CLAIM_DAMAGED:
        return end_with_problem(guard, NEAP_PROBLEM_DAMAGED);
    case NEAP_GUARD_CLAIM_DOWN:
        break;
    }
    return end_with_problem(guard, NEAP_PROBLEM_STORE_DOWN);
}

static struct neap_guard_effect on_renewed_before_start(struct neap_guard *guard, int64_t now_ns,
                                                        enum neap_guard_store said)
{
    if (said == NEAP_GUARD_STORE_OK)
        return start(guard, now_ns);
    return end_with_problem(guard, said == NEAP_GUARD_STORE_LOST ? NEAP_PROBLEM_CONFLICT
                                                                 : NEAP_PROBLEM_STORE_DOWN);
}

/* ---- while it runs, and after ---- */

/* These statuses say that nothing was done, so that the request may come again. */
static bool says_nothing_was_done(int status)
{
    return status == 408 || status == 425 || status == 429 || status == 503;
}

static bool is_result(const struct neap_guard *guard)
{
    const struct neap_guard_handled *handled = &guard->handled;
    if (handled->raised)
        return guard->policy->on_error == NEAP_ON_ERROR_STORE;
    if (handled->verdict == NEAP_GUARD_BY_STATUS)
        return !says_nothing_was_done(handled->status);
    return handled->verdict == NEAP_GUARD_STORE_IT;
}

static struct neap_guard_effect conclude(struct neap_guard *guard, int64_t now_ns)
{
    if (guard->lost)
        return answer(guard, NEAP_GUARD_STATE_DONE);
    bool stores = is_result(guard);
    guard->tries = 0;
    guard->settling.kind = stores ? NEAP_GUARD_FINISH : NEAP_GUARD_RELEASE;
    if (stores && guard->handled.raised)
        guard->settling.problem = NEAP_PROBLEM_RAISED;
    return settle(guard, now_ns);
}

static void note_end(struct neap_guard *guard, const struct neap_guard_event *event)
{
    if (event->kind != NEAP_GUARD_EVENT_HANDLED || guard->ended)
        return;
    guard->ended = true;
    guard->handled = event->handled;
}

static struct neap_guard_effect step_running(struct neap_guard *guard, int64_t now_ns)
{
    if (guard->ended)
        return conclude(guard, now_ns);
    if (now_ns < guard->due_ns)
        return wait();
    if (may_renew(guard, now_ns))
        return renew(guard, now_ns, NEAP_GUARD_STATE_RENEWING);
    guard->due_ns = NEAP_NEVER;
    return wait();
}

static struct neap_guard_effect on_renewed(struct neap_guard *guard, int64_t now_ns, double r,
                                           enum neap_guard_store said)
{
    if (said == NEAP_GUARD_STORE_OK)
        hold_lease(guard);
    else if (said == NEAP_GUARD_STORE_LOST)
        guard->lost = true;
    else
        guard->due_ns = next_try(guard, now_ns, r);
    enter(guard, NEAP_GUARD_STATE_RUNNING);
    return step_running(guard, now_ns);
}

/* The key must not be free while its work is done: where the answer is too large for the store, a
 * short one that says so takes its place. */
static bool shrinks(struct neap_guard *guard, enum neap_guard_store said)
{
    struct neap_guard_effect *settling = &guard->settling;
    bool has_answer = settling->kind == NEAP_GUARD_FINISH && settling->problem == NEAP_PROBLEM_NONE;
    if (said != NEAP_GUARD_STORE_FULL || !has_answer)
        return false;
    settling->problem = NEAP_PROBLEM_NOT_KEPT;
    return true;
}

static struct neap_guard_effect on_settled(struct neap_guard *guard, int64_t now_ns, double r,
                                           enum neap_guard_store said)
{
    if (said == NEAP_GUARD_STORE_OK || said == NEAP_GUARD_STORE_LOST)
        return answer(guard, NEAP_GUARD_STATE_DONE);
    if (shrinks(guard, said))
        return settle(guard, now_ns);
    guard->due_ns = next_try(guard, now_ns, r);
    bool lasts = guard->due_ns < guard->lease_end_ns;
    return answer(guard, lasts ? NEAP_GUARD_STATE_OWING : NEAP_GUARD_STATE_DONE);
}

static struct neap_guard_effect step_owing(struct neap_guard *guard, int64_t now_ns)
{
    if (now_ns < guard->due_ns)
        return wait();
    if (now_ns >= guard->lease_end_ns)
        return end(guard, NEAP_GUARD_DONE);
    return settle(guard, now_ns);
}

/* ---- steps ---- */

struct neap_guard_effect neap_guard_step(struct neap_guard *guard, int64_t now_ns, double r,
                                         const struct neap_guard_event *event)
{
    enum neap_guard_event_kind kind = event->kind;
    switch (guard->state) {
    case NEAP_GUARD_STATE_NEW:
        return begin(guard, now_ns);
    case NEAP_GUARD_STATE_CLAIMING:
        return kind == NEAP_GUARD_EVENT_CLAIMED ? on_claimed(guard, now_ns, r, event->claim)
                                                : wait();
    case NEAP_GUARD_STATE_POLLING:
        return now_ns >= guard->due_ns ? claim(guard, now_ns) : wait();
    case NEAP_GUARD_STATE_STARTING:
        return kind == NEAP_GUARD_EVENT_RENEWED
                   ? on_renewed_before_start(guard, now_ns, event->store)
                   : wait();
    case NEAP_GUARD_STATE_RUNNING:
        note_end(guard, event);
        return step_running(guard, now_ns);
    case NEAP_GUARD_STATE_RENEWING:
        note_end(guard, event);
        return kind == NEAP_GUARD_EVENT_RENEWED ? on_renewed(guard, now_ns, r, event->store)
                                                : wait();
    case NEAP_GUARD_STATE_SETTLING:
        return kind == NEAP_GUARD_EVENT_SETTLED ? on_settled(guard, now_ns, r, event->store)
                                                : wait();
    case NEAP_GUARD_STATE_OWING:
        return step_owing(guard, now_ns);
    case NEAP_GUARD_STATE_DONE:
        break;
    }
    return (struct neap_guard_effect){.kind = NEAP_GUARD_DONE};
}

int64_t neap_guard_next_wakeup(const struct neap_guard *guard)
{
    switch (guard->state) {
    case NEAP_GUARD_STATE_POLLING:
    case NEAP_GUARD_STATE_RUNNING:
    case NEAP_GUARD_STATE_OWING:
        return guard->due_ns;
    case NEAP_GUARD_STATE_NEW:
    case NEAP_GUARD_STATE_CLAIMING:
    case NEAP_GUARD_STATE_STARTING:
    case NEAP_GUARD_STATE_RENEWING:
    case NEAP_GUARD_STATE_SETTLING:
    case NEAP_GUARD_STATE_DONE:
        break;
    }
    return NEAP_NEVER;
}
