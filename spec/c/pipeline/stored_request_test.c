#include "pipeline/stored_request.h"

#include <stdlib.h>

#include "base/random.h"
#include "pipeline/stored_fixture.h"

#define HEAD_BYTES (4u + 1 + 45 + 4 + 8)

static enum neap_status write_request(const struct neap_stored_request *request)
{
    neap_free(&memory.alloc, blob);
    blob = NULL;
    return neap_stored_request_write(request, &memory.alloc, &blob, &blob_bytes);
}

static void write_usual(void)
{
    const struct neap_stored_header headers[] = {{text_of("Accept"), text_of("text/plain")},
                                                 {text_of("X-Part"), text_of("1")},
                                                 {text_of("X-Part"), text_of("")}};
    const struct neap_stored_header tags[] = {{text_of("tenant"), text_of("s7")}};
    const struct neap_stored_request request = {
        .method = text_of("POST"),
        .target = text_of("users/7?notify=1"),
        .has_body = true,
        .key = text_of("k-1"),
        .limit_ns = {[NEAP_STORED_READ] = 60, [NEAP_STORED_TOTAL] = INT64_MAX},
        .headers = {headers, 3},
        .tags = {tags, 1},
        .body = text_of("{}"),
    };
    assert_int_equal(write_request(&request), NEAP_OK);
}

static void assert_text(struct neap_text text, const char *expected)
{
    assert_int_equal(text.bytes, strlen(expected));
    assert_memory_equal(text.text, expected, text.bytes);
}

static void assert_pair(struct neap_stored_header pair, const char *name, const char *value)
{
    assert_text(pair.name, name);
    assert_text(pair.value, value);
}

static size_t sum_of(struct neap_text text)
{
    size_t sum = 0;
    for (size_t i = 0; i < text.bytes; i++)
        sum += (unsigned char)text.text[i];
    return sum;
}

static size_t sum_of_pair(struct neap_stored_header pair)
{
    return sum_of(pair.name) + sum_of(pair.value);
}

/* Opens a copy in a block of its own size, so that a sanitizer sees a step beyond it, and reads all
 * that a sound one says. */
static const char *open_copy(const char *from, size_t bytes)
{
    struct neap_stored_request_reader reader;
    char *copy = malloc(bytes > 0 ? bytes : 1);
    volatile size_t sum = 0;
    assert_non_null(copy);
    memcpy(copy, from, bytes);
    const char *fault = neap_stored_request_open(copy, bytes, &reader);
    if (!fault) {
        sum += sum_of(reader.method) + sum_of(reader.target) + sum_of(reader.key);
        while (reader.headers_left > 0)
            sum += sum_of_pair(neap_stored_request_header(&reader));
        while (reader.tags_left > 0)
            sum += sum_of_pair(neap_stored_request_tag(&reader));
        sum += sum_of(reader.body);
    }
    (void)sum;
    free(copy);
    return fault;
}

static void a_request_comes_back(void **state)
{
    (void)state;
    struct neap_stored_request_reader reader;
    write_usual();
    assert_null(neap_stored_request_open(blob, blob_bytes, &reader));
    assert_text(reader.method, "POST");
    assert_text(reader.target, "users/7?notify=1");
    assert_false(reader.is_absolute);
    assert_true(reader.has_body);
    assert_text(reader.key, "k-1");
    assert_int_equal(reader.limit_ns[NEAP_STORED_CONNECT], 0);
    assert_int_equal(reader.limit_ns[NEAP_STORED_READ], 60);
    assert_true(reader.limit_ns[NEAP_STORED_TOTAL] == INT64_MAX);
    assert_int_equal(reader.headers_left, 3);
    assert_pair(neap_stored_request_header(&reader), "Accept", "text/plain");
    assert_pair(neap_stored_request_header(&reader), "X-Part", "1");
    assert_pair(neap_stored_request_header(&reader), "X-Part", "");
    assert_int_equal(reader.headers_left, 0);
    assert_int_equal(reader.tags_left, 1);
    assert_pair(neap_stored_request_tag(&reader), "tenant", "s7");
    assert_int_equal(reader.tags_left, 0);
    assert_text(reader.body, "{}");
}

static void no_body_is_another_thing_than_an_empty_one(void **state)
{
    (void)state;
    struct neap_stored_request_reader reader;
    struct neap_stored_request request = {.method = text_of("DELETE"),
                                          .target = text_of("https://api.example/a"),
                                          .is_absolute = true};
    assert_int_equal(write_request(&request), NEAP_OK);
    assert_null(neap_stored_request_open(blob, blob_bytes, &reader));
    assert_true(reader.is_absolute);
    assert_false(reader.has_body);
    assert_int_equal(reader.key.bytes, 0);
    request.has_body = true;
    assert_int_equal(write_request(&request), NEAP_OK);
    assert_null(neap_stored_request_open(blob, blob_bytes, &reader));
    assert_true(reader.has_body);
    assert_int_equal(reader.body.bytes, 0);
}

static void all_bytes_come_back(void **state)
{
    (void)state;
    char all[256];
    struct neap_stored_request_reader reader;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    const struct neap_stored_header pair = {{all, 256}, {all + 1, 255}};
    const struct neap_stored_request request = {.method = {all, 256},
                                                .target = {all, 256},
                                                .has_body = true,
                                                .key = {all, 256},
                                                .headers = {&pair, 1},
                                                .tags = {&pair, 1},
                                                .body = {all, 256}};
    assert_int_equal(write_request(&request), NEAP_OK);
    assert_null(neap_stored_request_open(blob, blob_bytes, &reader));
    const struct neap_text texts[] = {reader.method, reader.target, reader.key, reader.body};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(texts[i].bytes, 256);
        assert_memory_equal(texts[i].text, all, 256);
    }
    struct neap_stored_header header = neap_stored_request_header(&reader);
    struct neap_stored_header tag = neap_stored_request_tag(&reader);
    assert_int_equal(header.value.bytes, 255);
    assert_memory_equal(header.value.text, all + 1, 255);
    assert_memory_equal(tag.name.text, all, 256);
}

static void the_format_of_version_1_stays(void **state)
{
    (void)state;
    const struct neap_stored_header header = {{"n", 1}, {"vv", 2}};
    const struct neap_stored_request request = {.method = text_of("PUT"),
                                                .target = text_of("/a"),
                                                .has_body = true,
                                                .key = text_of("k"),
                                                .limit_ns = {[NEAP_STORED_CONNECT] = 0x0102},
                                                .tags = {&header, 1},
                                                .body = text_of("abc")};
    const char expected[] = "nreq\x01\x02\x01\x00\x00\x00"
                            "\x02\x01\x00\x00\x00\x00\x00\x00"
                            "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                            "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                            "\x03\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"
                            "\x03\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
                            "\x01\x00\x00\x00\x02\x00\x00\x00"
                            "PUT/aknvv"
                            "abc";
    assert_int_equal(write_request(&request), NEAP_OK);
    assert_int_equal(blob_bytes, sizeof expected - 1 + CHECK_BYTES);
    assert_memory_equal(blob, expected, sizeof expected - 1);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    const struct neap_stored_request usual = {.method = text_of("GET"), .target = text_of("/")};
    const struct neap_stored_header endless = {{"n", SIZE_MAX}, {"v", 1}};
    struct neap_stored_request request = usual;
    request.method.bytes = 0;
    assert_int_equal(write_request(&request), NEAP_INVALID);
    request = usual;
    request.limit_ns[NEAP_STORED_TOTAL] = -1;
    assert_int_equal(write_request(&request), NEAP_INVALID);
    request = usual;
    request.body = text_of("x");
    assert_int_equal(write_request(&request), NEAP_INVALID);
    request = usual;
    request.tags = (struct neap_stored_part){&endless, 1};
    assert_int_equal(write_request(&request), NEAP_INVALID);
    request = usual;
    request.target = (struct neap_text){"t", SIZE_MAX};
    assert_int_equal(write_request(&request), NEAP_INVALID);
    assert_null(blob);
}

static void each_failing_allocation_is_survived(void **state)
{
    (void)state;
    const struct neap_stored_request request = {.method = text_of("GET"), .target = text_of("/")};
    failing_alloc_fail(&memory, 1);
    assert_int_equal(write_request(&request), NEAP_NO_MEMORY);
    assert_null(blob);
    failing_alloc_fail(&memory, 2);
    assert_int_equal(write_request(&request), NEAP_OK);
}

/* ---- damage */

static void every_beginning_of_a_block_is_told(void **state)
{
    (void)state;
    write_usual();
    for (size_t bytes = 0; bytes < blob_bytes; bytes++)
        assert_non_null(open_copy(blob, bytes));
    struct neap_stored_request_reader reader;
    assert_non_null(neap_stored_request_open(NULL, 0, &reader));
}

static void every_changed_bit_is_told(void **state)
{
    (void)state;
    write_usual();
    for (size_t bit = 0; bit < 8 * blob_bytes; bit++) {
        blob[bit / 8] = (char)(blob[bit / 8] ^ 1 << bit % 8);
        assert_non_null(open_copy(blob, blob_bytes));
        blob[bit / 8] = (char)(blob[bit / 8] ^ 1 << bit % 8);
    }
    assert_null(open_copy(blob, blob_bytes));
}

static void the_fault_is_named(void **state)
{
    (void)state;
    write_usual();
    assert_non_null(strstr(open_copy("neap\x01 and more of it", 21), "not written by neap"));
    assert_non_null(strstr(open_copy(blob, blob_bytes - 1), "cut off"));
    blob[blob_bytes - 1] = (char)~blob[blob_bytes - 1];
    assert_non_null(strstr(open_copy(blob, blob_bytes), "damaged"));
    blob[4] = 2;
    assert_non_null(strstr(open_copy(blob, blob_bytes), "another version"));
}

/* Of the usual block, with one byte set to `value`. */
static void assert_out_of_range(size_t at, int value)
{
    write_usual();
    blob[at] = (char)value;
    seal(blob, blob_bytes);
    const char *fault = open_copy(blob, blob_bytes);
    assert_non_null(fault);
    assert_non_null(strstr(fault, "out of range"));
}

static void fields_out_of_range_are_told(void **state)
{
    (void)state;
    assert_out_of_range(5, 4);     /* an unknown flag */
    assert_out_of_range(5, 0);     /* no body, but there are bytes of one */
    assert_out_of_range(6, 5);     /* more tags than pairs behind the first two */
    assert_out_of_range(17, 0x80); /* a limit below 0 */
}

static void without_its_own_pairs_a_block_is_told(void **state)
{
    (void)state;
    const char short_block[HEAD_BYTES + CHECK_BYTES] = "nreq\x01";
    char block[sizeof short_block];
    memcpy(block, short_block, sizeof block);
    seal(block, sizeof block);
    assert_non_null(strstr(open_copy(block, sizeof block), "out of range"));
}

static void a_key_with_a_value_is_told(void **state)
{
    (void)state;
    const struct neap_stored_request request = {
        .method = text_of("M"), .target = text_of("/"), .key = text_of("k-1")};
    assert_int_equal(write_request(&request), NEAP_OK);
    blob[HEAD_BYTES + 8] = 2; /* of the key's bytes one goes to its value */
    blob[HEAD_BYTES + 12] = 1;
    seal(blob, blob_bytes);
    const char *fault = open_copy(blob, blob_bytes);
    assert_non_null(fault);
    assert_non_null(strstr(fault, "out of range"));
}

static void an_empty_method_is_told(void **state)
{
    (void)state;
    const struct neap_stored_request request = {.method = text_of("M"), .target = text_of("/")};
    assert_int_equal(write_request(&request), NEAP_OK);
    blob[HEAD_BYTES] = 0; /* of the method's bytes one goes to the target */
    blob[HEAD_BYTES + 4] = 2;
    seal(blob, blob_bytes);
    assert_non_null(strstr(open_copy(blob, blob_bytes), "out of range"));
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

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_request_comes_back),
        SPEC(no_body_is_another_thing_than_an_empty_one),
        SPEC(all_bytes_come_back),
        SPEC(the_format_of_version_1_stays),
        SPEC(what_is_no_request_is_refused),
        SPEC(each_failing_allocation_is_survived),
        SPEC(every_beginning_of_a_block_is_told),
        SPEC(every_changed_bit_is_told),
        SPEC(the_fault_is_named),
        SPEC(fields_out_of_range_are_told),
        SPEC(without_its_own_pairs_a_block_is_told),
        SPEC(a_key_with_a_value_is_told),
        SPEC(an_empty_method_is_told),
        SPEC(random_damage_with_a_right_check_stays_within_the_block),
    };
    return cmocka_run_group_tests_name("stored_request", tests, NULL, NULL);
}
