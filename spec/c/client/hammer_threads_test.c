#include "client/hammer.h"
#include "support/threads.h"

static struct books books[WORKERS];
static struct anvil anvil[WORKERS];
static int64_t began_ns;

static void *hammer(void *number)
{
    int worker = *(int *)number;
    threads_meet();
    for (uint64_t round = 0; neap_clock_monotonic_ns() - began_ns < HAMMER_NS; round++)
        hammer_once(&anvil[worker], books, worker, round);
    return NULL;
}

static void run(void)
{
    memset(books, 0, sizeof books);
    start_probing(&anvil[0]);
    began_ns = neap_clock_monotonic_ns();
    threads_run(WORKERS, hammer);
}

static void check(void)
{
    struct neap_breaker_snapshot seen;
    int64_t elapsed_ns = neap_clock_monotonic_ns() - began_ns;
    assert_int_equal(TOTAL(books, violations), 0);
    assert_true(TOTAL(books, probes) > 100 && TOTAL(books, refused) > 100);
    assert_int_equal(TOTAL(books, begun), TOTAL(books, done));
    check_counts(&anvil[0], books);
    check_limiter(books, elapsed_ns, true);
    neap_breaker_read(anvil[0].probing, &probing_policy, neap_clock_monotonic_ns(), &seen);
    assert_int_equal(seen.opened, 1 + TOTAL(books, probes));
    check_nothing_is_out(&anvil[0]);
}

static void two_threads_in_private_memory(void **state)
{
    (void)state;
    struct neap_cells cells = cells_in(NULL);
    assert_true(take_anvil(&cells, &anvil[0]));
    anvil[1] = anvil[0];
    run();
    check();
    drop_anvil(&cells, &anvil[0]);
}

static void two_threads_with_a_region_object_each(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    struct neap_cells cells[WORKERS] = {cells_in(region), cells_in(other)};
    for (int i = 0; i < WORKERS; i++)
        assert_true(take_anvil(&cells[i], &anvil[i]));
    assert_int_not_equal(anvil[0].holder, anvil[1].holder);
    run();
    check();
    for (int i = 0; i < WORKERS; i++)
        drop_anvil(&cells[i], &anvil[i]);
    neap_region_release(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(two_threads_in_private_memory),
        SPEC(two_threads_with_a_region_object_each),
    };
    return cmocka_run_group_tests_name("hammered by threads", tests, NULL, NULL);
}
