/* What the system may refuse, and children: the sanitizer for threads cannot follow those. */
#include <stdlib.h>

#include "client/desk_fixture.h"

/* ------------------------------------------------------------------------------- what is refused
 */

static void making_one_takes_the_store_over_in_any_case(void **state)
{
    struct neap_desk *none = NULL;
    (void)state;
    struct neap_store *store = slow_store();
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_desk_new(&memory.alloc, store, true, &none), NEAP_NO_MEMORY);
    failing_alloc_fail(&memory, 0);
    assert_null(none);
    assert_int_equal(stores_freed, 1);
    stores_freed = 0;
}

static bool nothing_is_out(void)
{
    return engine->busy == 0 && !neap_engine_turn(engine, 0) && backs == 0;
}

/* Then all is well, and nothing of the attempts is left. */
static void expect_to_work(void)
{
    send(&work[0]);
    assert_true(turn_until_back(1));
}

static int attempts_without_memory(void)
{
    enum neap_status status;
    int attempts = 0;
    do {
        failing_alloc_fail(&memory, (size_t)++attempts);
        status = neap_desk_send(desk, engine, &work[1].errand);
        failing_alloc_fail(&memory, 0);
        assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
        assert_true(status == NEAP_OK || nothing_is_out());
    } while (status != NEAP_OK);
    assert_true(turn_until_back(1));
    backs = 0;
    return attempts;
}

static void sending_tells_that_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(attempts_without_memory() > 3);
    expect_to_work();
}

static void sending_tells_a_host_at_a_doorbell_that_there_is_no_memory(void **state)
{
    (void)state;
    engine->wants_helper = true;
    assert_true(attempts_without_memory() > 4);
    expect_to_work();
}

static int attempts_without_descriptors(void)
{
    enum neap_status status;
    int attempts = 0;
    do {
        limit_descriptors(attempts++);
        status = neap_desk_send(desk, engine, &work[1].errand);
        allow_descriptors();
        assert_true(status == NEAP_OK || status == NEAP_SYSTEM);
        assert_true(status == NEAP_OK || nothing_is_out());
    } while (status != NEAP_OK);
    assert_true(turn_until_back(1));
    backs = 0;
    return attempts;
}

static void sending_tells_that_there_are_no_descriptors(void **state)
{
    (void)state;
    assert_true(attempts_without_descriptors() > 1);
    expect_to_work();
}

static void sending_tells_a_host_at_a_doorbell_that_there_are_no_descriptors(void **state)
{
    (void)state;
    engine->wants_helper = true;
    assert_true(attempts_without_descriptors() > 3);
    expect_to_work();
}

/* Threads of so large a stack are not to be had. */
static enum neap_status send_without_threads(void)
{
    pthread_attr_t usual, huge;
    assert_int_equal(pthread_getattr_default_np(&usual), 0);
    huge = usual;
    assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 46), 0);
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    enum neap_status status = neap_desk_send(desk, engine, &work[1].errand);
    pthread_setattr_default_np(&usual);
    return status;
}

static void sending_tells_that_there_are_no_threads(void **state)
{
    (void)state;
    assert_int_equal(send_without_threads(), NEAP_SYSTEM);
    assert_true(nothing_is_out());
    engine->wants_helper = true;
    assert_int_equal(send_without_threads(), NEAP_SYSTEM);
    assert_true(nothing_is_out());
    engine->wants_helper = false;
    expect_to_work();
}

/* ------------------------------------------------------------------------------- a fork */

static void work_in_parent(int number)
{
    backs = 0;
    send(&work[number]);
    assert_true(turn_until_back(1));
}

static bool works(void)
{
    bool is_well = !neap_desk_is_lost(desk);
    if (neap_engine_is_inherited(engine))
        is_well = neap_engine_adopt(engine) == NEAP_OK;
    backs = 0;
    runs_here = 0;
    for (int i = 0; i < 100 && is_well; i++)
        is_well = neap_desk_send(desk, engine, &work[i].errand) == NEAP_OK;
    return is_well && turn_until_back(100) && runs_here == 0;
}

static bool works_in_child(void)
{
    return works() && in_child(works) && works();
}

static bool works_and_goes(void)
{
    if (!works())
        return false;
    release_desk();
    neap_engine_release(engine);
    return stores_freed == 1 && memory.outstanding <= 3; /* the forsaken helper's */
}

static bool goes(void)
{
    release_desk();
    neap_engine_release(engine);
    return stores_freed == 1;
}

static void an_idle_one_goes_on_in_a_child_with_a_thread_of_its_own(void **state)
{
    (void)state;
    assert_true(in_child(works));
    for (int i = 0; i < 5; i++) {
        work_in_parent(i);
        assert_true(in_child(works_in_child));
        assert_true(in_child(works_and_goes));
        assert_true(in_child(goes));
    }
    work_in_parent(6);
}

static void it_does_at_a_doorbell_too(void **state)
{
    (void)state;
    int visitor = wait_at_doorbell();
    for (int i = 0; i < 5; i++) {
        backs = 0;
        send(&work[i]);
        assert_true(listen_until_back(visitor, 1));
        assert_true(in_child(works_in_child));
    }
    close(visitor);
}

/* The engine cannot be adopted, since somebody else's work is out; the desk can. */
static bool works_with_another_engine(void)
{
    struct neap_engine *inherited = engine;
    if (neap_engine_adopt(engine) != NEAP_INVALID ||
        neap_engine_new(&memory.alloc, &engine) != NEAP_OK || !works())
        return false;
    neap_engine_release(inherited);
    return works() && goes();
}

static void a_child_with_an_engine_of_its_own_takes_it_over(void **state)
{
    (void)state;
    work_in_parent(0);
    engine->busy++;
    assert_true(in_child(works_with_another_engine));
    engine->busy--;
    work_in_parent(1);
}

static bool is_lost(void)
{
    struct neap_engine *own;
    return neap_desk_is_lost(desk) && neap_engine_adopt(engine) == NEAP_INVALID &&
           neap_desk_send(desk, engine, &work[1].errand) == NEAP_INVALID &&
           neap_engine_new(&memory.alloc, &own) == NEAP_OK &&
           neap_desk_send(desk, own, &work[1].errand) == NEAP_INVALID && in_child(goes) == false;
}

/* The store is left where it is. */
static bool is_lost_and_goes(void)
{
    release_desk();
    neap_engine_release(engine);
    return stores_freed == 0;
}

static void a_busy_one_is_lost_to_a_child_and_the_parent_goes_on(void **state)
{
    (void)state;
    work[0].errand.run = run_slowly;
    send(&work[0]);
    wait_until_begun();
    assert_true(in_child(is_lost));
    assert_true(in_child(is_lost_and_goes));
    assert_false(neap_desk_is_lost(desk));
    atomic_store(&may_end, true);
    assert_true(turn_until_back(1));
    work_in_parent(1);
    assert_true(in_child(works));
}

/* Nothing is out, but a guest is in the midst of a step. */
static void step_of_guest(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_store *store = neap_desk_take(desk);
    enum neap_store_status unused = neap_store_remove(store, (struct neap_bytes){"k", 1});
    (void)timer;
    (void)now_ns;
    (void)unused;
    neap_desk_give(desk);
}

static void run_and_stay(struct neap_desk_errand *errand)
{
    struct work *guest = work_of(errand);
    neap_desk_admit(errand->desk, &guest->guest);
    guest->timer.fire = step_of_guest;
    if (neap_loop_set(neap_desk_loop(errand->desk), &guest->timer, 0) == NEAP_OK)
        run(errand);
}

static void leave(struct neap_desk_guest *guest)
{
    struct work *leaves = NEAP_OWNER(guest, struct work, guest);
    neap_loop_clear(neap_desk_loop(leaves->errand.desk), &leaves->timer);
}

static bool is_torn(void)
{
    return neap_desk_is_lost(desk) && neap_engine_adopt(engine) == NEAP_OK &&
           neap_desk_is_lost(desk) &&
           neap_desk_send(desk, engine, &work[1].errand) == NEAP_INVALID && is_lost_and_goes();
}

static void one_whose_store_is_in_use_is_lost_to_a_child(void **state)
{
    (void)state;
    work[0].errand.run = run_and_stay;
    work[0].guest.evict = leave;
    send(&work[0]);
    assert_true(turn_until_back(1));
    wait_until_begun();
    assert_true(in_child(is_torn));
    atomic_store(&may_end, true);
    work_in_parent(1);
}

/* Children while errands come and go: whatever they find, they neither hang nor crash. */
static bool works_or_is_lost(void)
{
    return neap_desk_is_lost(desk) ? is_lost_and_goes() : works() && goes();
}

static void a_child_at_any_moment_works_or_knows_that_it_is_lost(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        backs = 0;
        send(&work[0]);
        if (round % 4 == 0)
            send(&work[1]);
        for (int spin = 0; spin < round % 20; spin++)
            neap_engine_turn(engine, 0);
        assert_true(in_child(works_or_is_lost));
        assert_true(turn_until_back(round % 4 == 0 ? 2 : 1));
    }
}

/* ------------------------------------------------------------------------------- exit */

static bool exit_at_work(void)
{
    engine->wants_helper = true;
    for (int i = 0; i < ERRANDS; i++)
        if (neap_desk_send(desk, engine, &work[i].errand) != NEAP_OK)
            return false;
    exit(0);
}

/* What is sent after the thread was stopped cannot be done, and says so. */
static void send_after_exit(void)
{
    if (desk && engine && neap_desk_send(desk, engine, &work[1].errand) != NEAP_SYSTEM)
        _exit(3);
}

static bool exit_and_send(void)
{
    if (!works())
        return false;
    exit(0);
}

static bool watches_exit; /* handlers of exit() run in the reverse order */

static void at_exit(void)
{
    if (watches_exit)
        send_after_exit();
}

static bool exit_at_work_and_send(void)
{
    watches_exit = true;
    return exit_and_send();
}

static void the_process_may_exit_while_the_thread_is_at_work(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(in_child(exit_at_work));
    assert_true(in_child(exit_at_work_and_send));
    work_in_parent(0);
    assert_true(in_child(exit_at_work_and_send));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_process_may_exit_while_the_thread_is_at_work),
        TEST(making_one_takes_the_store_over_in_any_case),
        TEST(sending_tells_that_there_is_no_memory),
        TEST(sending_tells_a_host_at_a_doorbell_that_there_is_no_memory),
        TEST(sending_tells_that_there_are_no_descriptors),
        TEST(sending_tells_a_host_at_a_doorbell_that_there_are_no_descriptors),
        TEST(sending_tells_that_there_are_no_threads),
        TEST(an_idle_one_goes_on_in_a_child_with_a_thread_of_its_own),
        TEST(it_does_at_a_doorbell_too),
        TEST(a_child_with_an_engine_of_its_own_takes_it_over),
        TEST(a_busy_one_is_lost_to_a_child_and_the_parent_goes_on),
        TEST(one_whose_store_is_in_use_is_lost_to_a_child),
        TEST(a_child_at_any_moment_works_or_knows_that_it_is_lost),
    };
    atexit(at_exit);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
