#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct neap_list list;
static struct neap_listed a, b, c;

static int set_up(void **state)
{
    (void)state;
    list = (struct neap_list){NULL, NULL};
    return 0;
}

static void assert_links(struct neap_listed *const listed[], size_t count)
{
    struct neap_listed *at = list.first, *previous = NULL;
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(at, listed[i]);
        assert_ptr_equal(at->previous, previous);
        previous = at;
        at = at->next;
    }
    assert_null(at);
    assert_ptr_equal(list.last, previous);
}

#define ASSERT_LIST(...)                                                                           \
    assert_links((struct neap_listed *const[]){__VA_ARGS__, NULL},                                 \
                 sizeof((struct neap_listed *const[]){__VA_ARGS__}) /                              \
                     sizeof(struct neap_listed *))

static void append_all(void)
{
    neap_list_append(&list, &a);
    neap_list_append(&list, &b);
    neap_list_append(&list, &c);
}

static void appended_ones_are_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    append_all();
    ASSERT_LIST(&a, &b, &c);
}

static void one_is_inserted_at_the_beginning_behind_another_and_at_the_end(void **state)
{
    (void)state;
    neap_list_insert(&list, NULL, &b);
    ASSERT_LIST(&b);
    neap_list_insert(&list, NULL, &a);
    ASSERT_LIST(&a, &b);
    neap_list_insert(&list, &a, &c);
    ASSERT_LIST(&a, &c, &b);
    neap_list_take_out(&list, &c);
    neap_list_insert(&list, &b, &c);
    ASSERT_LIST(&a, &b, &c);
}

static void one_is_taken_out_from_wherever_it_stands(void **state)
{
    (void)state;
    append_all();
    neap_list_take_out(&list, &b);
    ASSERT_LIST(&a, &c);
    neap_list_take_out(&list, &a);
    ASSERT_LIST(&c);
    neap_list_take_out(&list, &c);
    assert_links(NULL, 0);
}

static void what_was_taken_out_can_come_back(void **state)
{
    (void)state;
    append_all();
    neap_list_take_out(&list, &a);
    neap_list_append(&list, &a);
    ASSERT_LIST(&b, &c, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(appended_ones_are_in_the_order_in_which_they_came, set_up),
        cmocka_unit_test_setup(one_is_inserted_at_the_beginning_behind_another_and_at_the_end,
                               set_up),
        cmocka_unit_test_setup(one_is_taken_out_from_wherever_it_stands, set_up),
        cmocka_unit_test_setup(what_was_taken_out_can_come_back, set_up),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
