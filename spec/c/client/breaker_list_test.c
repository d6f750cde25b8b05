#include "client/breaker_list.h"

#include "client/cells_fixture.h"
#include "client/engine.h"

/* Each test runs twice: with breakers in the client's own memory, and in a region. */
static bool shares;
static struct neap_engine *engine;
static struct neap_client *client;
static struct neap_breaker_list list;

static enum neap_status make_client(const char *text)
{
    struct neap_client_policy policy;
    neap_client_policy_init(&policy, &memory.alloc);
    policy.name = neap_copy_text(&memory.alloc, text, strlen(text));
    policy.breaker_key = NEAP_KEY_HOST;
    policy.breaker_max_keys = 1000;
    policy.pipeline.breaker = breaker_policy;
    policy.pipeline.has_breaker = true;
    return neap_client_new(engine, &policy, NEAP_CARRIER_SCRIPT, &client);
}

static int open_world(void **state)
{
    (void)set_up(state);
    shares = *state != NULL;
    client = NULL;
    list = (struct neap_breaker_list){.alloc = &memory.alloc};
    assert_int_equal(neap_engine_new(&memory.alloc, &engine), NEAP_OK);
    if (shares) {
        region = join((size_t)1 << 20);
        neap_engine_share(engine, region);
    }
    return (int)make_client("api");
}

static int close_world(void **state)
{
    neap_breaker_list_deinit(&list);
    neap_client_release(client);
    neap_engine_release(engine);
    return tear_down(state);
}

static struct neap_breaker *pin_key(const char *key)
{
    struct neap_breaker *breaker = neap_client_pin_breaker(client, key, strlen(key));
    assert_non_null(breaker);
    return breaker;
}

static void use_key(const char *key)
{
    neap_client_unpin_breaker(client, pin_key(key));
}

static void open_key(const char *key)
{
    struct neap_breaker *breaker = pin_key(key);
    open_breaker(breaker);
    neap_client_unpin_breaker(client, breaker);
}

static void use_keys(const char *format, int count)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, format, i);
        use_key(key);
    }
}

static void read_list(size_t most)
{
    neap_breaker_list_deinit(&list);
    assert_int_equal(neap_breaker_list_read(&list, &memory.alloc, client, most, now), NEAP_OK);
}

static void assert_named(size_t index, const char *key, enum neap_breaker_state state)
{
    assert_true(index < list.named_count);
    assert_string_equal(list.named[index].key, key);
    assert_int_equal(list.named[index].key_bytes, strlen(key));
    assert_int_equal(list.named[index].snapshot.state, state);
}

static void without_keys_it_is_empty(void **state)
{
    (void)state;
    read_list(10);
    assert_int_equal(list.count, 0);
    assert_int_equal(list.named_count, 0);
}

static void few_are_all_named_in_the_order_of_their_keys(void **state)
{
    (void)state;
    use_key("b");
    open_key("a");
    use_key("");
    use_key("ab");
    read_list(4);
    assert_int_equal(list.named_count, 4);
    assert_named(0, "", NEAP_BREAKER_CLOSED);
    assert_named(1, "a", NEAP_BREAKER_OPEN);
    assert_named(2, "ab", NEAP_BREAKER_CLOSED);
    assert_named(3, "b", NEAP_BREAKER_CLOSED);
    assert_int_equal(list.named[1].snapshot.failures, 1);
    assert_int_equal(neap_breaker_list_rest(&list, NEAP_BREAKER_CLOSED), 0);
}

static void of_more_only_those_that_are_not_closed_are_named(void **state)
{
    (void)state;
    use_keys("a%d", 5);
    open_key("z");
    use_keys("b%d", 5);
    open_key("c");
    read_list(4);
    assert_int_equal(list.count, 12);
    assert_int_equal(list.named_count, 2);
    assert_named(0, "c", NEAP_BREAKER_OPEN);
    assert_named(1, "z", NEAP_BREAKER_OPEN);
    assert_int_equal(neap_breaker_list_rest(&list, NEAP_BREAKER_CLOSED), 10);
    assert_int_equal(neap_breaker_list_rest(&list, NEAP_BREAKER_OPEN), 0);
}

static void of_too_many_of_these_the_first_ones_are_named(void **state)
{
    (void)state;
    static const char *const keys[] = {"d", "b", "e", "a", "c"};
    use_keys("x%d", 3);
    for (int i = 0; i < 5; i++)
        open_key(keys[i]);
    read_list(3);
    assert_int_equal(list.named_count, 3);
    assert_named(0, "a", NEAP_BREAKER_OPEN);
    assert_named(1, "b", NEAP_BREAKER_OPEN);
    assert_named(2, "c", NEAP_BREAKER_OPEN);
    assert_int_equal(neap_breaker_list_rest(&list, NEAP_BREAKER_OPEN), 2);
    assert_int_equal(neap_breaker_list_rest(&list, NEAP_BREAKER_CLOSED), 3);
}

static void keys_of_other_clients_are_not_in_it(void **state)
{
    (void)state;
    struct neap_client *first = client;
    use_key("mine");
    client = NULL;
    assert_int_equal(make_client("ap"), NEAP_OK);
    use_key("theirs");
    read_list(4);
    assert_int_equal(list.count, 1);
    assert_named(0, "theirs", NEAP_BREAKER_CLOSED);
    neap_client_release(client);
    client = first;
    read_list(4);
    assert_int_equal(list.count, 1);
    assert_named(0, "mine", NEAP_BREAKER_CLOSED);
}

static void a_client_with_one_breaker_has_none_by_key(void **state)
{
    (void)state;
    neap_client_release(client);
    struct neap_client_policy policy;
    neap_client_policy_init(&policy, &memory.alloc);
    policy.name = neap_copy_text(&memory.alloc, "api", 3);
    policy.breaker_key = NEAP_KEY_CLIENT;
    policy.pipeline.breaker = breaker_policy;
    policy.pipeline.has_breaker = true;
    assert_int_equal(neap_client_new(engine, &policy, NEAP_CARRIER_SCRIPT, &client), NEAP_OK);
    read_list(4);
    assert_int_equal(list.count, 0);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    enum neap_status status = NEAP_NO_MEMORY;
    open_key("a");
    use_keys("b%d", 3);
    for (unsigned n = 1; status != NEAP_OK; n++) {
        failing_alloc_fail(&memory, n);
        status = neap_breaker_list_read(&list, &memory.alloc, client, 4, now);
        failing_alloc_fail(&memory, 0);
        assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
        neap_breaker_list_deinit(&list);
        assert_true(n < 20);
    }
}

#undef SPEC
#define SPEC(test)                                                                                 \
    {#test, test, open_world, close_world, NULL},                                                  \
    {                                                                                              \
#test " (shared)", test, open_world, close_world, (void *)"shared"                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(without_keys_it_is_empty),
        SPEC(few_are_all_named_in_the_order_of_their_keys),
        SPEC(of_more_only_those_that_are_not_closed_are_named),
        SPEC(of_too_many_of_these_the_first_ones_are_named),
        SPEC(keys_of_other_clients_are_not_in_it),
        SPEC(a_client_with_one_breaker_has_none_by_key),
        SPEC(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("breaker_list", tests, NULL, NULL);
}
