#include "transport/url_memo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

static struct failing_alloc memory;
static struct neap_url_memo memo;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_url_memo_init(&memo, &memory.alloc);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_url_memo_deinit(&memo);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static void resolve(const char *base, const char *reference, const char *query,
                    struct neap_url *url)
{
    assert_int_equal(neap_url_memo_resolve(&memo, base, reference, query, url), NEAP_URL_OK);
}

/* The text of what is resolved stays in one place where it is remembered. */
static bool is_remembered(const char *base, const char *reference, const char *query)
{
    struct neap_url first, second;
    resolve(base, reference, query, &first);
    resolve(base, reference, query, &second);
    bool same = first.text == second.text;
    assert_string_equal(first.text, second.text);
    neap_url_deinit(&first);
    neap_url_deinit(&second);
    return same;
}

static void a_url_is_resolved_once(void **state)
{
    (void)state;
    assert_true(is_remembered("http://a/b/", "c", NULL));
    assert_true(is_remembered("http://a/b/", "", ""));
    assert_true(is_remembered(NULL, "http://a/c", NULL));
}

static void what_has_a_query_or_a_fragment_is_not_kept(void **state)
{
    (void)state;
    assert_false(is_remembered("http://a/", "c?token=1", NULL));
    assert_false(is_remembered("http://a/", "c", "token=1"));
    assert_false(is_remembered("http://a/", "c#d", NULL));
}

static void what_is_long_is_not_kept(void **state)
{
    char reference[NEAP_URL_MEMO_BYTES + 2];
    (void)state;
    memset(reference, 'a', sizeof reference - 1);
    reference[sizeof reference - 1] = '\0';
    assert_false(is_remembered("http://a/", reference, NULL));
    assert_true(is_remembered("http://a/", reference + 1, NULL));
}

static void a_query_does_not_find_what_is_remembered_without_it(void **state)
{
    struct neap_url url;
    (void)state;
    assert_true(is_remembered("http://a/", "c", NULL));
    resolve("http://a/", "c", "d=1", &url);
    assert_string_equal(url.text, "http://a/c?d=1");
    neap_url_deinit(&url);
}

static void an_absolute_url_is_not_one_that_stays_on_the_base(void **state)
{
    struct neap_url url;
    (void)state;
    resolve(NULL, "http://b/c", NULL, &url);
    neap_url_deinit(&url);
    assert_int_equal(neap_url_memo_resolve(&memo, "http://a/", "http://b/c", NULL, &url),
                     NEAP_URL_LEAVES_BASE);
    assert_int_equal(neap_url_memo_resolve(&memo, "http://a/", "http://b/c", NULL, &url),
                     NEAP_URL_LEAVES_BASE);
}

static void a_url_outlives_its_place(void **state)
{
    struct neap_url kept, url;
    (void)state;
    resolve("http://a/", "kept", NULL, &kept);
    for (int i = 0; i < 200; i++) {
        char reference[16];
        snprintf(reference, sizeof reference, "%d", i);
        resolve("http://a/", reference, NULL, &url);
        neap_url_deinit(&url);
    }
    assert_string_equal(kept.text, "http://a/kept");
    assert_string_equal(kept.origin, "http://a:80");
    assert_non_null(neap_url_parsed(&kept));
    neap_url_deinit(&kept);
}

static void without_memory_nothing_is_remembered(void **state)
{
    struct neap_url url;
    (void)state;
    for (size_t n = 1; n <= 3; n++) { /* the URL, its base, the reference that is kept */
        failing_alloc_fail(&memory, n);
        enum neap_url_error error = neap_url_memo_resolve(&memo, "http://a/", "c", NULL, &url);
        assert_int_equal(error, n < 3 ? NEAP_URL_NO_MEMORY : NEAP_URL_OK);
        if (error == NEAP_URL_OK)
            neap_url_deinit(&url);
    }
    failing_alloc_fail(&memory, 0);
    assert_true(is_remembered("http://a/", "c", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_url_is_resolved_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_a_query_or_a_fragment_is_not_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_long_is_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_query_does_not_find_what_is_remembered_without_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_absolute_url_is_not_one_that_stays_on_the_base, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_url_outlives_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory_nothing_is_remembered, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
