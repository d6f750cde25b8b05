#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/memory.h"
#include "store/store.h"
#include "support/stores.h"
#include "support/threads.h"

/* Each thread has a store object of its own; the kinds that are shared see the same data through
 * all of them. */
#define NOW INT64_C(1767225600000000000)
#define THREADS 8
#define CLAIMS 25 /* of one key, by each thread: 200 in all */
#define ENTRIES 120
#define LANES 5

static const struct store_kind *kind;
static _Atomic int news, dones;
static _Atomic int in_flight[LANES];
static _Atomic int delivered[ENTRIES];

static struct neap_store *open_own(void)
{
    char message[NEAP_MESSAGE_BYTES];
    struct neap_store *own = NULL;
    threads_expect(kind->open(neap_platform_alloc(), &own, message) == NEAP_STORE_OK);
    return own;
}

static int set_up(void **state)
{
    (void)state;
    stores_prepare(kind);
    atomic_store(&news, 0);
    atomic_store(&dones, 0);
    return 0;
}

/* -------------------------------------------------------------------------------------- claims */

static void claim_once(struct neap_store *own, int number, int i)
{
    struct neap_claim_request request;
    struct neap_claim claim = {0};
    fill_request(&request, "k", 'x', NOW);
    request.token[0] = (uint8_t)number;
    request.token[1] = (uint8_t)i;
    threads_expect(neap_store_claim(own, &request, &claim) == NEAP_STORE_OK);
    if (claim.state == NEAP_CLAIM_NEW) {
        atomic_fetch_add(&news, 1);
        threads_expect(neap_store_finish(own, request.key, request.token, bytes_of("result"),
                                         NOW) == NEAP_STORE_OK);
    }
    if (claim.state == NEAP_CLAIM_DONE) {
        atomic_fetch_add(&dones, 1);
        threads_expect(claim.result.bytes == 6 && memcmp(claim.result.at, "result", 6) == 0);
        neap_blob_free(&claim.result);
    }
}

static void *claim_often(void *number)
{
    struct neap_store *own = open_own();
    threads_meet();
    for (int i = 0; own && i < CLAIMS; i++)
        claim_once(own, *(int *)number, i);
    neap_store_free(own);
    return NULL;
}

static void of_many_claims_exactly_one_is_new(void **state)
{
    (void)state;
    threads_run(THREADS, claim_often);
    assert_int_equal(atomic_load(&news), 1);
    assert_true(atomic_load(&dones) >= CLAIMS - 1);
}

/* -------------------------------------------------------------------------------------- outbox */

static struct neap_bytes lane_of(int entry)
{
    static const char *const lanes[LANES] = {"a", "b", "c", "d", "e"};
    return bytes_of(lanes[entry % LANES]);
}

static void put_all(void)
{
    struct neap_store *own = open_own();
    uint64_t id;
    for (int i = 0; i < ENTRIES; i++) {
        atomic_store(&delivered[i], 0);
        const struct neap_bytes value = {&i, sizeof i};
        assert_int_equal(neap_store_outbox_put(own, bytes_of("o"), lane_of(i), value, NOW, &id),
                         NEAP_STORE_OK);
    }
    neap_store_free(own);
}

/* An entry is delivered once, with nobody else in its lane, and after the one before it. */
static void deliver(struct neap_store *own, struct neap_outbox_entry *entry)
{
    int i = -1;
    memcpy(&i, entry->value.at, sizeof i);
    neap_blob_free(&entry->value);
    threads_expect(i >= 0 && i < ENTRIES);
    threads_expect(atomic_fetch_add(&in_flight[i % LANES], 1) == 0);
    threads_expect(atomic_fetch_add(&delivered[i], 1) == 0);
    threads_expect(i < LANES || atomic_load(&delivered[i - LANES]) == 1);
    atomic_fetch_sub(&in_flight[i % LANES], 1);
    threads_expect(neap_store_outbox_done(own, entry->id, entry->token) == NEAP_STORE_OK);
}

static void *deliver_all(void *number)
{
    struct neap_store *own = open_own();
    struct neap_outbox_entry entry;
    int64_t next_ns = 0;
    uint8_t token[NEAP_STORE_TOKEN_BYTES] = {(uint8_t) * (int *)number};
    threads_meet();
    while (own && next_ns != INT64_MAX) {
        enum neap_store_status status =
            neap_store_outbox_take(own, bytes_of("o"), token, NOW, 1000, &entry, &next_ns);
        if (status == NEAP_STORE_OK)
            deliver(own, &entry);
        threads_expect(status == NEAP_STORE_OK || status == NEAP_STORE_NONE);
    }
    neap_store_free(own);
    return NULL;
}

static void entries_are_delivered_once_and_in_order(void **state)
{
    (void)state;
    put_all();
    threads_run(THREADS, deliver_all);
    for (int i = 0; i < ENTRIES; i++)
        assert_int_equal(atomic_load(&delivered[i]), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(of_many_claims_exactly_one_is_new, set_up),
        cmocka_unit_test_setup(entries_are_delivered_once_and_in_order, set_up),
    };
    int failures = 0;
    for (size_t i = 0; i < STORE_KINDS; i++) {
        kind = &store_kinds[i];
        const char *lack = stores_lack(kind);
        if (lack)
            failures += stores_skip(kind->name, lack);
        else if (kind->is_shared)
            failures += cmocka_run_group_tests_name("store_threads", tests, NULL, NULL);
    }
    stores_remove();
    return failures;
}
