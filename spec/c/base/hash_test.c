#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/wide.h"

/* Made by an independent implementation of SipHash-1-3 under the key of zeros. */
static void texts_have_the_hash_of_siphash_1_3(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t hash;
    } expected[] = {
        {"a", UINT64_C(0x407448D2B89B1813)},
        {"1234567", UINT64_C(0xA33D651594FDAE81)},
        {"12345678", UINT64_C(0x3489982430560A87)},
        {"123456789", UINT64_C(0x0FBC0F0007965FCF)},
        {"the quick brown fox jumps over the lazy dog", UINT64_C(0x80A65583F613DA2D)},
        {"0123456789abcdef", UINT64_C(0x1D42B30F7E060C24)},
    };
    const struct neap_hash_seed zero = {{0, 0}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint64_t hash = neap_hash(&zero, expected[i].text, strlen(expected[i].text));
        assert_true(hash == expected[i].hash);
    }
}

static void each_word_of_the_seed_counts(void **state)
{
    (void)state;
    const struct neap_hash_seed a = {{1, 2}}, b = {{1, 3}}, c = {{4, 2}};
    uint64_t hash = neap_hash(&a, "key", 3);
    assert_true(hash == neap_hash(&a, "key", 3));
    assert_true(hash != neap_hash(&b, "key", 3));
    assert_true(hash != neap_hash(&c, "key", 3));
}

static void the_length_counts(void **state)
{
    (void)state;
    const struct neap_hash_seed seed = {{1, 2}};
    assert_true(neap_hash(&seed, "a\0\0", 1) != neap_hash(&seed, "a\0\0", 2));
    assert_true(neap_hash(&seed, NULL, 0) != neap_hash(&seed, "", 1));
}

static void each_bit_of_the_text_counts(void **state)
{
    (void)state;
    const struct neap_hash_seed seed = {{1, 2}};
    char text[] = "a text of some length, not a multiple of 8";
    uint64_t hash = neap_hash(&seed, text, sizeof text);
    for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        assert_true(neap_hash(&seed, text, sizeof text) != hash);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
}

/* ---- names ---- */

static void each_seed_and_length_of_a_name_counts(void **state)
{
    (void)state;
    const uint64_t one = 0x9E3779B97F4A7C15, other = 0xD1B54A32D192ED03;
    const struct neap_hash_seed a = {{one, other}}, b = {{one, other + 1}}, c = {{one + 1, other}};
    const char zeros[41] = {0};
    for (size_t bytes = 0; bytes + 1 < sizeof zeros; bytes++) {
        uint64_t hash = neap_hash_name(&a, zeros, bytes);
        assert_true(hash == neap_hash_name(&a, zeros, bytes));
        assert_true(hash != neap_hash_name(&b, zeros, bytes));
        assert_true(hash != neap_hash_name(&c, zeros, bytes));
        assert_true(hash != neap_hash_name(&a, zeros, bytes + 1));
    }
}

static void each_bit_of_a_name_counts(void **state)
{
    (void)state;
    const struct neap_hash_seed seed = {{0x9E3779B97F4A7C15, 0xD1B54A32D192ED03}};
    char name[] = "a name of more than twice 16 bytes";
    for (size_t bytes = 1; bytes <= sizeof name; bytes++) {
        uint32_t hash = (uint32_t)neap_hash_name(&seed, name, bytes);
        for (size_t bit = 0; bit < 8 * bytes; bit++) {
            name[bit / 8] = (char)(name[bit / 8] ^ (1 << bit % 8));
            assert_true((uint32_t)neap_hash_name(&seed, name, bytes) != hash);
            name[bit / 8] = (char)(name[bit / 8] ^ (1 << bit % 8));
        }
    }
}

/* Thrown at random into as many buckets, 1 - 1/e of them are hit: 0.632. */
static void names_that_are_alike_are_spread(void **state)
{
    enum { NAMES = 1 << 16 };
    static unsigned char is_hit[NAMES];
    (void)state;
    for (uint64_t round = 1; round <= 8; round++) {
        const struct neap_hash_seed seed = {
            {round * UINT64_C(0x9E3779B97F4A7C15), round * UINT64_C(0xD1B54A32D192ED03)}};
        char name[32];
        int hits = 0;
        memset(is_hit, 0, sizeof is_hit);
        for (int i = 0; i < NAMES; i++) {
            int bytes =
                snprintf(name, sizeof name, round % 2 ? "key %d" : "client of keys %08d", i);
            unsigned char *bucket = &is_hit[neap_hash_name(&seed, name, (size_t)bytes) % NAMES];
            hits += *bucket == 0;
            *bucket = 1;
        }
        assert_in_range(hits, NAMES * 62 / 100, NAMES * 65 / 100);
    }
}

static void products_by_halves_are_the_products(void **state)
{
    (void)state;
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15);
    assert_true(neap_fold(UINT64_MAX, UINT64_MAX) == (UINT64_MAX ^ 0));
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t a = i * i * odd, b = UINT64_MAX - (a ^ a >> i % 64);
        assert_true(neap_fold(a, b) == neap_fold_by_halves(a, b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_the_hash_of_siphash_1_3),
        cmocka_unit_test(each_word_of_the_seed_counts),
        cmocka_unit_test(the_length_counts),
        cmocka_unit_test(each_bit_of_the_text_counts),
        cmocka_unit_test(each_seed_and_length_of_a_name_counts),
        cmocka_unit_test(each_bit_of_a_name_counts),
        cmocka_unit_test(names_that_are_alike_are_spread),
        cmocka_unit_test(products_by_halves_are_the_products),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
