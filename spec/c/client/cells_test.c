#include "client/cells.h"

#include "client/cells_fixture.h"

/* ------------------------------------------------------------------------------------- private */

static void a_private_cell_is_the_askers_alone(void **state)
{
    (void)state;
    for (int kind = 0; kind < NEAP_CELL_KIND_COUNT; kind++) {
        void *first = cell_of(NULL, (enum neap_cell_kind)kind);
        void *second = cell_of(NULL, (enum neap_cell_kind)kind);
        assert_non_null(first);
        assert_non_null(second);
        assert_ptr_not_equal(first, second);
        release_cell(NULL, first);
        release_cell(NULL, second);
    }
}

static void private_cells_have_no_names_and_no_holders(void **state)
{
    (void)state;
    struct neap_cells cells = cells_in(NULL);
    void *cell = cell_of(NULL, NEAP_CELL_GATE);
    assert_null(neap_cells_find(&cells, NEAP_CELL_GATE, "api", 3, NULL, now));
    assert_int_equal(neap_cells_holder(&cells), NEAP_HOLDER_NONE);
    neap_cells_reap(&cells, now);
    release_cell(NULL, cell);
    release_cell(NULL, NULL);
}

static void without_memory_there_is_no_private_cell(void **state)
{
    (void)state;
    for (int kind = 0; kind < NEAP_CELL_KIND_COUNT; kind++) {
        failing_alloc_fail(&memory, 1);
        assert_null(cell_of(NULL, (enum neap_cell_kind)kind));
    }
}

/* What each kind is fit for when it is new. */
static void use_new_cells(struct neap_region *in)
{
    struct neap_breaker *breaker = cell_of(in, NEAP_CELL_BREAKER);
    struct neap_bulkhead *bulkhead = cell_of(in, NEAP_CELL_BULKHEAD);
    struct neap_rate_limiter *limiter = cell_of(in, NEAP_CELL_LIMITER);
    struct neap_retry_budget *budget = cell_of(in, NEAP_CELL_BUDGET);
    struct neap_gate *gate = cell_of(in, NEAP_CELL_GATE);
    struct neap_board *board = cell_of(in, NEAP_CELL_BOARD);
    struct neap_alerts *alerts = cell_of(in, NEAP_CELL_ALERTS);

    assert_true(take_probe(breaker, 1) > 0);
    assert_int_equal(ask_breaker(breaker, 1), 0);
    assert_true(take_place(bulkhead, 1) > 0 && take_place(bulkhead, 1) > 0);
    assert_int_equal(take_place(bulkhead, 1), 0);
    assert_int_equal(neap_rate_limiter_acquire(limiter, &limiter_policy, 1, 0, now).decision,
                     NEAP_ADMIT);
    assert_int_equal(neap_rate_limiter_acquire(limiter, &limiter_policy, 1, 0, now).decision,
                     NEAP_REFUSE);
    assert_int_equal(neap_retry_budget_balance(budget, &budget_policy, now), 5);
    assert_true(neap_gate_close(gate, NEAP_SECOND, NEAP_SECOND, now));
    assert_int_equal(neap_gate_ask(&gate, 1, &gate_policy, 0, NEAP_NEVER, now, 0).decision,
                     NEAP_REFUSE);
    assert_int_equal(neap_board_add_up(board).in_flight, 0);
    assert_int_equal(atomic_load(&board->counters.calls), 0);
    assert_true(neap_alerts_is_due(alerts, 0) && neap_alerts_firing(alerts) == 0);

    void *cells[] = {breaker, bulkhead, limiter, budget, gate, board, alerts};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        release_cell(in, cells[i]);
}

static void new_cells_are_ready_for_use(void **state)
{
    (void)state;
    use_new_cells(NULL);
    begin();
    use_new_cells(region);
}

/* -------------------------------------------------------------------------------------- shared */

static void a_name_leads_everybody_to_one_cell(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    for (int kind = 0; kind < NEAP_CELL_KIND_COUNT; kind++) {
        unsigned char *here = cell_of(region, (enum neap_cell_kind)kind);
        const unsigned char *there = cell_of(other, (enum neap_cell_kind)kind);
        here[0] ^= 0x5A;
        assert_int_equal(here[0], there[0]);
        here[0] ^= 0x5A;
    }
    assert_int_equal(stats().cells, NEAP_CELL_KIND_COUNT);
    neap_region_release(other);
}

static void a_cell_keeps_its_state_while_nobody_has_it(void **state)
{
    (void)state;
    begin();
    struct neap_breaker *breaker = cell_of(region, NEAP_CELL_BREAKER);
    open_breaker(breaker);
    release_cell(region, breaker);
    neap_region_release(region);
    begin();
    breaker = cell_of(region, NEAP_CELL_BREAKER);
    assert_int_equal(neap_breaker_state(breaker), NEAP_BREAKER_OPEN);
}

static void *named(const char *text, size_t bytes)
{
    struct neap_cells cells = cells_in(region);
    return neap_cells_acquire(&cells, NEAP_CELL_GATE, text, bytes, NULL, now);
}

static void names_may_hold_any_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } names[] = {{"", 0},       {"a", 1},        {"a\0", 2},      {"a\0b", 3}, {"a\0c", 3},
                 {"\xff\n", 2}, {"\0\0\0\0", 4}, {"\0\0\0\0", 3}, {"api", 3}};
    enum { COUNT = sizeof names / sizeof *names };
    void *cell[COUNT];
    begin();
    for (int i = 0; i < COUNT; i++) {
        cell[i] = named(names[i].text, names[i].bytes);
        assert_non_null(cell[i]);
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(cell[i], cell[k]);
    }
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(named(names[i].text, names[i].bytes), cell[i]);
}

static void finding_makes_no_cell_and_pins_the_one_there_is(void **state)
{
    (void)state;
    begin();
    struct neap_cells cells = cells_in(region);
    assert_null(neap_cells_find(&cells, NEAP_CELL_BREAKER, "api", 3, &breaker_policy, now));
    assert_int_equal(stats().cells, 0);
    void *made = cell_of(region, NEAP_CELL_BREAKER);
    assert_ptr_equal(neap_cells_find(&cells, NEAP_CELL_BREAKER, "api", 3, &breaker_policy, now),
                     made);
    release_cell(region, made);
    for (uint64_t key = 1; key < 2000; key++)
        use(key);
    assert_ptr_equal(neap_cells_find(&cells, NEAP_CELL_BREAKER, "api", 3, &breaker_policy, now),
                     made);
}

static void numbers_of_holders_are_the_regions(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    struct neap_cells here = cells_in(region), there = cells_in(other);
    assert_int_equal(neap_cells_holder(&here), 1);
    assert_int_equal(neap_cells_holder(&there), 2);
    neap_region_release(other);
}

/* -------------------------------------------------------------------------------------- shapes */

static void *shaped(enum neap_cell_kind kind, const void *policy)
{
    struct neap_cells cells = cells_in(region);
    void *cell = neap_cells_acquire(&cells, kind, "api", 3, policy, now);
    assert_non_null(cell);
    return cell;
}

static void a_breaker_of_another_layout_is_another_one(void **state)
{
    (void)state;
    begin();
    void *first = shaped(NEAP_CELL_BREAKER, &breaker_policy);
    struct neap_breaker_policy longer = breaker_policy, timed = breaker_policy;
    struct neap_breaker_policy wider = breaker_policy, stricter = breaker_policy;
    longer.window_count++;
    timed.window_count = 0;
    timed.window_seconds = 4;
    wider.permits++;
    stricter.failure_rate = 0.25;
    stricter.open_base_s = 20;
    assert_ptr_not_equal(shaped(NEAP_CELL_BREAKER, &longer), first);
    assert_ptr_not_equal(shaped(NEAP_CELL_BREAKER, &timed), first);
    assert_ptr_not_equal(shaped(NEAP_CELL_BREAKER, &wider), first);
    assert_ptr_equal(shaped(NEAP_CELL_BREAKER, &stricter), first);
    assert_int_equal(stats().cells, 4);
}

static void alerts_of_other_windows_are_other_ones(void **state)
{
    (void)state;
    begin();
    void *first = shaped(NEAP_CELL_ALERTS, &alert_policy);
    struct neap_alert_policy longer = alert_policy, stricter = alert_policy, without = alert_policy;
    longer.window_ns = alert_policy.window_ns + (INT64_C(1) << 32);
    stricter.error_rate = 0.01;
    stricter.has[NEAP_ALERT_RETRY_SURGE] = true;
    without.has[NEAP_ALERT_P99] = false;
    assert_ptr_not_equal(shaped(NEAP_CELL_ALERTS, &longer), first);
    assert_ptr_not_equal(shaped(NEAP_CELL_ALERTS, &without), first);
    assert_ptr_equal(shaped(NEAP_CELL_ALERTS, &stricter), first);
    assert_int_equal(stats().cells, 3);
}

static void a_bulkhead_of_another_size_is_another_one(void **state)
{
    (void)state;
    begin();
    void *first = shaped(NEAP_CELL_BULKHEAD, &bulkhead_policy);
    struct neap_bulkhead_policy larger = bulkhead_policy, patient = bulkhead_policy;
    larger.max_concurrent++; /* as many bytes, rounded up */
    patient.max_wait_ns = NEAP_SECOND;
    assert_ptr_not_equal(shaped(NEAP_CELL_BULKHEAD, &larger), first);
    assert_ptr_equal(shaped(NEAP_CELL_BULKHEAD, &patient), first);
}

static void a_budget_of_another_time_is_another_one(void **state)
{
    (void)state;
    begin();
    void *first = shaped(NEAP_CELL_BUDGET, &budget_policy);
    struct neap_retry_budget_policy longer = budget_policy, richer = budget_policy;
    longer.ttl_seconds++;
    richer.ratio = 1;
    assert_ptr_not_equal(shaped(NEAP_CELL_BUDGET, &longer), first);
    assert_ptr_equal(shaped(NEAP_CELL_BUDGET, &richer), first);
}

static void a_limiter_is_the_same_whatever_its_rate(void **state)
{
    (void)state;
    begin();
    const struct neap_rate_limiter_policy faster = {.interval_s = 0.1, .burst = 10};
    assert_ptr_equal(shaped(NEAP_CELL_LIMITER, &faster), shaped(NEAP_CELL_LIMITER, NULL));
}

/* --------------------------------------------------------------------------------------- board */

static void a_board_adds_up_what_all_holders_have_in_flight(void **state)
{
    (void)state;
    begin();
    struct neap_board *board = cell_of(region, NEAP_CELL_BOARD);
    assert_int_equal(board->holders, NEAP_HOLDER_MAX + 1);
    atomic_store(&board->holding[0].in_flight, 1);
    atomic_store(&board->holding[7].in_flight, 20);
    atomic_store(&board->holding[NEAP_HOLDER_MAX].in_flight, 300);
    assert_int_equal(neap_board_add_up(board).in_flight, 321);
    board->holders = UINT32_MAX; /* by a stranger */
    assert_int_equal(neap_board_add_up(board).in_flight, 321);
    atomic_store(&board->holding[7].in_flight, -400);
    assert_int_equal(neap_board_add_up(board).in_flight, 0);
}

static void a_board_adds_up_the_connections_of_all_holders(void **state)
{
    (void)state;
    begin();
    struct neap_board *board = cell_of(region, NEAP_CELL_BOARD);
    atomic_store(&board->holding[1].connections, 3);
    atomic_store(&board->holding[NEAP_HOLDER_MAX].connections, 4);
    assert_int_equal(neap_board_add_up(board).connections, 7);
    atomic_store(&board->holding[1].connections, -5);
    assert_int_equal(neap_board_add_up(board).connections, 0);
}

/* ------------------------------------------------------------------------------ what dies with
 * whom */

/* Of each kind what a process can hold is held, until it is killed. */
static void hold_everything(void)
{
    neap_region_after_fork(region);
    uint32_t holder = neap_region_holder(region);
    struct neap_board *board = cell_of(region, NEAP_CELL_BOARD);
    bool done = take_probe(cell_of(region, NEAP_CELL_BREAKER), holder) > 0 &&
                take_place(cell_of(region, NEAP_CELL_BULKHEAD), holder) > 0;
    atomic_fetch_add(&board->holding[holder].in_flight, 3);
    atomic_fetch_add(&board->holding[holder].connections, 2);
    say(done ? holder : 0);
}

static pid_t start_holder(void)
{
    pid_t child = start_child(hold_everything);
    assert_int_not_equal(hear(), 0);
    now += NEAP_SECOND; /* as in the child */
    return child;
}

static void end_child(pid_t child)
{
    kill_child(child);
    (void)wait_for(child);
}

static void what_a_killed_process_held_of_each_kind_comes_back(void **state)
{
    (void)state;
    begin();
    struct neap_breaker *breaker = cell_of(region, NEAP_CELL_BREAKER);
    struct neap_bulkhead *bulkhead = cell_of(region, NEAP_CELL_BULKHEAD);
    struct neap_board *board = cell_of(region, NEAP_CELL_BOARD);
    uint32_t own = neap_region_holder(region);
    atomic_fetch_add(&board->holding[own].in_flight, 1);
    assert_true(take_place(bulkhead, own) > 0);

    pid_t child = start_holder();
    reap_cells(region);
    assert_int_equal(ask_breaker(breaker, own), 0);
    assert_int_equal(take_place(bulkhead, own), 0);
    assert_int_equal(neap_board_add_up(board).in_flight, 4);
    assert_int_equal(neap_board_add_up(board).connections, 2);

    end_child(child);
    reap_cells(region);
    assert_true(ask_breaker(breaker, own) > 0);
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &bulkhead_policy), 1);
    assert_int_equal(neap_board_add_up(board).in_flight, 1);
    assert_int_equal(neap_board_add_up(board).connections, 0);
}

static void what_only_counts_outlives_its_process(void **state)
{
    (void)state;
    begin();
    struct neap_cells cells = cells_in(region);
    end_child(start_holder());
    struct neap_rate_limiter *limiter = cell_of(region, NEAP_CELL_LIMITER);
    struct neap_retry_budget *budget = cell_of(region, NEAP_CELL_BUDGET);
    assert_true(neap_retry_budget_withdraw(budget, &budget_policy, now));
    (void)neap_rate_limiter_acquire(limiter, &limiter_policy, 1, 0, now);
    neap_cells_reap(&cells, now);
    assert_int_equal(neap_retry_budget_balance(budget, &budget_policy, now), 4);
    assert_int_equal(neap_rate_limiter_acquire(limiter, &limiter_policy, 1, 0, now).decision,
                     NEAP_REFUSE);
}

/* The shape follows the cell's memory, see shared/region_internal.h. */
static void overwrite_shape(void *cell, uint32_t kind, uint32_t size)
{
    struct neap_cell_shape *of =
        (void *)((unsigned char *)cell + neap_region_cell_bytes(region, cell));
    of->kind = kind;
    of->size[0] = size;
}

static void a_shape_that_was_overwritten_is_not_believed(void **state)
{
    (void)state;
    begin();
    void *breaker = cell_of(region, NEAP_CELL_BREAKER);
    struct neap_bulkhead *bulkhead = cell_of(region, NEAP_CELL_BULKHEAD);
    struct neap_board *board = cell_of(region, NEAP_CELL_BOARD);
    end_child(start_holder());
    overwrite_shape(breaker, 99, 1);
    overwrite_shape(bulkhead, NEAP_CELL_BULKHEAD + 1, UINT32_MAX);
    overwrite_shape(board, NEAP_CELL_BOARD + 1, UINT32_MAX);
    reap_cells(region);
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &bulkhead_policy), 1);
    assert_int_equal(neap_board_add_up(board).in_flight, 3);
}

/* ---------------------------------------------------------------------------------------- room */

static void where_all_is_pinned_there_is_no_room(void **state)
{
    (void)state;
    char text[16];
    struct neap_cells cells = cells_in(region);
    void *last = NULL, *cell = NULL;
    begin();
    cells.region = region;
    for (int i = 0;; i++) {
        int bytes = snprintf(text, sizeof text, "%d", i);
        cell =
            neap_cells_acquire(&cells, NEAP_CELL_BOARD, text, (size_t)bytes, &board_holders, now);
        if (!cell)
            break;
        last = cell;
    }
    assert_in_range(stats().cells, 2, 100);
    assert_int_equal(stats().refused, 1);
    assert_null(cell_of(region, NEAP_CELL_BOARD));
    release_cell(region, last);
    assert_non_null(cell_of(region, NEAP_CELL_BOARD));
    assert_int_equal(stats().evicted, 1);
}

static void without_memory_no_shared_cell_is_had(void **state)
{
    (void)state;
    begin();
    fill_hands();
    size_t n = 1;
    for (failing_alloc_fail(&memory, n); !cell_of(region, NEAP_CELL_GATE);
         failing_alloc_fail(&memory, ++n))
        assert_int_equal(stats().cells, NEAP_REGION_HANDS);
    assert_in_range(n, 2, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_private_cell_is_the_askers_alone),
        SPEC(private_cells_have_no_names_and_no_holders),
        SPEC(without_memory_there_is_no_private_cell),
        SPEC(new_cells_are_ready_for_use),
        SPEC(a_name_leads_everybody_to_one_cell),
        SPEC(a_cell_keeps_its_state_while_nobody_has_it),
        SPEC(names_may_hold_any_bytes),
        SPEC(finding_makes_no_cell_and_pins_the_one_there_is),
        SPEC(numbers_of_holders_are_the_regions),
        SPEC(a_breaker_of_another_layout_is_another_one),
        SPEC(alerts_of_other_windows_are_other_ones),
        SPEC(a_bulkhead_of_another_size_is_another_one),
        SPEC(a_budget_of_another_time_is_another_one),
        SPEC(a_limiter_is_the_same_whatever_its_rate),
        SPEC(a_board_adds_up_what_all_holders_have_in_flight),
        SPEC(a_board_adds_up_the_connections_of_all_holders),
        SPEC(what_a_killed_process_held_of_each_kind_comes_back),
        SPEC(what_only_counts_outlives_its_process),
        SPEC(a_shape_that_was_overwritten_is_not_believed),
        SPEC(where_all_is_pinned_there_is_no_room),
        SPEC(without_memory_no_shared_cell_is_had),
    };
    return cmocka_run_group_tests_name("cells", tests, NULL, NULL);
}
