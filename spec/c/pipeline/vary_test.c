#include "pipeline/vary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/stored_answer.h"
#include "support/failing_alloc.h"

static struct failing_alloc memory;
static struct neap_vary vary;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_vary_init(&vary);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static void add(const char *list)
{
    size_t bytes = strlen(list);
    char *copy = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, list, bytes);
    neap_vary_add(&vary, copy, bytes);
    free(copy);
}

static void assert_names(const char *expected)
{
    char names[2 * NEAP_VARY_TEXT_MAX] = "";
    for (size_t i = 0; i < vary.count; i++) {
        struct neap_text name = neap_vary_name(&vary, i);
        strncat(names, name.text, name.bytes);
        strcat(names, " ");
    }
    assert_string_equal(names, expected);
}

static void names_are_sorted_in_lower_case_and_once(void **state)
{
    (void)state;
    add("Accept-Language, ACCEPT,accept ,\tX-Tenant");
    assert_names("accept accept-language x-tenant ");
    add("Age");
    add("x-tenant");
    assert_names("accept accept-language age x-tenant ");
    assert_false(vary.matches_nothing);
}

static void an_empty_list_adds_nothing(void **state)
{
    (void)state;
    add("");
    add(" , ,");
    neap_vary_add(&vary, NULL, 0);
    assert_names("");
    assert_false(vary.matches_nothing);
}

static void a_star_matches_nothing(void **state)
{
    (void)state;
    add("accept, *");
    assert_true(vary.matches_nothing);
    neap_vary_init(&vary);
    add("*x");
    assert_false(vary.matches_nothing);
}

static void more_names_than_fit_match_nothing(void **state)
{
    (void)state;
    char name[16];
    for (unsigned i = 0; i < NEAP_VARY_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "n%u", i);
        add(name);
    }
    assert_false(vary.matches_nothing);
    assert_int_equal(vary.count, NEAP_VARY_NAMES_MAX);
    add("one-more");
    assert_true(vary.matches_nothing);
    assert_int_equal(vary.count, NEAP_VARY_NAMES_MAX);
}

static void longer_names_than_fit_match_nothing(void **state)
{
    (void)state;
    char name[NEAP_VARY_TEXT_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[NEAP_VARY_TEXT_MAX] = '\0';
    add(name);
    assert_false(vary.matches_nothing);
    add("x");
    assert_true(vary.matches_nothing);
    neap_vary_init(&vary);
    name[NEAP_VARY_TEXT_MAX] = 'n';
    name[NEAP_VARY_TEXT_MAX + 1] = '\0';
    add(name);
    assert_true(vary.matches_nothing);
    assert_int_equal(vary.count, 0);
}

static void equal_sets_are_equal(void **state)
{
    (void)state;
    struct neap_vary other;
    neap_vary_init(&other);
    add("b, a");
    assert_false(neap_vary_equal(&vary, &other));
    neap_vary_add(&other, "A", 1);
    assert_false(neap_vary_equal(&vary, &other));
    neap_vary_add(&other, "B", 1);
    assert_true(neap_vary_equal(&vary, &other));
    neap_vary_add(&other, "*", 1);
    assert_false(neap_vary_equal(&vary, &other));
    neap_vary_init(&other);
    neap_vary_add(&other, "a,c", 3);
    assert_false(neap_vary_equal(&vary, &other));
}

static void names_come_back_from_a_store(void **state)
{
    (void)state;
    char *blob;
    size_t bytes;
    struct neap_vary read;
    add("b, a");
    assert_int_equal(neap_vary_write(&vary, &memory.alloc, &blob, &bytes), NEAP_OK);
    neap_vary_init(&read);
    assert_true(neap_vary_read(&read, blob, bytes));
    assert_true(neap_vary_equal(&vary, &read));
    neap_vary_add(&read, "c", 1);
    assert_true(neap_vary_read(&read, blob, bytes));
    assert_int_equal(read.count, 3);
    neap_free(&memory.alloc, blob);
}

static void the_most_names_come_back(void **state)
{
    (void)state;
    char *blob, name[64];
    size_t bytes;
    struct neap_vary read;
    for (unsigned i = 0; i < NEAP_VARY_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "%032u", i);
        add(name);
    }
    assert_int_equal(vary.text_bytes, NEAP_VARY_TEXT_MAX);
    assert_int_equal(neap_vary_write(&vary, &memory.alloc, &blob, &bytes), NEAP_OK);
    neap_vary_init(&read);
    assert_true(neap_vary_read(&read, blob, bytes));
    assert_true(neap_vary_equal(&vary, &read));
    neap_free(&memory.alloc, blob);
}

static void what_is_no_list_of_names_is_told(void **state)
{
    (void)state;
    char *blob;
    size_t bytes;
    const struct neap_stored_header header = {{":answer1", 8}, {"", 0}};
    const struct neap_stored_answer bare = {200, NULL, 0, {"a", 1}};
    const struct neap_stored_answer other = {200, &header, 1, {"a", 1}};
    assert_false(neap_vary_read(&vary, NULL, 0));
    assert_false(neap_vary_read(&vary, "neap", 4));
    assert_int_equal(neap_stored_answer_write(&bare, &memory.alloc, &blob, &bytes), NEAP_OK);
    assert_false(neap_vary_read(&vary, blob, bytes));
    neap_free(&memory.alloc, blob);
    assert_int_equal(neap_stored_answer_write(&other, &memory.alloc, &blob, &bytes), NEAP_OK);
    assert_false(neap_vary_read(&vary, blob, bytes));
    neap_free(&memory.alloc, blob);
    assert_names("");
}

static void without_memory_nothing_is_given(void **state)
{
    (void)state;
    char *blob = NULL;
    size_t bytes;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_vary_write(&vary, &memory.alloc, &blob, &bytes), NEAP_NO_MEMORY);
    assert_null(blob);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(names_are_sorted_in_lower_case_and_once),
        SPEC(an_empty_list_adds_nothing),
        SPEC(a_star_matches_nothing),
        SPEC(more_names_than_fit_match_nothing),
        SPEC(longer_names_than_fit_match_nothing),
        SPEC(equal_sets_are_equal),
        SPEC(names_come_back_from_a_store),
        SPEC(the_most_names_come_back),
        SPEC(what_is_no_list_of_names_is_told),
        SPEC(without_memory_nothing_is_given),
    };
    return cmocka_run_group_tests_name("vary", tests, NULL, NULL);
}
