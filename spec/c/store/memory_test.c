#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "support/failing_alloc.h"
#include "support/stores.h"

#define NOW INT64_C(1767225600000000000)
#define SMALL 8192u
#define LARGE (1024u * 1024)

/* What the C library really gives, which is never less than was asked for. */
struct scales {
    struct neap_alloc alloc;
    size_t bytes, most;
};

static struct scales scales;
static struct neap_store *store;
static char kilobyte[1024];

static void *weigh(void *context, void *block, size_t new_bytes)
{
    struct scales *on = context;
    on->bytes -= malloc_usable_size(block);
    if (new_bytes == 0) {
        free(block);
        return NULL;
    }
    void *resized = realloc(block, new_bytes);
    on->bytes += malloc_usable_size(resized);
    if (on->bytes > on->most)
        on->most = on->bytes;
    return resized;
}

static void open_with(const struct neap_alloc *alloc, size_t max_bytes)
{
    const struct neap_memory_settings settings = {.max_bytes = max_bytes};
    assert_int_equal(neap_store_open_memory(alloc, &settings, &store), NEAP_STORE_OK);
}

static int set_up(void **state)
{
    (void)state;
    scales = (struct scales){.alloc = {.resize = weigh, .context = &scales}};
    open_with(&scales.alloc, SMALL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_store_free(store);
    assert_int_equal(scales.bytes, 0);
    return 0;
}

static enum neap_store_status put(const char *key, size_t bytes, int64_t expires_ns)
{
    return neap_store_put(store, bytes_of(key), (struct neap_bytes){kilobyte, bytes}, NOW,
                          expires_ns);
}

static bool has(const char *key)
{
    struct neap_blob value;
    bool is_there = neap_store_get(store, bytes_of(key), NOW, &value) == NEAP_STORE_OK;
    if (is_there)
        neap_blob_free(&value);
    return is_there;
}

static enum neap_store_status claim(const char *key, int64_t now_ns, struct neap_claim *answer)
{
    struct neap_claim_request request;
    fill_request(&request, key, 'a', now_ns);
    return neap_store_claim(store, &request, answer);
}

/* How many claims there was room for. */
static int claim_until_full(int64_t now_ns)
{
    struct neap_claim answer;
    char key[16];
    for (int i = 0;; i++) {
        (void)snprintf(key, sizeof key, "%lld-%d", (long long)(now_ns - NOW), i);
        enum neap_store_status status = claim(key, now_ns, &answer);
        if (status != NEAP_STORE_OK) {
            assert_int_equal(status, NEAP_STORE_FULL);
            return i;
        }
        assert_int_equal(answer.state, NEAP_CLAIM_NEW);
    }
}

static void the_answer_used_longest_ago_makes_room(void **state)
{
    (void)state;
    const char *const keys[] = {"1", "2", "3", "4", "5", "6", "7"};
    for (int i = 0; i < 6; i++)
        assert_int_equal(put(keys[i], 1024, NOW + 100), NEAP_STORE_OK);
    assert_true(has("1"));
    assert_int_equal(put("7", 1024, NOW + 100), NEAP_STORE_OK);
    assert_int_equal(put("8", 1024, NOW + 100), NEAP_STORE_OK);
    assert_true(has("1"));
    assert_false(has("2"));
    assert_true(has("7"));
    assert_true(has("8"));
}

static void what_has_expired_makes_room_first(void **state)
{
    (void)state;
    const char *const keys[] = {"1", "2", "3", "4", "5", "6"};
    for (int i = 0; i < 6; i++)
        assert_int_equal(put(keys[i], 1024, i % 2 ? NOW + 1 : NOW + 100), NEAP_STORE_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(neap_store_put(store, bytes_of(keys[i * 2 + 1]),
                                        (struct neap_bytes){kilobyte, 1024}, NOW + 1, NOW + 100),
                         NEAP_STORE_OK);
    for (int i = 0; i < 6; i++)
        assert_true(has(keys[i]));
}

static void an_answer_without_any_room_throws_nothing_out(void **state)
{
    (void)state;
    static const char big[SMALL];
    assert_int_equal(put("1", 1024, NOW + 100), NEAP_STORE_OK);
    assert_int_equal(
        neap_store_put(store, bytes_of("2"), (struct neap_bytes){big, sizeof big}, NOW, NOW + 100),
        NEAP_STORE_FULL);
    assert_true(has("1"));
    assert_int_equal(
        neap_store_put(store, bytes_of("1"), (struct neap_bytes){big, sizeof big}, NOW, NOW + 100),
        NEAP_STORE_FULL);
    assert_true(has("1"));
}

static void a_new_answer_takes_the_room_of_the_old_one(void **state)
{
    (void)state;
    static const char big[SMALL - 1024];
    for (int i = 0; i < 20; i++)
        assert_int_equal(neap_store_put(store, bytes_of("1"), (struct neap_bytes){big, sizeof big},
                                        NOW, NOW + 100),
                         NEAP_STORE_OK);
    assert_true(has("1"));
}

static void a_claim_throws_answers_out_but_no_claims(void **state)
{
    (void)state;
    struct neap_claim answer;
    for (int i = 0; i < 6; i++)
        assert_int_equal(put((const char *[]){"1", "2", "3", "4", "5", "6"}[i], 1024, NOW + 100),
                         NEAP_STORE_OK);
    int claims = claim_until_full(NOW);
    assert_true(claims > 10);
    assert_false(has("6"));
    assert_int_equal(put("1", 100, NOW + 100), NEAP_STORE_FULL);
    assert_int_equal(claim("0-0", NOW + 1, &answer), NEAP_STORE_OK);
    assert_int_equal(neap_store_release(store, bytes_of("0-1"), token_of('a'), NOW), NEAP_STORE_OK);
    assert_int_equal(claim("another", NOW, &answer), NEAP_STORE_OK);
}

static void expired_claims_make_room(void **state)
{
    (void)state;
    struct neap_claim answer;
    int claims = claim_until_full(NOW);
    assert_int_equal(claim("late", NOW + 99, &answer), NEAP_STORE_FULL);
    assert_in_range(claim_until_full(NOW + 100), claims - 2, claims + 2);
}

static void a_result_without_room_leaves_the_claim_running(void **state)
{
    (void)state;
    static const char big[SMALL];
    struct neap_claim answer;
    assert_int_equal(claim("k", NOW, &answer), NEAP_STORE_OK);
    assert_int_equal(neap_store_finish(store, bytes_of("k"), token_of('a'),
                                       (struct neap_bytes){big, sizeof big}, NOW),
                     NEAP_STORE_FULL);
    assert_int_equal(neap_store_renew(store, bytes_of("k"), token_of('a'), NOW, 10), NEAP_STORE_OK);
    assert_int_equal(neap_store_finish(store, bytes_of("k"), token_of('a'), bytes_of("small"), NOW),
                     NEAP_STORE_OK);
}

static void an_outbox_without_room_takes_no_more(void **state)
{
    (void)state;
    uint64_t id = 0, count = 0;
    struct neap_outbox_entry entry;
    int64_t next_ns;
    const struct neap_bytes value = {kilobyte, 100}, reason = {kilobyte, 1024};
    assert_int_equal(put("1", 1024, NOW + 100), NEAP_STORE_OK);
    while (neap_store_outbox_put(store, bytes_of("o"), bytes_of("k"), value, NOW, &id) ==
           NEAP_STORE_OK)
        count++;
    assert_in_range(count, 10, 40);
    assert_false(has("1"));
    assert_int_equal(
        neap_store_outbox_take(store, bytes_of("o"), token_of('a'), NOW, 10, &entry, &next_ns),
        NEAP_STORE_OK);
    neap_blob_free(&entry.value);
    assert_int_equal(neap_store_outbox_bury(store, entry.id, token_of('a'), reason, NOW),
                     NEAP_STORE_FULL);
    assert_int_equal(neap_store_outbox_done(store, entry.id, token_of('a')), NEAP_STORE_OK);
    assert_int_equal(
        neap_store_outbox_take(store, bytes_of("o"), token_of('a'), NOW, 10, &entry, &next_ns),
        NEAP_STORE_OK);
    neap_blob_free(&entry.value);
    assert_int_equal(
        neap_store_outbox_put(store, bytes_of("o"), bytes_of("k"), bytes_of(""), NOW, &id),
        NEAP_STORE_OK);
}

/* Throws everything at a store, small and large things, until it is full of them. */
static void fill_with_all(void)
{
    struct neap_claim answer;
    uint64_t id;
    char key[16];
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        (void)!put(key, (size_t)(i % 1000), NOW + 1000 + i);
        if (claim(key, NOW, &answer) == NEAP_STORE_OK && i % 3 == 0)
            (void)!neap_store_finish(store, bytes_of(key), token_of('a'),
                                     (struct neap_bytes){kilobyte, (size_t)(i % 77)}, NOW);
        (void)!neap_store_outbox_put(store, bytes_of(key), bytes_of(key), bytes_of(key), NOW, &id);
        if (i % 7 == 0)
            (void)!neap_store_outbox_put(store, bytes_of("o"), bytes_of(""), bytes_of(key), NOW,
                                         &id);
    }
}

static void what_is_counted_is_what_is_used(void **state)
{
    (void)state;
    neap_store_free(store);
    open_with(&scales.alloc, LARGE);
    fill_with_all();
    assert_in_range(scales.most, LARGE / 2, LARGE);
}

static void a_bound_of_nothing_holds_nothing(void **state)
{
    (void)state;
    struct neap_claim answer;
    neap_store_free(store);
    open_with(&scales.alloc, 0);
    assert_int_equal(claim("k", NOW, &answer), NEAP_STORE_FULL);
    assert_int_equal(put("k", 0, NOW + 1), NEAP_STORE_FULL);
}

/* One of each step that allocates; where one fails it must say so, and work the next time. */
static void live_a_little(struct failing_alloc *memory)
{
    struct neap_claim answer;
    struct neap_outbox_entry entry = {0};
    int64_t next_ns;
    uint64_t id = 0;
    const uint8_t *token = token_of('a');
#define TWICE(call)                                                                                \
    do {                                                                                           \
        if ((call) != NEAP_STORE_OK) {                                                             \
            assert_int_equal(memory->allocations, memory->fail_at);                                \
            assert_int_equal(call, NEAP_STORE_OK);                                                 \
        }                                                                                          \
    } while (0)
    TWICE(claim("k", NOW, &answer));
    assert_int_equal(answer.state, NEAP_CLAIM_NEW);
    TWICE(neap_store_finish(store, bytes_of("k"), token, bytes_of("result"), NOW));
    TWICE(claim("k", NOW, &answer));
    assert_blob(&answer.result, "result");
    neap_blob_free(&answer.result);
    TWICE(put("k", 10, NOW + 10));
    TWICE(put("k", 20, NOW + 10));
    TWICE(neap_store_outbox_put(store, bytes_of("o"), bytes_of("k"), bytes_of("v"), NOW, &id));
    TWICE(neap_store_outbox_take(store, bytes_of("o"), token, NOW, 10, &entry, &next_ns));
    assert_int_equal(entry.id, id);
    neap_blob_free(&entry.value);
    TWICE(neap_store_outbox_bury(store, id, token, bytes_of("reason"), NOW));
    TWICE(neap_store_outbox_revive(store, id, NOW));
}

static void without_memory_nothing_is_half(void **state)
{
    (void)state;
    size_t needed = 0;
    for (size_t n = 0; n <= needed; n++) {
        struct failing_alloc memory;
        struct neap_store *before = store;
        const struct neap_memory_settings settings = {.max_bytes = SMALL};
        failing_alloc_init(&memory);
        failing_alloc_fail(&memory, n);
        if (neap_store_open_memory(&memory.alloc, &settings, &store) != NEAP_STORE_OK) {
            assert_int_equal(n, 1);
            open_with(&memory.alloc, SMALL);
        }
        live_a_little(&memory);
        needed = n == 0 ? memory.allocations : needed;
        neap_store_free(store);
        failing_alloc_assert_all_freed(&memory);
        store = before;
    }
    assert_true(needed > 10);
}

static void open_for(size_t max_entries)
{
    const struct neap_memory_settings settings = {.max_bytes = LARGE, .max_entries = max_entries};
    neap_store_free(store);
    assert_int_equal(neap_store_open_memory(&scales.alloc, &settings, &store), NEAP_STORE_OK);
}

static void answers_are_no_more_than_their_bound(void **state)
{
    (void)state;
    open_for(2);
    assert_int_equal(put("a", 1, NOW + 100), NEAP_STORE_OK);
    assert_int_equal(put("b", 1, NOW + 100), NEAP_STORE_OK);
    assert_true(has("a"));
    assert_int_equal(put("c", 1, NOW + 100), NEAP_STORE_OK);
    assert_true(has("a"));
    assert_false(has("b"));
    assert_true(has("c"));
}

static void within_its_bound_an_answer_replaces_only_itself(void **state)
{
    (void)state;
    open_for(2);
    assert_int_equal(put("a", 1, NOW + 100), NEAP_STORE_OK);
    assert_int_equal(put("b", 1, NOW + 100), NEAP_STORE_OK);
    assert_int_equal(put("b", 2, NOW + 100), NEAP_STORE_OK);
    assert_true(has("a"));
    assert_true(has("b"));
}

static void at_the_bound_what_has_expired_goes_first(void **state)
{
    (void)state;
    open_for(3);
    assert_int_equal(put("old", 1, NOW + 100), NEAP_STORE_OK);
    assert_int_equal(put("x", 1, NOW), NEAP_STORE_OK);
    assert_int_equal(put("new", 1, NOW + 100), NEAP_STORE_OK);
    assert_int_equal(put("newer", 1, NOW + 100), NEAP_STORE_OK);
    assert_true(has("old"));
    assert_true(has("new"));
    assert_true(has("newer"));
}

static void claims_do_not_count_as_answers(void **state)
{
    (void)state;
    open_for(1);
    struct neap_claim_request request;
    struct neap_claim claim;
    assert_int_equal(put("a", 1, NOW + 100), NEAP_STORE_OK);
    fill_request(&request, "k", 't', NOW);
    assert_int_equal(neap_store_claim(store, &request, &claim), NEAP_STORE_OK);
    assert_true(has("a"));
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(the_answer_used_longest_ago_makes_room),
        SPEC(what_has_expired_makes_room_first),
        SPEC(an_answer_without_any_room_throws_nothing_out),
        SPEC(a_new_answer_takes_the_room_of_the_old_one),
        SPEC(a_claim_throws_answers_out_but_no_claims),
        SPEC(expired_claims_make_room),
        SPEC(a_result_without_room_leaves_the_claim_running),
        SPEC(an_outbox_without_room_takes_no_more),
        SPEC(what_is_counted_is_what_is_used),
        SPEC(a_bound_of_nothing_holds_nothing),
        SPEC(answers_are_no_more_than_their_bound),
        SPEC(within_its_bound_an_answer_replaces_only_itself),
        SPEC(at_the_bound_what_has_expired_goes_first),
        SPEC(claims_do_not_count_as_answers),
        SPEC(without_memory_nothing_is_half),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
