/* Histogram of durations for quantiles: at most 5 % relative error, 1 us to 1 h, less than 1 KB.
 *
 * Seven buckets an octave (ratio 2^(1/7), so the middle of a bucket is within 4.96 % of anything in
 * it) over 32 octaves of microseconds. State is atomics without pointers, so that processes may
 * share it; recording costs two atomic additions, and a compare-and-swap where the maximum grows.
 * Values outside count in the first or last bucket.
 *
 * A bucket counts to 2^32; when one is full, all begin anew at 0. A monitoring system takes that
 * for what it is, a counter that was reset; buckets that stand still would be wrong for ever. */
#ifndef NEAP_METRICS_HISTOGRAM_H
#define NEAP_METRICS_HISTOGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NEAP_HISTOGRAM_BUCKETS 224u

/* When a bucket begins anew: below what the counter holds by more than there can be threads that
 * add at the same moment. */
#define NEAP_HISTOGRAM_FULL (UINT32_MAX - 65535u)

struct neap_histogram {
    _Atomic int64_t sum_us;
    _Atomic int64_t max_us;
    _Atomic uint32_t bucket[NEAP_HISTOGRAM_BUCKETS];
};

struct neap_histogram_snapshot {
    uint64_t count;
    double mean_s, p50_s, p90_s, p95_s, p99_s, max_s; /* all 0 where nothing was recorded */
};

void neap_histogram_init(struct neap_histogram *histogram);

/* A duration as histograms count it: worked out once where it goes into two of them. Small enough
 * for two registers. */
struct neap_histogram_sample {
    int64_t whole_us; /* rounded to the nearest */
    uint32_t bucket;
    uint32_t above_us; /* by so much more if rounded up: 0 or 1 */
};

#define NEAP_HISTOGRAM_MICROSECOND INT64_C(1000)

/* Of a microsecond or more. */
struct neap_histogram_sample neap_histogram_longer_sample(int64_t duration_ns);

static inline struct neap_histogram_sample neap_histogram_sample(int64_t duration_ns)
{
    if (duration_ns >= NEAP_HISTOGRAM_MICROSECOND)
        return neap_histogram_longer_sample(duration_ns);
    bool is_more = duration_ns >= NEAP_HISTOGRAM_MICROSECOND / 2;
    return (struct neap_histogram_sample){.whole_us = is_more,
                                          .above_us = duration_ns > 0 && !is_more};
}

/* The general case, where anybody may record. */
void neap_histogram_count_shared(struct neap_histogram *histogram,
                                 struct neap_histogram_sample sample, bool is_private);

/* `is_private`: one thread alone records here. */
static inline void neap_histogram_count(struct neap_histogram *histogram,
                                        struct neap_histogram_sample sample, bool is_private)
{
    _Atomic uint32_t *bucket = &histogram->bucket[sample.bucket];
    uint32_t count = atomic_load_explicit(bucket, memory_order_relaxed);
    int64_t sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    int64_t next_us;
    if (!is_private || count >= NEAP_HISTOGRAM_FULL ||
        __builtin_add_overflow(sum_us, sample.whole_us, &next_us)) {
        neap_histogram_count_shared(histogram, sample, is_private);
        return;
    }
    atomic_store_explicit(bucket, count + 1, memory_order_relaxed);
    atomic_store_explicit(&histogram->sum_us, next_us, memory_order_relaxed);
    int64_t at_least_us = sample.whole_us + sample.above_us;
    if (atomic_load_explicit(&histogram->max_us, memory_order_relaxed) < at_least_us)
        atomic_store_explicit(&histogram->max_us, at_least_us, memory_order_relaxed);
}

static inline void neap_histogram_add(struct neap_histogram *histogram, int64_t duration_ns,
                                      bool is_private)
{
    neap_histogram_count(histogram, neap_histogram_sample(duration_ns), is_private);
}

static inline void neap_histogram_record(struct neap_histogram *histogram, int64_t duration_ns)
{
    neap_histogram_add(histogram, duration_ns, false);
}

/* The value below which the share q (0 to 1) of the recorded values lies (nearest rank: the
 * ceil(q * count)-th smallest), never above the maximum recorded; 0 where nothing was recorded. */
double neap_histogram_quantile_s(const struct neap_histogram *histogram, double q);

void neap_histogram_read(const struct neap_histogram *histogram,
                         struct neap_histogram_snapshot *snapshot);

/* Upper edge of bucket i in seconds. */
double neap_histogram_edge_s(uint32_t bucket);

/* For expositions: how many values lie below each of a few edges that are twice the one before,
 * 256 us to 268 s. They are edges of buckets too, so nothing is estimated; a value that is exactly
 * an edge counts above it. */
#define NEAP_HISTOGRAM_EDGES 21u

struct neap_histogram_cumulative {
    uint64_t below[NEAP_HISTOGRAM_EDGES];
    uint64_t count;
    int64_t sum_us;
};

int64_t neap_histogram_edge_us(uint32_t edge);

/* The counts belong together whatever is recorded meanwhile; the sum may lack what was just being
 * recorded, and never has more than the count. */
void neap_histogram_accumulate(const struct neap_histogram *histogram,
                               struct neap_histogram_cumulative *cumulative);

#endif
