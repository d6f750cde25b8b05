#include "policy/breaker.h"

#include <float.h>
#include <math.h>

#include "base/duration.h"
#include "base/private.h"
#include "policy/breaker_internal.h"
#include "policy/breaker_probes.h"
#include "policy/breaker_quick.h"
#include "policy/breaker_rates.h"
#include "policy/breaker_window.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "shared memory needs atomics without locks");

/* One step of a call: what it was given, and the state that it has seen. */
struct step {
    struct neap_breaker *breaker;
    const struct neap_breaker_policy *policy;
    uint32_t holder;
    int64_t now_ns;
    double r;
    struct neap_breaker_word seen;
    struct neap_breaker_change *change;
    uint32_t begun; /* the generation that its last change began; 0: it has changed nothing */
};

static struct step step_at(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                           struct neap_breaker_word seen, int64_t now_ns, double r,
                           struct neap_breaker_change *change)
{
    return (struct step){.breaker = breaker,
                         .policy = policy,
                         .now_ns = now_ns,
                         .r = r,
                         .seen = seen,
                         .change = change};
}

/* The states, and what holds in each:
 *
 *     closed        all go, or a growing share on a ramp; results enter the window.
 *                   -> open         the window trips
 *     open          nobody goes before open_until_ns. openings >= 1.
 *                   -> half_open    the first to ask from then on, who then takes a probe
 *     half_open     `permits` probes go; the cells hold them and their results. openings as before.
 *                   -> open         enough results, and they trip; openings + 1
 *                   -> closed       enough results, and they do not trip; openings = 0
 *     forced_open   nobody goes. Left by hand only.
 *     disabled      all go, nothing is counted. Left by hand only.
 *     metrics_only  all go; results enter the window; the first time that it trips is told. Left by
 *                   hand only.
 *
 * By hand, each state but open and half_open is reached from each other one, with openings = 0.
 *
 * Every arrow goes through change_state, which begins a generation: the permits, the window and the
 * probes of the old one count for nothing. What the new state needs besides its word
 * (open_until_ns, closed_at_ns, the cells of the probes) is written before, while the old
 * generation is current.
 *
 * So a process may be killed at any instruction:
 *
 *     acquire, open        before the word is swapped: what it wrote, whoever asks next writes
 *                          again. After: half open with all probes free; who asks takes one.
 *     acquire, half open   before its cell is swapped: nothing. After: a probe in its name, until
 *                          it is reclaimed or its lease ends.
 *     record of a probe    before its cell is swapped: as above. After: the result counts; the row
 *                          of failures may lack it; whoever asks or records next decides.
 *     record, closed       see breaker_words.h: one result may be missing, until the next state.
 *     any change           after the word is swapped: the change is whole, but nobody was told, and
 *                          `opened` may lack one.
 *
 * docs/models/breaker.pml is the model of half open; whoever changes a step changes both. */

/* One step makes one change, or two without anybody else's between them: only so can it tell its
 * caller truly from where to where. */
static bool may_change(const struct step *step)
{
    return step->begun == 0 || step->begun == step->seen.generation;
}

/* False if somebody else has changed the state since `seen`. */
static bool change_state(struct step *step, struct neap_breaker_word next)
{
    uint64_t seen = step->seen.raw;
    next.generation = neap_breaker_next_generation(step->seen.generation);
    if (!atomic_compare_exchange_strong(&step->breaker->word, &seen, neap_breaker_word_pack(next)))
        return false;
    step->begun = next.generation;
    if (!step->change->changed)
        step->change->from = step->seen.state;
    step->change->to = next.state;
    step->change->changed = true;
    return true;
}

/* Writes what the next state needs, while the one that was seen is current. */
static void publish(struct step *step, _Atomic int64_t *cell, int64_t value_ns)
{
    int64_t seen = atomic_load(cell);
    do {
        if (!neap_breaker_is_current(step->breaker, step->seen.generation))
            return;
    } while (!atomic_compare_exchange_weak(cell, &seen, value_ns));
}

/* min(base * factor^(k-1), max), spread by plus or minus the jitter's share; 0 * infinity cannot
 * come up. */
static int64_t open_wait_ns(const struct neap_breaker_policy *policy, uint32_t k, double r)
{
    double growth = fmin(pow(policy->open_factor, (double)k - 1.0), DBL_MAX);
    double wait_s = fmin(policy->open_base_s * growth, policy->open_max_s);
    wait_s *= 1.0 - policy->open_jitter + 2.0 * policy->open_jitter * r;
    return neap_time_max(neap_ns_from_seconds(wait_s), 0);
}

static void open_at(struct step *step, int64_t at_ns)
{
    uint32_t k = step->seen.openings;
    k += k < NEAP_BREAKER_OPENINGS_MAX;
    publish(step, &step->breaker->open_until_ns,
            neap_time_add(at_ns, open_wait_ns(step->policy, k, step->r)));
    if (change_state(step, (struct neap_breaker_word){.state = NEAP_BREAKER_OPEN, .openings = k}))
        atomic_fetch_add(&step->breaker->opened, 1);
}

static void close_at(struct step *step, int64_t at_ns)
{
    publish(step, &step->breaker->closed_at_ns, at_ns);
    change_state(step, (struct neap_breaker_word){.state = NEAP_BREAKER_CLOSED, .ramp = true});
}

/* ---- half open ---- */

/* Enough results end the half-open state one way or the other; a row of failures ends it before. */
static void decide(struct step *step, int64_t at_ns, uint32_t in_row)
{
    uint32_t generation = step->seen.generation;
    struct neap_tally tally = neap_breaker_probes_tally(step->breaker, step->policy, generation);
    bool enough = neap_breaker_has_rate(step->policy, NEAP_BREAKER_HALF_OPEN, &tally);
    if (neap_breaker_trips(step->policy, NEAP_BREAKER_HALF_OPEN, &tally, in_row))
        open_at(step, at_ns);
    else if (enough)
        close_at(step, at_ns);
}

static void settle_and_decide(struct step *step, int64_t permit, unsigned result)
{
    uint32_t generation = step->seen.generation;
    if (!neap_breaker_probes_settle(step->breaker, step->policy, permit, result))
        return;
    decide(step, step->now_ns,
           neap_breaker_window_add_to_row(step->breaker, step->policy, generation, result));
}

/* Counts the probes whose lease has ended, in the order and at the time of their ends. It decides
 * once more at last, for the sake of a caller that was killed before it could. False once half open
 * is over. */
static bool settle_expired(struct step *step)
{
    uint32_t generation = step->seen.generation;
    unsigned failed = neap_breaker_result(true, false);
    int64_t ended_ns;
    while (neap_breaker_probes_expire(step->breaker, step->policy, generation, step->now_ns,
                                      &ended_ns))
        decide(step, ended_ns,
               neap_breaker_window_add_to_row(step->breaker, step->policy, generation, failed));
    decide(step, step->now_ns, 0);
    return neap_breaker_is_current(step->breaker, generation);
}

/* ---- acquire ---- */

static struct neap_admission admit(int64_t now_ns, int64_t permit)
{
    return (struct neap_admission){.decision = NEAP_ADMIT, .until_ns = now_ns, .permit = permit};
}

static struct neap_admission refuse(int64_t until_ns)
{
    return (struct neap_admission){.decision = NEAP_REFUSE, .until_ns = until_ns};
}

static struct neap_admission ask_anybody(const struct step *step)
{
    return admit(step->now_ns, neap_breaker_plain_permit(step->seen.generation));
}

static struct neap_admission ask_closed(const struct step *step)
{
    const struct neap_breaker_policy *policy = step->policy;
    if (!step->seen.ramp || policy->ramp_ns <= 0)
        return ask_anybody(step);
    int64_t closed_at_ns = atomic_load(&step->breaker->closed_at_ns);
    int64_t elapsed_ns = neap_time_since(step->now_ns, closed_at_ns);
    double share = (double)elapsed_ns / (double)policy->ramp_ns;
    if (elapsed_ns >= policy->ramp_ns ||
        step->r < policy->ramp_from + (1.0 - policy->ramp_from) * share)
        return ask_anybody(step);
    return refuse(neap_time_add(closed_at_ns, policy->ramp_ns));
}

/* These return false where the state has changed, so that the caller must look again. */

static bool take_probe(const struct step *step, uint32_t generation, struct neap_admission *answer)
{
    int64_t permit = neap_breaker_probes_take(step->breaker, step->policy, generation, step->holder,
                                              step->now_ns);
    *answer = permit > 0 ? admit(step->now_ns, permit) : refuse(NEAP_NEVER);
    return permit > 0 || neap_breaker_is_current(step->breaker, generation);
}

static bool ask_open(struct step *step, struct neap_admission *answer)
{
    uint32_t generation = step->seen.generation;
    int64_t until_ns = atomic_load(&step->breaker->open_until_ns);
    *answer = refuse(until_ns);
    if (step->now_ns < until_ns || !may_change(step))
        return neap_breaker_is_current(step->breaker, generation);
    neap_breaker_probes_prepare(step->breaker, step->policy, generation);
    if (!change_state(step, (struct neap_breaker_word){.state = NEAP_BREAKER_HALF_OPEN,
                                                       .openings = step->seen.openings}))
        return false;
    return take_probe(step, step->begun, answer);
}

static bool ask_half_open(struct step *step, struct neap_admission *answer)
{
    if (may_change(step) && !settle_expired(step))
        return false;
    return take_probe(step, step->seen.generation, answer);
}

static bool ask(struct step *step, struct neap_admission *answer)
{
    switch (step->seen.state) {
    case NEAP_BREAKER_CLOSED:
        *answer = ask_closed(step);
        return true;
    case NEAP_BREAKER_OPEN:
        return ask_open(step, answer);
    case NEAP_BREAKER_HALF_OPEN:
        return ask_half_open(step, answer);
    case NEAP_BREAKER_DISABLED:
    case NEAP_BREAKER_METRICS_ONLY:
        *answer = ask_anybody(step);
        return true;
    case NEAP_BREAKER_FORCED_OPEN:
    case NEAP_BREAKER_STATE_COUNT:
        break;
    }
    *answer = refuse(NEAP_NEVER);
    return true;
}

static NEAP_SELDOM struct neap_admission acquire_elsewhere(struct step *step)
{
    struct neap_admission answer;
    while (!ask(step, &answer))
        step->seen = neap_breaker_word_load(step->breaker);
    if (answer.decision == NEAP_REFUSE)
        NEAP_ADD(&step->breaker->not_permitted, 1, step->policy->is_private);
    return answer;
}

/* The ordinary case, closed and on no ramp, needs one word only. */
struct neap_admission neap_breaker_acquire(struct neap_breaker *breaker,
                                           const struct neap_breaker_policy *policy,
                                           uint32_t holder, int64_t now_ns, double r,
                                           struct neap_breaker_change *change)
{
    struct neap_breaker_word seen = neap_breaker_word_load(breaker);
    *change = (struct neap_breaker_change){.changed = false};
    if (seen.state == NEAP_BREAKER_CLOSED && !seen.ramp)
        return admit(now_ns, neap_breaker_plain_permit(seen.generation));
    struct step step = step_at(breaker, policy, seen, now_ns, r, change);
    step.holder = holder;
    return acquire_elsewhere(&step);
}

/* ---- record ---- */

/* Tells once, however many see it at the same time. */
static void tell_would_open(struct step *step)
{
    struct neap_breaker_word told = step->seen;
    uint64_t seen = step->seen.raw;
    told.told = true;
    step->change->would_open =
        !step->seen.told &&
        atomic_compare_exchange_strong(&step->breaker->word, &seen, neap_breaker_word_pack(told));
}

static NEAP_SELDOM void record_probe(struct step step, int64_t permit, unsigned result)
{
    if (neap_breaker_permit_generation(permit) != step.seen.generation || !settle_expired(&step))
        return;
    if (result > 0)
        settle_and_decide(&step, permit, result);
    else
        (void)neap_breaker_probes_settle(step.breaker, step.policy, permit, 0);
}

/* The window has tripped: the state that was seen is left, if it is current still. */
static NEAP_SELDOM void trip(struct step step)
{
    if (step.seen.state == NEAP_BREAKER_METRICS_ONLY)
        tell_would_open(&step);
    else
        open_at(&step, step.now_ns);
}

static struct neap_breaker_change record_result(struct neap_breaker *breaker,
                                                const struct neap_breaker_policy *policy,
                                                int64_t permit, unsigned result, int64_t now_ns,
                                                double r)
{
    struct neap_breaker_word seen = neap_breaker_word_load(breaker);
    struct neap_breaker_change change = {.changed = false};
    struct neap_tally tally;
    uint32_t in_row;
    if (seen.state == NEAP_BREAKER_HALF_OPEN)
        record_probe(step_at(breaker, policy, seen, now_ns, r, &change), permit, result);
    else if (result > 0 && neap_breaker_has_window(seen.state) &&
             permit == neap_breaker_plain_permit(seen.generation) &&
             neap_breaker_window_add(breaker, policy, seen.generation, result, now_ns, &tally,
                                     &in_row) &&
             neap_breaker_trips(policy, seen.state, &tally, in_row))
        trip(step_at(breaker, policy, seen, now_ns, r, &change));
    return change;
}

/* The ordinary case: one more success, among successes. */
struct neap_breaker_change neap_breaker_record(struct neap_breaker *breaker,
                                               const struct neap_breaker_policy *policy,
                                               int64_t permit, enum neap_verdict verdict,
                                               int64_t elapsed_ns, int64_t now_ns, double r)
{
    bool is_slow = elapsed_ns > policy->slow_call_ns;
    bool ignored = verdict == NEAP_VERDICT_IGNORE;
    unsigned result = ignored ? 0 : neap_breaker_result(verdict == NEAP_VERDICT_FAILURE, is_slow);
    if (result == NEAP_BREAKER_PLAIN_SUCCESS &&
        neap_breaker_record_success(breaker, policy, permit, elapsed_ns))
        return (struct neap_breaker_change){.changed = false};
    return record_result(breaker, policy, permit, result, now_ns, r);
}

/* ---- reclaim ---- */

uint32_t neap_breaker_reclaim(struct neap_breaker *breaker,
                              const struct neap_breaker_policy *policy, uint32_t holder)
{
    struct neap_breaker_word word = neap_breaker_word_load(breaker);
    if (word.state != NEAP_BREAKER_HALF_OPEN)
        return 0;
    return neap_breaker_probes_reclaim(breaker, policy, word.generation, holder);
}

/* ---- by hand ---- */

struct neap_breaker_change neap_breaker_force(struct neap_breaker *breaker,
                                              const struct neap_breaker_policy *policy,
                                              enum neap_breaker_state state)
{
    struct neap_breaker_change change = {.changed = false};
    struct step step = {.breaker = breaker, .policy = policy, .change = &change};
    if (state == NEAP_BREAKER_OPEN || state == NEAP_BREAKER_HALF_OPEN ||
        state >= NEAP_BREAKER_STATE_COUNT)
        return change;
    do {
        step.seen = neap_breaker_word_load(breaker);
        if (step.seen.state == state && state != NEAP_BREAKER_CLOSED)
            return change;
    } while (!change_state(&step, (struct neap_breaker_word){.state = state}));
    if (state == NEAP_BREAKER_CLOSED) {
        atomic_store(&breaker->not_permitted, 0);
        atomic_store(&breaker->opened, 0);
    }
    change.changed = change.from != change.to;
    return change;
}

size_t neap_breaker_bytes(const struct neap_breaker_policy *policy)
{
    return sizeof(struct neap_breaker) +
           (policy->permits + neap_breaker_window_words(policy)) * sizeof(uint64_t);
}

void neap_breaker_init(struct neap_breaker *breaker, const struct neap_breaker_policy *policy)
{
    struct neap_breaker_word word = {.state = NEAP_BREAKER_CLOSED, .generation = 1};
    atomic_init(&breaker->word, neap_breaker_word_pack(word));
    atomic_init(&breaker->open_until_ns, 0);
    atomic_init(&breaker->closed_at_ns, 0);
    atomic_init(&breaker->not_permitted, 0);
    atomic_init(&breaker->opened, 0);
    neap_breaker_probes_init(breaker, policy);
    neap_breaker_window_init(breaker, policy);
}
