#include "client/store_step.h"

#include <stdlib.h>
#include <string.h>

#include "client/desk_fixture.h"

#define NOW_NS INT64_C(1767225600000000000)

static struct neap_store_step *step;

static struct neap_bytes text(const char *at)
{
    return (struct neap_bytes){at, strlen(at)};
}

static void make(enum neap_store_op op, const struct neap_store_arguments *arguments)
{
    assert_int_equal(neap_store_step_new(desk, engine, op, arguments, &step), NEAP_OK);
}

static void free_step(void)
{
    neap_store_step_free(step);
    step = NULL;
}

/* As Lua does that waits: until the waiter is among those who are ready. */
static bool wait_for_step(void)
{
    int64_t end_ns = neap_clock_monotonic_ns() + LIMIT_NS;
    while (neap_clock_monotonic_ns() < end_ns) {
        struct neap_waiter *ready = neap_engine_take_ready(engine);
        if (ready)
            return ready == &step->waiter && step->over;
        neap_engine_turn(engine, end_ns);
    }
    return false;
}

/* ------------------------------------------------------------------------------- the ops */

static void here_and_now(void)
{
    neap_store_step_perform(step);
    assert_true(step->over);
}

static void at_the_desk(void)
{
    neap_store_step_send(step);
    assert_true(wait_for_step());
}

static void (*carry_out)(void);

static void make_memory_desk(void)
{
    struct neap_store *store;
    const struct neap_memory_settings settings = {.max_bytes = 65536};
    release_desk();
    assert_int_equal(neap_store_open_memory(&memory.alloc, &settings, &store), NEAP_STORE_OK);
    assert_int_equal(neap_desk_new(&memory.alloc, store, false, &desk), NEAP_OK);
}

static enum neap_store_status perform(enum neap_store_op op,
                                      const struct neap_store_arguments *arguments)
{
    neap_store_step_free(step);
    make(op, arguments);
    carry_out();
    return step->status;
}

static bool equals(const struct neap_blob *blob, const char *wanted)
{
    return blob->bytes == strlen(wanted) && memcmp(blob->at, wanted, blob->bytes) == 0;
}

static void keep_and_forget(void)
{
    struct neap_store_arguments given = {
        .key = text("k"), .value = text("v"), .now_ns = NOW_NS, .until_ns = NOW_NS + 10};
    assert_int_equal(perform(NEAP_STORE_OP_PUT, &given), NEAP_STORE_OK);
    assert_int_equal(perform(NEAP_STORE_OP_GET, &given), NEAP_STORE_OK);
    assert_true(equals(&step->value, "v"));
    given.now_ns = NOW_NS + 10;
    assert_int_equal(perform(NEAP_STORE_OP_GET, &given), NEAP_STORE_NONE);
    given.now_ns = NOW_NS;
    assert_int_equal(perform(NEAP_STORE_OP_REMOVE, &given), NEAP_STORE_OK);
    assert_int_equal(perform(NEAP_STORE_OP_GET, &given), NEAP_STORE_NONE);
    assert_int_equal(perform(NEAP_STORE_OP_SWEEP, &given), NEAP_STORE_OK);
    assert_false(step->more);
}

static void take(struct neap_store_arguments *given, const char *value)
{
    memset(given->token, 't', sizeof given->token);
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_TAKE, given), NEAP_STORE_OK);
    assert_true(equals(&step->entry.value, value));
    assert_memory_equal(step->entry.token, given->token, sizeof given->token);
    given->id = step->entry.id;
}

static void expect_counts(const struct neap_store_arguments *given, uint64_t waiting,
                          uint64_t taken, uint64_t dead)
{
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_COUNT, given), NEAP_STORE_OK);
    assert_int_equal(step->counts.waiting, waiting);
    assert_int_equal(step->counts.taken, taken);
    assert_int_equal(step->counts.dead, dead);
}

static void deliver_and_bury(void)
{
    struct neap_store_arguments given = {.key = text("o"),
                                         .ordering_key = text("lane"),
                                         .value = text("one"),
                                         .now_ns = NOW_NS,
                                         .lease_ns = 10};
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_PUT, &given), NEAP_STORE_OK);
    uint64_t first = step->id;
    given.value = text("two");
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_PUT, &given), NEAP_STORE_OK);
    assert_true(step->id > first);
    take(&given, "one");
    assert_int_equal(given.id, first);
    expect_counts(&given, 1, 1, 0);
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_TAKE, &given), NEAP_STORE_NONE);
    assert_int_equal(step->next_ns, NOW_NS + 10);
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_RENEW, &given), NEAP_STORE_OK);
    given.until_ns = NOW_NS;
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_RETRY, &given), NEAP_STORE_OK);
    take(&given, "one");
    assert_int_equal(step->entry.attempts, 1);
    given.value = text("sorry");
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_BURY, &given), NEAP_STORE_OK);
    expect_counts(&given, 1, 0, 1);
    given.id = 0;
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_DEAD, &given), NEAP_STORE_OK);
    assert_true(equals(&step->letter.value, "one"));
    assert_true(equals(&step->letter.reason, "sorry"));
    given.id = step->letter.id;
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_REVIVE, &given), NEAP_STORE_OK);
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_DROP, &given), NEAP_STORE_NONE);
    take(&given, "one");
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_DONE, &given), NEAP_STORE_OK);
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_DONE, &given), NEAP_STORE_LOST);
    take(&given, "two");
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_DONE, &given), NEAP_STORE_OK);
    expect_counts(&given, 0, 0, 0);
}

static void refuse(void)
{
    static char big[65536];
    struct neap_store_arguments given = {
        .key = text("k"), .value = {big, sizeof big}, .now_ns = NOW_NS};
    assert_int_equal(perform(NEAP_STORE_OP_OUTBOX_PUT, &given), NEAP_STORE_FULL);
    given.key = (struct neap_bytes){big, NEAP_STORE_KEY_MAX + 1};
    assert_int_equal(perform(NEAP_STORE_OP_GET, &given), NEAP_STORE_INVALID);
}

static void do_all(void)
{
    make_memory_desk();
    keep_and_forget();
    deliver_and_bury();
    refuse();
    free_step();
}

static void each_op_is_the_function_of_its_name(void **state)
{
    (void)state;
    carry_out = here_and_now;
    do_all();
    assert_false(neap_engine_is_pending(engine));
}

static void each_op_can_be_done_at_the_desk(void **state)
{
    (void)state;
    carry_out = at_the_desk;
    do_all();
}

static void texts_are_copies(void **state)
{
    char key[] = "key\0x", value[] = "value", lane[] = "lane";
    (void)state;
    struct neap_store_arguments given = {
        .key = {key, 5}, .value = text(value), .ordering_key = text(lane)};
    make(NEAP_STORE_OP_PUT, &given);
    memset(key, '?', 5);
    value[0] = lane[0] = '?';
    assert_memory_equal(step->arguments.key.at, "key\0x", 5);
    assert_memory_equal(step->arguments.value.at, "value", 5);
    assert_memory_equal(step->arguments.ordering_key.at, "lane", 4);
    free_step();
    make(NEAP_STORE_OP_SWEEP, &(struct neap_store_arguments){0});
    free_step();
    neap_store_step_free(NULL);
}

/* ------------------------------------------------------------------------------- what fails */

static void a_step_tells_why_the_store_failed(void **state)
{
    (void)state;
    const struct neap_store_arguments given = {.key = text("way")};
    carry_out = here_and_now;
    assert_int_equal(perform(NEAP_STORE_OP_GET, &given), NEAP_STORE_UNAVAILABLE);
    assert_string_equal(step->message, "no way today");
    carry_out = at_the_desk;
    assert_int_equal(perform(NEAP_STORE_OP_GET, &given), NEAP_STORE_UNAVAILABLE);
    assert_string_equal(step->message, "no way today");
    free_step();
}

static void without_memory_there_is_none(void **state)
{
    struct neap_store_step *none = NULL;
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_store_step_new(desk, engine, NEAP_STORE_OP_SWEEP,
                                         &(struct neap_store_arguments){0}, &none),
                     NEAP_NO_MEMORY);
    failing_alloc_fail(&memory, 0);
    assert_null(none);
}

static void one_that_cannot_be_sent_is_over_at_once(void **state)
{
    (void)state;
    make(NEAP_STORE_OP_REMOVE, &(struct neap_store_arguments){0});
    failing_alloc_fail(&memory, 1);
    at_the_desk();
    failing_alloc_fail(&memory, 0);
    assert_int_equal(step->status, NEAP_STORE_UNAVAILABLE);
    assert_string_equal(step->message, "not enough memory");
    free_step();
    make(NEAP_STORE_OP_REMOVE, &(struct neap_store_arguments){0});
    limit_descriptors(0);
    at_the_desk();
    allow_descriptors();
    assert_int_equal(step->status, NEAP_STORE_UNAVAILABLE);
    assert_non_null(strstr(step->message, "no thread or no descriptors"));
    free_step();
    assert_false(neap_engine_is_pending(engine));
}

/* Nobody takes it off the list before it is freed. */
static void one_that_is_ready_may_be_freed(void **state)
{
    (void)state;
    make(NEAP_STORE_OP_GET, &(struct neap_store_arguments){.key = text("k")});
    neap_store_step_send(step);
    while (!step->over)
        neap_engine_turn(engine, neap_clock_monotonic_ns() + LIMIT_NS);
    assert_true(neap_engine_is_pending(engine));
    free_step();
    assert_false(neap_engine_is_pending(engine));
}

/* ------------------------------------------------------------------------------- freed while out
 */

static void send_slow_step(void)
{
    make(NEAP_STORE_OP_REMOVE, &(struct neap_store_arguments){.key = text("k")});
    neap_store_step_send(step);
    wait_until_begun();
    assert_false(step->over);
}

static void one_that_is_freed_while_it_is_out_ends_with_its_turn(void **state)
{
    (void)state;
    send_slow_step();
    free_step();
    atomic_store(&may_end, true);
    while (engine->busy > 0)
        neap_engine_turn(engine, neap_clock_monotonic_ns() + LIMIT_NS);
    assert_null(neap_engine_take_ready(engine));
}

/* An engine that nobody turns any more: a Lua state that is closed. */
static void one_that_is_freed_while_it_is_out_needs_no_turn_where_the_desk_goes(void **state)
{
    (void)state;
    send_slow_step();
    free_step();
    atomic_store(&may_end, true);
    release_deserted_desk();
    assert_int_equal(stores_freed, 1);
    assert_int_equal(engine->busy, 0);
}

static void the_desk_may_be_let_go_of_before_its_steps(void **state)
{
    (void)state;
    struct neap_store_step *other;
    send_slow_step();
    assert_int_equal(neap_store_step_new(desk, engine, NEAP_STORE_OP_REMOVE,
                                         &(struct neap_store_arguments){.key = text("k")}, &other),
                     NEAP_OK);
    neap_store_step_send(other);
    release_desk();
    assert_int_equal(stores_freed, 0);
    free_step();
    assert_int_equal(stores_freed, 0);
    neap_store_step_free(other); /* the last one, which waits for neither */
    assert_int_equal(stores_freed, 0);
    atomic_store(&may_end, true);
    neap_engine_desert(engine);
    assert_int_equal(stores_freed, 1);
    assert_int_equal(engine->busy, 0);
}

static void a_step_that_somebody_waits_for_holds_the_desk(void **state)
{
    (void)state;
    send_slow_step();
    release_desk();
    atomic_store(&may_end, true);
    assert_true(wait_for_step());
    assert_int_equal(step->status, NEAP_STORE_OK);
    assert_int_equal(stores_freed, 0);
    free_step();
    assert_int_equal(stores_freed, 1);
}

static void it_may_even_be_the_last_to_hold_the_engine(void **state)
{
    (void)state;
    send_slow_step();
    neap_engine_hold(engine);
    struct neap_engine *held = engine;
    neap_engine_release(engine);
    free_step();
    atomic_store(&may_end, true);
    release_deserted_desk();
    assert_int_equal(held->references, 1);
}

/* ------------------------------------------------------------------------------- a fork */

static bool is_refused(void)
{
    struct neap_store_step *sent = step;
    struct neap_engine *own;
    if (neap_engine_new(&memory.alloc, &own) != NEAP_OK ||
        neap_store_step_new(desk, own, NEAP_STORE_OP_REMOVE, &(struct neap_store_arguments){0},
                            &step) != NEAP_OK)
        return false;
    neap_store_step_send(step);
    bool is_told = neap_engine_take_ready(own) == &step->waiter && step->over &&
                   step->status == NEAP_STORE_UNAVAILABLE &&
                   strstr(step->message, "was forked while the store was at work");
    free_step();
    if (neap_store_step_new(desk, own, NEAP_STORE_OP_REMOVE, &(struct neap_store_arguments){0},
                            &step) != NEAP_OK)
        return false;
    neap_store_step_perform(step);
    is_told = is_told && step->over && step->status == NEAP_STORE_UNAVAILABLE;
    free_step();
    neap_store_step_free(sent);
    release_desk();
    return is_told && stores_freed == 0;
}

static void where_the_desk_was_busy_at_a_fork_a_child_is_told(void **state)
{
    (void)state;
    send_slow_step();
    assert_true(in_child(is_refused));
    atomic_store(&may_end, true);
    assert_true(wait_for_step());
    assert_int_equal(step->status, NEAP_STORE_OK);
    free_step();
}

static bool steps_in_child(void)
{
    carry_out = here_and_now;
    if (perform(NEAP_STORE_OP_GET, &(struct neap_store_arguments){.key = text("k")}) !=
        NEAP_STORE_UNAVAILABLE)
        return false;
    if (neap_engine_adopt(engine) != NEAP_OK)
        return false;
    carry_out = at_the_desk;
    bool is_told = perform(NEAP_STORE_OP_GET, &(struct neap_store_arguments){.key = text("k")}) ==
                       NEAP_STORE_UNAVAILABLE &&
                   strcmp(step->message, "no k today") == 0;
    free_step();
    return is_told;
}

static void where_it_was_idle_a_child_makes_steps(void **state)
{
    (void)state;
    carry_out = at_the_desk;
    (void)perform(NEAP_STORE_OP_GET, &(struct neap_store_arguments){.key = text("k")});
    free_step();
    assert_true(in_child(steps_in_child));
}

/* ------------------------------------------------------------------------------- exit */

static bool exit_with_a_step_out(void)
{
    send_slow_step();
    atomic_store(&may_end, true);
    exit(0);
}

static void the_process_may_exit_while_it_is_out(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(in_child(exit_with_a_step_out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_op_is_the_function_of_its_name),
        TEST(each_op_can_be_done_at_the_desk),
        TEST(texts_are_copies),
        TEST(a_step_tells_why_the_store_failed),
        TEST(without_memory_there_is_none),
        TEST(one_that_cannot_be_sent_is_over_at_once),
        TEST(one_that_is_ready_may_be_freed),
        TEST(one_that_is_freed_while_it_is_out_ends_with_its_turn),
        TEST(one_that_is_freed_while_it_is_out_needs_no_turn_where_the_desk_goes),
        TEST(the_desk_may_be_let_go_of_before_its_steps),
        TEST(a_step_that_somebody_waits_for_holds_the_desk),
        TEST(it_may_even_be_the_last_to_hold_the_engine),
        TEST(where_the_desk_was_busy_at_a_fork_a_child_is_told),
        TEST(where_it_was_idle_a_child_makes_steps),
        TEST(the_process_may_exit_while_it_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
