#include "platform/doorbell.h"

#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "support/child.h"
#include "support/failing_alloc.h"
#include "support/visitor.h"

static struct failing_alloc memory;
static struct neap_loop *loop;
static struct neap_doorbell *bell;
static int descriptors; /* that were open before */

static int set_up(void **state)
{
    (void)state;
    descriptors = open_descriptors();
    failing_alloc_init(&memory);
    assert_int_equal(neap_loop_new(&memory.alloc, &loop), NEAP_OK);
    assert_int_equal(neap_doorbell_new(&memory.alloc, loop, &bell), NEAP_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_doorbell_free(bell);
    neap_loop_free(loop);
    failing_alloc_assert_all_freed(&memory);
    assert_int_equal(open_descriptors(), descriptors);
    return 0;
}

static void look(void)
{
    while (neap_loop_turn(loop, 0))
        continue;
}

static int connect_visitor(void)
{
    int visitor = visit(neap_doorbell_address(bell));
    assert_true(visitor >= 0);
    return visitor;
}

static void its_descriptor_is_an_address(void **state)
{
    (void)state;
    int visitor = connect_visitor();
    look();
    assert_false(hears(visitor, 0));
    close(visitor);
}

static void a_ring_is_one_byte_for_each_visitor(void **state)
{
    (void)state;
    int first = connect_visitor(), second = connect_visitor();
    look();
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(first), 1);
    neap_doorbell_ring(bell);
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(first), 2);
    assert_int_equal(count_rings(second), 3);
    close(first);
    close(second);
}

static void who_has_not_been_let_in_yet_hears_it_too(void **state)
{
    (void)state;
    int visitor = connect_visitor();
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(visitor), 1);
    close(visitor);
}

static void it_rings_for_nobody(void **state)
{
    (void)state;
    neap_doorbell_ring(bell);
    int visitor = connect_visitor();
    look();
    assert_int_equal(count_rings(visitor), 0);
    close(visitor);
}

static void a_visitor_hears_a_heartbeat(void **state)
{
    (void)state;
    int visitor = connect_visitor();
    look();
    int64_t began_ns = neap_loop_now(loop);
    while (!hears(visitor, 0))
        assert_true(neap_loop_turn(loop, NEAP_NEVER));
    assert_in_range(neap_loop_update(loop) - began_ns, 450 * NEAP_MS, 10 * NEAP_SECOND);
    assert_int_equal(count_rings(visitor), 1);
    close(visitor);
}

static void who_was_let_in_by_a_ring_hears_a_heartbeat_too(void **state)
{
    (void)state;
    int visitor = connect_visitor();
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(visitor), 1);
    look();
    assert_int_not_equal(neap_loop_next(loop), NEAP_NEVER);
    while (!hears(visitor, 0))
        assert_true(neap_loop_turn(loop, NEAP_NEVER));
    close(visitor);
}

static void there_is_no_heartbeat_for_nobody(void **state)
{
    (void)state;
    assert_int_equal(neap_loop_next(loop), NEAP_NEVER);
    int visitor = connect_visitor();
    look();
    assert_int_not_equal(neap_loop_next(loop), NEAP_NEVER);
    close(visitor);
    while (neap_loop_next(loop) != NEAP_NEVER)
        assert_true(neap_loop_turn(loop, NEAP_NEVER));
}

static void who_leaves_is_seen_off(void **state)
{
    (void)state;
    int stays = connect_visitor();
    look();
    int before = open_descriptors();
    size_t blocks = memory.outstanding;
    for (int i = 0; i < 20; i++) {
        int leaves = connect_visitor();
        look();
        close(leaves);
        neap_doorbell_ring(bell);
        look();
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(memory.outstanding, blocks);
    assert_int_equal(count_rings(stays), 20);
    close(stays);
}

static void who_left_before_being_let_in_is_seen_off(void **state)
{
    (void)state;
    int before = open_descriptors();
    close(connect_visitor());
    look();
    assert_int_equal(open_descriptors(), before);
}

static void what_visitors_say_is_thrown_away(void **state)
{
    static const char noise[200];
    (void)state;
    int visitor = connect_visitor();
    look();
    assert_int_equal(write(visitor, noise, sizeof noise), sizeof noise);
    look();
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(visitor), 1);
    close(visitor);
}

static void who_does_not_read_holds_nobody_up(void **state)
{
    (void)state;
    int deaf = connect_visitor(), visitor = connect_visitor();
    look();
    for (int i = 0; i < 2000; i++) {
        neap_doorbell_ring(bell);
        assert_int_equal(count_rings(visitor), 1);
    }
    assert_in_range(count_rings(deaf), 1, 1999);
    close(deaf);
    close(visitor);
}

static void it_leaves_no_name_behind(void **state)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    socklen_t bytes = sizeof path;
    (void)state;
    int visitor = connect_visitor();
    assert_int_equal(getpeername(visitor, (struct sockaddr *)&path, &bytes), 0);
    assert_int_equal(path.sun_path[0], '/');
    assert_int_not_equal(access(path.sun_path, F_OK), 0);
    assert_non_null(strstr(path.sun_path, "/neap-"));
    assert_int_not_equal(access(dirname(path.sun_path), F_OK), 0);
    close(visitor);
}

static void visitors_may_stand_there_when_it_is_freed(void **state)
{
    (void)state;
    int let_in = connect_visitor();
    look();
    int waiting = connect_visitor();
    neap_doorbell_free(bell);
    bell = NULL;
    assert_true(hears(let_in, 0));
    assert_int_equal(count_rings(let_in) + count_rings(waiting), 0);
    assert_false(neap_loop_turn(loop, NEAP_NEVER));
    close(let_in);
    close(waiting);
}

/* ------------------------------------------------------------------------------- what is refused
 */

static void making_one_tells_that_memory_is_out(void **state)
{
    struct neap_doorbell *none;
    (void)state;
    int before = open_descriptors();
    size_t blocks = memory.outstanding;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_doorbell_new(&memory.alloc, loop, &none), NEAP_NO_MEMORY);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(memory.outstanding, blocks);
    neap_doorbell_free(NULL);
}

static void making_one_tells_that_descriptors_are_out(void **state)
{
    struct neap_doorbell *none;
    (void)state;
    int before = open_descriptors();
    size_t blocks = memory.outstanding;
    for (int count = 0; count < 2; count++) {
        limit_descriptors(count);
        enum neap_status status = neap_doorbell_new(&memory.alloc, loop, &none);
        allow_descriptors();
        assert_int_equal(status, NEAP_SYSTEM);
        assert_int_equal(open_descriptors(), before);
        assert_int_equal(memory.outstanding, blocks);
    }
}

static void a_visitor_for_whom_there_is_no_memory_is_sent_away(void **state)
{
    (void)state;
    int visitor = connect_visitor();
    failing_alloc_fail(&memory, 1);
    look();
    assert_true(hears(visitor, 0));
    assert_int_equal(count_rings(visitor), 0);
    int other = connect_visitor();
    look();
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(other), 1);
    close(visitor);
    close(other);
}

static void a_visitor_for_whom_there_is_no_descriptor_waits_without_a_spin(void **state)
{
    int looks = 0;
    (void)state;
    int visitor = connect_visitor();
    limit_descriptors(0);
    look();
    assert_false(neap_loop_turn(loop, 0));
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(visitor), 0);
    int64_t heartbeat_ns = neap_loop_next(loop);
    while (neap_loop_now(loop) < heartbeat_ns) {
        looks++;
        neap_loop_turn(loop, heartbeat_ns);
    }
    look(); /* a heartbeat later it is no better */
    assert_in_range(looks, 1, 10);
    assert_int_equal(count_rings(visitor), 0);
    assert_int_not_equal(neap_loop_next(loop), NEAP_NEVER);
    allow_descriptors();
    while (!hears(visitor, 0))
        assert_true(neap_loop_turn(loop, NEAP_NEVER));
    int other = connect_visitor();
    look();
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(other), 1);
    close(visitor);
    close(other);
}

/* ------------------------------------------------------------------------------- a fork */

static int before_fork;

static bool forsake(void)
{
    neap_doorbell_forsake(bell);
    return open_descriptors() == before_fork - 3; /* listener, address, one visitor */
}

static void a_child_forsakes_it_and_the_parent_goes_on(void **state)
{
    (void)state;
    int visitor = connect_visitor();
    look();
    before_fork = open_descriptors();
    assert_true(in_child(forsake));
    look();
    neap_doorbell_ring(bell);
    int other = connect_visitor();
    look();
    neap_doorbell_ring(bell);
    assert_int_equal(count_rings(visitor), 2);
    assert_int_equal(count_rings(other), 1);
    close(visitor);
    close(other);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_descriptor_is_an_address),
        TEST(a_ring_is_one_byte_for_each_visitor),
        TEST(who_has_not_been_let_in_yet_hears_it_too),
        TEST(it_rings_for_nobody),
        TEST(a_visitor_hears_a_heartbeat),
        TEST(who_was_let_in_by_a_ring_hears_a_heartbeat_too),
        TEST(there_is_no_heartbeat_for_nobody),
        TEST(who_leaves_is_seen_off),
        TEST(who_left_before_being_let_in_is_seen_off),
        TEST(what_visitors_say_is_thrown_away),
        TEST(who_does_not_read_holds_nobody_up),
        TEST(it_leaves_no_name_behind),
        TEST(visitors_may_stand_there_when_it_is_freed),
        TEST(making_one_tells_that_memory_is_out),
        TEST(making_one_tells_that_descriptors_are_out),
        TEST(a_visitor_for_whom_there_is_no_memory_is_sent_away),
        TEST(a_visitor_for_whom_there_is_no_descriptor_waits_without_a_spin),
        TEST(a_child_forsakes_it_and_the_parent_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
