#include "store/store_fixture.h"

#define BIG (10u * 1024 * 1024)

#define put(key, value, expires_ns)                                                                \
    neap_store_put(store, bytes_of(key), bytes_of(value), NOW, expires_ns)

static void assert_value(const char *key, int64_t now_ns, const char *wanted)
{
    struct neap_blob value;
    expect(neap_store_get(store, bytes_of(key), now_ns, &value), OK);
    assert_blob(&value, wanted);
    neap_blob_free(&value);
}

static void expect_none(const char *key, int64_t now_ns)
{
    struct neap_blob value = {.bytes = 77};
    expect(neap_store_get(store, bytes_of(key), now_ns, &value), NONE);
    assert_int_equal(value.bytes, 77);
}

static void what_was_put_is_there_until_it_expires(void **state)
{
    (void)state;
    expect_none("k", NOW);
    expect(put("k", "value", NOW + 10), OK);
    assert_value("k", NOW, "value");
    assert_value("k", NOW + 9, "value");
    expect_none("k", NOW + 10);
    expect_none("other", NOW);
}

static void the_last_put_counts(void **state)
{
    (void)state;
    expect(put("k", "a longer value", NOW + 10), OK);
    expect(put("k", "value", NOW + 20), OK);
    assert_value("k", NOW + 19, "value");
    expect(put("k", "", NOW + 15), OK);
    assert_value("k", NOW, "");
    expect_none("k", NOW + 15);
}

static void putting_what_has_expired_removes(void **state)
{
    (void)state;
    expect(put("k", "value", NOW + 10), OK);
    expect(put("k", "late", NOW), OK);
    expect_none("k", NOW);
    expect(put("k", "value", NOW + 10), OK);
    expect(put("k", "late", -5), OK);
    expect_none("k", 0);
}

static void removing_works_twice(void **state)
{
    (void)state;
    expect(put("k", "value", NOW + 10), OK);
    expect(neap_store_remove(store, bytes_of("k")), OK);
    expect_none("k", NOW);
    expect(neap_store_remove(store, bytes_of("k")), OK);
}

static void what_never_expires_stays(void **state)
{
    (void)state;
    expect(put("k", "value", INT64_MAX), OK);
    assert_value("k", NOW + 365 * 24 * 3600 * NEAP_SECOND, "value");
}

static void keys_and_values_are_any_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "\0\r\n$5 %s'\xff\"";
    struct neap_blob value;
    for (size_t count = 0; count < sizeof bytes; count++) {
        const struct neap_bytes part = {count > 0 ? bytes : NULL, count};
        expect(neap_store_put(store, part, part, NOW, NOW + 10), OK);
    }
    for (size_t count = 0; count < sizeof bytes; count++) {
        expect(neap_store_get(store, (struct neap_bytes){bytes, count}, NOW, &value), OK);
        assert_int_equal(value.bytes, count);
        assert_memory_equal(value.at, bytes, count);
        neap_blob_free(&value);
    }
}

static void a_value_may_be_long(void **state)
{
    (void)state;
    struct neap_blob value;
    char *big = malloc(BIG);
    assert_non_null(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 + i / 4096);
    expect(neap_store_put(store, bytes_of("k"), (struct neap_bytes){big, BIG}, NOW, NOW + 10), OK);
    expect(neap_store_get(store, bytes_of("k"), NOW, &value), OK);
    assert_int_equal(value.bytes, BIG);
    assert_memory_equal(value.at, big, BIG);
    neap_blob_free(&value);
    free(big);
}

static void a_key_may_be_long_but_no_longer(void **state)
{
    (void)state;
    static char key[NEAP_STORE_KEY_MAX + 1];
    struct neap_blob value;
    struct neap_bytes whole = {key, NEAP_STORE_KEY_MAX};
    memset(key, 'k', sizeof key);
    expect(neap_store_put(store, whole, bytes_of("value"), NOW, NOW + 10), OK);
    expect(neap_store_get(store, whole, NOW, &value), OK);
    assert_blob(&value, "value");
    neap_blob_free(&value);
    expect(neap_store_remove(store, whole), OK);
    whole.bytes++;
    expect(neap_store_put(store, whole, bytes_of("value"), NOW, NOW + 10), INVALID);
    expect(neap_store_get(store, whole, NOW, &value), INVALID);
    expect(neap_store_remove(store, whole), INVALID);
}

static void bad_arguments_change_nothing(void **state)
{
    (void)state;
    struct neap_blob value;
    expect(put("k", "value", NOW + 10), OK);
    expect(neap_store_put(store, bytes_of("k"), (struct neap_bytes){NULL, 1}, NOW, NOW + 1),
           INVALID);
    expect(neap_store_put(store, bytes_of("k"), bytes_of("x"), -1, NOW + 1), INVALID);
    expect(neap_store_get(store, bytes_of("k"), -1, &value), INVALID);
    const struct neap_bytes too_long = {"", (size_t)NEAP_STORE_BLOB_MAX + 1};
    expect(neap_store_put(store, bytes_of("k"), too_long, NOW, NOW + 1), FULL);
    assert_value("k", NOW, "value");
}

static void claims_and_answers_of_one_key_never_meet(void **state)
{
    (void)state;
    struct neap_claim_request request;
    struct neap_claim claim;
    fill_request(&request, "k", 'a', NOW);
    expect(put("k", "value", NOW + 10), OK);
    expect(neap_store_claim(store, &request, &claim), OK);
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
    expect(neap_store_remove(store, bytes_of("k")), OK);
    expect(neap_store_renew(store, request.key, request.token, NOW, 10), OK);
    expect(put("k", "value", NOW + 10), OK);
    expect(neap_store_release(store, request.key, request.token, NOW), OK);
    assert_value("k", NOW, "value");
}

static void sweeping_removes_what_has_expired(void **state)
{
    (void)state;
    bool more = true;
    char key[16];
    for (int i = 0; i < 250; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        expect(put(key, "value", NOW + 10 + i % 2), OK);
    }
    for (int i = 0; more; i++) {
        assert_true(i < 4);
        expect(neap_store_sweep(store, NOW + 10, &more), OK);
    }
    expect_none("0", NOW + 10);
    assert_value("1", NOW + 10, "value");
}

static void without_memory_a_value_is_not_lost(void **state)
{
    (void)state;
    struct neap_blob value;
    expect(put("k", "value", NOW + 10), OK);
    failing_alloc_fail(&memory, 1);
    enum neap_store_status status = neap_store_get(store, bytes_of("k"), NOW, &value);
    assert_int_equal(status, NEAP_STORE_NO_MEMORY);
    assert_value("k", NOW, "value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(what_was_put_is_there_until_it_expires),
        SPEC(the_last_put_counts),
        SPEC(putting_what_has_expired_removes),
        SPEC(removing_works_twice),
        SPEC(what_never_expires_stays),
        SPEC(keys_and_values_are_any_bytes),
        SPEC(a_value_may_be_long),
        SPEC(a_key_may_be_long_but_no_longer),
        SPEC(bad_arguments_change_nothing),
        SPEC(claims_and_answers_of_one_key_never_meet),
        SPEC(sweeping_removes_what_has_expired),
        SPEC(without_memory_a_value_is_not_lost),
    };
    return RUN_FOR_EACH_KIND(tests, "cache");
}
