#include "metrics/histogram.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define S INT64_C(1000000000)
#define HOUR (3600 * S)

static struct neap_histogram histogram;
static struct neap_histogram_snapshot snapshot;

static int set_up(void **state)
{
    (void)state;
    neap_histogram_init(&histogram);
    return 0;
}

static void assert_near(double value_s, int64_t expected_ns)
{
    double expected_s = (double)expected_ns / 1e9;
    assert_true(fabs(value_s - expected_s) <= 0.05 * expected_s);
}

static void an_empty_histogram_reads_as_0(void **state)
{
    (void)state;
    neap_histogram_read(&histogram, &snapshot);
    assert_int_equal(snapshot.count, 0);
    assert_true(snapshot.mean_s == 0 && snapshot.p50_s == 0 && snapshot.p90_s == 0);
    assert_true(snapshot.p95_s == 0 && snapshot.p99_s == 0 && snapshot.max_s == 0);
    assert_true(neap_histogram_quantile_s(&histogram, 0.5) == 0);
}

static void it_is_less_than_a_kilobyte(void **state)
{
    (void)state;
    assert_true(sizeof(struct neap_histogram) < 1024);
}

static void one_value_is_found_within_5_percent_from_1_us_to_1_h(void **state)
{
    (void)state;
    for (double ns = (double)US; ns <= (double)HOUR; ns *= 1.0037) {
        neap_histogram_init(&histogram);
        neap_histogram_record(&histogram, (int64_t)ns);
        assert_near(neap_histogram_quantile_s(&histogram, 0.5), (int64_t)ns);
    }
}

static void one_value_among_larger_ones_is_found_within_5_percent(void **state)
{
    (void)state;
    for (double ns = (double)US; ns <= (double)HOUR; ns *= 1.0037) {
        neap_histogram_init(&histogram);
        neap_histogram_record(&histogram, (int64_t)ns);
        neap_histogram_record(&histogram, HOUR);
        assert_near(neap_histogram_quantile_s(&histogram, 0.5), (int64_t)ns);
    }
}

static void quantiles_are_of_the_nearest_rank(void **state)
{
    (void)state;
    for (int64_t i = 1; i <= 100; i++)
        neap_histogram_record(&histogram, i * 100 * MS);
    for (int64_t i = 1; i <= 100; i++)
        assert_near(neap_histogram_quantile_s(&histogram, (double)i / 100), i * 100 * MS);
    assert_near(neap_histogram_quantile_s(&histogram, 0), 100 * MS);
}

static void the_rank_is_rounded_up(void **state)
{
    (void)state;
    const int64_t values[] = {1 * MS, 10 * MS, 100 * MS, 1 * S};
    for (int i = 0; i < 4; i++)
        neap_histogram_record(&histogram, values[i]);
    assert_near(neap_histogram_quantile_s(&histogram, 0.25), 1 * MS);
    assert_near(neap_histogram_quantile_s(&histogram, 0.26), 10 * MS);
    assert_near(neap_histogram_quantile_s(&histogram, 0.5), 10 * MS);
    assert_near(neap_histogram_quantile_s(&histogram, 0.751), 1 * S);
    assert_near(neap_histogram_quantile_s(&histogram, 1), 1 * S);
}

static void shares_out_of_range_are_taken_to_the_nearest(void **state)
{
    (void)state;
    neap_histogram_record(&histogram, 1 * MS);
    neap_histogram_record(&histogram, 1 * S);
    assert_near(neap_histogram_quantile_s(&histogram, -1), 1 * MS);
    assert_near(neap_histogram_quantile_s(&histogram, 2), 1 * S);
    assert_near(neap_histogram_quantile_s(&histogram, NAN), 1 * MS);
}

static void no_quantile_is_above_the_maximum(void **state)
{
    (void)state;
    for (int64_t ns = US; ns < S; ns += ns / 50) {
        neap_histogram_init(&histogram);
        neap_histogram_record(&histogram, ns);
        neap_histogram_read(&histogram, &snapshot);
        assert_true(snapshot.p50_s <= snapshot.max_s);
        assert_true(snapshot.p99_s <= snapshot.max_s);
    }
}

static void a_snapshot_tells_all(void **state)
{
    (void)state;
    for (int64_t i = 1; i <= 1000; i++)
        neap_histogram_record(&histogram, i * MS);
    neap_histogram_read(&histogram, &snapshot);
    assert_int_equal(snapshot.count, 1000);
    assert_true(snapshot.mean_s == 0.5005);
    assert_true(snapshot.max_s == 1);
    assert_near(snapshot.p50_s, 500 * MS);
    assert_near(snapshot.p90_s, 900 * MS);
    assert_near(snapshot.p95_s, 950 * MS);
    assert_near(snapshot.p99_s, 990 * MS);
}

static void what_is_outside_counts_at_the_edge(void **state)
{
    (void)state;
    neap_histogram_record(&histogram, 0);
    neap_histogram_record(&histogram, -5);
    neap_histogram_record(&histogram, INT64_MIN);
    neap_histogram_record(&histogram, 999);
    assert_int_equal(histogram.bucket[0], 4);
    neap_histogram_record(&histogram, 100 * HOUR);
    neap_histogram_record(&histogram, INT64_MAX);
    assert_int_equal(histogram.bucket[NEAP_HISTOGRAM_BUCKETS - 1], 2);
    neap_histogram_read(&histogram, &snapshot);
    assert_int_equal(snapshot.count, 6);
}

static void a_value_of_0_is_read_as_0(void **state)
{
    (void)state;
    neap_histogram_record(&histogram, 0);
    neap_histogram_read(&histogram, &snapshot);
    assert_int_equal(snapshot.count, 1);
    assert_true(snapshot.mean_s == 0 && snapshot.p99_s == 0 && snapshot.max_s == 0);
}

static void the_sum_is_rounded_to_the_nearest_and_the_maximum_up(void **state)
{
    (void)state;
    neap_histogram_record(&histogram, 1499);
    assert_int_equal(histogram.sum_us, 1);
    assert_int_equal(histogram.max_us, 2);
    neap_histogram_record(&histogram, 1500);
    assert_int_equal(histogram.sum_us, 3);
    assert_int_equal(histogram.max_us, 2);
}

static void the_sum_saturates(void **state)
{
    (void)state;
    histogram.sum_us = INT64_MAX - 5;
    neap_histogram_record(&histogram, 5 * US);
    assert_int_equal(histogram.sum_us, INT64_MAX);
    neap_histogram_record(&histogram, 1 * S);
    assert_int_equal(histogram.sum_us, INT64_MAX);
}

static void a_full_bucket_makes_all_begin_anew(void **state)
{
    (void)state;
    neap_histogram_record(&histogram, 0);
    for (int i = 0; i < 10; i++)
        neap_histogram_record(&histogram, 1 * S);
    histogram.bucket[0] = UINT32_MAX - 70000;
    for (int i = 0; i < 10000; i++)
        neap_histogram_record(&histogram, 0);
    neap_histogram_read(&histogram, &snapshot);
    assert_true(snapshot.count > 5000 && snapshot.count < 6000);
    assert_true(neap_histogram_quantile_s(&histogram, 1) < 2e-6 && snapshot.mean_s == 0);
    assert_true(snapshot.max_s == 1);
}

static void what_lies_below_an_edge_is_counted_exactly(void **state)
{
    (void)state;
    struct neap_histogram_cumulative cumulative;
    for (uint32_t edge = 0; edge < NEAP_HISTOGRAM_EDGES; edge++) {
        neap_histogram_record(&histogram, neap_histogram_edge_us(edge) * US - 1);
        neap_histogram_record(&histogram, neap_histogram_edge_us(edge) * US);
    }
    neap_histogram_record(&histogram, HOUR);
    neap_histogram_accumulate(&histogram, &cumulative);
    for (uint32_t edge = 0; edge < NEAP_HISTOGRAM_EDGES; edge++)
        assert_int_equal(cumulative.below[edge], 2 * edge + 1);
    assert_int_equal(cumulative.count, 2 * NEAP_HISTOGRAM_EDGES + 1);
    assert_int_equal(cumulative.sum_us, histogram.sum_us);
}

static void the_edges_of_expositions_double(void **state)
{
    (void)state;
    assert_int_equal(neap_histogram_edge_us(0), 256);
    for (uint32_t edge = 1; edge < NEAP_HISTOGRAM_EDGES; edge++)
        assert_int_equal(neap_histogram_edge_us(edge), 2 * neap_histogram_edge_us(edge - 1));
    assert_int_equal(neap_histogram_edge_us(NEAP_HISTOGRAM_EDGES - 1), INT64_C(268435456));
}

static void edges_grow_by_the_seventh_root_of_2(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < NEAP_HISTOGRAM_BUCKETS; i++) {
        double edge_us = exp2((i + 1) / 7.0);
        assert_true(fabs(neap_histogram_edge_s(i) * 1e6 - edge_us) < 1e-12 * edge_us);
    }
    assert_true(neap_histogram_edge_s(6) == 2e-6);
    assert_true(neap_histogram_edge_s(NEAP_HISTOGRAM_BUCKETS - 1) > 3600);
}

static void a_value_lies_between_the_edges_of_its_bucket(void **state)
{
    (void)state;
    for (int64_t ns = US; ns < HOUR; ns += ns / 100 + 1) {
        uint32_t i = 0;
        neap_histogram_init(&histogram);
        neap_histogram_record(&histogram, ns);
        while (histogram.bucket[i] == 0)
            i++;
        assert_true((double)ns / 1e9 < neap_histogram_edge_s(i) * (1 + 1e-12));
        if (i > 0)
            assert_true((double)ns / 1e9 >= neap_histogram_edge_s(i - 1) * (1 - 1e-12));
    }
}

#define SAMPLES 20000

static int by_size(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

/* Every quantile that is told, and some that are not, beside the sample of exactly that rank. */
static void assert_quantiles_of(int64_t *sample_ns, int count)
{
    static const double shares[] = {0.001, 0.01, 0.1,  0.25,  0.5,   0.75, 0.9,
                                    0.95,  0.98, 0.99, 0.995, 0.999, 1};
    neap_histogram_init(&histogram);
    for (int i = 0; i < count; i++)
        neap_histogram_record(&histogram, sample_ns[i]);
    qsort(sample_ns, (size_t)count, sizeof *sample_ns, by_size);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        int rank = (int)ceil(shares[i] * count);
        assert_near(neap_histogram_quantile_s(&histogram, shares[i]), sample_ns[rank - 1]);
    }
    neap_histogram_read(&histogram, &snapshot);
    assert_near(snapshot.p99_s, sample_ns[(int)ceil(0.99 * count) - 1]);
    assert_near(snapshot.max_s, sample_ns[count - 1]);
}

/* A tail exponent of 1.1 has a mean that hardly exists. Cut at an hour, as the histogram is. */
static void quantiles_of_pareto_samples_are_within_5_percent(void **state)
{
    (void)state;
    static const double exponents[] = {1.1, 1.5, 3};
    static int64_t sample_ns[SAMPLES];
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct neap_random random;
        neap_random_init(&random, seed);
        double exponent = exponents[seed % 3];
        for (int i = 0; i < SAMPLES; i++) {
            double ns = (double)MS * pow(1 - neap_random_unit(&random), -1 / exponent);
            sample_ns[i] = (int64_t)fmin(ns, (double)HOUR);
        }
        assert_quantiles_of(sample_ns, SAMPLES);
    }
}

/* Box and Muller's normal numbers as exponents, around 20 ms. */
static void quantiles_of_log_normal_samples_are_within_5_percent(void **state)
{
    (void)state;
    static const double deviations[] = {0.5, 1, 2};
    static int64_t sample_ns[SAMPLES];
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct neap_random random;
        neap_random_init(&random, seed);
        for (int i = 0; i < SAMPLES; i++) {
            double radius = sqrt(-2 * log(1 - neap_random_unit(&random)));
            double normal = radius * cos(2 * acos(-1) * neap_random_unit(&random));
            double ns = 20 * (double)MS * exp(deviations[seed % 3] * normal);
            sample_ns[i] = (int64_t)fmin(fmax(ns, (double)US), (double)HOUR);
        }
        assert_quantiles_of(sample_ns, SAMPLES);
    }
}

/* Fast answers and, one time in twenty, a timeout: p95 stands at the cliff. */
static void quantiles_beside_a_gap_are_within_5_percent(void **state)
{
    (void)state;
    static int64_t sample_ns[SAMPLES];
    struct neap_random random;
    neap_random_init(&random, 7);
    for (int i = 0; i < SAMPLES; i++) {
        double unit = neap_random_unit(&random);
        sample_ns[i] = unit < 0.05 ? 5 * S : (int64_t)((3 + unit) * (double)MS);
    }
    assert_quantiles_of(sample_ns, SAMPLES);
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_empty_histogram_reads_as_0),
        SPEC(it_is_less_than_a_kilobyte),
        SPEC(one_value_is_found_within_5_percent_from_1_us_to_1_h),
        SPEC(one_value_among_larger_ones_is_found_within_5_percent),
        SPEC(quantiles_are_of_the_nearest_rank),
        SPEC(the_rank_is_rounded_up),
        SPEC(quantiles_of_pareto_samples_are_within_5_percent),
        SPEC(quantiles_of_log_normal_samples_are_within_5_percent),
        SPEC(quantiles_beside_a_gap_are_within_5_percent),
        SPEC(shares_out_of_range_are_taken_to_the_nearest),
        SPEC(no_quantile_is_above_the_maximum),
        SPEC(a_snapshot_tells_all),
        SPEC(what_is_outside_counts_at_the_edge),
        SPEC(a_value_of_0_is_read_as_0),
        SPEC(the_sum_is_rounded_to_the_nearest_and_the_maximum_up),
        SPEC(the_sum_saturates),
        SPEC(a_full_bucket_makes_all_begin_anew),
        SPEC(what_lies_below_an_edge_is_counted_exactly),
        SPEC(the_edges_of_expositions_double),
        SPEC(edges_grow_by_the_seventh_root_of_2),
        SPEC(a_value_lies_between_the_edges_of_its_bucket),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
