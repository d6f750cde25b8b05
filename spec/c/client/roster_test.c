#include "client/roster.h"

#include <string.h>

#include "client/cells_fixture.h"

static struct neap_roster roster;

static void *named(enum neap_cell_kind kind, const char *of, size_t bytes)
{
    struct neap_cells cells = cells_in(region);
    return neap_cells_acquire(&cells, kind, of, bytes, policy_of[kind], now);
}

static void read_roster(void)
{
    assert_int_equal(neap_roster_read(&roster, &memory.alloc, region), NEAP_OK);
}

static const struct neap_rostered *entry_of(const char *wanted)
{
    const char *at;
    size_t bytes;
    const struct neap_rostered *entry = neap_roster_next(&roster, NULL, &at, &bytes);
    while (entry && (bytes != strlen(wanted) || memcmp(at, wanted, bytes) != 0))
        entry = neap_roster_next(&roster, entry, &at, &bytes);
    return entry;
}

static void an_empty_region_has_nobody(void **state)
{
    (void)state;
    const char *at;
    size_t bytes;
    begin();
    read_roster();
    assert_null(neap_roster_next(&roster, NULL, &at, &bytes));
    neap_roster_deinit(&roster);
}

static void who_has_a_board_is_a_client(void **state)
{
    (void)state;
    begin();
    struct neap_board *board = named(NEAP_CELL_BOARD, "api", 3);
    open_breaker(named(NEAP_CELL_BREAKER, "api", 3));
    open_breaker(named(NEAP_CELL_BREAKER, "lone", 4));
    assert_non_null(named(NEAP_CELL_BULKHEAD, "other", 5));
    atomic_fetch_add(&board->counters.calls, 7);
    release_cell(region, board);
    read_roster();
    const struct neap_rostered *entry = entry_of("api");
    assert_non_null(entry);
    assert_null(entry_of("lone"));
    assert_null(entry_of("other"));
    assert_int_equal(entry->breakers, 1);
    assert_int_equal(entry->keyed, 0);
    assert_int_equal(entry->in_state[NEAP_BREAKER_OPEN], 1);
    assert_false(entry->has_alerts);

    struct neap_board *found = neap_roster_board(&roster, "api", 3, now);
    assert_ptr_equal(found, board);
    assert_int_equal(atomic_load(&found->counters.calls), 7);
    release_cell(region, found);
    assert_null(neap_roster_board(&roster, "lone", 4, now));
    neap_roster_deinit(&roster);
}

static void breakers_of_keys_belong_to_their_client(void **state)
{
    (void)state;
    begin();
    assert_non_null(named(NEAP_CELL_BOARD, "api", 3));
    open_breaker(named(NEAP_CELL_BREAKER, "api\0a", 5));
    assert_non_null(named(NEAP_CELL_BREAKER, "api\0b\0c", 7));
    read_roster();
    const struct neap_rostered *entry = entry_of("api");
    assert_int_equal(entry->breakers, 2);
    assert_int_equal(entry->keyed, 2);
    assert_int_equal(entry->in_state[NEAP_BREAKER_OPEN], 1);
    assert_int_equal(entry->in_state[NEAP_BREAKER_CLOSED], 1);
    neap_roster_deinit(&roster);
}

static void alerts_tell_what_fires(void **state)
{
    (void)state;
    struct neap_alert_change change;
    struct neap_alert_policy watched = alert_policy;
    watched.has[NEAP_ALERT_BREAKER_OPEN] = true;
    begin();
    assert_non_null(named(NEAP_CELL_BOARD, "api", 3));
    struct neap_alerts *alerts = named(NEAP_CELL_ALERTS, "api", 3);
    assert_true(neap_alerts_note_breakers(alerts, &watched, 2, now, &change));
    read_roster();
    const struct neap_rostered *entry = entry_of("api");
    assert_true(entry->has_alerts);
    assert_int_equal(entry->firing, 1u << NEAP_ALERT_BREAKER_OPEN);
    assert_int_equal(entry->since_ns[NEAP_ALERT_BREAKER_OPEN], now);
    assert_true(entry->value[NEAP_ALERT_BREAKER_OPEN] == 2);
    neap_roster_deinit(&roster);
}

static void without_memory_there_is_no_roster(void **state)
{
    (void)state;
    enum neap_status status = NEAP_NO_MEMORY;
    begin();
    assert_non_null(named(NEAP_CELL_BOARD, "api", 3));
    size_t n = 0;
    while (status == NEAP_NO_MEMORY) {
        failing_alloc_fail(&memory, ++n);
        status = neap_roster_read(&roster, &memory.alloc, region);
        neap_roster_deinit(&roster);
    }
    assert_int_equal(status, NEAP_OK);
    assert_in_range(n, 2, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_empty_region_has_nobody),
        SPEC(who_has_a_board_is_a_client),
        SPEC(breakers_of_keys_belong_to_their_client),
        SPEC(alerts_tell_what_fires),
        SPEC(without_memory_there_is_no_roster),
    };
    return cmocka_run_group_tests_name("roster", tests, NULL, NULL);
}
