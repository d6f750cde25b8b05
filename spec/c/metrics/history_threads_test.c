/* Calls that several threads record at once are all there. */
#include "metrics/history.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/duration.h"

#define RECORDERS 3
#define EACH 20000
#define SECONDS 50

static struct neap_history history;
static _Atomic int recording;

static void *record(void *unused)
{
    (void)unused;
    for (int i = 0; i < EACH; i++)
        neap_history_record(&history, (int64_t)i * SECONDS * NEAP_SECOND / EACH, i % 2 == 0);
    atomic_fetch_sub(&recording, 1);
    return NULL;
}

static struct neap_history_point sum_of_all(void)
{
    struct neap_history_point points[NEAP_HISTORY_SLOTS], sum = {0, 0};
    neap_history_read(&history, SECONDS * NEAP_SECOND, points);
    for (uint32_t i = 0; i < NEAP_HISTORY_SLOTS; i++) {
        assert_true(points[i].failures <= points[i].calls);
        sum.calls += points[i].calls;
        sum.failures += points[i].failures;
    }
    return sum;
}

static void no_call_is_lost(void **state)
{
    (void)state;
    pthread_t thread[RECORDERS];
    neap_history_init(&history);
    atomic_store(&recording, RECORDERS);
    for (int i = 0; i < RECORDERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, record, NULL), 0);
    while (atomic_load(&recording) > 0)
        (void)sum_of_all();
    for (int i = 0; i < RECORDERS; i++)
        pthread_join(thread[i], NULL);
    struct neap_history_point sum = sum_of_all();
    assert_int_equal(sum.calls, RECORDERS * EACH);
    assert_int_equal(sum.failures, RECORDERS * EACH / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
