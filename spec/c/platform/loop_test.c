#include "platform/loop.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "support/failing_alloc.h"

#define EPOCH INT64_C(1767225600000000000)

struct bell {
    struct neap_loop_timer timer; /* first */
    char name;
    void (*then)(struct bell *bell, int64_t now_ns);
};

struct ear {
    struct neap_watch watch; /* first */
    char name;
    void (*then)(struct ear *ear);
};

static struct failing_alloc memory;
static struct neap_loop *loop;
static char heard[64]; /* what fired or was ready, in order */
static int64_t heard_at[64];
static struct bell a, b, c;
static struct ear left, right;
static int pipe_a[2], pipe_b[2];

static void hear(char name, int64_t now_ns)
{
    size_t count = strlen(heard);
    assert_true(count + 1 < sizeof heard);
    heard_at[count] = now_ns;
    heard[count] = name;
    heard[count + 1] = '\0';
}

static void ring(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct bell *bell = (struct bell *)timer;
    hear(bell->name, now_ns);
    if (bell->then)
        bell->then(bell, now_ns);
}

static void listen(struct neap_watch *watch, unsigned events, int64_t now_ns)
{
    struct ear *ear = (struct ear *)watch;
    assert_int_not_equal(events, 0);
    hear(ear->name, now_ns);
    if (ear->then)
        ear->then(ear);
}

static void blank(void)
{
    failing_alloc_init(&memory);
    memset(heard, 0, sizeof heard);
    a = (struct bell){.timer.fire = ring, .name = 'a'};
    b = (struct bell){.timer.fire = ring, .name = 'b'};
    c = (struct bell){.timer.fire = ring, .name = 'c'};
    left = (struct ear){.watch.ready = listen, .name = 'l'};
    right = (struct ear){.watch.ready = listen, .name = 'r'};
}

static int set_up_virtual(void **state)
{
    (void)state;
    blank();
    return neap_loop_new_virtual(&memory.alloc, 0, EPOCH, &loop) == NEAP_OK ? 0 : -1;
}

static int tear_down_virtual(void **state)
{
    (void)state;
    neap_loop_free(loop);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static int set_up_real(void **state)
{
    (void)state;
    blank();
    return pipe(pipe_a) || pipe(pipe_b) || neap_loop_new(&memory.alloc, &loop) != NEAP_OK ? -1 : 0;
}

static int tear_down_real(void **state)
{
    (void)state;
    neap_loop_free(loop);
    failing_alloc_assert_all_freed(&memory);
    for (int i = 0; i < 2; i++) {
        close(pipe_a[i]);
        close(pipe_b[i]);
    }
    return 0;
}

static void set(struct bell *bell, int64_t when_ns)
{
    assert_int_equal(neap_loop_set(loop, &bell->timer, when_ns), NEAP_OK);
}

static void watch(struct ear *ear, int fd, unsigned events)
{
    assert_int_equal(neap_loop_watch(loop, &ear->watch, fd, events), NEAP_OK);
}

static void put(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

/* ------------------------------------------------------------------------------- virtual time */

static void timers_fire_in_order_of_time(void **state)
{
    (void)state;
    set(&a, 30);
    set(&b, 10);
    set(&c, 20);
    while (neap_loop_turn(loop, NEAP_NEVER))
        ;
    assert_string_equal(heard, "bca");
    assert_int_equal(heard_at[0], 10);
    assert_int_equal(heard_at[1], 20);
    assert_int_equal(heard_at[2], 30);
}

static void equal_times_fire_in_the_order_they_were_set(void **state)
{
    (void)state;
    set(&c, 10);
    set(&a, 10);
    set(&b, 10);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "cab");
}

static void setting_again_moves_a_timer(void **state)
{
    (void)state;
    set(&a, 10);
    set(&b, 20);
    set(&a, 30);
    while (neap_loop_turn(loop, NEAP_NEVER))
        ;
    assert_string_equal(heard, "ba");
}

static void never_clears_a_timer(void **state)
{
    (void)state;
    set(&a, 10);
    set(&a, NEAP_NEVER);
    assert_int_equal(neap_loop_next(loop), NEAP_NEVER);
    assert_false(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "");
}

static void clear_others(struct bell *bell, int64_t now_ns)
{
    (void)bell;
    (void)now_ns;
    neap_loop_clear(loop, &b.timer);
    neap_loop_clear(loop, &c.timer);
}

static void a_timer_cleared_by_another_of_the_turn_does_not_fire(void **state)
{
    (void)state;
    a.then = clear_others;
    set(&a, 10);
    set(&b, 10);
    set(&c, 20);
    while (neap_loop_turn(loop, NEAP_NEVER))
        ;
    assert_string_equal(heard, "a");
}

static void set_again_for_the_past(struct bell *bell, int64_t now_ns)
{
    if (strlen(heard) < 6)
        set(bell, now_ns - 5);
}

static void what_is_set_for_now_waits_for_the_next_turn(void **state)
{
    (void)state;
    a.then = set_again_for_the_past;
    set(&a, 10);
    set(&b, 10);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "ab");
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "aba");
    assert_int_equal(neap_loop_now(loop), 10);
}

static void a_timer_that_keeps_setting_itself_lets_others_through(void **state)
{
    (void)state;
    a.then = set_again_for_the_past;
    set(&a, 10);
    neap_loop_turn(loop, NEAP_NEVER);
    set(&b, 10);
    neap_loop_turn(loop, NEAP_NEVER);
    assert_string_equal(heard, "aab");
}

static void a_turn_stops_at_its_end(void **state)
{
    (void)state;
    set(&a, 10);
    assert_false(neap_loop_turn(loop, 9));
    assert_int_equal(neap_loop_now(loop), 9);
    assert_true(neap_loop_turn(loop, 10));
    assert_false(neap_loop_turn(loop, 25));
    assert_int_equal(neap_loop_now(loop), 25);
}

static void a_turn_into_the_past_only_looks(void **state)
{
    (void)state;
    assert_false(neap_loop_turn(loop, 50));
    set(&a, 50);
    set(&b, 51);
    assert_true(neap_loop_turn(loop, 0));
    assert_string_equal(heard, "a");
    assert_int_equal(neap_loop_now(loop), 50);
}

static void a_virtual_clock_stands_where_nothing_is_set(void **state)
{
    (void)state;
    assert_false(neap_loop_turn(loop, NEAP_NEVER));
    assert_int_equal(neap_loop_now(loop), 0);
    assert_int_equal(neap_loop_update(loop), 0);
}

static void the_wall_clock_goes_along(void **state)
{
    (void)state;
    neap_loop_turn(loop, 3 * NEAP_SECOND);
    assert_int_equal(neap_loop_wall(loop), EPOCH + 3 * NEAP_SECOND);
}

static void a_virtual_loop_watches_nothing(void **state)
{
    (void)state;
    assert_int_equal(neap_loop_watch(loop, &left.watch, 0, NEAP_READABLE), NEAP_SYSTEM);
    neap_loop_unwatch(loop, &left.watch);
    assert_int_equal(neap_loop_fd(loop), -1);
    assert_true(neap_loop_is_virtual(loop));
}

static void setting_a_timer_tells_that_memory_is_out(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_loop_set(loop, &a.timer, 10), NEAP_NO_MEMORY);
    assert_int_equal(neap_loop_next(loop), NEAP_NEVER);
    set(&a, 10);
}

/* ----------------------------------------------------------------------------------- real time */

static void a_readable_descriptor_is_told(void **state)
{
    (void)state;
    watch(&left, pipe_a[0], NEAP_READABLE);
    assert_false(neap_loop_turn(loop, 0));
    put(pipe_a[1]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "l");
}

static void a_writable_descriptor_is_told(void **state)
{
    (void)state;
    watch(&left, pipe_a[1], NEAP_WRITABLE);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "l");
}

static void a_hang_up_is_told_to_whoever_watches(void **state)
{
    (void)state;
    watch(&left, pipe_a[0], NEAP_READABLE);
    watch(&right, pipe_b[1], NEAP_WRITABLE);
    close(pipe_a[1]);
    close(pipe_b[0]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_int_equal(strlen(heard), 2);
    pipe_a[1] = dup(0);
    pipe_b[0] = dup(0);
}

static void watching_ends_with_no_events(void **state)
{
    (void)state;
    put(pipe_a[1]);
    watch(&left, pipe_a[0], NEAP_READABLE);
    watch(&left, pipe_a[0], 0);
    assert_false(neap_loop_turn(loop, 0));
    neap_loop_unwatch(loop, &left.watch);
}

static void what_is_watched_for_can_change(void **state)
{
    (void)state;
    put(pipe_a[1]);
    watch(&left, pipe_a[0], NEAP_WRITABLE);
    assert_false(neap_loop_turn(loop, 0));
    watch(&left, pipe_a[0], NEAP_READABLE);
    assert_true(neap_loop_turn(loop, 0));
}

static void unwatch_the_other(struct ear *ear)
{
    neap_loop_unwatch(loop, ear == &left ? &right.watch : &left.watch);
}

static void an_event_of_the_batch_for_an_unwatched_watch_is_dropped(void **state)
{
    (void)state;
    left.then = right.then = unwatch_the_other;
    watch(&left, pipe_a[0], NEAP_READABLE);
    watch(&right, pipe_b[0], NEAP_READABLE);
    put(pipe_a[1]);
    put(pipe_b[1]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_int_equal(strlen(heard), 1);
}

/* The other's descriptor is closed and its number taken by one that has nothing to read. */
static void reuse_the_other(struct ear *ear)
{
    struct ear *other = ear == &left ? &right : &left;
    int *ends = ear == &left ? pipe_b : pipe_a;
    int quiet[2];
    neap_loop_unwatch(loop, &other->watch);
    assert_int_equal(pipe(quiet), 0);
    assert_int_equal(dup2(quiet[0], ends[0]), ends[0]);
    close(quiet[0]);
    close(ends[1]);
    ends[1] = quiet[1];
    watch(other, ends[0], NEAP_READABLE);
}

static void an_event_of_the_batch_for_a_reused_number_is_dropped(void **state)
{
    (void)state;
    left.then = right.then = reuse_the_other;
    watch(&left, pipe_a[0], NEAP_READABLE);
    watch(&right, pipe_b[0], NEAP_READABLE);
    put(pipe_a[1]);
    put(pipe_b[1]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_int_equal(strlen(heard), 1);
}

static void the_last_to_watch_a_number_has_it(void **state)
{
    (void)state;
    watch(&left, pipe_a[0], NEAP_READABLE);
    watch(&right, pipe_a[0], NEAP_READABLE);
    neap_loop_unwatch(loop, &left.watch);
    put(pipe_a[1]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "r");
}

static void a_number_reused_after_a_close_is_watched_anew(void **state)
{
    (void)state;
    int fd = pipe_a[0];
    watch(&left, fd, NEAP_READABLE);
    close(fd);
    assert_int_equal(dup2(pipe_b[0], fd), fd);
    watch(&right, fd, NEAP_READABLE);
    put(pipe_b[1]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "r");
}

static void descriptors_come_before_timers(void **state)
{
    (void)state;
    watch(&left, pipe_a[0], NEAP_READABLE);
    set(&a, neap_loop_now(loop));
    put(pipe_a[1]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_string_equal(heard, "la");
}

static void a_timer_fires_not_before_its_time(void **state)
{
    (void)state;
    int64_t when_ns = neap_loop_update(loop) + 3 * NEAP_MS;
    set(&a, when_ns);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_true(heard_at[0] >= when_ns);
}

static void a_turn_ends_when_its_time_has_come(void **state)
{
    (void)state;
    watch(&left, pipe_a[0], NEAP_READABLE);
    int64_t until_ns = neap_loop_update(loop) + 2 * NEAP_MS;
    assert_false(neap_loop_turn(loop, until_ns));
    assert_true(neap_loop_now(loop) >= until_ns);
}

static void a_loop_with_nothing_to_wait_for_does_not_wait(void **state)
{
    (void)state;
    assert_false(neap_loop_turn(loop, NEAP_NEVER));
}

static void turn_again(struct ear *ear)
{
    neap_loop_unwatch(loop, &ear->watch);
    neap_loop_turn(loop, 0);
}

static void a_callback_may_turn_the_loop(void **state)
{
    (void)state;
    left.then = right.then = turn_again;
    watch(&left, pipe_a[0], NEAP_READABLE);
    watch(&right, pipe_b[0], NEAP_READABLE);
    put(pipe_a[1]);
    put(pipe_b[1]);
    assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_int_equal(strlen(heard), 2);
}

static void a_closed_descriptor_is_refused(void **state)
{
    (void)state;
    assert_int_equal(neap_loop_watch(loop, &left.watch, 9999, NEAP_READABLE), NEAP_SYSTEM);
    assert_int_equal(neap_loop_watch(loop, &left.watch, -1, NEAP_READABLE), NEAP_SYSTEM);
    assert_int_equal(left.watch.events, 0);
}

static void watching_tells_that_memory_is_out(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_loop_watch(loop, &left.watch, pipe_a[0], NEAP_READABLE), NEAP_NO_MEMORY);
    watch(&left, pipe_a[0], NEAP_READABLE);
}

static void its_descriptor_is_ready_when_a_watched_one_is(void **state)
{
    (void)state;
    watch(&left, pipe_a[0], NEAP_READABLE);
    struct pollfd foreign = {.fd = neap_loop_fd(loop), .events = POLLIN};
    assert_int_equal(poll(&foreign, 1, 0), 0);
    put(pipe_a[1]);
    assert_int_equal(poll(&foreign, 1, 0), 1);
    assert_false(neap_loop_is_virtual(loop));
}

static void making_a_loop_tells_that_memory_is_out(void **state)
{
    struct neap_loop *none;
    (void)state;
    failing_alloc_init(&memory);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_loop_new(&memory.alloc, &none), NEAP_NO_MEMORY);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_loop_new_virtual(&memory.alloc, 0, 0, &none), NEAP_NO_MEMORY);
    neap_loop_free(NULL);
}

#define VIRTUAL(test) cmocka_unit_test_setup_teardown(test, set_up_virtual, tear_down_virtual)
#define REAL(test) cmocka_unit_test_setup_teardown(test, set_up_real, tear_down_real)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VIRTUAL(timers_fire_in_order_of_time),
        VIRTUAL(equal_times_fire_in_the_order_they_were_set),
        VIRTUAL(setting_again_moves_a_timer),
        VIRTUAL(never_clears_a_timer),
        VIRTUAL(a_timer_cleared_by_another_of_the_turn_does_not_fire),
        VIRTUAL(what_is_set_for_now_waits_for_the_next_turn),
        VIRTUAL(a_timer_that_keeps_setting_itself_lets_others_through),
        VIRTUAL(a_turn_stops_at_its_end),
        VIRTUAL(a_turn_into_the_past_only_looks),
        VIRTUAL(a_virtual_clock_stands_where_nothing_is_set),
        VIRTUAL(the_wall_clock_goes_along),
        VIRTUAL(a_virtual_loop_watches_nothing),
        VIRTUAL(setting_a_timer_tells_that_memory_is_out),
        REAL(a_readable_descriptor_is_told),
        REAL(a_writable_descriptor_is_told),
        REAL(a_hang_up_is_told_to_whoever_watches),
        REAL(watching_ends_with_no_events),
        REAL(what_is_watched_for_can_change),
        REAL(an_event_of_the_batch_for_an_unwatched_watch_is_dropped),
        REAL(an_event_of_the_batch_for_a_reused_number_is_dropped),
        REAL(the_last_to_watch_a_number_has_it),
        REAL(a_number_reused_after_a_close_is_watched_anew),
        REAL(descriptors_come_before_timers),
        REAL(a_timer_fires_not_before_its_time),
        REAL(a_turn_ends_when_its_time_has_come),
        REAL(a_loop_with_nothing_to_wait_for_does_not_wait),
        REAL(a_callback_may_turn_the_loop),
        REAL(a_closed_descriptor_is_refused),
        REAL(watching_tells_that_memory_is_out),
        REAL(its_descriptor_is_ready_when_a_watched_one_is),
        cmocka_unit_test(making_a_loop_tells_that_memory_is_out),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
