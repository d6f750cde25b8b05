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

/* A duration as histograms count it: worked out once where it goes into two of them. */
struct neap_histogram_sample {
    uint32_t bucket;
    int64_t whole_us;    /* rounded to the nearest */
    int64_t at_least_us; /* rounded up */
};

void neap_histogram_sample_of(int64_t duration_ns, struct neap_histogram_sample *sample);

/* `is_private`: one thread alone records here. */
void neap_histogram_count(struct neap_histogram *histogram,
                          const struct neap_histogram_sample *sample, bool is_private);

static inline void neap_histogram_add(struct neap_histogram *histogram, int64_t duration_ns,
                                      bool is_private)
{
    struct neap_histogram_sample sample;
    neap_histogram_sample_of(duration_ns, &sample);
    neap_histogram_count(histogram, &sample, is_private);
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
