#include "policy/canonical_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/random.h"
#include "support/memory.h"

/* One random value, written in many ways: members in other orders, white space, escapes. */

struct canon {
    char *text;
    size_t bytes;
};

static struct neap_random value, spelling; /* what is said, and how */
static struct neap_buffer out;
static uint64_t met;     /* the seed of one of the scalars; 0: there is none */
static uint64_t changed; /* the scalar of this seed says something else; 0: none */

static uint64_t pick(struct neap_random *random, uint64_t below)
{
    return neap_random_next(random) % below;
}

static void put(const char *text)
{
    static const char *const white[] = {"", "", "", " ", "\n\t", "\r\n "};
    assert_int_equal(neap_buffer_append_text(&out, text), NEAP_OK);
    assert_int_equal(neap_buffer_append_text(&out, white[pick(&spelling, 6)]), NEAP_OK);
}

/* The characters of a string, each in one of its spellings. */
static void put_string(uint64_t seed)
{
    static const char *const form[][3] = {{"a", "\\u0061", "\\u0061"},
                                          {"\\n", "\\u000a", "\\u000A"},
                                          {"\\\"", "\\u0022", "\\u0022"},
                                          {"\\\\", "\\u005c", "\\u005C"},
                                          {"/", "\\/", "\\u002f"},
                                          {"\xe2\x82\xac", "\\u20ac", "\\u20AC"},
                                          {"\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\\uD83D\\uDE00"}};
    assert_int_equal(neap_buffer_append_text(&out, "\""), NEAP_OK);
    for (; seed > 0; seed /= 7)
        assert_int_equal(neap_buffer_append_text(&out, form[seed % 7][pick(&spelling, 3)]),
                         NEAP_OK);
    put("\"");
}

static void put_scalar(uint64_t seed)
{
    static const char *const word[] = {"null", "true", "false", "-1.50", "0", "2e8"};
    if (met == 0 || pick(&spelling, 4) == 0)
        met = seed;
    if (seed == changed)
        put("\"changed\"");
    else if (seed / 2 % 2)
        put(word[seed / 4 % 6]);
    else
        put_string(seed / 4 % 5000);
}

static void put_value(uint64_t seed, int depth);

static void put_members(uint64_t seed, uint64_t count, int depth)
{
    uint64_t turn = pick(&spelling, count + 1), step = pick(&spelling, 2) ? 1 : count - 1;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t index = (turn + i * step) % count;
        if (i > 0)
            put(",");
        put_string(index * 3 + seed % 3 + 1);
        put(":");
        put_value(seed * 31 + index, depth);
    }
}

static void put_items(uint64_t seed, uint64_t count, int depth)
{
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0)
            put(",");
        put_value(seed * 37 + i, depth);
    }
}

static void put_value(uint64_t seed, int depth)
{
    struct neap_random own;
    neap_random_init(&own, seed);
    uint64_t kind = pick(&own, 4), count = pick(&own, 6);
    if (depth == 0 || kind > 1) {
        put_scalar(neap_random_next(&own) >> 8 | 1);
        return;
    }
    put(kind ? "{" : "[");
    if (kind && count > 0)
        put_members(neap_random_next(&own) >> 8, count, depth - 1);
    if (!kind)
        put_items(neap_random_next(&own) >> 8, count, depth - 1);
    put(kind ? "}" : "]");
}

static struct canon canon_of_random(uint64_t seed, uint64_t how, uint64_t which)
{
    neap_buffer_init(&out, &memory.alloc);
    neap_random_init(&spelling, how);
    met = 0;
    changed = which;
    put_value(seed, 4);
    struct canon canon;
    assert_int_equal(
        neap_canonical_json(out.data, out.bytes, &memory.alloc, &canon.text, &canon.bytes),
        NEAP_OK);
    neap_buffer_deinit(&out);
    return canon;
}

static bool is_same(struct canon a, struct canon b)
{
    return a.bytes == b.bytes && memcmp(a.text, b.text, a.bytes) == 0;
}

static void a_random_value_has_one_text_in_all_its_spellings(void **state)
{
    (void)state;
    neap_random_init(&value, 1);
    for (int i = 0; i < 2000; i++) {
        uint64_t seed = neap_random_next(&value);
        struct canon first = canon_of_random(seed, 1, 0);
        for (uint64_t how = 2; how < 6; how++) {
            struct canon again = canon_of_random(seed, how, 0);
            assert_true(is_same(first, again));
            neap_free(&memory.alloc, again.text);
        }
        uint64_t which = met;
        struct canon other = canon_of_random(seed, 7, which);
        assert_true(is_same(first, other) == (which == 0));
        neap_free(&memory.alloc, other.text);
        neap_free(&memory.alloc, first.text);
    }
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, memory_set_up, memory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_random_value_has_one_text_in_all_its_spellings),
    };
    return cmocka_run_group_tests_name("canonical_json_spellings", tests, NULL, NULL);
}
