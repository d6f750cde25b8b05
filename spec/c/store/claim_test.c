#include "store/store_fixture.h"

static struct neap_claim claim_at(const char *key, char token, int64_t now_ns)
{
    struct neap_claim_request request;
    struct neap_claim claim;
    fill_request(&request, key, token, now_ns);
    expect(neap_store_claim(store, &request, &claim), OK);
    return claim;
}

static void expect_new(const char *key, char token, int64_t now_ns, bool recovered)
{
    struct neap_claim claim = claim_at(key, token, now_ns);
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
    assert_int_equal(claim.recovered, recovered);
    assert_false(claim.other_work);
    assert_null(claim.result.at);
}

static void expect_running(const char *key, char token, int64_t now_ns, int64_t left_ns)
{
    struct neap_claim claim = claim_at(key, token, now_ns);
    assert_int_equal(claim.state, NEAP_CLAIM_RUNNING);
    assert_false(claim.other_work);
    assert_int_equal(claim.lease_left_ns, left_ns);
    assert_null(claim.result.at);
}

static void expect_done(const char *key, char token, int64_t now_ns, const char *result)
{
    struct neap_claim claim = claim_at(key, token, now_ns);
    assert_int_equal(claim.state, NEAP_CLAIM_DONE);
    assert_false(claim.other_work);
    assert_blob(&claim.result, result);
    neap_blob_free(&claim.result);
}

static struct neap_claim claim_other_work(const char *key, char token, int64_t now_ns)
{
    struct neap_claim_request request;
    struct neap_claim claim;
    fill_request(&request, key, token, now_ns);
    request.fingerprint[31] = 'x';
    expect(neap_store_claim(store, &request, &claim), OK);
    assert_null(claim.result.at);
    return claim;
}

#define renew(token, now_ns) neap_store_renew(store, bytes_of("k"), token_of(token), now_ns, 10)
#define finish(token, text, now_ns)                                                                \
    neap_store_finish(store, bytes_of("k"), token_of(token), bytes_of(text), now_ns)
#define release(token, now_ns) neap_store_release(store, bytes_of("k"), token_of(token), now_ns)

static void a_key_is_new_once(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect_running("k", 'b', NOW, 10);
    expect_running("k", 'b', NOW + 9, 1);
    expect_new("other", 'b', NOW, false);
}

static void a_lease_ends_when_its_moment_has_come(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect_running("k", 'b', NOW + 9, 1);
    expect_new("k", 'b', NOW + 10, true);
    expect_running("k", 'c', NOW + 19, 1);
    expect_new("k", 'c', NOW + 20, true);
}

static void a_clock_that_stepped_back_ends_no_lease(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect_running("k", 'b', NOW - 1000, 1010);
    expect(renew('a', NOW - 1000), OK);
    expect_running("k", 'b', NOW - 1000, 10);
}

static void the_same_token_claims_again(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect_new("k", 'a', NOW + 5, false);
    expect_running("k", 'b', NOW + 14, 1);
    expect_new("k", 'b', NOW + 15, true);
    expect_new("k", 'b', NOW + 16, true);
    expect_new("k", 'b', NOW + 50, true);
}

static void a_lease_that_ended_is_its_owners_until_it_is_claimed(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect(renew('a', NOW + 40), OK);
    expect_running("k", 'b', NOW + 49, 1);
    expect_new("k", 'b', NOW + 50, true);
    expect(renew('a', NOW + 51), LOST);
    expect(finish('a', "late", NOW + 51), LOST);
    expect(release('a', NOW + 51), LOST);
    expect(finish('b', "result", NOW + 52), OK);
    expect_done("k", 'a', NOW + 53, "result");
}

static void a_late_owner_finishes_what_nobody_claimed(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect(finish('a', "result", NOW + 99), OK);
    expect_done("k", 'b', NOW + 99, "result");
}

static void a_result_stays_until_the_ttl_of_the_first_claim(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect_new("k", 'b', NOW + 60, true);
    expect(finish('b', "result", NOW + 61), OK);
    expect_done("k", 'c', NOW + 99, "result");
    expect_new("k", 'c', NOW + 100, false);
    expect_running("k", 'd', NOW + 101, 9);
    expect(finish('c', "", NOW + 101), OK);
    expect_done("k", 'd', NOW + 199, "");
}

static void from_its_ttl_on_a_key_is_nobodys(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect(renew('a', NOW + 99), OK);
    expect(renew('a', NOW + 100), LOST);
    expect(finish('a', "late", NOW + 100), LOST);
    expect(release('a', NOW + 100), LOST);
    expect_new("k", 'b', NOW + 100, false);
    expect(finish('a', "late", NOW + 101), LOST);
}

static void a_result_is_final(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect(finish('a', "first", NOW + 1), OK);
    expect(finish('a', "second", NOW + 2), OK);
    expect(finish('b', "third", NOW + 2), LOST);
    expect(renew('a', NOW + 3), LOST);
    expect(release('a', NOW + 3), LOST);
    expect_done("k", 'a', NOW + 4, "first");
}

static void a_released_key_is_as_if_never_claimed(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    expect(release('b', NOW + 1), LOST);
    expect(release('a', NOW + 1), OK);
    expect(release('a', NOW + 1), LOST);
    expect(renew('a', NOW + 1), LOST);
    expect(finish('a', "late", NOW + 1), LOST);
    expect_new("k", 'b', NOW + 2, false);
    expect(finish('b', "result", NOW + 3), OK);
    expect_done("k", 'c', NOW + 101, "result");
}

static void other_work_claims_nothing(void **state)
{
    (void)state;
    expect_new("k", 'a', NOW, false);
    struct neap_claim claim = claim_other_work("k", 'b', NOW + 3);
    assert_int_equal(claim.state, NEAP_CLAIM_RUNNING);
    assert_true(claim.other_work);
    assert_int_equal(claim.lease_left_ns, 7);
    claim = claim_other_work("k", 'b', NOW + 10);
    assert_int_equal(claim.state, NEAP_CLAIM_RUNNING);
    assert_true(claim.other_work);
    assert_int_equal(claim.lease_left_ns, 0);
    expect(finish('b', "wrong", NOW + 11), LOST);
    expect(finish('a', "result", NOW + 11), OK);
    claim = claim_other_work("k", 'b', NOW + 12);
    assert_int_equal(claim.state, NEAP_CLAIM_DONE);
    assert_true(claim.other_work);
    claim = claim_other_work("k", 'b', NOW + 100);
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
    assert_false(claim.other_work);
}

static void nothing_is_owned_that_was_never_claimed(void **state)
{
    (void)state;
    expect(renew('a', NOW), LOST);
    expect(finish('a', "x", NOW), LOST);
    expect(release('a', NOW), LOST);
}

static void lengths_of_zero_end_at_once(void **state)
{
    (void)state;
    struct neap_claim_request request;
    struct neap_claim claim;
    fill_request(&request, "k", 'a', NOW);
    request.lease_ns = 0;
    expect(neap_store_claim(store, &request, &claim), OK);
    expect_new("k", 'b', NOW, true);
    fill_request(&request, "short", 'a', NOW);
    request.ttl_ns = 0;
    expect(neap_store_claim(store, &request, &claim), OK);
    expect_new("short", 'b', NOW, false);
}

static void lengths_at_their_limits_never_end(void **state)
{
    (void)state;
    struct neap_claim_request request;
    struct neap_claim claim;
    fill_request(&request, "k", 'a', NOW);
    request.lease_ns = request.ttl_ns = INT64_MAX;
    expect(neap_store_claim(store, &request, &claim), OK);
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
    claim = claim_at("k", 'b', NOW + 365 * 24 * 3600 * NEAP_SECOND);
    assert_int_equal(claim.state, NEAP_CLAIM_RUNNING);
    assert_true(claim.lease_left_ns > 0);
    claim = claim_at("k", 'b', INT64_MAX);
    assert_int_equal(claim.state, NEAP_CLAIM_NEW);
}

static void keys_and_results_are_any_bytes(void **state)
{
    (void)state;
    static const char keys[4][5] = {{'\0'}, {'a', '\0', '\r', '\n'}, {'%', 's', '\xff', '\''}, {0}};
    const size_t lengths[4] = {1, 4, 4, 0};
    struct neap_claim_request request;
    struct neap_claim claim;
    for (int i = 0; i < 4; i++) {
        fill_request(&request, "", (char)('\0' + i), NOW);
        request.key = (struct neap_bytes){i == 3 ? NULL : keys[i], lengths[i]};
        expect(neap_store_claim(store, &request, &claim), OK);
        assert_int_equal(claim.state, NEAP_CLAIM_NEW);
        expect(neap_store_finish(store, request.key, request.token, request.key, NOW), OK);
    }
    for (int i = 0; i < 4; i++) {
        request.key = (struct neap_bytes){keys[i], lengths[i]};
        expect(neap_store_claim(store, &request, &claim), OK);
        assert_int_equal(claim.state, NEAP_CLAIM_DONE);
        assert_int_equal(claim.result.bytes, lengths[i]);
        assert_memory_equal(claim.result.at, keys[i], lengths[i]);
        neap_blob_free(&claim.result);
    }
}

static void sweeping_removes_what_has_expired(void **state)
{
    (void)state;
    bool more = true;
    for (char token = 'a'; token <= 'z'; token++) {
        const char key[2] = {token, '\0'};
        expect_new(key, token, NOW, false);
    }
    expect(neap_store_sweep(store, NOW + 99, &more), OK);
    assert_false(more);
    expect_running("a", 'x', NOW + 9, 1);
    while (more)
        expect(neap_store_sweep(store, NOW + 100, &more), OK);
    expect_new("a", 'x', NOW + 100, false);
}

static void bad_arguments_change_nothing(void **state)
{
    (void)state;
    static char key[NEAP_STORE_KEY_MAX + 1];
    struct neap_claim_request request;
    struct neap_claim claim;
    memset(key, 'k', sizeof key);
    fill_request(&request, "k", 'a', NOW);
    request.key = (struct neap_bytes){key, NEAP_STORE_KEY_MAX + 1};
    expect(neap_store_claim(store, &request, &claim), INVALID);
    expect(neap_store_renew(store, request.key, request.token, NOW, 1), INVALID);
    expect(neap_store_finish(store, request.key, request.token, bytes_of(""), NOW), INVALID);
    expect(neap_store_release(store, request.key, request.token, NOW), INVALID);
    request.key.bytes--;
    expect(neap_store_claim(store, &request, &claim), OK);
    expect(neap_store_finish(store, request.key, request.token, bytes_of("r"), NOW), OK);
    request.key = (struct neap_bytes){NULL, 1};
    expect(neap_store_claim(store, &request, &claim), INVALID);
    fill_request(&request, "k", 'a', -1);
    expect(neap_store_claim(store, &request, &claim), INVALID);
    fill_request(&request, "k", 'a', NOW);
    request.lease_ns = -1;
    expect(neap_store_claim(store, &request, &claim), INVALID);
    fill_request(&request, "k", 'a', NOW);
    request.ttl_ns = -1;
    expect(neap_store_claim(store, &request, &claim), INVALID);
    expect_new("k", 'b', NOW, false);
    expect(finish('b', "x", -1), INVALID);
    const struct neap_bytes too_long = {key, (size_t)NEAP_STORE_BLOB_MAX + 1};
    expect(neap_store_finish(store, bytes_of("k"), token_of('b'), too_long, NOW), FULL);
    expect_running("k", 'c', NOW, 10);
}

static void without_memory_a_result_is_not_lost(void **state)
{
    (void)state;
    struct neap_claim_request request;
    struct neap_claim claim = {.lease_left_ns = 77};
    expect_new("k", 'a', NOW, false);
    expect(finish('a', "result", NOW), OK);
    fill_request(&request, "k", 'b', NOW);
    failing_alloc_fail(&memory, 1);
    expect(neap_store_claim(store, &request, &claim), NO_MEMORY);
    assert_int_equal(claim.lease_left_ns, 77);
    expect_done("k", 'b', NOW, "result");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_key_is_new_once),
        SPEC(a_lease_ends_when_its_moment_has_come),
        SPEC(a_clock_that_stepped_back_ends_no_lease),
        SPEC(the_same_token_claims_again),
        SPEC(a_lease_that_ended_is_its_owners_until_it_is_claimed),
        SPEC(a_late_owner_finishes_what_nobody_claimed),
        SPEC(a_result_stays_until_the_ttl_of_the_first_claim),
        SPEC(from_its_ttl_on_a_key_is_nobodys),
        SPEC(a_result_is_final),
        SPEC(a_released_key_is_as_if_never_claimed),
        SPEC(other_work_claims_nothing),
        SPEC(nothing_is_owned_that_was_never_claimed),
        SPEC(lengths_of_zero_end_at_once),
        SPEC(lengths_at_their_limits_never_end),
        SPEC(keys_and_results_are_any_bytes),
        SPEC(sweeping_removes_what_has_expired),
        SPEC(bad_arguments_change_nothing),
        SPEC(without_memory_a_result_is_not_lost),
    };
    return RUN_FOR_EACH_KIND(tests, "claim");
}
