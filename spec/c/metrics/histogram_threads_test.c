/* Durations that several threads record are read meanwhile. */
#include "metrics/histogram.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RECORDERS 3
#define EACH 20000
#define LENGTH_US 3000

static struct neap_histogram histogram;
static _Atomic int recording;

static void *record(void *unused)
{
    (void)unused;
    for (int i = 0; i < EACH; i++)
        neap_histogram_record(&histogram, LENGTH_US * INT64_C(1000));
    atomic_fetch_sub(&recording, 1);
    return NULL;
}

static void assert_goes_on(const struct neap_histogram_cumulative *before,
                           const struct neap_histogram_cumulative *now)
{
    uint64_t below = 0;
    for (uint32_t edge = 0; edge < NEAP_HISTOGRAM_EDGES; edge++) {
        assert_true(now->below[edge] >= before->below[edge] && now->below[edge] >= below);
        below = now->below[edge];
    }
    assert_int_equal(now->count, below);
    assert_true(now->sum_us >= before->sum_us);
    assert_true((uint64_t)now->sum_us <= now->count * LENGTH_US);
}

static void what_is_read_belongs_together_and_only_grows(void **state)
{
    (void)state;
    pthread_t thread[RECORDERS];
    struct neap_histogram_cumulative before = {.count = 0}, now;
    neap_histogram_init(&histogram);
    atomic_store(&recording, RECORDERS);
    for (int i = 0; i < RECORDERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, record, NULL), 0);
    do {
        neap_histogram_accumulate(&histogram, &now);
        assert_goes_on(&before, &now);
        before = now;
    } while (atomic_load(&recording) > 0);
    for (int i = 0; i < RECORDERS; i++)
        pthread_join(thread[i], NULL);
    neap_histogram_accumulate(&histogram, &now);
    assert_int_equal(now.count, RECORDERS * EACH);
    assert_int_equal(now.sum_us, INT64_C(1) * RECORDERS * EACH * LENGTH_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_belongs_together_and_only_grows),
    };
    return cmocka_run_group_tests_name("histogram, several threads", tests, NULL, NULL);
}
