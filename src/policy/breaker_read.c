/* The functions of the circuit breaker that only look: none of them changes anything. */
#include "base/duration.h"
#include "policy/breaker.h"
#include "policy/breaker_internal.h"
#include "policy/breaker_probes.h"
#include "policy/breaker_rates.h"
#include "policy/breaker_window.h"

static const char *const state_names[NEAP_BREAKER_STATE_COUNT] = {
    [NEAP_BREAKER_CLOSED] = "closed",       [NEAP_BREAKER_OPEN] = "open",
    [NEAP_BREAKER_HALF_OPEN] = "half_open", [NEAP_BREAKER_FORCED_OPEN] = "forced_open",
    [NEAP_BREAKER_DISABLED] = "disabled",   [NEAP_BREAKER_METRICS_ONLY] = "metrics_only",
};

const char *neap_breaker_state_name(enum neap_breaker_state state)
{
    return state < NEAP_BREAKER_STATE_COUNT ? state_names[state] : NULL;
}

static const char *const refusals[NEAP_BREAKER_STATE_COUNT] = {
    [NEAP_BREAKER_CLOSED] = "the circuit breaker closed a short while ago and admits a share only",
    [NEAP_BREAKER_OPEN] = "the circuit breaker is open",
    [NEAP_BREAKER_HALF_OPEN] = "the circuit breaker is half open and all its probes are out",
    [NEAP_BREAKER_FORCED_OPEN] = "the circuit breaker is held open by hand",
    [NEAP_BREAKER_DISABLED] = "the circuit breaker was open until now",
    [NEAP_BREAKER_METRICS_ONLY] = "the circuit breaker was open until now",
};

const char *neap_breaker_refusal(enum neap_breaker_state state)
{
    return refusals[state];
}

enum neap_breaker_state neap_breaker_state(const struct neap_breaker *breaker)
{
    return neap_breaker_word_load(breaker).state;
}

bool neap_breaker_still_admits(const struct neap_breaker *breaker, int64_t permit)
{
    struct neap_breaker_word word = neap_breaker_word_load(breaker);
    if (word.state == NEAP_BREAKER_HALF_OPEN)
        return word.generation == neap_breaker_permit_generation(permit);
    return word.state != NEAP_BREAKER_OPEN && word.state != NEAP_BREAKER_FORCED_OPEN;
}

static int64_t open_until(const struct neap_breaker *breaker, enum neap_breaker_state state)
{
    if (state == NEAP_BREAKER_FORCED_OPEN)
        return NEAP_NEVER;
    return state == NEAP_BREAKER_OPEN ? atomic_load(&breaker->open_until_ns) : INT64_MIN;
}

/* Once more where the state has changed meanwhile, so that what is told belongs together. */
int64_t neap_breaker_open_until(const struct neap_breaker *breaker)
{
    struct neap_breaker_word word;
    int64_t until_ns;
    do {
        word = neap_breaker_word_load(breaker);
        until_ns = open_until(breaker, word.state);
    } while (!neap_breaker_is_current(breaker, word.generation));
    return until_ns;
}

/* What made it open: the window or the probes of the generation before, which nobody adds to any
 * more. A time window forgets them as its seconds pass. */
static struct neap_tally tally_before(const struct neap_breaker *breaker,
                                      const struct neap_breaker_policy *policy, uint32_t generation,
                                      int64_t now_ns)
{
    struct neap_tally window = neap_breaker_window_tally(breaker, policy, generation - 1, now_ns);
    if (window.counter[NEAP_BREAKER_CALLS] > 0)
        return window;
    return neap_breaker_probes_tally(breaker, policy, generation - 1);
}

static struct neap_tally tally_in(const struct neap_breaker *breaker,
                                  const struct neap_breaker_policy *policy,
                                  struct neap_breaker_word word, int64_t now_ns)
{
    if (word.state == NEAP_BREAKER_HALF_OPEN)
        return neap_breaker_probes_tally(breaker, policy, word.generation);
    if (word.state == NEAP_BREAKER_OPEN)
        return tally_before(breaker, policy, word.generation, now_ns);
    if (neap_breaker_has_window(word.state))
        return neap_breaker_window_tally(breaker, policy, word.generation, now_ns);
    return (struct neap_tally){{0}};
}

static struct neap_breaker_snapshot snapshot_of(const struct neap_breaker_policy *policy,
                                                enum neap_breaker_state state,
                                                struct neap_tally tally)
{
    bool has_rate = neap_breaker_has_rate(policy, state, &tally);
    return (struct neap_breaker_snapshot){
        .state = state,
        .calls = tally.counter[NEAP_BREAKER_CALLS],
        .failures = tally.counter[NEAP_BREAKER_FAILURES],
        .slow = tally.counter[NEAP_BREAKER_SLOW],
        .has_rate = has_rate,
        .failure_rate = has_rate ? neap_breaker_rate(&tally, NEAP_BREAKER_FAILURES) : 0,
        .slow_rate = has_rate ? neap_breaker_rate(&tally, NEAP_BREAKER_SLOW) : 0,
    };
}

void neap_breaker_read(const struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                       int64_t now_ns, struct neap_breaker_snapshot *snapshot)
{
    struct neap_breaker_word word;
    int64_t until_ns;
    do {
        word = neap_breaker_word_load(breaker);
        *snapshot = snapshot_of(policy, word.state, tally_in(breaker, policy, word, now_ns));
        until_ns = open_until(breaker, word.state);
    } while (!neap_breaker_is_current(breaker, word.generation));
    snapshot->retry_after_ns =
        until_ns == NEAP_NEVER ? NEAP_NEVER : neap_time_since(until_ns, now_ns);
    snapshot->not_permitted = atomic_load(&breaker->not_permitted);
    snapshot->opened = atomic_load(&breaker->opened);
}
