#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_the_hash_of_siphash_1_3),
        cmocka_unit_test(each_word_of_the_seed_counts),
        cmocka_unit_test(the_length_counts),
        cmocka_unit_test(each_bit_of_the_text_counts),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
