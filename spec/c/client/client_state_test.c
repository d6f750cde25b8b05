#include "client/client_state.h"

#include "base/keymap.h"
#include "client/client_fixture.h"

static bool share_nothing(const struct neap_client *a, const struct neap_client *b)
{
    return a->breaker != b->breaker && a->bulkhead != b->bulkhead && a->limiter != b->limiter &&
           a->budget != b->budget && a->board != b->board && !share_all(a, b) &&
           neap_breaker_state(b->breaker) == NEAP_BREAKER_CLOSED &&
           atomic_load(&b->board->counters.calls) == 0;
}

/* ---------------------------------------------------------------------------- whose the state is
 */

static void without_a_region_each_client_has_its_own_state(void **state)
{
    (void)state;
    engine = new_engine(NULL);
    client = client_of(engine, "api");
    struct neap_client *other = client_of(engine, "api");
    assert_int_equal(client->holder, NEAP_HOLDER_NONE);
    assert_int_equal(client->board->holders, 1);
    assert_true(share_nothing(client, other));
    neap_client_release(other);
}

static void clients_of_one_name_share(void **state)
{
    (void)state;
    begin_sharing();
    struct neap_client *other = client_of(engine, "api");
    assert_true(share_all(client, other));
    assert_int_equal(stats().cells, 5);
    neap_client_release(other);
}

static void clients_of_two_engines_share(void **state)
{
    (void)state;
    begin_sharing();
    struct neap_region *seen_twice = join(SMALL);
    struct neap_engine *second = new_engine(seen_twice);
    struct neap_client *other = client_of(second, "api");
    assert_int_equal(client->holder, 1);
    assert_int_equal(other->holder, 2);
    assert_true(share_all(client, other));
    neap_client_release(other);
    neap_engine_release(second);
    neap_region_release(seen_twice);
}

static void clients_of_two_names_share_nothing(void **state)
{
    (void)state;
    begin_sharing();
    struct neap_client *other = client_of(engine, "apis");
    assert_true(share_nothing(client, other));
    neap_client_release(other);
}

static void a_client_made_before_the_region_stays_as_it_is(void **state)
{
    (void)state;
    begin();
    engine = new_engine(NULL);
    client = client_of(engine, "api");
    neap_engine_share(engine, region);
    assert_int_equal(stats().cells, 0);
    struct neap_client *other = client_of(engine, "api");
    assert_true(share_nothing(client, other));
    neap_client_release(other);
}

static void a_client_keeps_the_region_it_was_made_with(void **state)
{
    (void)state;
    begin_sharing();
    neap_engine_share(engine, region);
    neap_region_release(region);
    region = NULL;
    assert_true(take_place(client->bulkhead, client->holder) > 0);
}

static void a_part_that_is_off_has_no_state(void **state)
{
    (void)state;
    begin();
    engine = new_engine(region);
    struct neap_client_policy policy = policy_of_name("api");
    policy.pipeline.has_breaker = policy.pipeline.has_bulkhead = false;
    policy.pipeline.has_limiter = policy.pipeline.has_budget = false;
    assert_int_equal(make(engine, policy, &client), NEAP_OK);
    assert_true(!client->breaker && !client->bulkhead && !client->limiter && !client->budget);
    assert_non_null(client->board);
    assert_int_equal(stats().cells, 1);
}

static void released_state_goes_on_for_the_next_client(void **state)
{
    (void)state;
    begin_sharing();
    open_breaker(client->breaker);
    neap_client_release(client);
    client = client_of(engine, "api");
    assert_int_equal(neap_breaker_state(client->breaker), NEAP_BREAKER_OPEN);
}

/* -------------------------------------------------------------------------------- after a fork */

static void in_child(child_work *work)
{
    pid_t child = start_child(work);
    assert_int_equal(hear(), 1);
    kill_child(child);
    (void)wait_for(child);
}

static void adopt_and_take(void)
{
    struct neap_client *second = client_of(engine, "api");
    uint32_t of_parent = client->holder;
    if (neap_engine_adopt(engine) != NEAP_OK)
        say(0);
    bool is_own = client->holder != of_parent && client->holder == second->holder &&
                  client->holder == neap_region_holder(region);
    bool took = take_place(client->bulkhead, client->holder) > 0;
    atomic_fetch_add(&client->board->holding[client->holder].in_flight, 1);
    say(is_own && took && neap_breaker_state(client->breaker) == NEAP_BREAKER_OPEN &&
        neap_breaker_state(second->breaker) == NEAP_BREAKER_OPEN);
}

/* What dies with the child is what the child took, and nothing of its parent. */
static void a_child_goes_on_with_the_state_in_its_own_name(void **state)
{
    (void)state;
    begin_sharing();
    struct neap_client *second = client_of(engine, "api");
    open_breaker(client->breaker);
    assert_true(take_place(client->bulkhead, client->holder) > 0);
    in_child(adopt_and_take);
    assert_int_equal(neap_bulkhead_in_use(client->bulkhead, &bulkhead_policy), 2);
    assert_int_equal(neap_board_add_up(client->board).in_flight, 1);
    reap_cells(region);
    assert_int_equal(neap_bulkhead_in_use(client->bulkhead, &bulkhead_policy), 1);
    assert_int_equal(neap_board_add_up(client->board).in_flight, 0);
    neap_client_release(second);
}

static void release_after_adopting(void)
{
    bool adopted = neap_engine_adopt(engine) == NEAP_OK;
    neap_client_release(client);
    neap_engine_release(engine);
    neap_region_release(region);
    say(adopted);
}

static void release_without_adopting(void)
{
    neap_client_release(client);
    neap_engine_release(engine);
    neap_region_release(region);
    say(1);
}

static void assert_still_pinned(void)
{
    assert_int_equal(stats().processes, 1);
    for (uint64_t key = 1; key < 2000; key++)
        use(key);
    assert_int_equal(neap_breaker_state(client->breaker), NEAP_BREAKER_OPEN);
    assert_int_equal(neap_bulkhead_in_use(client->bulkhead, &bulkhead_policy), 1);
}

static void what_a_child_releases_is_its_own(void **state)
{
    (void)state;
    begin_sharing();
    open_breaker(client->breaker);
    assert_true(take_place(client->bulkhead, client->holder) > 0);
    in_child(release_after_adopting);
    assert_still_pinned();
    in_child(release_without_adopting);
    assert_still_pinned();
}

static void make_a_client_without_one_to_adopt(void)
{
    struct neap_client *own = NULL;
    bool adopted = neap_engine_adopt(engine) == NEAP_OK;
    bool made = make(engine, policy_of_name("of the child"), &own) == NEAP_OK;
    say(adopted && made && own->holder == 2 && own->holder == neap_region_holder(region));
}

static void a_child_has_a_number_of_its_own_where_there_was_nothing_to_adopt(void **state)
{
    (void)state;
    begin_sharing();
    neap_client_release(client);
    client = NULL;
    assert_int_equal(neap_region_holder(region), 1);
    in_child(make_a_client_without_one_to_adopt);
}

static void adopt_while_all_numbers_are_taken(void)
{
    static struct neap_region *others[NEAP_HOLDER_MAX];
    uint32_t count = 0;
    do
        others[count] = join(SMALL);
    while (neap_region_holder(others[count++]) != NEAP_HOLDER_NONE && count < NEAP_HOLDER_MAX);
    bool refused = neap_engine_adopt(engine) == NEAP_NOT_FOUND;
    refused = neap_engine_adopt(engine) == NEAP_NOT_FOUND && refused;
    neap_region_release(others[100]);
    bool adopted = neap_engine_adopt(engine) == NEAP_OK;
    say(refused && adopted && take_place(client->bulkhead, client->holder) > 0);
}

static void where_there_is_no_number_left_adoption_is_tried_again(void **state)
{
    (void)state;
    begin_sharing();
    in_child(adopt_while_all_numbers_are_taken);
}

static void adopt_what_is_private(void)
{
    bool adopted = neap_engine_adopt(engine) == NEAP_OK;
    say(adopted && take_place(client->bulkhead, client->holder) > 0);
}

static void private_state_goes_on_as_a_copy(void **state)
{
    (void)state;
    engine = new_engine(NULL);
    client = client_of(engine, "api");
    in_child(adopt_what_is_private);
    assert_int_equal(neap_bulkhead_in_use(client->bulkhead, &bulkhead_policy), 0);
}

/* ---------------------------------------------------------------------------------------- room */

static void where_there_is_no_room_no_client_is_made(void **state)
{
    (void)state;
    enum { MOST = 100 };
    static struct neap_client *made[MOST];
    char text[16];
    int count = 0;
    enum neap_status status;
    begin();
    engine = new_engine(region);
    for (;; count++) {
        assert_in_range(count, 0, MOST - 1);
        (void)snprintf(text, sizeof text, "%d", count);
        status = make(engine, policy_of_name(text), &made[count]);
        if (status != NEAP_OK)
            break;
    }
    assert_int_equal(status, NEAP_NOT_FOUND);
    assert_null(made[count]);
    assert_in_range(count, 2, MOST);
    neap_client_release(made[0]);
    client = client_of(engine, "the last");
    for (int i = 1; i < count; i++)
        neap_client_release(made[i]);
}

static enum neap_status make_without_allocation(size_t n)
{
    struct neap_client_policy policy = policy_of_name("api");
    failing_alloc_fail(&memory, n);
    enum neap_status status = make(engine, policy, &client);
    failing_alloc_fail(&memory, 0);
    return status;
}

static void each_failed_allocation_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    begin();
    engine = new_engine(region);
    size_t n = 1;
    while (make_without_allocation(n) != NEAP_OK)
        n++;
    assert_in_range(n, 2, 100);
}

/* ------------------------------------------------------------------------ a breaker for each key
 */

static struct neap_client *keyed_client(const char *text)
{
    struct neap_client *made;
    struct neap_client_policy policy = policy_of_name(text);
    policy.breaker_key = NEAP_KEY_HOST;
    assert_int_equal(make(engine, policy, &made), NEAP_OK);
    return made;
}

static void begin_keyed(struct neap_region *shared)
{
    engine = new_engine(shared);
    client = keyed_client("api");
    assert_null(client->breaker);
}

static struct neap_breaker *pin_key(struct neap_client *of, const char *key)
{
    return neap_client_pin_breaker(of, key, strlen(key));
}

static bool has_key(struct neap_client *of, const char *key)
{
    struct neap_breaker *breaker = neap_client_find_breaker(of, key, strlen(key));
    neap_client_unpin_breaker(of, breaker);
    return breaker != NULL;
}

static void keys_have_breakers_of_their_own(struct neap_region *shared)
{
    begin_keyed(shared);
    assert_false(has_key(client, "a"));
    struct neap_breaker *a = pin_key(client, "a"), *b = pin_key(client, "b");
    assert_true(a && b && a != b);
    assert_ptr_equal(pin_key(client, "a"), a);
    assert_true(has_key(client, "a"));
    open_breaker(a);
    neap_client_unpin_breaker(client, a);
    neap_client_unpin_breaker(client, a);
    neap_client_unpin_breaker(client, b);
    a = pin_key(client, "a");
    assert_int_equal(neap_breaker_state(a), NEAP_BREAKER_OPEN);
    neap_client_unpin_breaker(client, a);
    neap_client_unpin_breaker(client, NULL);
}

static void a_key_has_a_breaker_of_its_own(void **state)
{
    (void)state;
    keys_have_breakers_of_their_own(NULL);
}

static void a_key_has_a_shared_breaker_of_its_own(void **state)
{
    (void)state;
    begin();
    keys_have_breakers_of_their_own(region);
}

static void keys_are_shared_by_clients_of_one_name(void **state)
{
    (void)state;
    begin();
    begin_keyed(region);
    struct neap_client *second = keyed_client("api"), *third = keyed_client("apis");
    struct neap_breaker *own = pin_key(client, "a");
    struct neap_breaker *of_second = pin_key(second, "a"), *of_third = pin_key(third, "a");
    assert_ptr_equal(own, of_second);
    assert_ptr_not_equal(own, of_third);
    neap_client_unpin_breaker(client, own);
    neap_client_unpin_breaker(second, of_second);
    neap_client_unpin_breaker(third, of_third);
    neap_client_release(second);
    neap_client_release(third);
}

/* No concatenation of names and keys looks like another one. */
static void a_key_is_not_taken_for_a_part_of_the_name(void **state)
{
    (void)state;
    begin();
    begin_keyed(region);
    struct neap_client *longer = keyed_client("apia");
    struct neap_breaker *ab = pin_key(client, "ab"), *b = pin_key(longer, "b");
    struct neap_breaker *odd = neap_client_pin_breaker(client, "a\0b", 3);
    struct neap_breaker *none = pin_key(client, "");
    assert_true(ab != b && odd != ab && none != ab && none != odd && ab && b && odd && none);
    neap_client_release(longer);
}

static void use_key(struct neap_client *of, int number)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%d", number);
    struct neap_breaker *breaker = pin_key(of, key);
    assert_non_null(breaker);
    neap_loop_update(of->engine->loop);
    neap_client_unpin_breaker(of, breaker);
}

static void in_a_full_region_the_key_idle_longest_makes_room(void **state)
{
    (void)state;
    begin();
    begin_keyed(region);
    int count = 0;
    while (stats().evicted == 0)
        use_key(client, ++count);
    assert_in_range(count, 20, 1000);
    assert_false(has_key(client, "1"));
    assert_true(has_key(client, "2"));
    use_key(client, 2);
    use_key(client, count + 1);
    assert_true(has_key(client, "2"));
    assert_false(has_key(client, "3"));
    assert_int_equal(stats().refused, 0);
}

static void in_a_region_of_pinned_keys_a_call_goes_without(void **state)
{
    (void)state;
    begin();
    begin_keyed(region);
    char key[16];
    int count = 0;
    do
        (void)snprintf(key, sizeof key, "%d", ++count);
    while (pin_key(client, key));
    assert_in_range(count, 20, 1000);
    assert_int_equal(stats().refused, 1);
}

/* --------------------------------------------------------------------------------- memory of keys
 */

#define MANY 100000
#define MOST_BYTES ((size_t)32 * 1024 * 1024)

/* The defaults of the public contract. */
static void begin_with_many_keys(struct neap_region *shared)
{
    struct neap_client_policy policy = policy_of_name("payments");
    policy.breaker_key = NEAP_KEY_HOST;
    policy.breaker_max_keys = MANY;
    policy.pipeline.breaker.window_count = 100;
    policy.pipeline.breaker.permits = 5;
    engine = new_engine(shared);
    assert_int_equal(make(engine, policy, &client), NEAP_OK);
}

static void use_many_keys(void)
{
    char key[32];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(key, sizeof key, "host-%d.example.com", i);
        neap_client_unpin_breaker(client, pin_key(client, key));
    }
}

static void a_hundred_thousand_keys_fit_into_32_mib(void **state)
{
    (void)state;
    begin_with_many_keys(NULL);
    size_t before = memory.bytes;
    use_many_keys();
    assert_int_equal(client->keyed_breakers->map.count, MANY);
    assert_in_range(memory.bytes - before, 20u * 1024 * 1024, MOST_BYTES);
}

static void a_hundred_thousand_shared_keys_fit_into_32_mib(void **state)
{
    (void)state;
    region = join(MOST_BYTES);
    begin_with_many_keys(region);
    size_t before = memory.bytes;
    use_many_keys();
    assert_int_equal(stats().cells, MANY + 4);
    assert_int_equal(stats().evicted, 0);
    assert_in_range(memory.bytes - before, 0, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(without_a_region_each_client_has_its_own_state),
        SPEC(clients_of_one_name_share),
        SPEC(clients_of_two_engines_share),
        SPEC(clients_of_two_names_share_nothing),
        SPEC(a_client_made_before_the_region_stays_as_it_is),
        SPEC(a_client_keeps_the_region_it_was_made_with),
        SPEC(a_part_that_is_off_has_no_state),
        SPEC(released_state_goes_on_for_the_next_client),
        SPEC(a_child_goes_on_with_the_state_in_its_own_name),
        SPEC(what_a_child_releases_is_its_own),
        SPEC(a_child_has_a_number_of_its_own_where_there_was_nothing_to_adopt),
        SPEC(where_there_is_no_number_left_adoption_is_tried_again),
        SPEC(private_state_goes_on_as_a_copy),
        SPEC(where_there_is_no_room_no_client_is_made),
        SPEC(each_failed_allocation_is_told_and_leaks_nothing),
        SPEC(a_key_has_a_breaker_of_its_own),
        SPEC(a_key_has_a_shared_breaker_of_its_own),
        SPEC(keys_are_shared_by_clients_of_one_name),
        SPEC(a_key_is_not_taken_for_a_part_of_the_name),
        SPEC(in_a_full_region_the_key_idle_longest_makes_room),
        SPEC(in_a_region_of_pinned_keys_a_call_goes_without),
        SPEC(a_hundred_thousand_keys_fit_into_32_mib),
        SPEC(a_hundred_thousand_shared_keys_fit_into_32_mib),
    };
    return cmocka_run_group_tests_name("state of a client", tests, NULL, NULL);
}
