#include "pipeline/stored_answer.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/random.h"
#include "pipeline/stored_fixture.h"

#define HEAD_BYTES 19u

static enum neap_status write_answer(int status, const struct neap_stored_header *headers,
                                     size_t count, struct neap_text body)
{
    struct neap_stored_answer answer = {status, headers, count, body};
    neap_free(&memory.alloc, blob);
    blob = NULL;
    return neap_stored_answer_write(&answer, &memory.alloc, &blob, &blob_bytes);
}

static void write_usual(void)
{
    const struct neap_stored_header headers[] = {{text_of("Content-Type"), text_of("text/plain")},
                                                 {text_of("Set-Cookie"), text_of("a=1")},
                                                 {text_of("x-empty"), text_of("")},
                                                 {text_of("Set-Cookie"), text_of("b=2")}};
    assert_int_equal(write_answer(201, headers, 4, text_of("made")), NEAP_OK);
}

/* Opens a copy in a block of its own size, so that a sanitizer sees a step beyond it, and reads all
 * that a sound one says. */
static enum neap_stored_fault open_copy(const char *from, size_t bytes)
{
    struct neap_stored_reader reader;
    char *copy = malloc(bytes > 0 ? bytes : 1);
    size_t sum = 0;
    assert_non_null(copy);
    memcpy(copy, from, bytes);
    enum neap_stored_fault fault = neap_stored_answer_open(copy, bytes, &reader);
    if (fault == NEAP_STORED_FAULT_NONE) {
        while (reader.headers_left > 0) {
            struct neap_stored_header header = neap_stored_answer_next(&reader);
            for (size_t i = 0; i < header.name.bytes; i++)
                sum += (unsigned char)header.name.text[i];
            for (size_t i = 0; i < header.value.bytes; i++)
                sum += (unsigned char)header.value.text[i];
        }
        for (size_t i = 0; i < reader.body.bytes; i++)
            sum += (unsigned char)reader.body.text[i];
    }
    free(copy);
    return sum == SIZE_MAX ? NEAP_STORED_FAULT_FOREIGN : fault;
}

static void assert_text(struct neap_text text, const char *expected)
{
    assert_int_equal(text.bytes, strlen(expected));
    assert_memory_equal(text.text, expected, text.bytes);
}

static void assert_header(struct neap_stored_reader *reader, const char *name, const char *value)
{
    assert_true(reader->headers_left > 0);
    struct neap_stored_header header = neap_stored_answer_next(reader);
    assert_text(header.name, name);
    assert_text(header.value, value);
}

static void status_headers_and_body_come_back(void **state)
{
    (void)state;
    struct neap_stored_reader reader;
    write_usual();
    assert_int_equal(neap_stored_answer_open(blob, blob_bytes, &reader), NEAP_STORED_FAULT_NONE);
    assert_int_equal(reader.status, 201);
    assert_int_equal(reader.headers_left, 4);
    assert_header(&reader, "Content-Type", "text/plain");
    assert_header(&reader, "Set-Cookie", "a=1");
    assert_header(&reader, "x-empty", "");
    assert_header(&reader, "Set-Cookie", "b=2");
    assert_int_equal(reader.headers_left, 0);
    assert_text(reader.body, "made");
}

static void an_answer_without_headers_and_body_comes_back(void **state)
{
    (void)state;
    struct neap_stored_reader reader;
    assert_int_equal(write_answer(204, NULL, 0, (struct neap_text){NULL, 0}), NEAP_OK);
    assert_int_equal(blob_bytes, HEAD_BYTES + CHECK_BYTES);
    assert_int_equal(neap_stored_answer_open(blob, blob_bytes, &reader), NEAP_STORED_FAULT_NONE);
    assert_int_equal(reader.status, 204);
    assert_int_equal(reader.headers_left, 0);
    assert_int_equal(reader.body.bytes, 0);
}

static void all_bytes_come_back(void **state)
{
    (void)state;
    char all[256];
    struct neap_stored_reader reader;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    const struct neap_stored_header header = {{all, 256}, {all + 1, 255}};
    assert_int_equal(write_answer(200, &header, 1, (struct neap_text){all, 256}), NEAP_OK);
    assert_int_equal(neap_stored_answer_open(blob, blob_bytes, &reader), NEAP_STORED_FAULT_NONE);
    struct neap_stored_header read = neap_stored_answer_next(&reader);
    assert_int_equal(read.name.bytes, 256);
    assert_memory_equal(read.name.text, all, 256);
    assert_int_equal(read.value.bytes, 255);
    assert_memory_equal(read.value.text, all + 1, 255);
    assert_int_equal(reader.body.bytes, 256);
    assert_memory_equal(reader.body.text, all, 256);
}

static void the_format_of_version_1_stays(void **state)
{
    (void)state;
    const struct neap_stored_header header = {{"n", 1}, {"vv", 2}};
    const char expected[] = "neap\x01\xc8\x00\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"
                            "\x01\x00\x00\x00\x02\x00\x00\x00"
                            "nvv"
                            "abc";
    assert_int_equal(write_answer(200, &header, 1, text_of("abc")), NEAP_OK);
    assert_int_equal(blob_bytes, sizeof expected - 1 + CHECK_BYTES);
    assert_memory_equal(blob, expected, sizeof expected - 1);
}

static void what_cannot_be_stored_is_refused(void **state)
{
    (void)state;
    const struct neap_stored_header endless = {{"n", SIZE_MAX}, {"v", 1}};
    const struct neap_stored_header long_value = {{"n", 1}, {"v", (size_t)UINT32_MAX + 1}};
    assert_int_equal(write_answer(99, NULL, 0, text_of("")), NEAP_INVALID);
    assert_int_equal(write_answer(600, NULL, 0, text_of("")), NEAP_INVALID);
    assert_int_equal(write_answer(-1, NULL, 0, text_of("")), NEAP_INVALID);
    assert_int_equal(write_answer(200, &endless, 1, text_of("")), NEAP_INVALID);
    assert_int_equal(write_answer(200, &long_value, 1, text_of("")), NEAP_INVALID);
    assert_int_equal(write_answer(200, NULL, 0, (struct neap_text){"b", SIZE_MAX}), NEAP_INVALID);
    assert_null(blob);
}

static void statuses_from_100_to_599_are_stored(void **state)
{
    (void)state;
    const int edges[] = {100, 255, 256, 599};
    struct neap_stored_reader reader;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(write_answer(edges[i], NULL, 0, text_of("")), NEAP_OK);
        assert_int_equal(neap_stored_answer_open(blob, blob_bytes, &reader),
                         NEAP_STORED_FAULT_NONE);
        assert_int_equal(reader.status, edges[i]);
    }
}

static void without_memory_nothing_is_given(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(write_answer(200, NULL, 0, text_of("x")), NEAP_NO_MEMORY);
    assert_null(blob);
}

/* ---- damage */

static void what_is_not_such_a_block_is_told(void **state)
{
    (void)state;
    assert_int_equal(open_copy("", 0), NEAP_STORED_FAULT_FOREIGN);
    assert_int_equal(open_copy("nea", 3), NEAP_STORED_FAULT_FOREIGN);
    assert_int_equal(open_copy("{\"status\":200,\"body\":\"long enough\"}", 34),
                     NEAP_STORED_FAULT_FOREIGN);
    struct neap_stored_reader reader;
    assert_int_equal(neap_stored_answer_open(NULL, 0, &reader), NEAP_STORED_FAULT_FOREIGN);
}

static void another_version_is_told(void **state)
{
    (void)state;
    write_usual();
    blob[4] = 2;
    assert_int_equal(open_copy(blob, blob_bytes), NEAP_STORED_FAULT_VERSION);
    assert_int_equal(open_copy(blob, 5), NEAP_STORED_FAULT_VERSION);
}

static void every_beginning_of_a_block_is_told(void **state)
{
    (void)state;
    write_usual();
    for (size_t bytes = 0; bytes < blob_bytes; bytes++)
        assert_int_equal(open_copy(blob, bytes),
                         bytes < 4 ? NEAP_STORED_FAULT_FOREIGN : NEAP_STORED_FAULT_LENGTH);
}

static void bytes_behind_a_block_are_told(void **state)
{
    (void)state;
    write_usual();
    char *longer = malloc(blob_bytes + 1);
    assert_non_null(longer);
    memcpy(longer, blob, blob_bytes);
    longer[blob_bytes] = 'x';
    assert_int_equal(open_copy(longer, blob_bytes + 1), NEAP_STORED_FAULT_LENGTH);
    free(longer);
}

static void every_changed_bit_is_told(void **state)
{
    (void)state;
    write_usual();
    for (size_t bit = 0; bit < 8 * blob_bytes; bit++) {
        blob[bit / 8] = (char)(blob[bit / 8] ^ 1 << bit % 8);
        assert_int_not_equal(open_copy(blob, blob_bytes), NEAP_STORED_FAULT_NONE);
        blob[bit / 8] = (char)(blob[bit / 8] ^ 1 << bit % 8);
    }
    assert_int_equal(open_copy(blob, blob_bytes), NEAP_STORED_FAULT_NONE);
}

static void a_status_out_of_range_is_told(void **state)
{
    (void)state;
    write_usual();
    const int bad[] = {0, 99, 600, 65535};
    for (size_t i = 0; i < 4; i++) {
        blob[5] = (char)bad[i];
        blob[6] = (char)(bad[i] >> 8);
        seal(blob, blob_bytes);
        assert_int_equal(open_copy(blob, blob_bytes), NEAP_STORED_FAULT_STATUS);
    }
}

static void lengths_at_their_limits_lead_nowhere(void **state)
{
    (void)state;
    write_usual();
    /* number of headers; bytes of the body; bytes of the first name and of the first value */
    const struct {
        size_t at, bytes;
    } length[] = {{7, 4}, {11, 8}, {19, 4}, {23, 4}};
    for (size_t i = 0; i < 4; i++) {
        char kept[8];
        memcpy(kept, blob + length[i].at, length[i].bytes);
        for (int fill = 0x7F; fill <= 0xFF; fill += 0x80) {
            memset(blob + length[i].at, fill, length[i].bytes);
            seal(blob, blob_bytes);
            assert_int_equal(open_copy(blob, blob_bytes), NEAP_STORED_FAULT_LENGTH);
        }
        memcpy(blob + length[i].at, kept, length[i].bytes);
    }
    seal(blob, blob_bytes);
    assert_int_equal(open_copy(blob, blob_bytes), NEAP_STORED_FAULT_NONE);
}

static void random_damage_with_a_right_check_stays_within_the_block(void **state)
{
    (void)state;
    struct neap_random random;
    neap_random_init(&random, 8);
    for (int i = 0; i < 20000; i++) {
        if (i % 16 == 0)
            write_usual();
        size_t bytes = damage(&random, HEAD_BYTES);
        (void)open_copy(blob, bytes);
    }
}

static void each_fault_has_a_text(void **state)
{
    (void)state;
    assert_null(neap_stored_fault_text(NEAP_STORED_FAULT_NONE));
    for (int i = NEAP_STORED_FAULT_FOREIGN; i <= NEAP_STORED_FAULT_STATUS; i++)
        assert_non_null(neap_stored_fault_text((enum neap_stored_fault)i));
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(status_headers_and_body_come_back),
        SPEC(an_answer_without_headers_and_body_comes_back),
        SPEC(all_bytes_come_back),
        SPEC(the_format_of_version_1_stays),
        SPEC(what_cannot_be_stored_is_refused),
        SPEC(statuses_from_100_to_599_are_stored),
        SPEC(without_memory_nothing_is_given),
        SPEC(what_is_not_such_a_block_is_told),
        SPEC(another_version_is_told),
        SPEC(every_beginning_of_a_block_is_told),
        SPEC(bytes_behind_a_block_are_told),
        SPEC(every_changed_bit_is_told),
        SPEC(a_status_out_of_range_is_told),
        SPEC(lengths_at_their_limits_lead_nowhere),
        SPEC(random_damage_with_a_right_check_stays_within_the_block),
        SPEC(each_fault_has_a_text),
    };
    return cmocka_run_group_tests_name("stored_answer", tests, NULL, NULL);
}
