#include "metrics/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

static const struct neap_family calls = {"calls_total", NEAP_METRIC_COUNTER, "Calls."};
static const struct neap_family state = {"state", NEAP_METRIC_GAUGE, "State."};
static const struct neap_family duration = {"duration_seconds", NEAP_METRIC_HISTOGRAM, "Length."};

static struct failing_alloc memory;
static struct neap_buffer text;
static struct neap_exposition exposition;

static int set_up(void **unused)
{
    (void)unused;
    failing_alloc_init(&memory);
    neap_buffer_init(&text, &memory.alloc);
    neap_exposition_begin(&exposition, &text);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    neap_buffer_deinit(&text);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static void assert_text(const char *expected)
{
    assert_int_equal(neap_exposition_end(&exposition), NEAP_OK);
    assert_string_equal(text.data ? text.data : "", expected);
}

static void nothing_is_an_empty_text(void **unused)
{
    (void)unused;
    neap_exposition_family(&exposition, &calls);
    neap_exposition_family(&exposition, &state);
    assert_text("");
}

static void a_family_has_its_head_once(void **unused)
{
    (void)unused;
    const struct neap_label labels[] = {neap_label("client", "a"), neap_label("result", "ok")};
    neap_exposition_family(&exposition, &calls);
    neap_exposition_count(&exposition, labels, 2, 3);
    neap_exposition_count(&exposition, labels, 1, UINT64_MAX);
    neap_exposition_family(&exposition, &state);
    neap_exposition_count(&exposition, NULL, 0, 0);
    assert_text("# HELP calls_total Calls.\n"
                "# TYPE calls_total counter\n"
                "calls_total{client=\"a\",result=\"ok\"} 3\n"
                "calls_total{client=\"a\"} 18446744073709551615\n"
                "# HELP state State.\n"
                "# TYPE state gauge\n"
                "state 0\n");
}

static void assert_value(const char *value, size_t bytes, const char *expected)
{
    char line[128];
    const struct neap_label label = {"k", value, bytes};
    neap_buffer_clear(&text);
    neap_exposition_begin(&exposition, &text);
    neap_exposition_family(&exposition, &state);
    exposition.is_headed = true;
    neap_exposition_count(&exposition, &label, 1, 1);
    (void)snprintf(line, sizeof line, "state{k=\"%s\"} 1\n", expected);
    assert_text(line);
}

#define ASSERT_VALUE(value, expected) assert_value(value, sizeof(value) - 1, expected)

static void values_of_labels_are_escaped(void **unused)
{
    (void)unused;
    ASSERT_VALUE("", "");
    ASSERT_VALUE("plain {}=, ~", "plain {}=, ~");
    ASSERT_VALUE("\\", "\\\\");
    ASSERT_VALUE("\"", "\\\"");
    ASSERT_VALUE("a\nb", "a\\nb");
    ASSERT_VALUE("\\n\"\\\"", "\\\\n\\\"\\\\\\\"");
    ASSERT_VALUE("\t\r\x7f", "\t\r\x7f");
}

static void characters_of_utf_8_stay(void **unused)
{
    (void)unused;
    ASSERT_VALUE("\xC2\x80 \xDF\xBF", "\xC2\x80 \xDF\xBF");
    ASSERT_VALUE("\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF",
                 "\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF");
    ASSERT_VALUE("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
}

static void what_is_no_utf_8_stands_in_hexadecimal(void **unused)
{
    (void)unused;
    ASSERT_VALUE("a\0b", "a\\\\x00b");
    ASSERT_VALUE("\x80", "\\\\x80");
    ASSERT_VALUE("\xC1\xBF", "\\\\xc1\\\\xbf");            /* longer than it need be */
    ASSERT_VALUE("\xE0\x9F\xBF", "\\\\xe0\\\\x9f\\\\xbf"); /* the same */
    ASSERT_VALUE("\xF0\x8F\xBF\xBF", "\\\\xf0\\\\x8f\\\\xbf\\\\xbf");
    ASSERT_VALUE("\xED\xA0\x80", "\\\\xed\\\\xa0\\\\x80");            /* a surrogate */
    ASSERT_VALUE("\xF4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80"); /* beyond the last one */
    ASSERT_VALUE("\xF5\x80\x80\x80", "\\\\xf5\\\\x80\\\\x80\\\\x80");
    ASSERT_VALUE("\xC3", "\\\\xc3"); /* cut off */
    ASSERT_VALUE("\xE2\x82", "\\\\xe2\\\\x82");
    ASSERT_VALUE("\xF0\x9F\x98", "\\\\xf0\\\\x9f\\\\x98");
    ASSERT_VALUE("\xE2\x82z", "\\\\xe2\\\\x82z");
    ASSERT_VALUE("\xC3\xC3\xA9", "\\\\xc3\xC3\xA9");
}

static void assert_millionths(int64_t value, const char *expected)
{
    char line[64];
    neap_buffer_clear(&text);
    neap_exposition_begin(&exposition, &text);
    neap_exposition_family(&exposition, &state);
    exposition.is_headed = true;
    neap_exposition_millionths(&exposition, NULL, 0, value);
    (void)snprintf(line, sizeof line, "state %s\n", expected);
    assert_text(line);
}

static void millionths_are_written_in_full_and_no_further(void **unused)
{
    (void)unused;
    assert_millionths(0, "0");
    assert_millionths(1, "0.000001");
    assert_millionths(500000, "0.5");
    assert_millionths(1000000, "1");
    assert_millionths(10200300, "10.2003");
    assert_millionths(-1500000, "-1.5");
    assert_millionths(INT64_MAX, "9223372036854.775807");
    assert_millionths(INT64_MIN, "-9223372036854.775808");
}

static void a_histogram_is_cumulative(void **unused)
{
    (void)unused;
    struct neap_histogram histogram;
    const struct neap_label label = neap_label("client", "a");
    neap_histogram_init(&histogram);
    neap_histogram_record(&histogram, INT64_C(100) * 1000);           /* 100 us */
    neap_histogram_record(&histogram, INT64_C(250) * 1000 * 1000);    /* 250 ms */
    neap_histogram_record(&histogram, INT64_C(300) * 1000000 * 1000); /* 300 s */
    neap_exposition_family(&exposition, &duration);
    neap_exposition_histogram(&exposition, &label, 1, &histogram);
    assert_text("# HELP duration_seconds Length.\n"
                "# TYPE duration_seconds histogram\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.000256\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.000512\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.001024\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.002048\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.004096\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.008192\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.016384\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.032768\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.065536\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.131072\"} 1\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.262144\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"0.524288\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"1.048576\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"2.097152\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"4.194304\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"8.388608\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"16.777216\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"33.554432\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"67.108864\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"134.217728\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"268.435456\"} 2\n"
                "duration_seconds_bucket{client=\"a\",le=\"+Inf\"} 3\n"
                "duration_seconds_sum{client=\"a\"} 300.2501\n"
                "duration_seconds_count{client=\"a\"} 3\n");
}

static void a_histogram_without_labels_has_one_for_its_edges(void **unused)
{
    (void)unused;
    struct neap_histogram histogram;
    neap_histogram_init(&histogram);
    neap_exposition_family(&exposition, &duration);
    neap_exposition_histogram(&exposition, NULL, 0, &histogram);
    assert_int_equal(neap_exposition_end(&exposition), NEAP_OK);
    assert_non_null(strstr(text.data, "\nduration_seconds_bucket{le=\"+Inf\"} 0\n"));
    assert_non_null(strstr(text.data, "\nduration_seconds_sum 0\n"));
}

static enum neap_status write_all(void)
{
    struct neap_histogram histogram;
    const struct neap_label label = neap_label("client", "\xFF\n");
    neap_histogram_init(&histogram);
    neap_exposition_begin(&exposition, &text);
    neap_exposition_family(&exposition, &calls);
    neap_exposition_count(&exposition, &label, 1, 1);
    neap_exposition_family(&exposition, &duration);
    neap_exposition_histogram(&exposition, &label, 1, &histogram);
    return neap_exposition_end(&exposition);
}

static void memory_may_run_out_anywhere(void **unused)
{
    (void)unused;
    enum neap_status status = NEAP_NO_MEMORY;
    size_t n = 1;
    for (; status != NEAP_OK; n++) {
        neap_buffer_deinit(&text);
        failing_alloc_fail(&memory, n);
        status = write_all();
        failing_alloc_fail(&memory, 0);
        assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
        assert_true(n < 100);
    }
    assert_true(n > 3);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(nothing_is_an_empty_text),
        SPEC(a_family_has_its_head_once),
        SPEC(values_of_labels_are_escaped),
        SPEC(characters_of_utf_8_stay),
        SPEC(what_is_no_utf_8_stands_in_hexadecimal),
        SPEC(millionths_are_written_in_full_and_no_further),
        SPEC(a_histogram_is_cumulative),
        SPEC(a_histogram_without_labels_has_one_for_its_edges),
        SPEC(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
