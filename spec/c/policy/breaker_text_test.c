#include "policy/breaker_fixture.h"
#include "policy/slices.h"
#include "support/failing_alloc.h"

static struct failing_alloc failing;

#define HEAD "neap-breaker/1 state="
#define CLOSED HEAD "closed openings=0 wait_ns=0 ramp_ns=none opened=0 not_permitted=0 in_row=0 "

static int begin_text(void **state)
{
    failing_alloc_init(&failing);
    return set_up(state);
}

static int end_text(void **state)
{
    failing_alloc_assert_all_freed(&failing);
    return tear_down(state);
}

#define TEXT_TEST(f) cmocka_unit_test_setup_teardown(f, begin_text, end_text)

static char *export_text(void)
{
    char *text = NULL;
    assert_int_equal(neap_breaker_export(breaker, &policy, now, &failing.alloc, &text), NEAP_OK);
    assert_non_null(text);
    for (const char *at = text; *at; at++)
        assert_in_range(*at, 0x20, 0x7E);
    return text;
}

static void assert_exports(const char *expected)
{
    char *text = export_text();
    assert_string_equal(text, expected);
    neap_free(&failing.alloc, text);
}

static enum neap_status import_text(const char *text)
{
    return neap_breaker_import(breaker, &policy, now, text, strlen(text));
}

/* Into a breaker of its own, on a clock of its own. */
static void move_to_another_process(void)
{
    char *text = export_text();
    now = 7 * NEAP_SECOND;
    begin();
    assert_int_equal(import_text(text), NEAP_OK);
    assert_exports(text);
    neap_free(&failing.alloc, text);
}

static void writes_an_empty_breaker(void **state)
{
    (void)state;
    begin();
    assert_exports(CLOSED "told=0 window=count:");
    policy.window_count = 0;
    policy.window_seconds = 10;
    begin();
    assert_exports(CLOSED "told=0 window=time:");
}

static void writes_the_results_oldest_first(void **state)
{
    (void)state;
    policy.window_count = 5;
    policy.slow_call_ns = 0;
    policy.min_calls = 100;
    policy.failure_rate = 1;
    begin();
    calls(1, SUCCESS);
    calls(1, FAILURE);
    slow_calls(1, SUCCESS, 1);
    slow_calls(1, FAILURE, 1);
    assert_exports(HEAD "closed openings=0 wait_ns=0 ramp_ns=none opened=0 not_permitted=0 "
                        "in_row=1 told=0 window=count:1234");
    calls(3, FAILURE);
    assert_exports(HEAD "closed openings=0 wait_ns=0 ramp_ns=none opened=0 not_permitted=0 "
                        "in_row=4 told=0 window=count:34222");
}

static void writes_the_seconds_oldest_first(void **state)
{
    (void)state;
    policy.window_count = 0;
    policy.window_seconds = 10;
    policy.slow_call_ns = 0;
    begin();
    slow_calls(2, SUCCESS, 1);
    pass(4);
    calls(3, FAILURE);
    pass(5);
    calls(1, SUCCESS);
    assert_exports(CLOSED "told=0 window=time:9,2,0,2;5,3,3,0;0,1,0,0;");
    pass(1);
    assert_exports(CLOSED "told=0 window=time:6,3,3,0;1,1,0,0;");
}

static void writes_what_remains_of_the_wait(void **state)
{
    (void)state;
    begin();
    trip();
    assert_refused();
    pass(10.5);
    assert_exports(HEAD "open openings=1 wait_ns=19500000000 ramp_ns=none opened=1 "
                        "not_permitted=1 in_row=0 told=0 window=none");
    pass(100);
    assert_exports(HEAD "open openings=1 wait_ns=0 ramp_ns=none opened=1 not_permitted=1 "
                        "in_row=0 told=0 window=none");
}

static void writes_half_open_as_an_open_state_whose_wait_is_over(void **state)
{
    (void)state;
    policy.consecutive_failures = 10;
    begin();
    record(first_probe(), FAILURE);
    assert_exports(HEAD "open openings=1 wait_ns=0 ramp_ns=none opened=1 not_permitted=0 "
                        "in_row=0 told=0 window=none");
    assert_state(NEAP_BREAKER_HALF_OPEN);
}

static void a_window_goes_on_where_it_was(void **state)
{
    (void)state;
    policy.window_count = 20;
    policy.consecutive_failures = 12;
    policy.failure_rate = 0.6;
    begin();
    calls(20, SUCCESS);
    calls(11, FAILURE);
    move_to_another_process();
    assert_window(20, 11, 0);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void a_time_window_goes_on_where_it_was(void **state)
{
    (void)state;
    policy.window_count = 0;
    policy.window_seconds = 60;
    policy.slow_call_ns = 0;
    policy.min_calls = 100;
    begin();
    slow_calls(5, FAILURE, 1);
    pass(50);
    calls(4, SUCCESS);
    move_to_another_process();
    assert_window(9, 5, 5);
    pass(9);
    assert_window(9, 5, 5);
    pass(1);
    assert_window(4, 0, 0);
    pass(50);
    assert_window(0, 0, 0);
}

static void a_wait_goes_on_where_it_was(void **state)
{
    (void)state;
    policy.open_factor = 2;
    begin();
    trip();
    pass(12);
    assert_refused();
    move_to_another_process();
    assert_int_equal(assert_refused(), now + 18 * NEAP_SECOND);
    assert_int_equal(snapshot().opened, 1);
    assert_int_equal(snapshot().not_permitted, 2);
    pass(18);
    calls(5, FAILURE);
    assert_int_equal(snapshot().retry_after_ns, 60 * NEAP_SECOND);
}

static void an_endless_wait_stays_endless(void **state)
{
    (void)state;
    policy.open_base_s = policy.open_max_s = 1e300;
    begin();
    trip();
    move_to_another_process();
    assert_int_equal(assert_refused(), NEAP_NEVER);
}

static void a_ramp_goes_on_where_it_was(void **state)
{
    (void)state;
    policy.ramp_ns = 10 * NEAP_SECOND;
    policy.ramp_from = 0;
    r = 0;
    begin();
    record(first_probe(), SUCCESS);
    calls(4, SUCCESS);
    pass(5);
    move_to_another_process();
    r = 0.49;
    acquire();
    r = 0.5;
    assert_refused();
    pass(5);
    acquire();
    assert_exports(HEAD "closed openings=0 wait_ns=0 ramp_ns=none opened=1 not_permitted=1 "
                        "in_row=0 told=0 window=count:");
}

static void states_by_hand_survive(void **state)
{
    (void)state;
    begin();
    force(NEAP_BREAKER_FORCED_OPEN);
    move_to_another_process();
    assert_int_equal(assert_refused(), NEAP_NEVER);
    force(NEAP_BREAKER_DISABLED);
    move_to_another_process();
    calls(100, FAILURE);
    assert_state(NEAP_BREAKER_DISABLED);
    force(NEAP_BREAKER_METRICS_ONLY);
    calls(20, FAILURE);
    move_to_another_process();
    assert_state(NEAP_BREAKER_METRICS_ONLY);
    assert_window(20, 20, 0);
    calls(1, FAILURE);
    assert_false(change.would_open);
}

static void permits_given_before_an_import_count_for_nothing(void **state)
{
    (void)state;
    begin();
    int64_t permit = acquire();
    char *text = export_text();
    assert_int_equal(import_text(text), NEAP_OK);
    record(permit, FAILURE);
    assert_window(0, 0, 0);
    neap_free(&failing.alloc, text);
}

static void an_import_replaces_everything(void **state)
{
    (void)state;
    begin();
    trip();
    assert_refused();
    assert_int_equal(import_text(CLOSED "told=0 window=count:12"), NEAP_OK);
    assert_state(NEAP_BREAKER_CLOSED);
    assert_window(2, 1, 0);
    assert_int_equal(snapshot().opened, 0);
    assert_int_equal(snapshot().not_permitted, 0);
    assert_int_equal(snapshot().retry_after_ns, 0);
}

static void of_a_longer_count_window_the_newest_results_are_taken(void **state)
{
    (void)state;
    policy.window_count = 3;
    begin();
    assert_int_equal(import_text(CLOSED "told=0 window=count:2222112"), NEAP_OK);
    assert_exports(CLOSED "told=0 window=count:112");
    assert_window(3, 1, 0);
}

static void of_a_longer_time_window_the_newest_seconds_are_taken(void **state)
{
    (void)state;
    policy.window_count = 0;
    policy.window_seconds = 5;
    begin();
    assert_int_equal(import_text(CLOSED "told=0 window=time:6,1,1,1;5,1,1,1;4,2,1,0;0,1,0,0;"),
                     NEAP_OK);
    assert_window(3, 1, 0);
}

static void of_another_kind_of_window_the_state_is_taken(void **state)
{
    (void)state;
    begin();
    assert_int_equal(import_text(HEAD "metrics_only openings=0 wait_ns=0 ramp_ns=none opened=2 "
                                      "not_permitted=3 in_row=4 told=1 window=time:1,5,5,5;"),
                     NEAP_OK);
    assert_state(NEAP_BREAKER_METRICS_ONLY);
    assert_window(0, 0, 0);
    policy.window_count = 0;
    policy.window_seconds = 5;
    begin();
    assert_int_equal(import_text(CLOSED "told=0 window=count:1212"), NEAP_OK);
    assert_window(0, 0, 0);
}

static void the_largest_windows_survive(void **state)
{
    (void)state;
    policy.failure_rate = 2;
    policy.window_count = NEAP_BREAKER_WINDOW_MAX;
    begin();
    for (int i = 0; i < 40000; i++)
        calls(1, i % 3 ? SUCCESS : FAILURE);
    move_to_another_process();
    policy.window_count = 0;
    policy.window_seconds = NEAP_SLICES_MAX;
    begin();
    for (uint32_t i = 0; i < NEAP_SLICES_MAX; i++) {
        calls(2, i % 3 ? SUCCESS : FAILURE);
        pass(1);
    }
    move_to_another_process();
}

static void numbers_at_their_limits_survive(void **state)
{
    (void)state;
    const char *text = HEAD "open openings=65535 wait_ns=9223372036854775806 ramp_ns=none "
                            "opened=18446744073709551615 not_permitted=18446744073709551615 "
                            "in_row=0 told=0 window=none";
    now = 0;
    begin();
    assert_int_equal(import_text(text), NEAP_OK);
    assert_exports(text);
    text = HEAD "closed openings=0 wait_ns=0 ramp_ns=9223372036854775806 opened=0 not_permitted=0 "
                "in_row=4194303 told=0 window=count:";
    assert_int_equal(import_text(text), NEAP_OK);
    calls(1, FAILURE);
    char *kept = export_text();
    assert_non_null(strstr(kept, "in_row=4194303"));
    neap_free(&failing.alloc, kept);
    text = HEAD "closed openings=0 wait_ns=0 ramp_ns=none opened=0 not_permitted=0 in_row=0 "
                "told=0 window=time:3599,262143,262143,262143;0,262143,0,0;";
    policy.window_count = 0;
    policy.window_seconds = NEAP_SLICES_MAX;
    begin();
    assert_int_equal(import_text(text), NEAP_OK);
    assert_exports(text);
}

static void changes_nothing_without_memory(void **state)
{
    (void)state;
    char *text = NULL;
    begin();
    failing_alloc_fail(&failing, 1);
    assert_int_equal(neap_breaker_export(breaker, &policy, now, &failing.alloc, &text),
                     NEAP_NO_MEMORY);
    assert_null(text);
}

static void refuses_every_malformed_text(void **state)
{
    (void)state;
#define REST " ramp_ns=none opened=0 not_permitted=0 in_row=0 told=0 window="
    const char *const malformed[] = {
        "",
        "neap-breaker/1",
        "neap-breaker/2 state=closed openings=0 wait_ns=0" REST "count:",
        " " CLOSED "told=0 window=count:",
        CLOSED "told=0 window=count: ",
        CLOSED "told=0 window=count:\n",
        CLOSED "told=0 window=count:0",
        CLOSED "told=0 window=count:15",
        CLOSED "told=0 window=count:1a",
        CLOSED "told=0 window=none",
        CLOSED "told=0 window=",
        CLOSED "told=0 window=slices:",
        CLOSED "told=1 window=count:",
        CLOSED "told=2 window=count:",
        CLOSED "told= window=count:",
        CLOSED "told=5 window=count:",
        CLOSED "told=00 window=count:",
        CLOSED "window=count:",
        CLOSED "told=0  window=count:",
        CLOSED "told=0 window=time:1,1,0,0",
        CLOSED "told=0 window=time:1,1,0;",
        CLOSED "told=0 window=time:1,1,0,0,0;",
        CLOSED "told=0 window=time:1,0,0,0;",
        CLOSED "told=0 window=time:1,1,2,0;",
        CLOSED "told=0 window=time:1,1,0,2;",
        CLOSED "told=0 window=time:1,1,0,0;1,1,0,0;",
        CLOSED "told=0 window=time:1,1,0,0;2,1,0,0;",
        CLOSED "told=0 window=time:3600,1,0,0;",
        CLOSED "told=0 window=time:1,262144,0,0;",
        CLOSED "told=0 window=time:01,1,0,0;",
        CLOSED "told=0 window=time:-1,1,0,0;",
        CLOSED "told=0 window=time:1,,0,0;",
        HEAD "half_open openings=1 wait_ns=0" REST "none",
        HEAD "ajar openings=0 wait_ns=0" REST "count:",
        HEAD "closedopenings=0 wait_ns=0" REST "count:",
        HEAD "closed openings=1 wait_ns=0" REST "count:",
        HEAD "closed openings=0 wait_ns=1" REST "count:",
        HEAD "closed openings=0 wait_ns=never" REST "count:",
        HEAD "open openings=0 wait_ns=0" REST "none",
        HEAD "open openings=65536 wait_ns=0" REST "none",
        HEAD "open openings=1 wait_ns=0" REST "count:",
        HEAD "open openings=1 wait_ns=-1" REST "none",
        HEAD "open openings=1 wait_ns=9223372036854775807" REST "none",
        HEAD "open openings=1 wait_ns=99999999999999999999999" REST "none",
        HEAD "open openings=1 wait_ns=1e3" REST "none",
        HEAD "open openings=+1 wait_ns=1" REST "none",
        HEAD "open openings=1 wait_ns=0 ramp_ns=1 opened=0 not_permitted=0 in_row=0 told=0 "
             "window=none",
        HEAD "open openings=1 wait_ns=0 ramp_ns=none opened=18446744073709551616 not_permitted=0 "
             "in_row=0 told=0 window=none",
        HEAD "open openings=1 wait_ns=0 ramp_ns=none opened=0 not_permitted=0 in_row=1 told=0 "
             "window=none",
        HEAD "closed openings=0 wait_ns=0 ramp_ns=none opened=0 not_permitted=0 in_row=4194304 "
             "told=0 window=count:",
        HEAD "disabled openings=0 wait_ns=0" REST "count:",
    };
    begin();
    calls(3, FAILURE);
    char *before = export_text();
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        if (import_text(malformed[i]) != NEAP_INVALID)
            fail_msg("taken: %s", malformed[i]);
        assert_exports(before);
    }
    neap_free(&failing.alloc, before);
}

/* Also shows that nothing behind the text is read: each cut lies in a block of its own size. */
static void refuses_every_text_that_is_cut_short_or_has_a_nul(void **state)
{
    (void)state;
    const char *whole = HEAD "open openings=1 wait_ns=12 ramp_ns=none opened=3 not_permitted=4 "
                             "in_row=0 told=0 window=none";
    size_t bytes = strlen(whole);
    begin();
    for (size_t cut = 0; cut < bytes; cut++) {
        char *part = malloc(cut > 0 ? cut : 1);
        assert_non_null(part);
        memcpy(part, whole, cut);
        assert_int_equal(neap_breaker_import(breaker, &policy, now, part, cut), NEAP_INVALID);
        free(part);
    }
    assert_int_equal(neap_breaker_import(breaker, &policy, now, whole, bytes + 1), NEAP_INVALID);
    assert_state(NEAP_BREAKER_CLOSED);
    assert_int_equal(neap_breaker_import(breaker, &policy, now, whole, bytes), NEAP_OK);
}

int main(void)
{
    const struct CMUnitTest export_tests[] = {
        TEXT_TEST(writes_an_empty_breaker),
        TEXT_TEST(writes_the_results_oldest_first),
        TEXT_TEST(writes_the_seconds_oldest_first),
        TEXT_TEST(writes_what_remains_of_the_wait),
        TEXT_TEST(writes_half_open_as_an_open_state_whose_wait_is_over),
        TEXT_TEST(changes_nothing_without_memory),
    };
    const struct CMUnitTest import_tests[] = {
        TEXT_TEST(a_window_goes_on_where_it_was),
        TEXT_TEST(a_time_window_goes_on_where_it_was),
        TEXT_TEST(a_wait_goes_on_where_it_was),
        TEXT_TEST(an_endless_wait_stays_endless),
        TEXT_TEST(a_ramp_goes_on_where_it_was),
        TEXT_TEST(states_by_hand_survive),
        TEXT_TEST(permits_given_before_an_import_count_for_nothing),
        TEXT_TEST(an_import_replaces_everything),
        TEXT_TEST(of_a_longer_count_window_the_newest_results_are_taken),
        TEXT_TEST(of_a_longer_time_window_the_newest_seconds_are_taken),
        TEXT_TEST(of_another_kind_of_window_the_state_is_taken),
        TEXT_TEST(the_largest_windows_survive),
        TEXT_TEST(numbers_at_their_limits_survive),
        TEXT_TEST(refuses_every_malformed_text),
        TEXT_TEST(refuses_every_text_that_is_cut_short_or_has_a_nul),
    };
    return cmocka_run_group_tests_name("breaker, export", export_tests, NULL, NULL) +
           cmocka_run_group_tests_name("breaker, import", import_tests, NULL, NULL);
}
