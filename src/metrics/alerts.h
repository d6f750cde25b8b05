/* Alerts: five conditions of one client that are told once when they begin and once when they end.
 *
 * Time is cut into windows of `window_ns`, which begin at whole multiples of it on the clock that
 * is passed in, so that all processes of a machine mean the same window. What happened in one is
 * the difference of counters that are counted anyway (metrics/counters.h): alerts cost a call a
 * comparison. A window is judged when somebody first looks after its end; whoever that is, thread
 * or process, judges alone, by the policy of its own, and is told what has changed.
 *
 * A judgement is about the window that has ended and says "past" or "not past":
 *
 *     p99             latency of at least min_calls calls; its 99th percentile (within 5 %, as the
 *                     histogram says) > p99 * p99_factor
 *     error_rate      of at least min_calls calls that ended; failed / ended > error_rate
 *     retry_surge     at least min_calls retries; more than retry_surge times the mean of up to ten
 *                     windows before. Windows count from the first one that was watched from its
 *                     beginning; without any, nothing can be said: not past
 *     timeout_surge   the same of attempts that ended as a timeout
 *     breaker_open    is not of a window: how many breakers do not let everybody pass, now
 *
 * An alert fires from the first "past" to the first "not past" after it. Windows in which nothing
 * was counted are judged too, so each alert of a window ends when all is quiet.
 *
 * The policy is immutable. The state is C11 atomics without pointers in one block of
 * neap_alerts_bytes(policy) bytes, aligned to 8; any number of threads or processes may use it at
 * once, each with a policy of the same window and the same has[NEAP_ALERT_P99]. No lock is taken: a
 * process that is killed while it judges leaves nothing worse than one window without a judgement.
 * A clock that stands still or steps back ends no window. */
#ifndef NEAP_METRICS_ALERTS_H
#define NEAP_METRICS_ALERTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/counters.h"
#include "metrics/open_keys.h"

enum neap_alert {
    NEAP_ALERT_P99,
    NEAP_ALERT_ERROR_RATE,
    NEAP_ALERT_RETRY_SURGE,
    NEAP_ALERT_TIMEOUT_SURGE,
    NEAP_ALERT_BREAKER_OPEN, /* the last one: those before it are of windows */
    NEAP_ALERT_COUNT
};

struct neap_alert_policy {
    int64_t window_ns;        /* above 0 */
    double p99_s, p99_factor; /* expected, and how many times that is too much */
    double error_rate;
    double retry_surge, timeout_surge; /* factors over the mean */
    uint32_t min_calls;
    bool has[NEAP_ALERT_COUNT]; /* an alert that is off is never told */
};

/* What is read of the client where it is looked at. */
struct neap_alert_reading {
    const struct neap_counters *counters;
    int64_t in_flight; /* calls begun and not ended */
};

struct neap_alert_change {
    enum neap_alert alert;
    bool firing;             /* else it has just ended */
    double value, threshold; /* firing: value > threshold; of what the alert is about */
    int64_t at_ns;           /* end of the window that was judged; of breaker_open: now */
    int64_t since_ns;        /* when it began; `at_ns` itself where it begins */
};

/* What one look can bring: each alert of a window may begin with one window and end with the next,
 * which was empty. */
#define NEAP_ALERT_CHANGES_MAX (2u * NEAP_ALERT_BREAKER_OPEN)

#define NEAP_ALERT_HISTORY 10u /* windows that a surge is compared with */

struct neap_alerts {
    _Atomic int64_t closes_ns; /* end of the open window; 0: nobody has looked yet */
    _Atomic int64_t
        first_whole;         /* number of the first window that was watched from its beginning */
    _Atomic uint32_t firing; /* bit 1 << alert */
    _Atomic int64_t since_ns[NEAP_ALERT_COUNT];
    _Atomic uint64_t value_bits[NEAP_ALERT_COUNT]; /* the double that it began with */
    _Atomic uint64_t seen_ended, seen_failed, seen_retries, seen_timeouts;
    _Atomic uint64_t history[NEAP_ALERT_HISTORY]; /* retries << 32 | timeouts, by window number */
    struct neap_open_keys open_keys;
    _Atomic uint32_t seen_bucket[]; /* of the latency, where p99 is on */
};

/* Some 340, and 896 more where p99 is on. */
size_t neap_alerts_bytes(const struct neap_alert_policy *policy);
void neap_alerts_init(struct neap_alerts *alerts, const struct neap_alert_policy *policy);

/* When the open window ends. */
static inline int64_t neap_alerts_closes(const struct neap_alerts *alerts)
{
    return atomic_load_explicit(&alerts->closes_ns, memory_order_acquire);
}

/* Has the open window ended? Cheap: asked before anything is counted, so that what is counted
 * belongs to the window in which it happened. */
static inline bool neap_alerts_is_due(const struct neap_alerts *alerts, int64_t now_ns)
{
    return now_ns >= neap_alerts_closes(alerts);
}

/* Judges what has ended by now. The first look of all only begins the first window. How many
 * changes there are, in the order in which they came about. */
uint32_t neap_alerts_look(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                          const struct neap_alert_reading *reading, int64_t now_ns,
                          struct neap_alert_change change[NEAP_ALERT_CHANGES_MAX]);

/* Of the client's breakers so many are open now. True if that changes the alert. */
bool neap_alerts_note_breakers(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                               uint32_t open, int64_t now_ns, struct neap_alert_change *change);

/* Notes whether the breaker of a key is open, for clients that have one for each; how many are, as
 * far as is known: see metrics/open_keys.h. */
uint32_t neap_alerts_note_key(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                              uint64_t hash, bool is_open, int64_t now_ns);

/* How many are known to be open. */
uint32_t neap_alerts_open_keys(const struct neap_alerts *alerts,
                               const struct neap_alert_policy *policy, int64_t now_ns);

/* Bit 1 << alert for each that fires. */
uint32_t neap_alerts_firing(const struct neap_alerts *alerts);

/* The alerts that are of windows. */
#define NEAP_ALERTS_OF_WINDOWS ((1u << NEAP_ALERT_BREAKER_OPEN) - 1)

/* Of one that fires: when it began, and the value it began with. */
int64_t neap_alerts_since(const struct neap_alerts *alerts, enum neap_alert alert);
double neap_alerts_value(const struct neap_alerts *alerts, enum neap_alert alert);

/* "p99", "error_rate", "retry_surge", "timeout_surge", "breaker_open"; NULL out of range. */
const char *neap_alert_name(enum neap_alert alert);

#endif
