#include "client/exchange_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "pipeline/cache_key.h"
#include "support/failing_alloc.h"
#include "support/stores.h"

#define S NEAP_SECOND

/* Scripted calls on a virtual loop, and a store in memory: the test plays the part of Lua. */
static struct failing_alloc failing;
static struct neap_engine *engine;
static struct neap_client *client;
static struct neap_store *store;
static int steps;

static enum neap_status open_world(void)
{
    const struct neap_memory_settings settings = {.max_bytes = 1024 * 1024};
    struct neap_client_policy policy;
    engine = NULL;
    client = NULL;
    store = NULL;
    steps = 0;
    neap_client_policy_init(&policy, &failing.alloc);
    enum neap_status status = neap_engine_new_virtual(&failing.alloc, 1, 0, &engine);
    if (status != NEAP_OK)
        return status;
    if (neap_store_open_memory(&failing.alloc, &settings, &store) != NEAP_STORE_OK)
        return NEAP_NO_MEMORY;
    policy.pipeline.timeout = (struct neap_timeouts){2 * S, 5 * S, 5 * S, NEAP_NEVER, 30 * S};
    policy.pipeline.retry = (struct neap_retry_policy){.max_attempts = 1};
    policy.cache.enabled = true;
    policy.name = neap_copy_text(&failing.alloc, "api", 3);
    if (!policy.name)
        return NEAP_NO_MEMORY;
    return neap_client_new(engine, &policy, NEAP_CARRIER_SCRIPT, &client);
}

static void close_world(void)
{
    neap_client_release(client);
    neap_engine_release(engine);
    neap_store_free(store);
    failing_alloc_assert_all_freed(&failing);
}

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&failing);
    assert_int_equal(open_world(), NEAP_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_world();
    return 0;
}

static enum neap_status make(const char *method, struct neap_exchange **exchange)
{
    struct neap_draft draft = {
        .method = method, .timeout = client->policy.pipeline.timeout, .deadline_ns = NEAP_NEVER};
    enum neap_url_error error =
        neap_url_resolve(&failing.alloc, NULL, "https://api.example/x", NULL, 0, &draft.url);
    if (error == NEAP_URL_NO_MEMORY)
        return NEAP_NO_MEMORY;
    assert_int_equal(error, NEAP_URL_OK);
    return neap_exchange_new(client, &draft, exchange);
}

static struct neap_bytes as_bytes(struct neap_text text)
{
    return (struct neap_bytes){text.text, text.bytes};
}

static enum neap_status take(struct neap_exchange *exchange, enum neap_store_status status,
                             struct neap_text value)
{
    if (status == NEAP_STORE_NO_MEMORY)
        return NEAP_NO_MEMORY;
    if (status != NEAP_STORE_OK && status != NEAP_STORE_NONE) {
        neap_cache_fail(exchange);
        return NEAP_OK;
    }
    return neap_cache_take(exchange, status == NEAP_STORE_OK, value);
}

static enum neap_status perform(struct neap_exchange *exchange, const struct neap_cache_step *step)
{
    int64_t now_ns = neap_loop_wall(engine->loop);
    struct neap_bytes key = as_bytes(step->key);
    struct neap_blob blob;
    const struct neap_text none = {"", 0};
    steps++;
    if (step->op == NEAP_CACHE_OP_PUT)
        return take(exchange,
                    neap_store_put(store, key, as_bytes(step->value), now_ns, step->until_ns),
                    none);
    if (step->op == NEAP_CACHE_OP_REMOVE)
        return take(exchange, neap_store_remove(store, key), none);
    enum neap_store_status status = neap_store_get(store, key, now_ns, &blob);
    if (status != NEAP_STORE_OK)
        return take(exchange, status, none);
    enum neap_status taken = take(exchange, status, (struct neap_text){blob.at, blob.bytes});
    neap_blob_free(&blob);
    return taken;
}

static enum neap_status carry(struct neap_exchange *exchange)
{
    enum neap_status status = NEAP_OK;
    struct neap_cache_step step = neap_cache_next(exchange);
    while (status == NEAP_OK && step.op != NEAP_CACHE_OP_NONE) {
        status = perform(exchange, &step);
        step = neap_cache_next(exchange);
    }
    return status;
}

static enum neap_status begin(struct neap_exchange *exchange, bool lone,
                              enum neap_cache_verdict *verdict)
{
    bool uses;
    enum neap_status status = neap_exchange_use_cache(exchange, lone, &uses);
    if (status == NEAP_OK)
        status = carry(exchange);
    if (status != NEAP_OK)
        return status;
    *verdict = neap_exchange_begin_by_cache(exchange);
    if (*verdict == NEAP_CACHE_REVALIDATE)
        neap_exchange_begin(exchange, false);
    return NEAP_OK;
}

static enum neap_status reply(struct neap_exchange *exchange, int status, const char *control)
{
    struct neap_response *response;
    enum neap_status made = neap_response_new(&failing.alloc, &response);
    if (made != NEAP_OK)
        return made;
    response->status = status;
    made = neap_response_add_header(response, "Cache-Control", 13, control, strlen(control));
    if (made == NEAP_OK)
        made = neap_response_add_header(response, "ETag", 4, "\"a\"", 3);
    if (made == NEAP_OK)
        made = neap_response_add_header(response, "Vary", 4, "Accept", 6);
    if (made == NEAP_OK && status == 200)
        made = neap_buffer_append(&response->body, "one", 3);
    if (made != NEAP_OK) {
        neap_response_free(response);
        return made;
    }
    return neap_exchange_reply(exchange, exchange->effect.attempt, 0,
                               &(struct neap_outcome){.status = status}, response);
}

static enum neap_status conclude(struct neap_exchange *exchange)
{
    if (exchange->attention != NEAP_ATTENTION_DONE)
        assert_true(neap_exchange_run(exchange));
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    enum neap_status status = neap_exchange_conclude_cache(exchange);
    return status == NEAP_OK ? carry(exchange) : status;
}

/* A whole call that is answered so, if it comes to an attempt. Its exchange is left in *exchange,
 * to be freed by the caller in every case. */
static enum neap_status call(const char *method, int status, const char *control,
                             struct neap_exchange **exchange, enum neap_cache_verdict *verdict)
{
    *exchange = NULL;
    enum neap_status made = make(method, exchange);
    if (made == NEAP_OK)
        made = begin(*exchange, false, verdict);
    if (made == NEAP_OK && *verdict == NEAP_CACHE_REVALIDATE)
        made = reply(*exchange, status, control);
    return made == NEAP_OK ? conclude(*exchange) : made;
}

static void assert_call(const char *method, int status, const char *control,
                        enum neap_cache_verdict expected, enum neap_result_kind kind)
{
    struct neap_exchange *exchange;
    enum neap_cache_verdict verdict;
    assert_int_equal(call(method, status, control, &exchange, &verdict), NEAP_OK);
    assert_int_equal(verdict, expected);
    assert_int_equal(exchange->call.result.kind, kind);
    if (kind == NEAP_RESULT_STORED) {
        assert_int_equal(exchange->response->status, 200);
        assert_string_equal(exchange->response->body.data, "one");
        assert_true(neap_exchange_answer_age(exchange) >= 0);
    }
    neap_exchange_free(exchange);
}

#define REVALIDATED NEAP_CACHE_REVALIDATE, NEAP_RESULT_STORED
#define FETCHED NEAP_CACHE_REVALIDATE, NEAP_RESULT_RESPONSE

static uint64_t counted(enum neap_cache_event event)
{
    return client->board->counters.cache[event];
}

static void a_call_is_answered_by_what_another_stored(void **state)
{
    (void)state;
    assert_call("GET", 200, "max-age=60", FETCHED);
    assert_int_equal(steps, 5); /* look, make, look; names, answer */
    assert_call("GET", 0, "", NEAP_CACHE_FRESH, NEAP_RESULT_STORED);
    assert_int_equal(steps, 8); /* look, entry, variant */
    assert_int_equal(counted(NEAP_CACHE_EVENT_HIT), 1);
    assert_int_equal(counted(NEAP_CACHE_EVENT_MISS), 1);
}

static void a_304_is_the_stored_answer(void **state)
{
    (void)state;
    assert_call("GET", 200, "no-cache", FETCHED);
    assert_call("GET", 304, "max-age=60", REVALIDATED);
    assert_call("GET", 0, "", NEAP_CACHE_FRESH, NEAP_RESULT_STORED);
    assert_int_equal(counted(NEAP_CACHE_EVENT_REVALIDATED), 1);
}

static void a_304_that_says_no_store_is_an_answer_and_the_last(void **state)
{
    (void)state;
    assert_call("GET", 200, "no-cache", FETCHED);
    assert_call("GET", 304, "no-store", REVALIDATED);
    assert_call("GET", 200, "no-store", FETCHED);
}

static void a_change_makes_what_is_stored_unreachable(void **state)
{
    (void)state;
    assert_call("GET", 200, "max-age=60", FETCHED);
    assert_call("DELETE", 204, "", FETCHED);
    assert_call("GET", 200, "max-age=60", FETCHED);
    assert_call("PUT", 400, "", FETCHED);
    assert_call("GET", 0, "", NEAP_CACHE_FRESH, NEAP_RESULT_STORED);
}

static void a_change_of_what_nobody_looked_for_stores_nothing(void **state)
{
    (void)state;
    assert_call("DELETE", 204, "", FETCHED);
    assert_int_equal(steps, 1);
}

static void a_store_that_fails_is_left_alone(void **state)
{
    (void)state;
    struct neap_exchange *exchange;
    bool uses;
    assert_int_equal(make("GET", &exchange), NEAP_OK);
    assert_int_equal(neap_exchange_use_cache(exchange, false, &uses), NEAP_OK);
    assert_true(uses);
    neap_cache_fail(exchange);
    neap_cache_fail(exchange);
    assert_int_equal(neap_cache_next(exchange).op, NEAP_CACHE_OP_NONE);
    assert_int_equal(neap_exchange_begin_by_cache(exchange), NEAP_CACHE_REVALIDATE);
    neap_exchange_begin(exchange, false);
    assert_int_equal(reply(exchange, 200, "max-age=60"), NEAP_OK);
    assert_int_equal(conclude(exchange), NEAP_OK);
    assert_int_equal(exchange->call.result.kind, NEAP_RESULT_RESPONSE);
    assert_int_equal(steps, 0);
    assert_int_equal(counted(NEAP_CACHE_EVENT_ERROR), 1);
    neap_exchange_free(exchange);
}

static void what_is_damaged_is_as_good_as_none(void **state)
{
    (void)state;
    struct neap_exchange *exchange;
    bool uses;
    assert_int_equal(make("GET", &exchange), NEAP_OK);
    assert_int_equal(neap_exchange_use_cache(exchange, false, &uses), NEAP_OK);
    const struct neap_text rubbish = {"rubbish", 7};
    assert_int_equal(neap_cache_take(exchange, true, rubbish), NEAP_OK);
    assert_int_equal(neap_cache_next(exchange).op, NEAP_CACHE_OP_PUT);
    assert_int_equal(neap_cache_take(exchange, true, rubbish), NEAP_OK);
    assert_int_equal(neap_cache_next(exchange).op, NEAP_CACHE_OP_GET);
    assert_int_equal(neap_cache_take(exchange, true, rubbish), NEAP_OK);
    assert_int_equal(neap_cache_next(exchange).op, NEAP_CACHE_OP_NONE);
    assert_int_equal(neap_exchange_begin_by_cache(exchange), NEAP_CACHE_REVALIDATE);
    neap_exchange_free(exchange);
}

static void a_call_that_was_cancelled_stores_nothing(void **state)
{
    (void)state;
    struct neap_exchange *exchange;
    enum neap_cache_verdict verdict;
    assert_int_equal(make("GET", &exchange), NEAP_OK);
    assert_int_equal(begin(exchange, false, &verdict), NEAP_OK);
    steps = 0;
    neap_exchange_cancel(exchange);
    assert_int_equal(conclude(exchange), NEAP_OK);
    assert_int_equal(steps, 0);
    neap_exchange_free(exchange);
}

static void a_lone_call_is_not_answered_by_the_cache(void **state)
{
    (void)state;
    struct neap_exchange *exchange;
    enum neap_cache_verdict verdict;
    assert_call("GET", 200, "max-age=60, stale-if-error=60", FETCHED);
    assert_int_equal(make("GET", &exchange), NEAP_OK);
    assert_int_equal(begin(exchange, true, &verdict), NEAP_OK);
    assert_int_equal(verdict, NEAP_CACHE_REVALIDATE);
    assert_int_equal(reply(exchange, 503, ""), NEAP_OK);
    assert_int_equal(conclude(exchange), NEAP_OK);
    assert_int_equal(exchange->call.result.kind, NEAP_RESULT_RESPONSE);
    assert_int_equal(counted(NEAP_CACHE_EVENT_MISS), 1);
    neap_exchange_free(exchange);
}

/* Stores, asks, is answered by a 304, stands in for a failure, and is forgotten. */
static enum neap_status live(void)
{
    static const struct {
        const char *method;
        int status;
        const char *control;
    } calls[] = {{"GET", 200, "no-cache"}, {"GET", 304, "max-age=0, stale-if-error=60"},
                 {"GET", 503, ""},         {"GET", 200, "max-age=60"},
                 {"GET", 0, ""},           {"DELETE", 204, ""}};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct neap_exchange *exchange;
        enum neap_cache_verdict verdict;
        enum neap_status status =
            call(calls[i].method, calls[i].status, calls[i].control, &exchange, &verdict);
        neap_exchange_free(exchange);
        if (status != NEAP_OK)
            return status;
    }
    return NEAP_OK;
}

static void each_lack_of_memory_is_survived(void **state)
{
    (void)state;
    failing.allocations = 0;
    assert_int_equal(live(), NEAP_OK);
    size_t needed = failing.allocations;
    assert_true(needed > 50);
    for (size_t n = 1; n <= needed; n++) {
        close_world();
        failing_alloc_init(&failing);
        assert_int_equal(open_world(), NEAP_OK);
        failing_alloc_fail(&failing, n);
        enum neap_status status = live();
        assert_true(status == NEAP_OK || status == NEAP_NO_MEMORY);
        failing_alloc_fail(&failing, 0);
        assert_int_equal(live(), NEAP_OK);
    }
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_call_is_answered_by_what_another_stored),
        SPEC(a_304_is_the_stored_answer),
        SPEC(a_304_that_says_no_store_is_an_answer_and_the_last),
        SPEC(a_change_makes_what_is_stored_unreachable),
        SPEC(a_change_of_what_nobody_looked_for_stores_nothing),
        SPEC(a_store_that_fails_is_left_alone),
        SPEC(what_is_damaged_is_as_good_as_none),
        SPEC(a_call_that_was_cancelled_stores_nothing),
        SPEC(a_lone_call_is_not_answered_by_the_cache),
        SPEC(each_lack_of_memory_is_survived),
    };
    return cmocka_run_group_tests_name("exchange_cache", tests, NULL, NULL);
}
