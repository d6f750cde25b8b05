#include "metrics/histogram.h"

#include <math.h>
#include <string.h>

#include "base/attributes.h"
#include "base/private.h"

#define BUCKETS_AN_OCTAVE 7

/* 2^(k/7) */
static const double ratio[BUCKETS_AN_OCTAVE + 1] = {
    1.0,
    1.1040895136738123,
    1.2190136542044754,
    1.3459001926323562,
    1.4859942891369484,
    1.6406707120152757,
    1.8114473285278132,
    2.0,
};

void neap_histogram_init(struct neap_histogram *histogram)
{
    atomic_init(&histogram->sum_us, 0);
    atomic_init(&histogram->max_us, 0);
    for (uint32_t i = 0; i < NEAP_HISTOGRAM_BUCKETS; i++)
        atomic_init(&histogram->bucket[i], 0);
}

static double edge_us(uint32_t edge)
{
    return ldexp(ratio[edge % BUCKETS_AN_OCTAVE], (int)(edge / BUCKETS_AN_OCTAVE));
}

/* A double is sign, exponent and what is beyond the leading bit: the octave stands in it. */
#define EXPONENT_SHIFT 52
#define EXPONENT_BIAS 1023
#define FRACTION_MASK ((UINT64_C(1) << EXPONENT_SHIFT) - 1)

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* All edges are looked at, since which of them is the first that is too high cannot be guessed. */
static uint32_t bucket_of(int64_t duration_ns)
{
    uint64_t bits = bits_of((double)duration_ns / (double)NEAP_HISTOGRAM_MICROSECOND);
    uint32_t octave = (uint32_t)(bits >> EXPONENT_SHIFT) - EXPONENT_BIAS;
    double mantissa = from_bits((bits & FRACTION_MASK) | (uint64_t)EXPONENT_BIAS << EXPONENT_SHIFT);
    uint32_t bucket = octave * BUCKETS_AN_OCTAVE;
    for (int k = 1; k < BUCKETS_AN_OCTAVE; k++)
        bucket += mantissa >= ratio[k];
    return bucket < NEAP_HISTOGRAM_BUCKETS ? bucket : NEAP_HISTOGRAM_BUCKETS - 1;
}

/* Who finds the bucket full begins anew; others may record meanwhile, and what they add stays or
 * goes. */
static NEAP_SELDOM void begin_anew(struct neap_histogram *histogram, _Atomic uint32_t *full)
{
    uint32_t seen = atomic_load_explicit(full, memory_order_relaxed);
    if (seen < NEAP_HISTOGRAM_FULL || !atomic_compare_exchange_strong(full, &seen, 0))
        return;
    atomic_store(&histogram->sum_us, 0);
    for (uint32_t i = 0; i < NEAP_HISTOGRAM_BUCKETS; i++)
        atomic_store(&histogram->bucket[i], 0);
}

static void raise_to(_Atomic int64_t *maximum, int64_t value, bool is_private)
{
    int64_t seen = atomic_load_explicit(maximum, memory_order_relaxed);
    while (seen < value)
        if (NEAP_SWAP(maximum, &seen, value, is_private))
            return;
}

static void add_saturating(_Atomic int64_t *sum, int64_t value, bool is_private)
{
    if (is_private) {
        int64_t seen = atomic_load_explicit(sum, memory_order_relaxed);
        int64_t next = seen > INT64_MAX - value ? INT64_MAX : seen + value;
        atomic_store_explicit(sum, next, memory_order_relaxed);
        return;
    }
    int64_t before = atomic_fetch_add_explicit(sum, value, memory_order_release);
    if (before > INT64_MAX - value)
        atomic_store_explicit(sum, INT64_MAX, memory_order_relaxed);
}

/* The maximum is rounded up, so that no quantile is cut below what was recorded. */
struct neap_histogram_sample neap_histogram_longer_sample(int64_t duration_ns)
{
    int64_t whole_us = duration_ns / NEAP_HISTOGRAM_MICROSECOND;
    int64_t rest_ns = duration_ns % NEAP_HISTOGRAM_MICROSECOND;
    bool is_more = rest_ns >= NEAP_HISTOGRAM_MICROSECOND / 2;
    return (struct neap_histogram_sample){.bucket = bucket_of(duration_ns),
                                          .whole_us = whole_us + is_more,
                                          .above_us = rest_ns > 0 && !is_more};
}

/* The bucket comes before the sum, which releases it: who has read a sum finds all that it is of in
 * the buckets. */
void neap_histogram_count_shared(struct neap_histogram *histogram,
                                 struct neap_histogram_sample sample, bool is_private)
{
    _Atomic uint32_t *bucket = &histogram->bucket[sample.bucket];
    uint32_t before = atomic_load_explicit(bucket, memory_order_relaxed);
    NEAP_ADD(bucket, 1, is_private);
    if (before >= NEAP_HISTOGRAM_FULL)
        begin_anew(histogram, bucket);
    add_saturating(&histogram->sum_us, sample.whole_us, is_private);
    raise_to(&histogram->max_us, sample.whole_us + sample.above_us, is_private);
}

struct counts {
    uint64_t total;
    double max_us;
    uint32_t bucket[NEAP_HISTOGRAM_BUCKETS];
};

static void read_counts(const struct neap_histogram *histogram, struct counts *counts)
{
    counts->total = 0;
    for (uint32_t i = 0; i < NEAP_HISTOGRAM_BUCKETS; i++) {
        uint32_t count = atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        counts->bucket[i] = count;
        counts->total += count;
    }
    int64_t max_us = atomic_load_explicit(&histogram->max_us, memory_order_relaxed);
    counts->max_us = (double)max_us;
}

/* The harmonic middle is as far, relatively, from the lower edge as from the upper one. */
static double middle_us(uint32_t bucket)
{
    double low = edge_us(bucket), high = edge_us(bucket + 1);
    return 2 * low * high / (low + high);
}

static uint64_t rank_of(double q, uint64_t total)
{
    double rank = ceil(q * (double)total - 1e-9);
    if (!(rank > 1))
        return 1;
    return rank < (double)total ? (uint64_t)rank : total;
}

static double quantile_s(const struct counts *counts, double q)
{
    if (counts->total == 0)
        return 0;
    uint64_t left = rank_of(q, counts->total);
    uint32_t i = 0;
    while (left > counts->bucket[i])
        left -= counts->bucket[i++];
    return fmin(middle_us(i), counts->max_us) / 1e6;
}

double neap_histogram_quantile_s(const struct neap_histogram *histogram, double q)
{
    struct counts counts;
    read_counts(histogram, &counts);
    return quantile_s(&counts, q);
}

static double mean_s(const struct neap_histogram *histogram, uint64_t total)
{
    int64_t sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    return total > 0 ? (double)sum_us / (double)total / 1e6 : 0;
}

void neap_histogram_read(const struct neap_histogram *histogram,
                         struct neap_histogram_snapshot *snapshot)
{
    struct counts counts;
    read_counts(histogram, &counts);
    *snapshot = (struct neap_histogram_snapshot){
        .count = counts.total,
        .mean_s = mean_s(histogram, counts.total),
        .p50_s = quantile_s(&counts, 0.50),
        .p90_s = quantile_s(&counts, 0.90),
        .p95_s = quantile_s(&counts, 0.95),
        .p99_s = quantile_s(&counts, 0.99),
        .max_s = counts.max_us / 1e6,
    };
}

double neap_histogram_edge_s(uint32_t bucket)
{
    return edge_us(bucket + 1) / 1e6;
}

#define FIRST_EDGE_OCTAVE 8u

int64_t neap_histogram_edge_us(uint32_t edge)
{
    return INT64_C(1) << (FIRST_EDGE_OCTAVE + edge);
}

void neap_histogram_accumulate(const struct neap_histogram *histogram,
                               struct neap_histogram_cumulative *cumulative)
{
    struct counts counts;
    uint64_t below = 0;
    uint32_t bucket = 0;
    cumulative->sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_acquire);
    read_counts(histogram, &counts);
    for (uint32_t edge = 0; edge < NEAP_HISTOGRAM_EDGES; edge++) {
        while (bucket < (FIRST_EDGE_OCTAVE + edge) * BUCKETS_AN_OCTAVE)
            below += counts.bucket[bucket++];
        cumulative->below[edge] = below;
    }
    cumulative->count = counts.total;
}
