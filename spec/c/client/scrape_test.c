#include "client/scrape.h"

#include "client/cells_fixture.h"
#include "client/engine.h"
#include "client/scrape_families.h"

#define CLIENTS 3

static struct neap_engine *engine;
static struct neap_client *clients[CLIENTS];
static struct neap_buffer text;

static struct neap_client *make_client(const char *called, enum neap_key_choice key,
                                       enum neap_carrier carrier)
{
    struct neap_client *made = NULL;
    struct neap_client_policy policy;
    neap_client_policy_init(&policy, &memory.alloc);
    policy.name = neap_copy_text(&memory.alloc, called, strlen(called));
    policy.breaker_key = key;
    policy.breaker_max_keys = 1000;
    policy.pipeline.breaker = breaker_policy;
    policy.pipeline.has_breaker = true;
    policy.pipeline.retry.enabled = true;
    assert_int_equal(neap_client_new(engine, &policy, carrier, &made), NEAP_OK);
    return made;
}

/* One for each carrier; the one in the middle has a breaker for each key. */
static void make_clients(struct neap_region *in)
{
    neap_buffer_init(&text, &memory.alloc);
    assert_int_equal(neap_engine_new(&memory.alloc, &engine), NEAP_OK);
    if (in)
        neap_engine_share(engine, in);
    clients[0] = make_client("a", NEAP_KEY_CLIENT, NEAP_CARRIER_NETWORK);
    clients[1] = make_client("b", NEAP_KEY_HOST, NEAP_CARRIER_SCRIPT);
    clients[2] = make_client("c", NEAP_KEY_CLIENT, NEAP_CARRIER_FUNCTION);
}

static int tear_down_all(void **state)
{
    neap_buffer_deinit(&text);
    for (size_t i = 0; i < CLIENTS; i++)
        neap_client_release(clients[i]);
    neap_engine_release(engine);
    return tear_down(state);
}

#undef SPEC
#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down_all)

static const char *scrape(struct neap_label process)
{
    const struct neap_scrape all = {.clients = clients, .count = CLIENTS, .process = process};
    neap_buffer_clear(&text);
    assert_int_equal(neap_scrape_write(&all, &memory.alloc, &text), NEAP_OK);
    return text.data;
}

static const char *scrape_plainly(void)
{
    return scrape((struct neap_label){NULL, NULL, 0});
}

static void assert_line(const char *line)
{
    char whole[256];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (!strstr(text.data, whole))
        fail_msg("no line %s in:\n%s", line, text.data);
}

static size_t times(const char *part)
{
    size_t count = 0;
    for (const char *at = text.data; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static void open_key(const char *key)
{
    struct neap_breaker *breaker = neap_client_pin_breaker(clients[1], key, strlen(key));
    open_breaker(breaker);
    neap_client_unpin_breaker(clients[1], breaker);
}

static void nobody_has_only_a_version(void **state)
{
    (void)state;
    make_clients(NULL);
    const struct neap_scrape none = {.count = 0};
    assert_int_equal(neap_scrape_write(&none, &memory.alloc, &text), NEAP_OK);
    assert_int_equal(times("\n"), 3);
    assert_line("# TYPE neap_build_info gauge");
}

static void each_family_stands_once_in_its_order(void **state)
{
    (void)state;
    make_clients(NULL);
    const char *at = scrape_plainly();
    for (size_t i = 0; i < neap_client_family_count; i++) {
        char head[128];
        (void)snprintf(head, sizeof head, "\n# HELP %s ", neap_client_families[i].family.name);
        assert_true(times(head) <= 1);
        const char *found = strstr(text.data, head);
        assert_true(!found || found > at);
        at = found ? found : at;
    }
}

static void families_are_named_by_the_rules(void **state)
{
    (void)state;
    make_clients(NULL);
    for (size_t i = 0; i < neap_client_family_count; i++) {
        const struct neap_family *family = &neap_client_families[i].family;
        size_t bytes = strlen(family->name), suffix = strlen("_total");
        bool is_total = bytes > suffix && strcmp(family->name + bytes - suffix, "_total") == 0;
        assert_int_equal(is_total, family->type == NEAP_METRIC_COUNTER);
        assert_memory_equal(family->name, "neap_", strlen("neap_"));
        assert_null(strpbrk(family->help, "\\\n"));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(family->name, neap_client_families[j].family.name);
    }
}

static void what_is_counted_stands_there(void **state)
{
    (void)state;
    make_clients(NULL);
    struct neap_board *board = clients[0]->board;
    atomic_store(&board->counters.ok, 4);
    atomic_store(&board->counters.errors[NEAP_KIND_CONFLICT], 2);
    atomic_store(&board->counters.retries[NEAP_RETRY_503], 5);
    atomic_store(&board->holding[0].in_flight, 6);
    atomic_store(&board->holding[0].connections, 7);
    atomic_store(&board->connections_opened, 8);
    neap_histogram_record(&board->counters.latency, 3 * NEAP_SECOND);
    scrape_plainly();
    assert_line("neap_calls_total{client=\"a\",result=\"ok\"} 4");
    assert_line("neap_calls_total{client=\"a\",result=\"conflict\"} 2");
    assert_line("neap_retries_total{client=\"a\",reason=\"503\"} 5");
    assert_line("neap_in_flight{client=\"a\"} 6");
    assert_line("neap_pool_connections{client=\"a\"} 7");
    assert_line("neap_pool_opened_total{client=\"a\"} 8");
    assert_line("neap_call_duration_seconds_bucket{client=\"a\",le=\"2.097152\"} 0");
    assert_line("neap_call_duration_seconds_bucket{client=\"a\",le=\"4.194304\"} 1");
    assert_line("neap_call_duration_seconds_sum{client=\"a\"} 3");
}

static void only_what_a_client_can_come_to_stands_there_as_0(void **state)
{
    (void)state;
    make_clients(NULL);
    scrape_plainly();
    assert_line("neap_calls_total{client=\"a\",result=\"connect\"} 0");
    assert_line("neap_rejections_total{client=\"a\",by=\"breaker_open\"} 0");
    assert_line("neap_retries_total{client=\"c\",reason=\"error\"} 0");
    assert_int_equal(times("result=\"conflict\""), 0);
    assert_int_equal(times("by=\"rate_limited\""), 0);
    assert_int_equal(times("client=\"c\",result=\"connect\""), 0);
    assert_int_equal(times("reason=\"error\""), 1);
    assert_int_equal(times("neap_fallbacks_total"), 0);
    assert_int_equal(times("neap_pool_connections{"), 1);
}

static void one_breaker_is_in_one_state(void **state)
{
    (void)state;
    make_clients(NULL);
    open_breaker(clients[0]->breaker);
    scrape_plainly();
    assert_line("neap_breaker_state{client=\"a\",state=\"closed\"} 0");
    assert_line("neap_breaker_state{client=\"a\",state=\"open\"} 1");
    assert_line("neap_breaker_failure_ratio{client=\"a\"} 1");
    assert_line("neap_breaker_state{client=\"c\",state=\"closed\"} 1");
    assert_int_equal(times("neap_breaker_failure_ratio{"), 1);
}

static void breakers_of_keys_are_named_and_counted(void **state)
{
    (void)state;
    make_clients(NULL);
    open_key("k\n1");
    scrape_plainly();
    assert_line("neap_breaker_state{client=\"b\",key=\"k\\n1\",state=\"open\"} 1");
    assert_line("neap_breaker_state{client=\"b\",key=\"k\\n1\",state=\"closed\"} 0");
    assert_line("neap_breaker_state{client=\"b\",state=\"open\"} 0");
    assert_line("neap_breaker_failure_ratio{client=\"b\",key=\"k\\n1\"} 1");
}

static void however_many_keys_there_are_the_samples_are_bounded(void **state)
{
    (void)state;
    make_clients(NULL);
    for (int i = 0; i < 500; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        open_key(key);
    }
    scrape_plainly();
    assert_int_equal(times("neap_breaker_state{client=\"b\",key="),
                     NEAP_BREAKERS_NAMED * NEAP_BREAKER_STATE_COUNT);
    assert_line("neap_breaker_state{client=\"b\",state=\"open\"} 400");
}

static void alerts_of_the_policy_fire_or_do_not(void **state)
{
    (void)state;
    struct neap_client_policy policy;
    make_clients(NULL);
    neap_client_release(clients[0]);
    neap_client_policy_init(&policy, &memory.alloc);
    policy.name = neap_copy_text(&memory.alloc, "a", 1);
    policy.has_alerts = true;
    policy.alerts = (struct neap_alert_policy){.window_ns = 60 * NEAP_SECOND};
    policy.alerts.has[NEAP_ALERT_BREAKER_OPEN] = policy.alerts.has[NEAP_ALERT_ERROR_RATE] = true;
    assert_int_equal(neap_client_new(engine, &policy, NEAP_CARRIER_NETWORK, &clients[0]), NEAP_OK);
    atomic_store(&clients[0]->alerts->firing, UINT32_C(1) << NEAP_ALERT_BREAKER_OPEN);
    scrape_plainly();
    assert_line("neap_alert_firing{client=\"a\",alert=\"breaker_open\"} 1");
    assert_line("neap_alert_firing{client=\"a\",alert=\"error_rate\"} 0");
    assert_int_equal(times("neap_alert_firing{"), 2);
}

static void a_process_is_named_where_nothing_is_shared(void **state)
{
    (void)state;
    make_clients(NULL);
    scrape(neap_label("worker", "3"));
    assert_line("neap_in_flight{client=\"a\",worker=\"3\"} 0");
    assert_line("neap_breaker_state{client=\"a\",worker=\"3\",state=\"closed\"} 1");
    assert_int_equal(times("neap_shared_"), 0);
}

static void shared_figures_are_those_of_all(void **state)
{
    (void)state;
    region = join((size_t)1 << 20);
    make_clients(region);
    atomic_store(&clients[0]->board->holding[NEAP_HOLDER_MAX].in_flight, 2);
    atomic_store(&clients[0]->board->holding[clients[0]->holder].in_flight, 3);
    open_key("k");
    scrape(neap_label("worker", "3"));
    assert_line("neap_in_flight{client=\"a\"} 5");
    assert_line("neap_breaker_state{client=\"b\",key=\"k\",state=\"open\"} 1");
    assert_int_equal(times("worker="), 0);
}

static void the_region_has_figures_of_its_own_once(void **state)
{
    (void)state;
    char line[128];
    region = join((size_t)1 << 20);
    make_clients(region);
    scrape_plainly();
    (void)snprintf(line, sizeof line, "neap_shared_size_bytes{region=\"%s\"} %zu", name,
                   (size_t)1 << 20);
    assert_line(line);
    (void)snprintf(line, sizeof line, "neap_shared_processes{region=\"%s\"} 1", name);
    assert_line(line);
    assert_int_equal(times("\nneap_shared_cells{"), 1);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    const struct neap_scrape all = {.clients = clients, .count = CLIENTS};
    enum neap_status status = NEAP_NO_MEMORY;
    size_t n = 1;
    make_clients(NULL);
    open_key("k");
    for (; status != NEAP_OK; n++) {
        neap_buffer_deinit(&text);
        failing_alloc_fail(&memory, n);
        status = neap_scrape_write(&all, &memory.alloc, &text);
        failing_alloc_fail(&memory, 0);
        assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
        assert_true(n < 100);
    }
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(nobody_has_only_a_version),
        SPEC(each_family_stands_once_in_its_order),
        SPEC(families_are_named_by_the_rules),
        SPEC(what_is_counted_stands_there),
        SPEC(only_what_a_client_can_come_to_stands_there_as_0),
        SPEC(one_breaker_is_in_one_state),
        SPEC(breakers_of_keys_are_named_and_counted),
        SPEC(however_many_keys_there_are_the_samples_are_bounded),
        SPEC(alerts_of_the_policy_fire_or_do_not),
        SPEC(a_process_is_named_where_nothing_is_shared),
        SPEC(shared_figures_are_those_of_all),
        SPEC(the_region_has_figures_of_its_own_once),
        SPEC(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("scrape", tests, NULL, NULL);
}
