/* Circuit breaker: refuses calls to a server that keeps failing, and finds out by a few probes when
 * it is well again.
 *
 * Source of the states and of the window arithmetic: M. Nygard, "Release It!", and the circuit
 * breaker of Resilience4j, with which the option names agree.
 *
 * The policy is immutable. The state is C11 atomics without pointers in one block of
 * `neap_breaker_bytes(policy)` bytes, aligned to 8; any number of threads or processes may use it
 * at once, each with an equal policy. Every change of state is one compare-and-swap on a packed
 * word and raises the generation; whatever belongs to an older generation (a late result, a slice,
 * a ring entry) counts for nothing. Times are monotonic nanoseconds passed in; `r` is a random
 * number in [0,1) passed in. */
#ifndef NEAP_POLICY_BREAKER_H
#define NEAP_POLICY_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "policy/admission.h"

#define NEAP_BREAKER_WINDOW_MAX 16383u /* results in a count window */
#define NEAP_BREAKER_PERMITS_MAX 1023u

enum neap_breaker_state {
    NEAP_BREAKER_CLOSED,
    NEAP_BREAKER_OPEN,
    NEAP_BREAKER_HALF_OPEN,
    NEAP_BREAKER_FORCED_OPEN,
    NEAP_BREAKER_DISABLED,
    NEAP_BREAKER_METRICS_ONLY,
    NEAP_BREAKER_STATE_COUNT
};

struct neap_breaker_policy {
    uint32_t window_count;   /* last N results; 0: the window is one of time */
    uint32_t window_seconds; /* one-second slices, 1 to NEAP_SLICES_MAX */
    uint32_t min_calls;
    double failure_rate;           /* (0, 1] */
    int64_t slow_call_ns;          /* a slow call lasts strictly longer; NEAP_NEVER: off */
    double slow_call_rate;         /* (0, 1] */
    uint32_t consecutive_failures; /* 0: off */
    double open_base_s, open_factor, open_max_s, open_jitter;
    uint32_t permits; /* probes in all while half open */
    int64_t lease_ns; /* a probe silent for so long counts as failed; whole milliseconds, up */
    int64_t ramp_ns;  /* 0: off */
    double ramp_from;
    bool is_private; /* one thread alone has the state */
};

struct neap_breaker; /* lives in memory of the caller's, see neap_breaker_bytes */

/* Told by every function that can change the state, so that the caller can tell its listeners. Each
 * change is told to exactly one caller. Only `acquire` may make two at once: leases that ended
 * opened it, and that wait is over too; `from` and `to` are both half open then. */
struct neap_breaker_change {
    bool changed;
    enum neap_breaker_state from, to; /* mean something if it has changed */
    bool would_open;                  /* metrics_only: it would have opened now; told once */
};

struct neap_breaker_snapshot {
    enum neap_breaker_state state;
    uint64_t calls, failures, slow; /* in the window; of the probes while half open; what made it
                                       open while open */
    bool has_rate;                  /* enough calls for the rates to count */
    double failure_rate, slow_rate;
    uint64_t not_permitted; /* refusals since the breaker was made or reset */
    uint64_t opened;        /* openings since then */
    int64_t retry_after_ns; /* open: what remains of the wait; forced open: NEAP_NEVER; else 0 */
};

size_t neap_breaker_bytes(const struct neap_breaker_policy *policy);

/* Makes the block a closed breaker with an empty window. */
void neap_breaker_init(struct neap_breaker *breaker, const struct neap_breaker_policy *policy);

/* May a call go? ADMIT with a permit that must come back through neap_breaker_record exactly once,
 * or REFUSE with the end of the wait in `until_ns`, on a ramp with the ramp's end, from which on
 * everybody goes (NEAP_NEVER: unknown, as while half open, or forced open).
 * A probe is out in the name of `holder` (base/holder.h; at most NEAP_HOLDER_MAX).
 * `r` decides on a ramp, or spreads an opening that an expired probe causes. */
struct neap_admission neap_breaker_acquire(struct neap_breaker *breaker,
                                           const struct neap_breaker_policy *policy,
                                           uint32_t holder, int64_t now_ns, double r,
                                           struct neap_breaker_change *change);

/* Refuses, as `acquire` does, where no state changes by that: forced open, or open and its wait not
 * over. Until when; INT64_MIN elsewhere, and nothing has changed. */
int64_t neap_breaker_refuses(struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                             int64_t now_ns);

/* May a call that was admitted earlier, and has waited for something else since, still go? It asks
 * for the state only: true if the permit's generation is still the current one, or if the state is
 * one that admits everybody (closed, disabled, metrics_only). */
bool neap_breaker_still_admits(const struct neap_breaker *breaker, int64_t permit);

/* The result of a permitted call. A permit of an older generation, one that was never given, and a
 * probe's that was recorded already, was reclaimed, or whose lease has ended (now >= its end)
 * change nothing; calls that are no probes have equal permits within a generation, so of those each
 * record counts. IGNORE gives a probe's permit back. `r` spreads the wait if this result opens the
 * breaker. */
struct neap_breaker_change neap_breaker_record(struct neap_breaker *breaker,
                                               const struct neap_breaker_policy *policy,
                                               int64_t permit, enum neap_verdict verdict,
                                               int64_t elapsed_ns, int64_t now_ns, double r);

/* Gives back each probe that this holder has out, as by IGNORE; how many there were. Permits that
 * are no probes hold nothing. */
uint32_t neap_breaker_reclaim(struct neap_breaker *breaker,
                              const struct neap_breaker_policy *policy, uint32_t holder);

enum neap_breaker_state neap_breaker_state(const struct neap_breaker *breaker);

/* Until when `acquire` refuses because of an open state: INT64_MIN in another state, NEAP_NEVER if
 * forced open. */
int64_t neap_breaker_open_until(const struct neap_breaker *breaker);

/* By hand: NEAP_BREAKER_FORCED_OPEN, _DISABLED or _METRICS_ONLY, with an empty window, unless it is
 * in that state already; CLOSED resets window, openings and counters even there (`changed` is false
 * then). Anything else changes nothing. */
struct neap_breaker_change neap_breaker_force(struct neap_breaker *breaker,
                                              const struct neap_breaker_policy *policy,
                                              enum neap_breaker_state state);

void neap_breaker_read(const struct neap_breaker *breaker, const struct neap_breaker_policy *policy,
                       int64_t now_ns, struct neap_breaker_snapshot *snapshot);

/* True if `acquire` or `record` can make use of `r`; where false, 0 may be passed. */
static inline bool neap_breaker_uses_random(const struct neap_breaker_policy *policy)
{
    return policy->open_jitter > 0 || policy->ramp_ns > 0;
}

/* A text of printable ASCII that `import` understands on any machine: state, what remains of the
 * wait, openings in a row, and the window. Times are relative, so it may be read in another
 * process. Probes belong to the process that has them: half open is written as an open state whose
 * wait is over. The text is allocated with `alloc` and NUL-terminated. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_breaker_export(const struct neap_breaker *breaker,
                                                     const struct neap_breaker_policy *policy,
                                                     int64_t now_ns, const struct neap_alloc *alloc,
                                                     char **text);

/* Takes over what was exported, as far as it fits this policy: of a longer count window the newest
 * results. Not for use while others call. NEAP_INVALID (nothing has changed) for any other text. */
NEAP_MUST_CHECK enum neap_status neap_breaker_import(struct neap_breaker *breaker,
                                                     const struct neap_breaker_policy *policy,
                                                     int64_t now_ns, const char *text,
                                                     size_t text_bytes);

/* Why a breaker in that state refuses, for people. */
const char *neap_breaker_refusal(enum neap_breaker_state state);

/* "closed", "open", "half_open", "forced_open", "disabled", "metrics_only"; NULL for a value out of
 * range. */
const char *neap_breaker_state_name(enum neap_breaker_state state);

#endif
