/* A desk with a store that does nothing but wait where it is told to, and errands that note what
 * becomes of them. Assertions are for the main thread: the desk's notes what it sees. */
#ifndef NEAP_SPEC_CLIENT_DESK_FIXTURE_H
#define NEAP_SPEC_CLIENT_DESK_FIXTURE_H

#include "client/desk.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "base/owner.h"
#include "platform/clock.h"
#include "store/store_internal.h"
#include "support/child.h"
#include "support/failing_alloc.h"
#include "support/visitor.h"

#define ERRANDS 1000
#define LIMIT_NS (20 * NEAP_SECOND)

static struct failing_alloc memory;
static struct neap_engine *engine;
static struct neap_desk *desk;
static int descriptors;

/* ------------------------------------------------------------------------------- the store */

static _Atomic bool begun, may_end;
static _Atomic int stores_freed;

static inline void wait_to_be_told(void)
{
    atomic_store(&begun, true);
    while (!atomic_load(&may_end))
        usleep(100); /* between two looks */
}

static inline void wait_until_begun(void)
{
    while (!atomic_load(&begun))
        usleep(100); /* between two looks */
}

static inline enum neap_store_status slow_remove(struct neap_store *store, struct neap_bytes key)
{
    (void)store;
    (void)key;
    wait_to_be_told();
    return NEAP_STORE_OK;
}

static inline enum neap_store_status broken_get(struct neap_store *store, struct neap_bytes key,
                                                int64_t now_ns, struct neap_blob *value)
{
    (void)now_ns;
    (void)value;
    return neap_store_unavailable(store, "no %.*s today", (int)key.bytes, (const char *)key.at);
}

static inline void free_store(struct neap_store *store)
{
    atomic_fetch_add(&stores_freed, 1);
    neap_free(store->alloc, store);
}

static const struct neap_store_kind slow_kind = {
    .remove = slow_remove, .get = broken_get, .free = free_store};

static inline struct neap_store *slow_store(void)
{
    struct neap_store *store = neap_alloc_zeroed(&memory.alloc, sizeof *store);
    assert_non_null(store);
    store->kind = &slow_kind;
    store->alloc = &memory.alloc;
    return store;
}

/* ------------------------------------------------------------------------------- errands */

struct work {
    struct neap_desk_errand errand;
    struct neap_desk_guest guest;
    struct neap_loop_timer timer;
    struct work *next; /* sent when this one is back */
    int number;
    int64_t returned_ns;
};

static struct work work[ERRANDS];
static int run_order[ERRANDS]; /* the desk's thread's, until they are back */
static _Atomic int runs;
static _Atomic int runs_here; /* on the owner's thread */
static int back_order[ERRANDS], backs;
static pthread_t owner;

static inline struct work *work_of(struct neap_desk_errand *errand)
{
    return NEAP_OWNER(errand, struct work, errand);
}

static inline void run(struct neap_desk_errand *errand)
{
    struct work *done = work_of(errand);
    run_order[runs++ % ERRANDS] = done->number;
    runs_here += pthread_equal(pthread_self(), owner) != 0;
    done->returned_ns = neap_clock_monotonic_ns();
    neap_desk_return(errand);
}

static inline void run_slowly(struct neap_desk_errand *errand)
{
    struct neap_store *store = neap_desk_take(errand->desk);
    enum neap_store_status unused = neap_store_remove(store, (struct neap_bytes){"k", 1});
    (void)unused;
    neap_desk_give(errand->desk);
    run(errand);
}

static inline void send(struct work *errand)
{
    assert_int_equal(neap_desk_send(desk, engine, &errand->errand), NEAP_OK);
}

static inline void back(struct neap_desk_errand *errand)
{
    struct work *done = work_of(errand);
    back_order[backs++ % ERRANDS] = done->number;
    if (done->next)
        send(done->next);
}

static inline bool turn_until_back(int count)
{
    int64_t end_ns = neap_clock_monotonic_ns() + LIMIT_NS;
    while (backs < count && neap_clock_monotonic_ns() < end_ns)
        neap_engine_turn(engine, end_ns);
    return backs == count;
}

/* ------------------------------------------------------------------------------- around a test */

static inline void release_desk(void)
{
    neap_desk_release(desk);
    desk = NULL;
}

/* Nobody is going to turn the engine: the desk goes here and now. */
static inline void release_deserted_desk(void)
{
    neap_engine_desert(engine);
    release_desk();
}

static inline int set_up(void **state)
{
    (void)state;
    descriptors = open_descriptors();
    failing_alloc_init(&memory);
    owner = pthread_self();
    backs = 0;
    runs = runs_here = stores_freed = 0;
    atomic_store(&begun, false);
    atomic_store(&may_end, false);
    for (int i = 0; i < ERRANDS; i++)
        work[i] = (struct work){.errand = {.run = run, .back = back}, .number = i};
    assert_int_equal(neap_engine_new(&memory.alloc, &engine), NEAP_OK);
    assert_int_equal(neap_desk_new(&memory.alloc, slow_store(), false, &desk), NEAP_OK);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    atomic_store(&may_end, true);
    release_deserted_desk();
    assert_int_equal(engine->busy, 0);
    assert_null(engine->members);
    assert_int_equal(engine->references, 1);
    neap_engine_release(engine);
    failing_alloc_assert_all_freed(&memory);
    assert_int_equal(stores_freed, 1);
    assert_int_equal(open_descriptors(), descriptors);
    return 0;
}

/* As a host whose thread must not wait. */
static inline int wait_at_doorbell(void)
{
    struct neap_helper *helper;
    engine->wants_helper = true;
    assert_int_equal(neap_engine_get_helper(engine, &helper), NEAP_OK);
    int visitor = visit(neap_helper_doorbell(helper));
    assert_true(visitor >= 0);
    return visitor;
}

static inline bool listen_until_back(int visitor, int count)
{
    while (backs < count) {
        if (neap_engine_poll(engine) || !neap_helper_arm(engine->helper))
            continue;
        if (!hears(visitor, (int)(LIMIT_NS / NEAP_MS)))
            return false;
        count_rings(visitor);
    }
    return backs == count;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
