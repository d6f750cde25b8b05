#include "store/store_fixture.h"

#define BIG (10u * 1024 * 1024)

static uint64_t put(const char *key, const char *value, int64_t now_ns)
{
    uint64_t id = 0;
    expect(
        neap_store_outbox_put(store, bytes_of("mail"), bytes_of(key), bytes_of(value), now_ns, &id),
        OK);
    assert_true(id > 0 && id < UINT64_C(1) << 53);
    return id;
}

/* Takes for 10 ns the entry that must be the next, and returns its id. */
static uint64_t take(char token, int64_t now_ns, const char *value)
{
    struct neap_outbox_entry entry;
    int64_t next_ns = 77;
    enum neap_store_status status = neap_store_outbox_take(store, bytes_of("mail"), token_of(token),
                                                           now_ns, 10, &entry, &next_ns);
    if (status == NEAP_STORE_NONE)
        fail_msg("%s: nothing to take instead of %s", kind->name, value);
    expect(status, OK);
    assert_blob(&entry.value, value);
    assert_memory_equal(entry.token, token_of(token), sizeof entry.token);
    neap_blob_free(&entry.value);
    return entry.id;
}

static void expect_none(int64_t now_ns, int64_t next_wanted_ns)
{
    struct neap_outbox_entry entry = {.id = 77};
    int64_t next_ns = 77;
    expect(neap_store_outbox_take(store, bytes_of("mail"), token_of('?'), now_ns, 10, &entry,
                                  &next_ns),
           NONE);
    assert_int_equal(next_ns, next_wanted_ns);
    assert_int_equal(entry.id, 77);
}

static void expect_counts(int64_t now_ns, uint64_t waiting, uint64_t taken, uint64_t dead)
{
    struct neap_outbox_counts counts;
    expect(neap_store_outbox_count(store, bytes_of("mail"), now_ns, &counts), OK);
    assert_int_equal(counts.waiting, waiting);
    assert_int_equal(counts.taken, taken);
    assert_int_equal(counts.dead, dead);
}

#define done(id, token) neap_store_outbox_done(store, id, token_of(token))
#define renew(id, token, now_ns) neap_store_outbox_renew(store, id, token_of(token), now_ns, 10)
#define retry(id, token, due_ns) neap_store_outbox_retry(store, id, token_of(token), due_ns)
#define bury(id, token, reason, now_ns)                                                            \
    neap_store_outbox_bury(store, id, token_of(token), bytes_of(reason), now_ns)
#define revive(id, now_ns) neap_store_outbox_revive(store, id, now_ns)
#define drop(id) neap_store_outbox_drop(store, id)

static void an_outbox_begins_empty(void **state)
{
    (void)state;
    expect_none(NOW, INT64_MAX);
    expect_counts(NOW, 0, 0, 0);
    assert_int_equal(done(1, 'a'), NEAP_STORE_LOST);
    assert_int_equal(renew(1, 'a', NOW), NEAP_STORE_LOST);
    assert_int_equal(retry(1, 'a', NOW), NEAP_STORE_LOST);
    assert_int_equal(bury(1, 'a', "", NOW), NEAP_STORE_LOST);
    assert_int_equal(revive(1, NOW), NEAP_STORE_NONE);
    assert_int_equal(drop(1), NEAP_STORE_NONE);
}

static void entries_leave_in_order_of_age(void **state)
{
    (void)state;
    uint64_t first = put("", "one", NOW), second = put("", "two", NOW - 5);
    assert_true(first < second);
    assert_int_equal(take('a', NOW, "one"), first);
    assert_int_equal(take('b', NOW, "two"), second);
    expect_none(NOW, NOW + 10);
    expect_counts(NOW, 0, 2, 0);
    expect(done(second, 'b'), OK);
    expect(done(first, 'a'), OK);
    expect(done(first, 'a'), LOST);
    expect_none(NOW, INT64_MAX);
    assert_true(put("", "three", NOW) > second);
}

static void an_entry_tells_all_about_itself(void **state)
{
    (void)state;
    struct neap_outbox_entry entry;
    int64_t next_ns;
    uint64_t id = put("", "one", NOW);
    for (uint32_t attempts = 0; attempts < 3; attempts++) {
        expect(neap_store_outbox_take(store, bytes_of("mail"), token_of('a'), NOW + 3, 10, &entry,
                                      &next_ns),
               OK);
        assert_int_equal(entry.id, id);
        assert_int_equal(entry.attempts, attempts);
        assert_int_equal(entry.put_ns, NOW);
        neap_blob_free(&entry.value);
        expect(retry(id, 'a', NOW + 3), OK);
    }
}

static void entries_of_one_ordering_key_go_one_at_a_time(void **state)
{
    (void)state;
    uint64_t a1 = put("a", "a1", NOW), a2 = put("a", "a2", NOW);
    uint64_t b1 = put("b", "b1", NOW);
    assert_int_equal(take('1', NOW, "a1"), a1);
    assert_int_equal(take('2', NOW, "b1"), b1);
    expect_none(NOW, NOW + 10);
    expect(done(a1, '1'), OK);
    assert_int_equal(take('3', NOW, "a2"), a2);
    expect_none(NOW, NOW + 10);
    expect(done(a2, '3'), OK);
    expect(done(b1, '2'), OK);
    expect_none(NOW, INT64_MAX);
}

static void an_entry_that_waits_holds_up_its_ordering_key_only(void **state)
{
    (void)state;
    uint64_t a1 = put("a", "a1", NOW);
    put("a", "a2", NOW);
    put("", "free", NOW);
    take('1', NOW, "a1");
    expect(retry(a1, '1', NOW + 100), OK);
    uint64_t other = take('2', NOW, "free");
    expect(done(other, '2'), OK);
    expect_none(NOW, NOW + 100);
    expect_none(NOW + 99, NOW + 100);
    take('3', NOW + 100, "a1");
    expect(done(a1, '3'), OK);
    take('4', NOW + 100, "a2");
}

static void a_lease_that_ended_frees_the_entry(void **state)
{
    (void)state;
    uint64_t id = put("a", "one", NOW);
    take('1', NOW, "one");
    expect_counts(NOW + 9, 0, 1, 0);
    expect_none(NOW + 9, NOW + 10);
    expect_counts(NOW + 10, 1, 0, 0);
    assert_int_equal(take('2', NOW + 10, "one"), id);
    expect(renew(id, '1', NOW + 11), LOST);
    expect(retry(id, '1', NOW + 11), LOST);
    expect(bury(id, '1', "late", NOW + 11), LOST);
    expect(done(id, '1'), LOST);
    expect(done(id, '2'), OK);
}

static void a_late_owner_keeps_what_nobody_took(void **state)
{
    (void)state;
    uint64_t id = put("", "one", NOW);
    take('1', NOW, "one");
    expect(renew(id, '1', NOW + 20), OK);
    expect_none(NOW + 29, NOW + 30);
    expect_counts(NOW + 29, 0, 1, 0);
    expect(done(id, '1'), OK);
    expect_counts(NOW + 29, 0, 0, 0);
}

static void a_renewed_lease_goes_on(void **state)
{
    (void)state;
    uint64_t id = put("", "one", NOW);
    take('1', NOW, "one");
    for (int i = 1; i < 5; i++)
        expect(renew(id, '1', NOW + i * 9), OK);
    expect(renew(id, '2', NOW + 36), LOST);
    expect_none(NOW + 45, NOW + 46);
    take('2', NOW + 46, "one");
}

static void retrying_is_repeatable(void **state)
{
    (void)state;
    struct neap_outbox_entry entry;
    int64_t next_ns;
    uint64_t id = put("", "one", NOW);
    expect(retry(id, '1', NOW), LOST);
    take('1', NOW, "one");
    expect(retry(id, '1', NOW + 5), OK);
    expect(retry(id, '1', NOW + 5), OK);
    expect(renew(id, '1', NOW), LOST);
    expect(done(id, '1'), LOST);
    expect(bury(id, '1', "", NOW), LOST);
    expect_counts(NOW, 1, 0, 0);
    expect_none(NOW + 4, NOW + 5);
    expect(neap_store_outbox_take(store, bytes_of("mail"), token_of('2'), NOW + 5, 10, &entry,
                                  &next_ns),
           OK);
    assert_int_equal(entry.attempts, 1);
    neap_blob_free(&entry.value);
}

static void a_clock_that_stepped_back_gives_nothing_early(void **state)
{
    (void)state;
    uint64_t id = put("", "one", NOW);
    put("", "two", NOW + 50);
    take('1', NOW, "one");
    expect(retry(id, '1', NOW + 40), OK);
    expect_none(NOW + 39, NOW + 40);
    take('2', NOW + 40, "one");
    expect(retry(id, '2', NOW + 60), OK);
    take('3', NOW + 60, "one");
    expect_none(NOW + 41, NOW + 50);
}

static void the_dead_are_told_and_free_their_ordering_key(void **state)
{
    (void)state;
    struct neap_dead_letter letter;
    uint64_t a1 = put("a", "a1", NOW), a2 = put("a", "a2", NOW);
    take('1', NOW, "a1");
    expect(retry(a1, '1', NOW), OK);
    take('1', NOW, "a1");
    expect(bury(a1, '1', "gone", NOW + 3), OK);
    expect(bury(a1, '1', "again", NOW + 4), OK);
    expect(bury(a1, '2', "again", NOW + 4), LOST);
    expect_counts(NOW, 1, 0, 1);
    take('2', NOW, "a2");
    expect(bury(a2, '2', "", NOW + 5), OK);
    expect(neap_store_outbox_dead(store, bytes_of("mail"), 0, &letter), OK);
    assert_int_equal(letter.id, a1);
    assert_blob(&letter.value, "a1");
    assert_blob(&letter.reason, "gone");
    assert_int_equal(letter.attempts, 1);
    assert_int_equal(letter.put_ns, NOW);
    assert_int_equal(letter.died_ns, NOW + 3);
    neap_blob_free(&letter.value);
    neap_blob_free(&letter.reason);
    expect(neap_store_outbox_dead(store, bytes_of("mail"), a1, &letter), OK);
    assert_int_equal(letter.id, a2);
    assert_blob(&letter.reason, "");
    neap_blob_free(&letter.value);
    neap_blob_free(&letter.reason);
    expect(neap_store_outbox_dead(store, bytes_of("mail"), a2, &letter), NONE);
    expect(neap_store_outbox_dead(store, bytes_of("mail"), UINT64_MAX, &letter), NONE);
    expect(neap_store_outbox_dead(store, bytes_of("other"), 0, &letter), NONE);
    expect_none(NOW, INT64_MAX);
}

static void dead_letters_are_listed_in_order_of_age(void **state)
{
    (void)state;
    struct neap_dead_letter letter;
    uint64_t id[3], after = 0;
    for (int i = 0; i < 3; i++) {
        id[i] = put("", "x", NOW);
        take((char)('1' + i), NOW, "x");
    }
    expect(bury(id[2], '3', "", NOW), OK);
    expect(bury(id[0], '1', "", NOW), OK);
    expect(bury(id[1], '2', "", NOW), OK);
    for (int i = 0; i < 3; i++) {
        expect(neap_store_outbox_dead(store, bytes_of("mail"), after, &letter), OK);
        assert_int_equal(letter.id, id[i]);
        after = letter.id;
        neap_blob_free(&letter.value);
        neap_blob_free(&letter.reason);
    }
    expect(drop(id[1]), OK);
    expect(drop(id[1]), NONE);
    expect(neap_store_outbox_dead(store, bytes_of("mail"), id[0], &letter), OK);
    assert_int_equal(letter.id, id[2]);
    neap_blob_free(&letter.value);
    neap_blob_free(&letter.reason);
    expect_counts(NOW, 0, 0, 2);
}

static uint64_t put_dead(const char *key, const char *value)
{
    uint64_t id = put(key, value, NOW);
    take('!', NOW, value);
    expect(bury(id, '!', "reason", NOW), OK);
    return id;
}

static void what_is_revived_waits_again_without_attempts(void **state)
{
    (void)state;
    struct neap_outbox_entry entry;
    int64_t next_ns;
    uint64_t id = put("a", "one", NOW);
    expect(revive(id, NOW), NONE);
    expect(drop(id), NONE);
    take('1', NOW, "one");
    expect(retry(id, '1', NOW), OK);
    take('1', NOW, "one");
    expect(drop(id), NONE);
    expect(bury(id, '1', "reason", NOW), OK);
    expect(revive(id, NOW + 7), OK);
    expect(revive(id, NOW + 7), NONE);
    expect(done(id, '1'), LOST);
    expect(bury(id, '1', "", NOW), LOST);
    expect_counts(NOW + 7, 1, 0, 0);
    expect_none(NOW + 6, NOW + 7);
    expect(neap_store_outbox_take(store, bytes_of("mail"), token_of('2'), NOW + 7, 10, &entry,
                                  &next_ns),
           OK);
    assert_int_equal(entry.id, id);
    assert_int_equal(entry.attempts, 0);
    assert_int_equal(entry.put_ns, NOW);
    neap_blob_free(&entry.value);
}

static void what_is_revived_takes_its_old_place(void **state)
{
    (void)state;
    uint64_t a1 = put_dead("a", "a1"), a2 = put_dead("a", "a2");
    uint64_t a3 = put("a", "a3", NOW), f = put("", "free", NOW);
    expect(revive(a2, NOW), OK);
    expect(revive(a1, NOW), OK);
    take('1', NOW, "a1");
    expect(done(f, '1'), LOST);
    take('2', NOW, "free");
    expect_none(NOW, NOW + 10);
    expect(done(a1, '1'), OK);
    take('3', NOW, "a2");
    expect(done(a2, '3'), OK);
    take('4', NOW, "a3");
    expect(done(a3, '4'), OK);
}

static void what_is_revived_waits_for_the_taken_one(void **state)
{
    (void)state;
    uint64_t a1 = put_dead("a", "a1"), a2 = put_dead("a", "a2"), a3 = put("a", "a3", NOW);
    take('3', NOW, "a3");
    expect(revive(a2, NOW), OK);
    expect(revive(a1, NOW), OK);
    expect_none(NOW, NOW + 10);
    expect_counts(NOW, 2, 1, 0);
    expect(renew(a3, '3', NOW + 5), OK);
    expect_none(NOW + 14, NOW + 15);
    expect(retry(a3, '3', NOW + 14), OK);
    take('1', NOW + 14, "a1");
    expect_none(NOW + 14, NOW + 24);
    expect(done(a1, '1'), OK);
    take('2', NOW + 14, "a2");
    expect(bury(a2, '2', "", NOW + 14), OK);
    take('3', NOW + 14, "a3");
}

static void a_lapsed_lease_yields_to_the_revived(void **state)
{
    (void)state;
    uint64_t a1 = put_dead("a", "a1"), a2 = put("a", "a2", NOW);
    take('2', NOW, "a2");
    expect(revive(a1, NOW), OK);
    take('1', NOW + 10, "a1");
    expect_counts(NOW + 10, 1, 1, 0);
    expect(renew(a2, '2', NOW + 10), LOST);
    expect(done(a2, '2'), OK);
    expect_none(NOW + 10, NOW + 20);
    expect_counts(NOW + 10, 0, 1, 0);
    expect(done(a1, '1'), OK);
    expect_none(NOW + 10, INT64_MAX);
}

static void reviving_over_a_lapsed_lease_is_due_now(void **state)
{
    (void)state;
    uint64_t a1 = put_dead("a", "a1"), a2 = put("a", "a2", NOW);
    take('2', NOW, "a2");
    expect(revive(a1, NOW + 10), OK);
    take('1', NOW + 10, "a1");
    expect(done(a1, '1'), OK);
    take('3', NOW + 10, "a2");
    expect(done(a2, '3'), OK);
    expect_counts(NOW, 0, 0, 0);
}

static void outboxes_are_apart(void **state)
{
    (void)state;
    struct neap_outbox_counts counts;
    uint64_t id;
    put("a", "one", NOW);
    expect(neap_store_outbox_put(store, bytes_of(""), bytes_of("a"), bytes_of("other"), NOW, &id),
           OK);
    take('1', NOW, "one");
    expect_none(NOW, NOW + 10);
    expect(neap_store_outbox_count(store, bytes_of(""), NOW, &counts), OK);
    assert_int_equal(counts.waiting, 1);
    assert_int_equal(counts.taken, 0);
}

static void names_and_keys_are_any_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "\0:\r\n1:a\xff";
    struct neap_outbox_entry entry;
    int64_t next_ns;
    uint64_t id[2], other;
    for (size_t count = 1; count < sizeof bytes; count++) {
        const struct neap_bytes part = {bytes, count};
        for (int i = 0; i < 2; i++)
            expect(neap_store_outbox_put(store, part, part, part, NOW, &id[i]), OK);
        expect(neap_store_outbox_take(store, part, token_of('a'), NOW, 10, &entry, &next_ns), OK);
        assert_int_equal(entry.id, id[0]);
        assert_int_equal(entry.value.bytes, count);
        assert_memory_equal(entry.value.at, bytes, count);
        neap_blob_free(&entry.value);
        expect(neap_store_outbox_take(store, part, token_of('b'), NOW, 10, &entry, &next_ns), NONE);
    }
    expect(neap_store_outbox_put(store, bytes_of("1"), bytes_of("1:a"), bytes_of(""), NOW, &other),
           OK);
    expect(neap_store_outbox_put(store, bytes_of("11"), bytes_of(":a"), bytes_of(""), NOW, &other),
           OK);
    expect(neap_store_outbox_take(store, bytes_of("1"), token_of('a'), NOW, 10, &entry, &next_ns),
           OK);
    assert_int_equal(entry.value.bytes, 0);
    assert_non_null(entry.value.at);
    neap_blob_free(&entry.value);
    expect(neap_store_outbox_take(store, bytes_of("11"), token_of('b'), NOW, 10, &entry, &next_ns),
           OK);
    neap_blob_free(&entry.value);
}

static void a_value_may_be_long(void **state)
{
    (void)state;
    struct neap_outbox_entry entry;
    int64_t next_ns;
    uint64_t id;
    char *big = calloc(1, BIG);
    assert_non_null(big);
    big[BIG - 1] = 'x';
    expect(neap_store_outbox_put(store, bytes_of("mail"), bytes_of(""),
                                 (struct neap_bytes){big, BIG}, NOW, &id),
           OK);
    expect(
        neap_store_outbox_take(store, bytes_of("mail"), token_of('a'), NOW, 10, &entry, &next_ns),
        OK);
    assert_int_equal(entry.value.bytes, BIG);
    assert_memory_equal(entry.value.at, big, BIG);
    neap_blob_free(&entry.value);
    free(big);
}

static void bad_arguments_change_nothing(void **state)
{
    (void)state;
    static char key[NEAP_STORE_KEY_MAX + 1];
    const struct neap_bytes long_key = {key, NEAP_STORE_KEY_MAX + 1}, text = bytes_of("x");
    const struct neap_bytes too_long = {key, (size_t)NEAP_STORE_BLOB_MAX + 1};
    struct neap_outbox_counts counts;
    struct neap_outbox_entry entry;
    struct neap_dead_letter letter;
    int64_t next_ns;
    uint64_t id;
    expect(neap_store_outbox_put(store, long_key, text, text, NOW, &id), INVALID);
    expect(neap_store_outbox_put(store, text, long_key, text, NOW, &id), INVALID);
    expect(neap_store_outbox_put(store, text, text, text, -1, &id), INVALID);
    expect(neap_store_outbox_put(store, text, text, too_long, NOW, &id), FULL);
    expect(neap_store_outbox_take(store, long_key, token_of('a'), NOW, 1, &entry, &next_ns),
           INVALID);
    expect(neap_store_outbox_take(store, text, token_of('a'), NOW, -1, &entry, &next_ns), INVALID);
    expect(neap_store_outbox_count(store, long_key, NOW, &counts), INVALID);
    expect(neap_store_outbox_dead(store, long_key, 0, &letter), INVALID);
    id = put("", "one", NOW);
    take('a', NOW, "one");
    expect(neap_store_outbox_renew(store, id, token_of('a'), NOW, -1), INVALID);
    expect(neap_store_outbox_bury(store, id, token_of('a'), too_long, NOW), FULL);
    expect(neap_store_outbox_revive(store, id, -1), INVALID);
    expect(done(id, 'a'), OK);
}

static void without_memory_an_entry_is_not_lost(void **state)
{
    (void)state;
    struct neap_outbox_entry entry;
    struct neap_dead_letter letter;
    int64_t next_ns;
    uint64_t id = put("a", "one", NOW);
    failing_alloc_fail(&memory, 1);
    expect(
        neap_store_outbox_take(store, bytes_of("mail"), token_of('a'), NOW, 10, &entry, &next_ns),
        NO_MEMORY);
    expect_counts(NOW, 1, 0, 0);
    take('b', NOW, "one");
    expect(bury(id, 'b', "reason", NOW), OK);
    for (size_t n = 1; n <= 2; n++) {
        failing_alloc_fail(&memory, n);
        expect(neap_store_outbox_dead(store, bytes_of("mail"), 0, &letter), NO_MEMORY);
    }
    expect_counts(NOW, 0, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_outbox_begins_empty),
        SPEC(entries_leave_in_order_of_age),
        SPEC(an_entry_tells_all_about_itself),
        SPEC(entries_of_one_ordering_key_go_one_at_a_time),
        SPEC(an_entry_that_waits_holds_up_its_ordering_key_only),
        SPEC(a_lease_that_ended_frees_the_entry),
        SPEC(a_late_owner_keeps_what_nobody_took),
        SPEC(a_renewed_lease_goes_on),
        SPEC(retrying_is_repeatable),
        SPEC(a_clock_that_stepped_back_gives_nothing_early),
        SPEC(the_dead_are_told_and_free_their_ordering_key),
        SPEC(dead_letters_are_listed_in_order_of_age),
        SPEC(what_is_revived_waits_again_without_attempts),
        SPEC(what_is_revived_takes_its_old_place),
        SPEC(what_is_revived_waits_for_the_taken_one),
        SPEC(a_lapsed_lease_yields_to_the_revived),
        SPEC(reviving_over_a_lapsed_lease_is_due_now),
        SPEC(outboxes_are_apart),
        SPEC(names_and_keys_are_any_bytes),
        SPEC(a_value_may_be_long),
        SPEC(bad_arguments_change_nothing),
        SPEC(without_memory_an_entry_is_not_lost),
    };
    return RUN_FOR_EACH_KIND(tests, "outbox");
}
