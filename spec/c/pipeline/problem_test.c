#include "pipeline/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/canonical_json.h"
#include "support/memory.h"

static struct neap_problem_answer problem;

static void make_named(enum neap_problem kind, enum neap_key_fault fault, const char *header)
{
    assert_int_equal(neap_problem_answer_init(&problem, kind, fault, header, &memory.alloc),
                     NEAP_OK);
}

static void make(enum neap_problem kind)
{
    make_named(kind, NEAP_KEY_FAULT_MISSING, "Idempotency-Key");
}

static void unmake(void)
{
    neap_problem_answer_deinit(&problem);
}

static bool is_header(size_t index, const char *name, const char *value)
{
    const struct neap_stored_header *header = &problem.answer.headers[index];
    return header->name.bytes == strlen(name) && header->value.bytes == strlen(value) &&
           memcmp(header->name.text, name, header->name.bytes) == 0 &&
           memcmp(header->value.text, value, header->value.bytes) == 0;
}

static void assert_body_is_json(void)
{
    char *canonical = NULL;
    size_t bytes = 0;
    assert_int_equal(neap_canonical_json(problem.answer.body.text, problem.answer.body.bytes,
                                         &memory.alloc, &canonical, &bytes),
                     NEAP_OK);
    neap_free(&memory.alloc, canonical);
}

static bool body_has(const char *text)
{
    return strstr(problem.answer.body.text, text) != NULL;
}

static void each_problem_has_its_status(void **state)
{
    (void)state;
    const int expected[] = {[NEAP_PROBLEM_KEY] = 400,        [NEAP_PROBLEM_CONFLICT] = 409,
                            [NEAP_PROBLEM_OTHER_WORK] = 422, [NEAP_PROBLEM_STORE_DOWN] = 503,
                            [NEAP_PROBLEM_RAISED] = 500,     [NEAP_PROBLEM_NOT_KEPT] = 500,
                            [NEAP_PROBLEM_DAMAGED] = 500};
    for (int i = NEAP_PROBLEM_KEY; i <= NEAP_PROBLEM_DAMAGED; i++) {
        make((enum neap_problem)i);
        assert_int_equal(problem.answer.status, expected[i]);
        assert_int_equal(neap_problem_status((enum neap_problem)i), expected[i]);
        unmake();
    }
}

static void each_body_is_json_with_the_members_of_rfc_9457(void **state)
{
    (void)state;
    for (int i = NEAP_PROBLEM_KEY; i <= NEAP_PROBLEM_DAMAGED; i++) {
        char status[24];
        make((enum neap_problem)i);
        (void)snprintf(status, sizeof status, "\"status\":%d,", problem.answer.status);
        assert_body_is_json();
        assert_true(body_has("{\"type\":\"urn:neap:idempotency:"));
        assert_true(body_has("\"title\":\""));
        assert_true(body_has(status));
        assert_true(body_has("\"detail\":\""));
        assert_true(is_header(0, "Content-Type", "application/problem+json"));
        unmake();
    }
}

static void only_a_conflict_says_when_to_come_back(void **state)
{
    (void)state;
    for (int i = NEAP_PROBLEM_KEY; i <= NEAP_PROBLEM_DAMAGED; i++) {
        make((enum neap_problem)i);
        assert_int_equal(problem.answer.header_count, i == NEAP_PROBLEM_CONFLICT ? 2 : 1);
        unmake();
    }
    make(NEAP_PROBLEM_CONFLICT);
    assert_true(is_header(1, "Retry-After", "1"));
    unmake();
}

static void a_body_reads_as_a_whole(void **state)
{
    (void)state;
    make(NEAP_PROBLEM_CONFLICT);
    assert_string_equal(problem.answer.body.text,
                        "{\"type\":\"urn:neap:idempotency:running\","
                        "\"title\":\"Request still running\",\"status\":409,\"detail\":"
                        "\"The first request with this idempotency key is still running.\"}");
    unmake();
}

static void each_fault_of_the_key_has_a_type_and_a_detail(void **state)
{
    (void)state;
    for (int i = NEAP_KEY_FAULT_MISSING; i <= NEAP_KEY_FAULT_NOT_PRINTABLE; i++) {
        char type[96];
        enum neap_key_fault fault = (enum neap_key_fault)i;
        make_named(NEAP_PROBLEM_KEY, fault, "X-Key");
        (void)snprintf(type, sizeof type, "\"urn:neap:idempotency:key_%s\"",
                       neap_key_fault_name(fault));
        assert_true(body_has(type));
        assert_true(body_has("\"detail\":\"X-Key: "));
        assert_true(body_has(neap_key_fault_text(fault)));
        unmake();
    }
}

static void whatever_is_in_a_name_the_body_is_json(void **state)
{
    (void)state;
    make_named(NEAP_PROBLEM_KEY, NEAP_KEY_FAULT_EMPTY, "a\"b\\c\n\x01\x7f\xff\xc3\xa4");
    assert_body_is_json();
    assert_true(body_has("a\\\"b\\\\c\\u000a\\u0001\\u007f\\u00ff\\u00c3\\u00a4: "));
    unmake();
}

static void a_problem_can_be_stored(void **state)
{
    (void)state;
    char *blob = NULL;
    size_t bytes = 0;
    struct neap_stored_reader reader;
    make(NEAP_PROBLEM_RAISED);
    assert_int_equal(neap_stored_answer_write(&problem.answer, &memory.alloc, &blob, &bytes),
                     NEAP_OK);
    assert_int_equal(neap_stored_answer_open(blob, bytes, &reader), NEAP_STORED_FAULT_NONE);
    assert_int_equal(reader.status, 500);
    assert_int_equal(reader.body.bytes, problem.answer.body.bytes);
    neap_free(&memory.alloc, blob);
    unmake();
}

static void without_memory_nothing_is_left(void **state)
{
    (void)state;
    size_t n = 0;
    for (enum neap_status status = NEAP_NO_MEMORY; status != NEAP_OK;) {
        failing_alloc_fail(&memory, ++n);
        status = neap_problem_answer_init(&problem, NEAP_PROBLEM_KEY, NEAP_KEY_FAULT_EMPTY, "k",
                                          &memory.alloc);
        assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
        assert_int_equal(memory.outstanding, status == NEAP_OK ? 1 : 0);
    }
    assert_true(n > 2);
    unmake();
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, memory_set_up, memory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(each_problem_has_its_status),
        SPEC(each_body_is_json_with_the_members_of_rfc_9457),
        SPEC(only_a_conflict_says_when_to_come_back),
        SPEC(a_body_reads_as_a_whole),
        SPEC(each_fault_of_the_key_has_a_type_and_a_detail),
        SPEC(whatever_is_in_a_name_the_body_is_json),
        SPEC(a_problem_can_be_stored),
        SPEC(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
