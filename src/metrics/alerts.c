#include "metrics/alerts.h"

#include <string.h>

#include "base/duration.h"

/* ------------------------------------------------------------------------------------- windows */

static int64_t number_of(const struct neap_alert_policy *policy, int64_t now_ns)
{
    return now_ns > 0 ? now_ns / policy->window_ns : 0;
}

static int64_t end_of(const struct neap_alert_policy *policy, int64_t number)
{
    int64_t last = INT64_MAX / policy->window_ns;
    return number < last ? (number + 1) * policy->window_ns : NEAP_NEVER;
}

/* What happened between two looks. */
struct counts {
    uint64_t ended, failed, retries, timeouts, latencies;
    double p99_s;
};

/* Below zero where the counters were made anew meanwhile, or somebody else looks too. */
static uint64_t take(_Atomic uint64_t *seen, uint64_t now)
{
    uint64_t before = atomic_exchange_explicit(seen, now, memory_order_relaxed);
    return now > before ? now - before : 0;
}

static uint64_t sum_of(const _Atomic uint64_t *counter, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += atomic_load_explicit(&counter[i], memory_order_relaxed);
    return sum;
}

static uint64_t ended_of(const struct neap_alert_reading *reading)
{
    uint64_t begun = atomic_load_explicit(&reading->counters->calls, memory_order_relaxed);
    uint64_t in_flight = reading->in_flight > 0 ? (uint64_t)reading->in_flight : 0;
    return begun > in_flight ? begun - in_flight : 0;
}

static void take_latency(struct neap_alerts *alerts, const struct neap_histogram *latency,
                         struct counts *counts)
{
    struct neap_histogram part;
    neap_histogram_init(&part);
    for (uint32_t i = 0; i < NEAP_HISTOGRAM_BUCKETS; i++) {
        uint32_t now = atomic_load_explicit(&latency->bucket[i], memory_order_relaxed);
        uint32_t before =
            atomic_exchange_explicit(&alerts->seen_bucket[i], now, memory_order_relaxed);
        uint32_t more = now > before ? now - before : 0;
        atomic_init(&part.bucket[i], more);
        counts->latencies += more;
    }
    atomic_init(&part.max_us, atomic_load_explicit(&latency->max_us, memory_order_relaxed));
    counts->p99_s = neap_histogram_quantile_s(&part, 0.99);
}

static struct counts take_counts(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                                 const struct neap_alert_reading *reading)
{
    const struct neap_counters *counters = reading->counters;
    struct counts counts = {
        .ended = take(&alerts->seen_ended, ended_of(reading)),
        .failed = take(&alerts->seen_failed,
                       atomic_load_explicit(&counters->failures, memory_order_relaxed)),
        .retries = take(&alerts->seen_retries, sum_of(counters->retries, NEAP_RETRY_REASON_COUNT)),
        .timeouts = take(&alerts->seen_timeouts, sum_of(counters->timeouts, NEAP_PHASE_COUNT)),
    };
    if (policy->has[NEAP_ALERT_P99])
        take_latency(alerts, &counters->latency, &counts);
    return counts;
}

/* ------------------------------------------------------------------------- the windows before */

static uint32_t narrow(uint64_t count)
{
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static _Atomic uint64_t *history_of(struct neap_alerts *alerts, int64_t number)
{
    return &alerts->history[(uint64_t)number % NEAP_ALERT_HISTORY];
}

static void remember(struct neap_alerts *alerts, int64_t number, const struct counts *counts)
{
    uint64_t packed = (uint64_t)narrow(counts->retries) << 32 | narrow(counts->timeouts);
    atomic_store_explicit(history_of(alerts, number), packed, memory_order_relaxed);
}

struct means {
    uint32_t windows;
    double retries, timeouts;
};

/* Of up to ten windows before that one. */
static struct means means_before(struct neap_alerts *alerts, int64_t number)
{
    struct means means = {0};
    int64_t first = atomic_load_explicit(&alerts->first_whole, memory_order_relaxed);
    for (int64_t at = number - 1; at >= first && means.windows < NEAP_ALERT_HISTORY; at--) {
        uint64_t packed = atomic_load_explicit(history_of(alerts, at), memory_order_relaxed);
        means.retries += (double)(packed >> 32);
        means.timeouts += (double)(packed & UINT32_MAX);
        means.windows++;
    }
    if (means.windows > 0) {
        means.retries /= means.windows;
        means.timeouts /= means.windows;
    }
    return means;
}

/* ----------------------------------------------------------------------------------- judgement */

struct judgement {
    bool past;
    double value, threshold;
};

static struct judgement judge_p99(const struct neap_alert_policy *policy,
                                  const struct counts *counts)
{
    double threshold = policy->p99_s * policy->p99_factor;
    bool enough = counts->latencies >= policy->min_calls;
    return (struct judgement){enough && counts->p99_s > threshold, counts->p99_s, threshold};
}

static struct judgement judge_errors(const struct neap_alert_policy *policy,
                                     const struct counts *counts)
{
    uint64_t failed = counts->failed < counts->ended ? counts->failed : counts->ended;
    double rate = counts->ended > 0 ? (double)failed / (double)counts->ended : 0;
    bool enough = counts->ended >= policy->min_calls;
    return (struct judgement){enough && rate > policy->error_rate, rate, policy->error_rate};
}

static struct judgement judge_surge(const struct neap_alert_policy *policy, double factor,
                                    uint64_t count, double mean, uint32_t windows)
{
    double threshold = factor * mean;
    bool enough = windows > 0 && count >= policy->min_calls;
    return (struct judgement){enough && (double)count > threshold, (double)count, threshold};
}

/* Of all who come to the same judgement at once, one changes the alert. Its value and its beginning
 * are written by that one alone, a moment after it fires for others. */
static bool change_to(struct neap_alerts *alerts, enum neap_alert alert,
                      const struct judgement *judgement, int64_t at_ns,
                      struct neap_alert_change *change)
{
    uint32_t bit = 1u << alert;
    uint32_t before = judgement->past ? atomic_fetch_or(&alerts->firing, bit)
                                      : atomic_fetch_and(&alerts->firing, ~bit);
    if (((before & bit) != 0) == judgement->past)
        return false;
    if (judgement->past) {
        uint64_t bits;
        memcpy(&bits, &judgement->value, sizeof bits);
        atomic_store_explicit(&alerts->value_bits[alert], bits, memory_order_relaxed);
        atomic_store_explicit(&alerts->since_ns[alert], at_ns, memory_order_relaxed);
    }
    *change = (struct neap_alert_change){.alert = alert,
                                         .firing = judgement->past,
                                         .value = judgement->value,
                                         .threshold = judgement->threshold,
                                         .at_ns = at_ns,
                                         .since_ns = neap_alerts_since(alerts, alert)};
    return true;
}

/* Where it stands already nothing has to be written, not even to say so. */
static bool conclude(struct neap_alerts *alerts, enum neap_alert alert,
                     const struct judgement *judgement, int64_t at_ns,
                     struct neap_alert_change *change)
{
    bool fires = (neap_alerts_firing(alerts) >> alert & 1u) != 0;
    return fires != judgement->past && change_to(alerts, alert, judgement, at_ns, change);
}

static uint32_t judge_window(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                             int64_t number, const struct counts *counts,
                             struct neap_alert_change *change)
{
    struct means mean = means_before(alerts, number);
    const struct judgement judgements[NEAP_ALERT_BREAKER_OPEN] = {
        [NEAP_ALERT_P99] = judge_p99(policy, counts),
        [NEAP_ALERT_ERROR_RATE] = judge_errors(policy, counts),
        [NEAP_ALERT_RETRY_SURGE] =
            judge_surge(policy, policy->retry_surge, counts->retries, mean.retries, mean.windows),
        [NEAP_ALERT_TIMEOUT_SURGE] = judge_surge(policy, policy->timeout_surge, counts->timeouts,
                                                 mean.timeouts, mean.windows),
    };
    uint32_t changes = 0;
    for (int i = 0; i < NEAP_ALERT_BREAKER_OPEN; i++)
        if (policy->has[i] && conclude(alerts, (enum neap_alert)i, &judgements[i],
                                       end_of(policy, number), &change[changes]))
            changes++;
    remember(alerts, number, counts);
    return changes;
}

/* Windows in which nobody looked, and so nothing was counted. The first of them is judged, which
 * leaves nothing for the others. */
static uint32_t judge_quiet(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                            int64_t first, int64_t open, struct neap_alert_change *change)
{
    static const struct counts nothing = {0};
    if (first >= open)
        return 0;
    uint32_t changes = judge_window(alerts, policy, first, &nothing, change);
    for (int64_t at = first + 1; at < open && at <= first + (int64_t)NEAP_ALERT_HISTORY; at++)
        remember(alerts, at, &nothing);
    return changes;
}

static void begin(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                  const struct neap_alert_reading *reading, int64_t now_ns, int64_t open)
{
    bool is_whole = open * policy->window_ns == now_ns;
    atomic_store_explicit(&alerts->first_whole, is_whole ? open : open + 1, memory_order_relaxed);
    (void)take_counts(alerts, policy, reading);
}

uint32_t neap_alerts_look(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                          const struct neap_alert_reading *reading, int64_t now_ns,
                          struct neap_alert_change change[NEAP_ALERT_CHANGES_MAX])
{
    int64_t closes_ns = atomic_load_explicit(&alerts->closes_ns, memory_order_acquire);
    int64_t open = number_of(policy, now_ns);
    if (now_ns < closes_ns ||
        !atomic_compare_exchange_strong(&alerts->closes_ns, &closes_ns, end_of(policy, open)))
        return 0;
    if (closes_ns == 0) {
        begin(alerts, policy, reading, now_ns, open);
        return 0;
    }
    int64_t closed = number_of(policy, closes_ns) - 1;
    struct counts counts = take_counts(alerts, policy, reading);
    uint32_t changes = judge_window(alerts, policy, closed, &counts, change);
    return changes + judge_quiet(alerts, policy, closed + 1, open, change + changes);
}

/* ------------------------------------------------------------------------------------ breakers */

bool neap_alerts_note_breakers(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                               uint32_t open, int64_t now_ns, struct neap_alert_change *change)
{
    const struct judgement judgement = {open > 0, (double)open, 0};
    return policy->has[NEAP_ALERT_BREAKER_OPEN] &&
           conclude(alerts, NEAP_ALERT_BREAKER_OPEN, &judgement, now_ns, change);
}

uint32_t neap_alerts_note_key(struct neap_alerts *alerts, const struct neap_alert_policy *policy,
                              uint64_t hash, bool is_open, int64_t now_ns)
{
    int64_t window = number_of(policy, now_ns);
    if (is_open)
        neap_open_keys_note(&alerts->open_keys, hash, window);
    else
        neap_open_keys_forget(&alerts->open_keys, hash, window);
    return neap_open_keys_count(&alerts->open_keys, window);
}

uint32_t neap_alerts_open_keys(const struct neap_alerts *alerts,
                               const struct neap_alert_policy *policy, int64_t now_ns)
{
    return neap_open_keys_count(&alerts->open_keys, number_of(policy, now_ns));
}

/* --------------------------------------------------------------------------------------- state */

size_t neap_alerts_bytes(const struct neap_alert_policy *policy)
{
    size_t buckets = policy->has[NEAP_ALERT_P99] ? NEAP_HISTOGRAM_BUCKETS : 0;
    return sizeof(struct neap_alerts) + buckets * sizeof(_Atomic uint32_t);
}

void neap_alerts_init(struct neap_alerts *alerts, const struct neap_alert_policy *policy)
{
    memset(alerts, 0, neap_alerts_bytes(policy));
}

uint32_t neap_alerts_firing(const struct neap_alerts *alerts)
{
    return atomic_load_explicit(&alerts->firing, memory_order_relaxed);
}

int64_t neap_alerts_since(const struct neap_alerts *alerts, enum neap_alert alert)
{
    return atomic_load_explicit(&alerts->since_ns[alert], memory_order_relaxed);
}

double neap_alerts_value(const struct neap_alerts *alerts, enum neap_alert alert)
{
    uint64_t bits = atomic_load_explicit(&alerts->value_bits[alert], memory_order_relaxed);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

const char *neap_alert_name(enum neap_alert alert)
{
    static const char *const names[NEAP_ALERT_COUNT] = {
        [NEAP_ALERT_P99] = "p99",
        [NEAP_ALERT_ERROR_RATE] = "error_rate",
        [NEAP_ALERT_RETRY_SURGE] = "retry_surge",
        [NEAP_ALERT_TIMEOUT_SURGE] = "timeout_surge",
        [NEAP_ALERT_BREAKER_OPEN] = "breaker_open",
    };
    return alert < NEAP_ALERT_COUNT ? names[alert] : NULL;
}
