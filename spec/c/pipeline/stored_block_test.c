#include "pipeline/stored_block.h"

#include "pipeline/stored_fixture.h"

/* What damage does is told by stored_answer_test.c, of a block of one part. */

static const struct neap_stored_kind plain = {{'p', 'l', 'a', 'n'}, 1, 0};
static const struct neap_stored_kind wide = {{'w', 'i', 'd', 'e'}, 7, 11};

static enum neap_status write_block(const struct neap_stored_kind *kind,
                                    const struct neap_stored_content *content)
{
    return neap_stored_block_write(kind, content, &memory.alloc, &blob, &blob_bytes);
}

static void assert_pair(struct neap_stored_cursor *cursor, const char *name, const char *value)
{
    struct neap_stored_header pair = neap_stored_next(cursor);
    assert_int_equal(pair.name.bytes, strlen(name));
    assert_memory_equal(pair.name.text, name, pair.name.bytes);
    assert_int_equal(pair.value.bytes, strlen(value));
    assert_memory_equal(pair.value.text, value, pair.value.bytes);
}

static void an_empty_block_comes_back(void **state)
{
    (void)state;
    struct neap_stored_view view;
    assert_int_equal(write_block(&plain, &(struct neap_stored_content){0}), NEAP_OK);
    assert_int_equal(blob_bytes, 4 + 1 + 4 + 8 + 8);
    assert_int_equal(neap_stored_block_open(&plain, blob, blob_bytes, &view),
                     NEAP_STORED_FAULT_NONE);
    assert_int_equal(view.pairs, 0);
    assert_int_equal(view.body.bytes, 0);
}

static void fixed_fields_parts_and_body_come_back(void **state)
{
    (void)state;
    struct neap_stored_view view;
    const struct neap_stored_header first[] = {{text_of("a"), text_of("1")}};
    const struct neap_stored_header last[] = {{text_of(""), text_of("")},
                                              {text_of("a"), text_of("22")}};
    const struct neap_stored_part parts[] = {{first, 1}, {NULL, 0}, {last, 2}};
    const struct neap_stored_content content = {(const uint8_t *)"eleven byte", parts, 3,
                                                text_of("body")};
    assert_int_equal(write_block(&wide, &content), NEAP_OK);
    assert_int_equal(neap_stored_block_open(&wide, blob, blob_bytes, &view),
                     NEAP_STORED_FAULT_NONE);
    assert_memory_equal(view.fixed, "eleven byte", 11);
    assert_int_equal(view.pairs, 3);
    assert_pair(&view.first, "a", "1");
    assert_pair(&view.first, "", "");
    assert_pair(&view.first, "a", "22");
    assert_int_equal(view.body.bytes, 4);
    assert_memory_equal(view.body.text, "body", 4);
}

static void another_kind_is_foreign(void **state)
{
    (void)state;
    struct neap_stored_view view;
    assert_int_equal(write_block(&plain, &(struct neap_stored_content){0}), NEAP_OK);
    assert_int_equal(neap_stored_block_open(&wide, blob, blob_bytes, &view),
                     NEAP_STORED_FAULT_FOREIGN);
}

static void another_version_is_told(void **state)
{
    (void)state;
    struct neap_stored_view view;
    struct neap_stored_kind next = plain;
    next.version++;
    assert_int_equal(write_block(&plain, &(struct neap_stored_content){0}), NEAP_OK);
    assert_int_equal(neap_stored_block_open(&next, blob, blob_bytes, &view),
                     NEAP_STORED_FAULT_VERSION);
}

static void more_bytes_than_there_can_be_are_refused(void **state)
{
    (void)state;
    const struct neap_stored_header endless = {{"n", 1}, {"v", SIZE_MAX}};
    const struct neap_stored_part parts[] = {{NULL, 0}, {&endless, 1}};
    const struct neap_stored_content wide_value = {NULL, parts, 2, {NULL, 0}};
    const struct neap_stored_content long_body = {NULL, NULL, 0, {"b", SIZE_MAX - 8}};
    assert_int_equal(write_block(&plain, &wide_value), NEAP_INVALID);
    assert_int_equal(write_block(&plain, &long_body), NEAP_INVALID);
    assert_null(blob);
}

static void without_memory_nothing_is_given(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(write_block(&plain, &(struct neap_stored_content){0}), NEAP_NO_MEMORY);
    assert_null(blob);
}

static void numbers_of_each_width_come_back(void **state)
{
    (void)state;
    uint8_t bytes[8];
    for (size_t width = 1; width <= 8; width++) {
        uint64_t largest = width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
        assert_ptr_equal(neap_stored_write_number(bytes, largest, width), bytes + width);
        assert_true(neap_stored_read_number(bytes, width) == largest);
    }
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_empty_block_comes_back),
        SPEC(fixed_fields_parts_and_body_come_back),
        SPEC(another_kind_is_foreign),
        SPEC(another_version_is_told),
        SPEC(more_bytes_than_there_can_be_are_refused),
        SPEC(without_memory_nothing_is_given),
        SPEC(numbers_of_each_width_come_back),
    };
    return cmocka_run_group_tests_name("stored_block", tests, NULL, NULL);
}
