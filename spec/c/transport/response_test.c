#include "transport/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

static struct failing_alloc memory;
static struct neap_response *response;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    return neap_response_new(&memory.alloc, &response) == NEAP_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    neap_response_free(response);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static enum neap_status add(const char *name, const char *value)
{
    return neap_response_add_header(response, name, strlen(name), value, strlen(value));
}

static void assert_header(const char *name, uint32_t nth, const char *wanted)
{
    size_t bytes;
    const char *value = neap_response_header(response, name, nth, &bytes);
    assert_non_null(value);
    assert_int_equal(bytes, strlen(wanted));
    assert_memory_equal(value, wanted, bytes);
}

static void assert_none(const char *name, uint32_t nth)
{
    size_t bytes = 77;
    assert_null(neap_response_header(response, name, nth, &bytes));
    assert_int_equal(bytes, 77);
}

static void a_header_is_found_in_any_letter_case(void **state)
{
    (void)state;
    assert_int_equal(add("Content-Type", "text/plain"), NEAP_OK);
    assert_header("content-type", 0, "text/plain");
    assert_header("CONTENT-TYPE", 0, "text/plain");
    assert_none("Content-Typ", 0);
    assert_none("Content-Type2", 0);
    assert_none("", 0);
}

static void repeated_headers_are_counted(void **state)
{
    (void)state;
    assert_int_equal(add("A", "1"), NEAP_OK);
    assert_int_equal(add("B", "2"), NEAP_OK);
    assert_int_equal(add("a", "3"), NEAP_OK);
    assert_header("A", 0, "1");
    assert_header("A", 1, "3");
    assert_none("A", 2);
    assert_header("B", 0, "2");
    assert_none("B", 1);
}

static void a_value_may_be_empty(void **state)
{
    (void)state;
    assert_int_equal(add("Empty", ""), NEAP_OK);
    assert_header("empty", 0, "");
}

static void there_is_room_for_many(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(add("Name", i == 999 ? "last" : "value"), NEAP_OK);
    assert_header("name", 999, "last");
    assert_none("name", 1000);
}

static void a_folded_line_extends_the_value(void **state)
{
    (void)state;
    assert_int_equal(neap_response_extend_header(response, "x", 1), NEAP_INVALID);
    assert_int_equal(add("A", "one"), NEAP_OK);
    assert_int_equal(neap_response_extend_header(response, "two", 3), NEAP_OK);
    assert_header("A", 0, "one two");
    assert_int_equal(add("B", "x"), NEAP_OK);
    assert_header("A", 0, "one two");
    assert_header("B", 0, "x");
}

static void a_header_may_stand_in_one_text(void **state)
{
    static const char line[] = "Retry-After :\t 12";
    (void)state;
    assert_int_equal(neap_response_add_line(response, line, strlen(line), 11, 2), NEAP_OK);
    assert_int_equal(neap_response_add_line(response, "Date:", 5, 4, 0), NEAP_OK);
    assert_header("retry-after", 0, "12");
    assert_header("Date", 0, "");
    assert_int_equal(neap_response_extend_header(response, "now", 3), NEAP_OK);
    assert_header("Date", 0, " now");
    assert_header("Retry-After", 0, "12");
    assert_none("Server", 0);
}

static void clearing_forgets_all_but_the_memory(void **state)
{
    (void)state;
    assert_int_equal(add("A", "one"), NEAP_OK);
    assert_int_equal(neap_buffer_append(&response->body, "body", 4), NEAP_OK);
    response->status = 302;
    response->http_version = 11;
    response->url = neap_copy_text(&memory.alloc, "http://a/", 9);
    response->foreign = true;
    assert_int_equal(neap_buffer_append(&response->reason, "Found", 5), NEAP_OK);
    neap_response_clear(response);
    assert_none("A", 0);
    assert_int_equal(response->status, 0);
    assert_int_equal(response->http_version, 0);
    assert_int_equal(response->body.bytes, 0);
    assert_int_equal(response->reason.bytes, 0);
    assert_null(response->url);
    assert_false(response->foreign);
    assert_true(response->head.capacity > 0);
}

static void a_shelf_keeps_what_is_freed(void **state)
{
    struct neap_response_shelf shelf = {0};
    struct neap_response *first = response;
    (void)state;
    assert_null(neap_response_shelf_take(&shelf));
    assert_int_equal(add("A", "one"), NEAP_OK);
    response->shelf = &shelf;
    neap_response_free(neap_response_hold(response));
    assert_null(neap_response_shelf_take(&shelf)); /* one holds it yet */
    neap_response_free(response);
    response = neap_response_shelf_take(&shelf);
    assert_ptr_equal(response, first);
    assert_null(response->shelf);
    assert_none("A", 0);
    assert_true(response->head.capacity > 0);
    assert_null(neap_response_shelf_take(&shelf));
    neap_response_shelf_deinit(&shelf);
}

static void a_shelf_takes_no_more_than_it_should(void **state)
{
    struct neap_response_shelf shelf = {0};
    struct neap_response *more;
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(neap_response_new(&memory.alloc, &more), NEAP_OK);
        more->shelf = &shelf;
        neap_response_free(more);
    }
    assert_int_equal(shelf.count, 64);
    neap_response_shelf_deinit(&shelf);
    assert_int_equal(shelf.count, 0);
    static const char large[5000];
    assert_int_equal(neap_buffer_append(&response->body, large, sizeof large), NEAP_OK);
    response->shelf = &shelf;
    neap_response_free(response);
    assert_int_equal(shelf.count, 0);
    response = NULL;
}

static void memory_may_run_out(void **state)
{
    struct neap_response *none = NULL;
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_response_new(&memory.alloc, &none), NEAP_NO_MEMORY);
    assert_null(none);
    failing_alloc_fail(&memory, 1); /* the text */
    assert_int_equal(add("A", "1"), NEAP_NO_MEMORY);
    assert_none("A", 0);
    while (response->header_count < NEAP_HEADERS_INLINE)
        assert_int_equal(add("First", "0"), NEAP_OK);
    failing_alloc_fail(&memory, 1); /* the place */
    assert_int_equal(add("A", "1"), NEAP_NO_MEMORY);
    assert_none("A", 0);
    assert_int_equal(add("A", "1"), NEAP_OK);
    assert_header("A", 0, "1");
    assert_header("First", NEAP_HEADERS_INLINE - 1, "0");
    neap_response_free(NULL);
}

static void it_goes_with_the_last_who_holds_it(void **state)
{
    (void)state;
    assert_ptr_equal(neap_response_hold(response), response);
    neap_response_hold(response);
    neap_response_free(response);
    neap_response_free(response);
    assert_int_equal(add("A", "1"), NEAP_OK);
    assert_header("A", 0, "1");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_header_is_found_in_any_letter_case),
        TEST(repeated_headers_are_counted),
        TEST(a_value_may_be_empty),
        TEST(there_is_room_for_many),
        TEST(a_folded_line_extends_the_value),
        TEST(a_header_may_stand_in_one_text),
        TEST(clearing_forgets_all_but_the_memory),
        TEST(a_shelf_keeps_what_is_freed),
        TEST(a_shelf_takes_no_more_than_it_should),
        TEST(memory_may_run_out),
        TEST(it_goes_with_the_last_who_holds_it),
    };
    return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
