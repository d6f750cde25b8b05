#include "pipeline/cache_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

static struct failing_alloc memory;
static struct neap_vary vary;
static uint8_t generation[NEAP_CACHE_GENERATION_BYTES];
static struct neap_stored_header headers[8];
static struct neap_cache_request_parts parts;

static struct neap_text text_of(const char *text)
{
    return (struct neap_text){text, strlen(text)};
}

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_vary_init(&vary);
    memset(generation, 7, sizeof generation);
    parts = (struct neap_cache_request_parts){.client = text_of("rates"),
                                              .method = text_of("GET"),
                                              .url = text_of("https://a.example/x"),
                                              .generation = generation,
                                              .headers = headers};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static void header(const char *name, const char *value)
{
    headers[parts.header_count++] = (struct neap_stored_header){text_of(name), text_of(value)};
}

static char first[NEAP_CACHE_KEY_BYTES];

static void make(char out[NEAP_CACHE_KEY_BYTES])
{
    assert_int_equal(neap_cache_entry_key(&parts, &vary, &memory.alloc, out), NEAP_OK);
    assert_int_equal(strlen(out), NEAP_CACHE_KEY_BYTES - 1);
}

static void assert_same(void)
{
    char key[NEAP_CACHE_KEY_BYTES];
    make(key);
    assert_string_equal(key, first);
}

static void assert_other(void)
{
    char key[NEAP_CACHE_KEY_BYTES];
    make(key);
    assert_string_not_equal(key, first);
    strcpy(first, key);
}

static void a_url_has_one_key_for_each_client(void **state)
{
    (void)state;
    char key[NEAP_CACHE_KEY_BYTES], other[NEAP_CACHE_KEY_BYTES];
    assert_int_equal(neap_cache_url_key(text_of("a"), text_of("bc"), &memory.alloc, key), NEAP_OK);
    assert_int_equal(neap_cache_url_key(text_of("a"), text_of("bc"), &memory.alloc, other),
                     NEAP_OK);
    assert_string_equal(key, other);
    assert_int_equal(neap_cache_url_key(text_of("ab"), text_of("c"), &memory.alloc, other),
                     NEAP_OK);
    assert_string_not_equal(key, other);
}

static void each_part_counts(void **state)
{
    (void)state;
    make(first);
    assert_same();
    parts.client = text_of("other");
    assert_other();
    parts.method = text_of("HEAD");
    assert_other();
    parts.url = text_of("https://a.example/x?y");
    assert_other();
    generation[15]++;
    assert_other();
}

static void who_asks_counts_whatever_varies(void **state)
{
    (void)state;
    make(first);
    header("authorization", "Bearer a");
    assert_other();
    headers[0].value = text_of("Bearer b");
    assert_other();
    header("Cookie", "s=1");
    assert_other();
    header("Proxy-Authorization", "Basic x");
    assert_other();
    header("X-API-Key", "k");
    assert_other();
    header("X-Auth-Token", "t");
    assert_other();
}

static void other_headers_count_where_something_varies_by_them(void **state)
{
    (void)state;
    make(first);
    header("Accept", "text/plain");
    assert_same();
    neap_vary_add(&vary, "Accept", 6);
    assert_other();
    headers[0].value = text_of("text/html");
    assert_other();
    headers[0].name = text_of("aCCept");
    assert_same();
    header("User-Agent", "x");
    assert_same();
}

static void a_header_that_is_not_there_is_not_an_empty_one(void **state)
{
    (void)state;
    neap_vary_add(&vary, "accept", 6);
    make(first);
    header("Accept", "");
    assert_other();
    header("Accept", "");
    assert_other();
}

static void a_repeated_header_counts_in_its_order(void **state)
{
    (void)state;
    neap_vary_add(&vary, "accept", 6);
    header("Accept", "a");
    header("Accept", "b");
    make(first);
    headers[0].value = text_of("b");
    headers[1].value = text_of("a");
    assert_other();
}

static void values_cannot_be_mistaken_for_one_another(void **state)
{
    (void)state;
    neap_vary_add(&vary, "a,b", 3);
    header("a", "1");
    make(first);
    headers[0].name = text_of("b");
    assert_other();
}

static void the_names_themselves_count(void **state)
{
    (void)state;
    make(first);
    neap_vary_add(&vary, "accept", 6);
    assert_other();
    neap_vary_add(&vary, "accept-language", 15);
    assert_other();
}

static void keys_of_this_version_stay(void **state)
{
    (void)state;
    char key[NEAP_CACHE_KEY_BYTES];
    assert_int_equal(
        neap_cache_url_key(text_of("rates"), text_of("https://a.example/x"), &memory.alloc, key),
        NEAP_OK);
    assert_string_equal(key, "d75070e08d73e2c3dd63fdda689abf66195d9ae607d6faaa809e2be3a135eb6c");
    neap_vary_add(&vary, "accept", 6);
    header("Accept", "text/plain");
    header("Authorization", "Bearer a");
    make(key);
    assert_string_equal(key, "cf3a5a78adf9fa83bc02729028e982c08db6a7b9cf87d5c251a4896ec884f25b");
}

static void each_lack_of_memory_is_told(void **state)
{
    (void)state;
    char key[NEAP_CACHE_KEY_BYTES] = "untouched";
    header("Accept", "a");
    for (size_t n = 1; n <= 2; n++) {
        failing_alloc_fail(&memory, n);
        assert_int_equal(neap_cache_entry_key(&parts, &vary, &memory.alloc, key), NEAP_NO_MEMORY);
        assert_string_equal(key, "untouched");
    }
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_cache_url_key(parts.client, parts.url, &memory.alloc, key),
                     NEAP_NO_MEMORY);
    assert_string_equal(key, "untouched");
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_url_has_one_key_for_each_client),
        SPEC(each_part_counts),
        SPEC(who_asks_counts_whatever_varies),
        SPEC(other_headers_count_where_something_varies_by_them),
        SPEC(a_header_that_is_not_there_is_not_an_empty_one),
        SPEC(a_repeated_header_counts_in_its_order),
        SPEC(values_cannot_be_mistaken_for_one_another),
        SPEC(the_names_themselves_count),
        SPEC(keys_of_this_version_stay),
        SPEC(each_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests_name("cache_key", tests, NULL, NULL);
}
