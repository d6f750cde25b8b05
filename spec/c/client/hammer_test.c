#include "client/hammer.h"

#include <time.h>

#define LARGE ((size_t)256 * 1024)

/* Memory that the workers and this process share without the region. */
static struct books *books;
static _Atomic bool *is_over;

static int set_up_books(void **state)
{
    size_t bytes = WORKERS * sizeof *books + sizeof *is_over;
    books = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(books != MAP_FAILED);
    is_over = (void *)(books + WORKERS);
    return set_up(state);
}

static int tear_down_books(void **state)
{
    assert_int_equal(munmap(books, WORKERS * sizeof *books + sizeof *is_over), 0);
    return tear_down(state);
}

/* Keys come and go, so that some die over the index too. On a busy machine its lock may take too
 * long to be had. */
static void churn(const struct neap_cells *cells)
{
    char key[32];
    int bytes = snprintf(key, sizeof key, "key %d", (int)dice(2000));
    void *cell = neap_cells_acquire(cells, NEAP_CELL_GATE, key, (size_t)bytes, NULL,
                                    neap_clock_monotonic_ns());
    neap_cells_release(cells, cell, neap_clock_monotonic_ns());
}

/* A process that came by itself: it opens the region by its name. */
static void work(int worker)
{
    struct neap_region *own = NULL;
    struct anvil anvil;
    dice_seed = (uint64_t)getpid();
    if (neap_region_open(neap_platform_alloc(), name, LARGE, &own, message) != NEAP_OK)
        _exit(1);
    struct neap_cells cells = {.alloc = neap_platform_alloc(), .region = own};
    if (!take_anvil(&cells, &anvil))
        _exit(2);
    for (uint64_t round = 0; !atomic_load(is_over); round++) {
        hammer_once(&anvil, books, worker, round);
        churn(&cells);
    }
    drop_anvil(&cells, &anvil);
    neap_region_release(own);
    _exit(0);
}

static pid_t start_worker(int worker)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(worker);
    }
    return pid;
}

static int end_of(pid_t worker)
{
    int status;
    assert_int_equal(waitpid(worker, &status, 0), worker);
    return status;
}

/* Exactly so long, since the moments at which workers die are to be anywhere. */
static void let_pass(int64_t ns)
{
    const struct timespec length = {.tv_sec = ns / NEAP_SECOND, .tv_nsec = ns % NEAP_SECOND};
    while (nanosleep(&length, NULL) != 0)
        continue;
}

static struct anvil begin_hammering(struct neap_cells *cells)
{
    struct anvil anvil;
    region = join(LARGE);
    *cells = cells_in(region);
    assert_true(take_anvil(cells, &anvil));
    start_probing(&anvil);
    return anvil;
}

static void check_end(const struct anvil *anvil, int64_t began_ns, bool asked_always)
{
    assert_int_equal(TOTAL(books, violations), 0);
    assert_true(TOTAL(books, probes) > 100 && TOTAL(books, done) > 100);
    check_counts(anvil, books);
    check_limiter(books, neap_clock_monotonic_ns() - began_ns, asked_always);
    assert_int_equal(stats().processes, 1);
    check_nothing_is_out(anvil);
}

static void two_processes_that_live(void **state)
{
    (void)state;
    pid_t worker[WORKERS];
    struct neap_cells cells;
    struct anvil anvil = begin_hammering(&cells);
    struct neap_breaker_snapshot seen;
    int64_t began_ns = neap_clock_monotonic_ns();
    for (int i = 0; i < WORKERS; i++)
        worker[i] = start_worker(i);
    let_pass(HAMMER_NS);
    atomic_store(is_over, true);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(end_of(worker[i]), 0);
    assert_int_equal(TOTAL(books, begun), TOTAL(books, done));
    neap_breaker_read(anvil.probing, &probing_policy, neap_clock_monotonic_ns(), &seen);
    assert_int_equal(seen.opened, 1 + TOTAL(books, probes));
    check_end(&anvil, began_ns, true);
}

/* Struck off the books first: from then on others may have what it held. */
static void bury(pid_t worker, struct books *of)
{
    (void)end_of(worker);
    atomic_store(&of->inside, 0);
    atomic_store(&of->probing, 0);
    reap_cells(region);
}

static void two_processes_one_of_which_is_killed_again_and_again(void **state)
{
    (void)state;
    struct neap_cells cells;
    struct anvil anvil = begin_hammering(&cells);
    int64_t began_ns = neap_clock_monotonic_ns();
    uint64_t deaths = 0;
    pid_t survivor = start_worker(0);
    dice_seed = 7;
    while (neap_clock_monotonic_ns() - began_ns < HAMMER_NS) {
        pid_t victim = start_worker(1);
        let_pass((int64_t)dice(10 * NEAP_MS));
        assert_int_equal(kill(victim, SIGKILL), 0);
        bury(victim, &books[1]);
        deaths++;
    }
    atomic_store(is_over, true);
    assert_int_equal(end_of(survivor), 0);
    assert_in_range(deaths, 20, 10000);
    assert_in_range(TOTAL(books, begun) - TOTAL(books, done), 0, deaths);
    check_end(&anvil, began_ns, false);
}

static void all_die_at_once(void **state)
{
    (void)state;
    pid_t worker[WORKERS];
    struct neap_cells cells;
    struct anvil anvil = begin_hammering(&cells);
    int64_t began_ns = neap_clock_monotonic_ns();
    dice_seed = 11;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < WORKERS; i++)
            worker[i] = start_worker(i);
        let_pass((int64_t)(5 * NEAP_MS + (int64_t)dice(20 * NEAP_MS)));
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(kill(worker[i], SIGKILL), 0);
        for (int i = 0; i < WORKERS; i++)
            bury(worker[i], &books[i]);
    }
    check_end(&anvil, began_ns, false);
}

#define HAMMER(test) cmocka_unit_test_setup_teardown(test, set_up_books, tear_down_books)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HAMMER(two_processes_that_live),
        HAMMER(two_processes_one_of_which_is_killed_again_and_again),
        HAMMER(all_die_at_once),
    };
    return cmocka_run_group_tests_name("hammered by processes", tests, NULL, NULL);
}
