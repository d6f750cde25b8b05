/* A region of the test's own, the cells that the tests use, and children that use it too. */
#ifndef NEAP_SPEC_SHARED_REGION_FIXTURE_H
#define NEAP_SPEC_SHARED_REGION_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/memory.h"
#include "shared/region_places.h"
#include "support/failing_alloc.h"

#define SMALL NEAP_REGION_BYTES_MIN

/* What lies in a cell of the tests. */
struct counter {
    _Atomic uint64_t key;   /* whose cell it is */
    _Atomic uint64_t value; /* for the test to use */
    _Atomic uint64_t held;  /* a bit for each holder, below 64 */
    unsigned char pad[40];
};

static const struct neap_cell_shape shape = {.kind = 1, .size = {sizeof(struct counter), 0, 0}};

static struct failing_alloc memory;
static char name[NEAP_REGION_NAME_MAX + 1];
static char path[NEAP_REGION_NAME_MAX + 16];
static char message[NEAP_MESSAGE_BYTES];
static struct neap_region *region; /* released by tear_down */
static int64_t now;

static inline int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    (void)snprintf(name, sizeof name, "spec-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "/neap-%s", name);
    (void)shm_unlink(path);
    message[0] = '\0';
    region = NULL;
    now = 1000 * NEAP_SECOND;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    neap_region_release(region);
    (void)shm_unlink(path);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static inline struct neap_region *join(size_t bytes)
{
    struct neap_region *joined = NULL;
    assert_int_equal(neap_region_open(&memory.alloc, name, bytes, &joined, message), NEAP_OK);
    return joined;
}

static inline void begin(void)
{
    region = join(SMALL);
}

static inline void make_counter(void *cell, const struct neap_cell_shape *of, const void *context)
{
    struct counter *counter = cell;
    (void)of;
    atomic_store(&counter->key, *(const uint64_t *)context);
}

static inline struct counter *pin_in(struct neap_region *in, uint64_t key)
{
    return neap_region_pin(in, &key, sizeof key, &shape, sizeof(struct counter), now, make_counter,
                           &key);
}

static inline struct counter *pin(uint64_t key)
{
    return pin_in(region, key);
}

/* What is pinned from now on needs memory of this process. */
static inline void fill_hands(void)
{
    for (uint64_t key = 1001; key <= 1000 + NEAP_REGION_HANDS; key++)
        assert_non_null(pin(key));
}

static inline struct counter *find_in(struct neap_region *in, uint64_t key)
{
    return neap_region_find(in, &key, sizeof key, &shape);
}

static inline void unpin(void *cell)
{
    neap_region_unpin(region, cell, now);
}

static uint64_t dice_seed; /* set by the test */

static inline uint64_t dice(uint64_t sides)
{
    dice_seed = dice_seed * 6364136223846793005u + 1442695040888963407u;
    return (dice_seed >> 33) % sides;
}

/* Makes it if it is not there; one nanosecond passes. */
static inline void use(uint64_t key)
{
    struct counter *counter = pin(key);
    assert_non_null(counter);
    now++;
    unpin(counter);
}

static inline bool is_there(uint64_t key)
{
    struct counter *counter = find_in(region, key);
    if (counter)
        unpin(counter);
    return counter != NULL;
}

static inline struct neap_region_stats stats(void)
{
    struct neap_region_stats read;
    neap_region_read(region, &read);
    return read;
}

/* Uses keys from `first` on until nothing more fits without evicting; answers how many. */
static inline uint64_t fill(uint64_t first)
{
    uint64_t evicted = stats().evicted;
    size_t cell_bytes, before = stats().used_bytes;
    use(first);
    cell_bytes = stats().used_bytes - before;
    uint64_t count = 1;
    for (; stats().bytes - stats().used_bytes >= cell_bytes; count++)
        use(first + count);
    assert_int_equal(stats().evicted, evicted);
    return count;
}

/* ---- children ---- */

/* Runs in a child that then waits to be killed; what it answers by `say` the parent hears. */
typedef void child_work(void);
static int to_parent[2];

static inline void say(uint32_t number)
{
    if (write(to_parent[1], &number, sizeof number) != sizeof number)
        _exit(1);
}

static inline uint32_t hear(void)
{
    uint32_t number = 0;
    assert_int_equal(read(to_parent[0], &number, sizeof number), sizeof number);
    return number;
}

static inline pid_t start_child(child_work *work)
{
    assert_int_equal(pipe(to_parent), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the parent's test may fail before it kills */
        work();
        for (;;)
            pause();
    }
    return child;
}

/* The child stays a zombie until wait_for. */
static inline void kill_child(pid_t child)
{
    siginfo_t info;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
}

static inline int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(to_parent[0]);
    close(to_parent[1]);
    return status;
}

/* ---- reclaiming ---- */

static uint32_t reclaimed;      /* how often */
static uint32_t reclaimed_from; /* the last holder */

static inline void reclaim(void *cell, const struct neap_cell_shape *of, uint32_t holder,
                           int64_t now_ns, void *context)
{
    struct counter *counter = cell;
    assert_memory_equal(of, &shape, sizeof shape);
    assert_true(now_ns == now);
    assert_ptr_equal(context, &now);
    atomic_fetch_and(&counter->held, ~(UINT64_C(1) << holder % 64));
    reclaimed++;
    reclaimed_from = holder;
}

/* The duty is due again. */
static inline uint32_t reap(void)
{
    reclaimed = reclaimed_from = 0;
    now += NEAP_REAP_EVERY_NS;
    return neap_region_reap(region, now, reclaim, &now);
}

#endif
