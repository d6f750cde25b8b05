#include "store/claim_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/stores.h"

/* The rules as they show through a store are in claim_test.c; here is what the caller of the rules
 * must write. */
static struct neap_claim_record record;
static struct neap_claim claim;

static enum neap_claim_verdict judge(bool exists, char token, int64_t now_ns)
{
    struct neap_claim_request request;
    fill_request(&request, "k", token, now_ns);
    return neap_claim_judge(&record, exists, &request, &claim);
}

static void the_first_claim_makes_the_record(void **state)
{
    (void)state;
    record.done = record.recovered = true;
    assert_int_equal(judge(false, 'a', 1000), NEAP_CLAIM_FIRST);
    assert_false(record.done);
    assert_false(record.recovered);
    assert_int_equal(record.lease_end_ns, 1010);
    assert_int_equal(record.expires_ns, 1100);
    assert_true(neap_claim_is_of(&record, token_of('a'), 1099));
    assert_false(neap_claim_is_of(&record, token_of('a'), 1100));
    assert_false(neap_claim_is_of(&record, token_of('b'), 1000));
}

static void a_claim_that_is_refused_changes_nothing(void **state)
{
    (void)state;
    (void)judge(false, 'a', 1000);
    struct neap_claim_record before = record;
    assert_int_equal(judge(true, 'b', 1009), NEAP_CLAIM_REFUSED);
    assert_memory_equal(&record, &before, sizeof record);
    record.done = before.done = true;
    assert_int_equal(judge(true, 'a', 1050), NEAP_CLAIM_REFUSED);
    assert_memory_equal(&record, &before, sizeof record);
}

static void taking_over_keeps_the_expiry(void **state)
{
    (void)state;
    (void)judge(false, 'a', 1000);
    assert_int_equal(judge(true, 'b', 1010), NEAP_CLAIM_TAKEN);
    assert_true(record.recovered);
    assert_int_equal(record.lease_end_ns, 1020);
    assert_int_equal(record.expires_ns, 1100);
    assert_int_equal(judge(true, 'b', 1012), NEAP_CLAIM_TAKEN);
    assert_true(claim.recovered);
    assert_int_equal(record.lease_end_ns, 1022);
}

static void what_has_expired_begins_anew(void **state)
{
    (void)state;
    (void)judge(false, 'a', 1000);
    record.done = true;
    assert_int_equal(judge(true, 'b', 1100), NEAP_CLAIM_FIRST);
    assert_false(record.done);
    assert_int_equal(record.expires_ns, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_claim_makes_the_record),
        cmocka_unit_test(a_claim_that_is_refused_changes_nothing),
        cmocka_unit_test(taking_over_keeps_the_expiry),
        cmocka_unit_test(what_has_expired_begins_anew),
    };
    return cmocka_run_group_tests_name("claim_rules", tests, NULL, NULL);
}
