/* Servings at a desk whose store does what the test says: it passes on to a store of a real kind,
 * fails, or waits until it is told to go on. Assertions are for the main thread. */
#ifndef NEAP_SPEC_CLIENT_SERVING_FIXTURE_H
#define NEAP_SPEC_CLIENT_SERVING_FIXTURE_H

#include "client/serving.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/clock.h"
#include "store/store_internal.h"
#include "support/child.h"
#include "support/failing_alloc.h"
#include "support/stores.h"

#define WAIT_NS (20 * NEAP_SECOND)
#define LONG_NS (600 * NEAP_SECOND)
#define SHORT_NS (150 * NEAP_MS)

static struct failing_alloc memory;
static struct neap_engine *engine;
static struct neap_desk *desk;
static struct neap_serving_setup setup;
static int descriptors;

/* ------------------------------------------------------------------------------- the store */

enum op { CLAIM, RENEW, FINISH, RELEASE, OPS };

/* What the store is to do, and what was done with it; any thread. */
static struct {
    _Atomic int asked[OPS], done[OPS]; /* begun, and ended */
    _Atomic int status[OPS];           /* other than OK: instead of passing on */
    _Atomic bool after[OPS];           /* fails after it was done, as a connection that breaks */
    _Atomic bool holds[OPS];           /* waits as long as this holds */
    _Atomic int asked_here;            /* on the test's thread */
    _Atomic int freed;
} script;

static pthread_t owner;

struct scripted {
    struct neap_store store;
    struct neap_store *inner;
};

static inline void usleep_a_little(void)
{
    usleep(200); /* between two looks */
}

static inline bool begins(struct neap_store *store, enum op op, enum neap_store_status *status)
{
    atomic_fetch_add(&script.asked[op], 1);
    if (pthread_equal(pthread_self(), owner))
        atomic_fetch_add(&script.asked_here, 1);
    while (atomic_load(&script.holds[op]))
        usleep_a_little();
    *status = (enum neap_store_status)atomic_load(&script.status[op]);
    if (*status == NEAP_STORE_UNAVAILABLE)
        *status = neap_store_unavailable(store, "down today");
    return *status == NEAP_STORE_OK || atomic_load(&script.after[op]);
}

static inline enum neap_store_status ends(enum op op, enum neap_store_status said,
                                          enum neap_store_status really)
{
    atomic_fetch_add(&script.done[op], 1);
    return said == NEAP_STORE_OK ? really : said;
}

static inline struct neap_store *inner_of(struct neap_store *store)
{
    return ((struct scripted *)store)->inner;
}

static inline enum neap_store_status scripted_claim(struct neap_store *store,
                                                    const struct neap_claim_request *request,
                                                    struct neap_claim *claim)
{
    enum neap_store_status said, really = NEAP_STORE_OK;
    struct neap_claim hidden = {0};
    if (begins(store, CLAIM, &said))
        really = neap_store_claim(inner_of(store), request, &hidden);
    if (said == NEAP_STORE_OK && really == NEAP_STORE_OK)
        *claim = hidden;
    else
        neap_blob_free(&hidden.result);
    return ends(CLAIM, said, really);
}

static inline enum neap_store_status scripted_renew(struct neap_store *store, struct neap_bytes key,
                                                    const uint8_t *token, int64_t now_ns,
                                                    int64_t lease_end_ns)
{
    enum neap_store_status said, really = NEAP_STORE_OK;
    if (begins(store, RENEW, &said))
        really = neap_store_renew(inner_of(store), key, token, now_ns, lease_end_ns - now_ns);
    return ends(RENEW, said, really);
}

static inline enum neap_store_status scripted_finish(struct neap_store *store,
                                                     struct neap_bytes key, const uint8_t *token,
                                                     struct neap_bytes result, int64_t now_ns)
{
    enum neap_store_status said, really = NEAP_STORE_OK;
    if (begins(store, FINISH, &said))
        really = neap_store_finish(inner_of(store), key, token, result, now_ns);
    return ends(FINISH, said, really);
}

static inline enum neap_store_status scripted_release(struct neap_store *store,
                                                      struct neap_bytes key, const uint8_t *token,
                                                      int64_t now_ns)
{
    enum neap_store_status said, really = NEAP_STORE_OK;
    if (begins(store, RELEASE, &said))
        really = neap_store_release(inner_of(store), key, token, now_ns);
    return ends(RELEASE, said, really);
}

static inline void free_scripted(struct neap_store *store)
{
    neap_store_free(inner_of(store));
    atomic_fetch_add(&script.freed, 1);
    neap_free(store->alloc, store);
}

static const struct neap_store_kind scripted_kind = {.claim = scripted_claim,
                                                     .renew = scripted_renew,
                                                     .finish = scripted_finish,
                                                     .release = scripted_release,
                                                     .free = free_scripted};

static inline void open_desk(const struct store_kind *kind)
{
    struct scripted *scripted = neap_alloc_zeroed(&memory.alloc, sizeof *scripted);
    assert_non_null(scripted);
    scripted->store.kind = &scripted_kind;
    scripted->store.alloc = &memory.alloc;
    scripted->inner = stores_open(kind, &memory.alloc);
    assert_int_equal(neap_desk_new(&memory.alloc, &scripted->store, false, &desk), NEAP_OK);
}

static inline void fail_with(enum op op, enum neap_store_status status)
{
    atomic_store(&script.status[op], (int)status);
}

static inline void hold(enum op op, bool holds)
{
    atomic_store(&script.holds[op], holds);
}

/* The test's thread waits without turning the engine: as an owner who blocks. */
static inline void wait_blocked(const _Atomic int *counter, int count)
{
    int64_t end_ns = neap_clock_monotonic_ns() + WAIT_NS;
    while (atomic_load(counter) < count) {
        assert_true(neap_clock_monotonic_ns() < end_ns);
        usleep_a_little();
    }
}

/* The same while the engine is turned. */
static inline void wait_turning(const _Atomic int *counter, int count)
{
    int64_t end_ns = neap_clock_monotonic_ns() + WAIT_NS;
    while (atomic_load(counter) < count) {
        assert_true(neap_clock_monotonic_ns() < end_ns);
        neap_engine_turn(engine, neap_clock_monotonic_ns() + NEAP_MS);
    }
}

/* Until no errand is out. */
static inline void turn_until_idle(void)
{
    int64_t end_ns = neap_clock_monotonic_ns() + WAIT_NS;
    while (engine->busy > 0) {
        assert_true(neap_clock_monotonic_ns() < end_ns);
        neap_engine_turn(engine, neap_clock_monotonic_ns() + 10 * NEAP_MS);
    }
}

/* What another process would be told of the key; it claims what is free, and lets go of it. */
static inline struct neap_claim look_at(const char *key)
{
    struct neap_claim claim = {0};
    struct neap_claim_request request;
    fill_request(&request, key, 'x', neap_clock_wall_ns());
    memset(request.fingerprint, 0, sizeof request.fingerprint);
    request.lease_ns = request.ttl_ns = LONG_NS;
    struct neap_store *inner = inner_of(neap_desk_take(desk));
    assert_int_equal(neap_store_claim(inner, &request, &claim), NEAP_STORE_OK);
    if (claim.state == NEAP_CLAIM_NEW)
        assert_int_equal(
            neap_store_release(inner, request.key, request.token, neap_clock_wall_ns()),
            NEAP_STORE_OK);
    neap_desk_give(desk);
    return claim;
}

static inline void assert_key(const char *key, enum neap_claim_state state)
{
    struct neap_claim claim = look_at(key);
    neap_blob_free(&claim.result);
    assert_int_equal(claim.state, state);
}

/* Somebody else has the key, for a long time. */
static inline void occupy(const char *key)
{
    struct neap_claim claim;
    struct neap_claim_request request;
    fill_request(&request, key, 'o', neap_clock_wall_ns());
    memset(request.fingerprint, 0, sizeof request.fingerprint);
    request.lease_ns = request.ttl_ns = LONG_NS;
    struct neap_store *inner = inner_of(neap_desk_take(desk));
    assert_int_equal(neap_store_claim(inner, &request, &claim), NEAP_STORE_OK);
    neap_desk_give(desk);
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
}

static inline void let_go(const char *key)
{
    struct neap_store *inner = inner_of(neap_desk_take(desk));
    assert_int_equal(neap_store_release(inner, bytes_of(key), token_of('o'), neap_clock_wall_ns()),
                     NEAP_STORE_OK);
    neap_desk_give(desk);
}

/* ------------------------------------------------------------------------------- servings */

static inline struct neap_serving *make(const char *key)
{
    struct neap_serving *serving;
    setup.key = bytes_of(key);
    assert_int_equal(neap_serving_new(desk, engine, &setup, &serving), NEAP_OK);
    return serving;
}

static inline struct neap_serving *begin(const char *key)
{
    struct neap_serving *serving = make(key);
    neap_serving_begin(serving);
    return serving;
}

static inline void run_to(struct neap_serving *serving, enum neap_serving_stage stage)
{
    assert_true(neap_serving_run(serving));
    assert_int_equal(neap_serving_stage(serving), stage);
}

/* In the handler. */
static inline struct neap_serving *begin_handler(const char *key)
{
    struct neap_serving *serving = begin(key);
    run_to(serving, NEAP_SERVING_RUN);
    return serving;
}

/* RUN was told, and nobody has looked. */
static inline struct neap_serving *begin_unseen(const char *key)
{
    struct neap_serving *serving = begin(key);
    assert_true(neap_serving_run(serving));
    return serving;
}

/* The answer 201 with that body, as a blob that a serving takes over. */
static inline char *write_answer(const char *body, size_t *bytes)
{
    char *blob;
    const struct neap_stored_answer answer = {.status = 201,
                                              .body = {.text = body, .bytes = strlen(body)}};
    assert_int_equal(neap_stored_answer_write(&answer, &memory.alloc, &blob, bytes), NEAP_OK);
    return blob;
}

static inline void answer_with(struct neap_serving *serving, const char *body)
{
    size_t bytes;
    const struct neap_guard_handled handled = {.status = 201};
    char *blob = write_answer(body, &bytes);
    neap_serving_handled(serving, &handled, blob, bytes);
}

static inline void raise_in_handler(struct neap_serving *serving)
{
    const struct neap_guard_handled handled = {.raised = true};
    neap_serving_handled(serving, &handled, NULL, 0);
}

/* The whole of a life. */
static inline void serve(const char *key, const char *body)
{
    struct neap_serving *serving = begin_handler(key);
    answer_with(serving, body);
    run_to(serving, NEAP_SERVING_ANSWER);
    neap_serving_free(serving);
}

static inline void expect_replay(const char *key, const char *body)
{
    struct neap_serving *serving = begin(key);
    run_to(serving, NEAP_SERVING_REPLAY);
    const struct neap_stored_reader *replay = neap_serving_replay(serving);
    assert_int_equal(replay->status, 201);
    assert_int_equal(replay->body.bytes, strlen(body));
    assert_memory_equal(replay->body.text, body, strlen(body));
    neap_serving_free(serving);
}

static inline void expect_problem(const char *key, enum neap_problem problem)
{
    struct neap_serving *serving = begin(key);
    run_to(serving, NEAP_SERVING_PROBLEM);
    assert_int_equal(neap_serving_problem(serving), problem);
    neap_serving_free(serving);
}

/* ------------------------------------------------------------------------------- around a test */

static inline void reset(void)
{
    failing_alloc_init(&memory);
    for (int op = 0; op < OPS; op++) {
        script.asked[op] = script.done[op] = script.status[op] = 0;
        script.after[op] = script.holds[op] = false;
    }
    script.freed = script.asked_here = 0;
    owner = pthread_self();
    setup = (struct neap_serving_setup){
        .policy = {.ttl_ns = LONG_NS, .lease_ns = LONG_NS, .max_run_ns = LONG_NS, .required = true},
        .guarded = true};
}

static inline int set_up_with(const struct store_kind *kind)
{
    descriptors = open_descriptors();
    reset();
    stores_prepare(kind);
    assert_int_equal(neap_engine_new(&memory.alloc, &engine), NEAP_OK);
    open_desk(kind);
    return 0;
}

static inline int set_up(void **state)
{
    (void)state;
    return set_up_with(&store_kinds[0]);
}

static inline int set_up_sqlite(void **state)
{
    (void)state;
    return set_up_with(&store_kinds[1]);
}

static inline int set_up_virtual(void **state)
{
    (void)state;
    descriptors = open_descriptors();
    reset();
    stores_prepare(&store_kinds[0]);
    assert_int_equal(neap_engine_new_virtual(&memory.alloc, 1, neap_clock_wall_ns(), &engine),
                     NEAP_OK);
    open_desk(&store_kinds[0]);
    return 0;
}

/* As where the host closes: nobody will turn the engine for what is out. */
static inline void release_desk(void)
{
    neap_engine_desert(engine);
    neap_desk_release(desk);
    desk = NULL;
}

/* Nothing of a serving may be left by then but what the desk's end ends. */
static inline int tear_down(void **state)
{
    (void)state;
    for (int op = 0; op < OPS; op++)
        hold((enum op)op, false);
    release_desk();
    assert_int_equal(script.freed, 1);
    assert_int_equal(engine->busy, 0);
    assert_null(engine->ready.first);
    assert_null(engine->members);
    assert_int_equal(engine->references, 1);
    neap_engine_release(engine);
    failing_alloc_assert_all_freed(&memory);
    assert_int_equal(open_descriptors(), descriptors);
    return 0;
}

static inline int tear_down_all(void **state)
{
    (void)state;
    stores_remove();
    return 0;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SQLITE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_sqlite, tear_down)
#define VIRTUAL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_virtual, tear_down)

#endif
