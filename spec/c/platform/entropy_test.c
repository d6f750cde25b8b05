#include "platform/entropy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct neap_entropy_pool pool;

static int set_up(void **state)
{
    (void)state;
    neap_entropy_pool_init(&pool);
    return 0;
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != 0)
            return false;
    return true;
}

static void take(void *out, size_t bytes)
{
    assert_int_equal(neap_entropy_pool_take(&pool, out, bytes), NEAP_OK);
}

static void large_amounts_are_filled_to_the_end(void **state)
{
    (void)state;
    static uint8_t large[1 << 20];
    assert_int_equal(neap_entropy_fill(large, sizeof large), NEAP_OK);
    assert_false(is_zero(large, 32));
    assert_false(is_zero(large + sizeof large - 32, 32));
}

static void filling_nothing_succeeds(void **state)
{
    (void)state;
    assert_int_equal(neap_entropy_fill(NULL, 0), NEAP_OK);
}

static void no_two_keys_are_equal(void **state)
{
    (void)state;
    uint8_t key[200][16];
    for (int i = 0; i < 200; i++) {
        take(key[i], sizeof key[i]);
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(key[i], key[k], sizeof key[i]);
    }
}

static void what_was_handed_out_is_wiped(void **state)
{
    (void)state;
    uint8_t key[100];
    take(key, sizeof key);
    assert_int_equal(pool.left, NEAP_ENTROPY_POOL_BYTES - sizeof key);
    assert_true(is_zero(pool.byte, sizeof key));
    assert_false(is_zero(key, sizeof key));
}

static void one_draw_serves_many_keys(void **state)
{
    (void)state;
    uint8_t key[16];
    for (size_t i = 1; i <= NEAP_ENTROPY_POOL_BYTES / sizeof key; i++) {
        take(key, sizeof key);
        assert_int_equal(pool.left, NEAP_ENTROPY_POOL_BYTES - i * sizeof key);
    }
    assert_true(is_zero(pool.byte, sizeof pool.byte));
    take(key, sizeof key);
    assert_int_equal(pool.left, NEAP_ENTROPY_POOL_BYTES - sizeof key);
}

static void more_than_the_pool_holds_goes_past_it(void **state)
{
    (void)state;
    uint8_t large[NEAP_ENTROPY_POOL_BYTES + 1];
    take(large, sizeof large);
    assert_int_equal(pool.left, 0);
    take(large, NEAP_ENTROPY_POOL_BYTES);
    assert_int_equal(pool.left, 0);
}

/* The child's key travels through a pipe. */
static void take_in_a_child(uint8_t key[16])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool is_sent =
            neap_entropy_pool_take(&pool, key, 16) == NEAP_OK && write(ends[1], key, 16) == 16;
        _exit(is_sent ? 0 : 1);
    }
    int status;
    assert_int_equal(read(ends[0], key, 16), 16);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

static void a_child_does_not_hand_out_what_its_parent_will(void **state)
{
    (void)state;
    uint8_t first[16], of_child[16], of_parent[16];
    take(first, sizeof first);
    take_in_a_child(of_child);
    take(of_parent, sizeof of_parent);
    assert_memory_not_equal(of_child, of_parent, sizeof of_child);
}

static void deinit_wipes_what_is_left(void **state)
{
    (void)state;
    uint8_t key[16];
    take(key, sizeof key);
    neap_entropy_pool_deinit(&pool);
    assert_true(is_zero((const uint8_t *)&pool, sizeof pool));
    take(key, sizeof key);
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(large_amounts_are_filled_to_the_end),
        SPEC(filling_nothing_succeeds),
        SPEC(no_two_keys_are_equal),
        SPEC(what_was_handed_out_is_wiped),
        SPEC(one_draw_serves_many_keys),
        SPEC(more_than_the_pool_holds_goes_past_it),
        SPEC(a_child_does_not_hand_out_what_its_parent_will),
        SPEC(deinit_wipes_what_is_left),
    };
    return cmocka_run_group_tests_name("entropy", tests, NULL, NULL);
}
