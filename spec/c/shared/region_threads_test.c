#include "shared/region_fixture.h"
#include "support/threads.h"

/* Each thread has an object of its own. */
#define THREADS 4
#define KEYS 700 /* twice what fits */

static _Atomic uint64_t uses;

static uint64_t throw_dice(uint64_t *seed, uint64_t sides)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % sides;
}

static struct neap_region *open_own(void)
{
    struct neap_region *own = NULL;
    char complaint[NEAP_MESSAGE_BYTES];
    threads_expect(neap_region_open(neap_platform_alloc(), name, SMALL, &own, complaint) ==
                   NEAP_OK);
    return own;
}

static void run(void *(*work)(void *))
{
    atomic_store(&uses, 0);
    threads_run(THREADS, work);
}

static struct counter *pin_at(struct neap_region *own, uint64_t key, int64_t now_ns)
{
    return neap_region_pin(own, &key, sizeof key, &shape, sizeof(struct counter), now_ns,
                           make_counter, &key);
}

/* While it is pinned, the cell is nobody else's. */
static void visit(struct neap_region *own, uint64_t key, int64_t now_ns)
{
    struct counter *cell = pin_at(own, key, now_ns);
    if (!cell)
        return;
    threads_expect(atomic_load(&cell->key) == key);
    atomic_fetch_add(&cell->value, 1);
    threads_expect(atomic_load(&cell->key) == key);
    neap_region_pin_again(own, cell);
    neap_region_unpin(own, cell, now_ns);
    threads_expect(atomic_load(&cell->key) == key);
    neap_region_unpin(own, cell, now_ns);
    atomic_fetch_add(&uses, 1);
}

static void *visit_by_chance(void *number)
{
    uint64_t seed = 1 + (uint64_t) * (int *)number;
    struct neap_region *own = open_own();
    threads_meet();
    for (int64_t i = 1; i < 20000; i++)
        visit(own, throw_dice(&seed, throw_dice(&seed, 2) ? KEYS : KEYS / 8), i);
    threads_meet();
    neap_region_release(own);
    return NULL;
}

static void what_is_pinned_is_not_evicted(void **state)
{
    (void)state;
    begin();
    run(visit_by_chance);
    assert_int_equal(stats().processes, 0);
    assert_in_range(stats().evicted, 100, 100000);
    assert_in_range(atomic_load(&uses), THREADS * 10000, THREADS * 20000);
}

/* One thread pins, with hardly a pause, what the others would evict. */
static void *pin_one_or_evict(void *number)
{
    bool pins = *(int *)number == 0;
    struct neap_region *own = open_own();
    threads_meet();
    for (int64_t i = 1; i < 30000; i++)
        visit(own, pins ? 0 : (uint64_t)(*(int *)number * 30000 + i), pins ? 0 : i);
    threads_meet();
    neap_region_release(own);
    return NULL;
}

static void what_is_being_pinned_is_not_evicted(void **state)
{
    (void)state;
    begin();
    run(pin_one_or_evict);
    assert_in_range(stats().evicted, 30000, THREADS * 30000);
}

static void *count_in_one_cell(void *number)
{
    (void)number;
    struct neap_region *own = open_own();
    threads_meet();
    for (int64_t i = 0; i < 10000; i++) {
        struct counter *cell = pin_at(own, 1, i);
        threads_expect(cell != NULL);
        if (cell)
            atomic_fetch_add(&cell->value, 1);
        neap_region_unpin(own, cell, i);
    }
    threads_meet();
    neap_region_release(own);
    return NULL;
}

static void those_who_come_at_once_get_one_cell(void **state)
{
    (void)state;
    begin();
    run(count_in_one_cell);
    assert_int_equal(atomic_load(&pin(1)->value), THREADS * 10000);
    assert_int_equal(stats().cells, 1);
}

static void *claim_and_leave(void *number)
{
    static _Atomic bool is_taken[NEAP_HOLDER_MAX + 1];
    (void)number;
    for (int i = 0; i < 300; i++) {
        struct neap_region *own = open_own();
        uint32_t holder = neap_region_holder(own);
        threads_expect(holder > 0 && holder <= THREADS);
        threads_expect(!atomic_exchange(&is_taken[holder], true));
        atomic_store(&is_taken[holder], false);
        neap_region_release(own);
    }
    return NULL;
}

static void no_two_have_one_number(void **state)
{
    (void)state;
    begin();
    run(claim_and_leave);
    assert_int_equal(stats().processes, 0);
}

static void reclaim_nothing(void *cell, const struct neap_cell_shape *of, uint32_t holder,
                            int64_t now_ns, void *context)
{
    (void)cell, (void)of, (void)holder, (void)now_ns, (void)context;
    threads_expect(false);
}

static void *live_among_the_reapers(void *number)
{
    uint64_t seed = 1 + (uint64_t) * (int *)number;
    struct neap_region *own = open_own();
    struct neap_region_stats seen;
    threads_meet();
    for (int64_t i = 1; i < 2000; i++) {
        visit(own, throw_dice(&seed, KEYS), i * NEAP_MS);
        threads_expect(neap_region_reap(own, i * 100 * NEAP_MS, reclaim_nothing, NULL) == 0);
        neap_region_read(own, &seen);
        threads_expect(seen.used_bytes <= seen.bytes && seen.processes <= THREADS);
    }
    threads_meet();
    neap_region_release(own);
    return NULL;
}

static void the_living_are_not_reaped(void **state)
{
    (void)state;
    begin();
    run(live_among_the_reapers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(what_is_pinned_is_not_evicted),       SPEC(what_is_being_pinned_is_not_evicted),
        SPEC(those_who_come_at_once_get_one_cell), SPEC(no_two_have_one_number),
        SPEC(the_living_are_not_reaped),
    };
    return cmocka_run_group_tests_name("region, many threads", tests, NULL, NULL);
}
