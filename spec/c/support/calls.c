#include "support/calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/clock.h"
#include "support/visitor.h"

static char *copy_of(const struct neap_alloc *alloc, const char *text)
{
    char *copy = text ? neap_copy_text(alloc, text, strlen(text)) : NULL;
    assert_true(!text || copy);
    return copy;
}

struct neap_client *make_client(struct neap_engine *engine, enum neap_carrier carrier,
                                uint32_t places, const struct neap_transport_settings *settings)
{
    struct neap_client_policy policy;
    struct neap_client *client;
    neap_client_policy_init(&policy, engine->alloc);
    policy.name = copy_of(engine->alloc, "api");
    policy.pipeline.timeout =
        (struct neap_timeouts){LIMIT_NS, LIMIT_NS, LIMIT_NS, NEAP_NEVER, NEAP_NEVER};
    policy.pipeline.retry = (struct neap_retry_policy){.max_attempts = 1};
    policy.pipeline.has_bulkhead = places > 0;
    policy.pipeline.bulkhead = (struct neap_bulkhead_policy){
        .max_concurrent = places, .max_wait_ns = LIMIT_NS, .max_queue = 10};
    if (settings) {
        policy.transport = *settings;
        policy.transport.ca_file = copy_of(engine->alloc, settings->ca_file);
    }
    assert_int_equal(neap_client_new(engine, &policy, carrier, &client), NEAP_OK);
    return client;
}

struct neap_exchange *make_exchange(struct neap_client *client, const char *url)
{
    struct neap_exchange *exchange = NULL;
    struct neap_draft draft = {
        .method = "GET", .timeout = client->policy.pipeline.timeout, .deadline_ns = NEAP_NEVER};
    assert_int_equal(neap_url_resolve(client->alloc, NULL, url, NULL, 0, &draft.url), NEAP_URL_OK);
    assert_int_equal(neap_exchange_new(client, &draft, &exchange), NEAP_OK);
    return exchange;
}

struct neap_exchange *begin_exchange(struct neap_client *client, const char *url)
{
    struct neap_exchange *exchange = make_exchange(client, url);
    neap_exchange_begin(exchange, false);
    return exchange;
}

bool poll_until(struct neap_engine *engine, bool (*is_so)(const void *), const void *context)
{
    int64_t until_ns = neap_clock_monotonic_ns() + LIMIT_NS;
    int visitor = -1;
    while (!is_so(context) && neap_clock_monotonic_ns() < until_ns) {
        if (engine->helper && visitor < 0)
            visitor = visit(neap_helper_doorbell(engine->helper));
        if (neap_engine_poll(engine))
            continue;
        if (!engine->helper) {
            neap_engine_turn(engine, neap_loop_now(engine->loop) + NEAP_SECOND);
        } else if (neap_helper_arm(engine->helper)) {
            hears(visitor, 1000);
            count_rings(visitor);
        }
    }
    if (visitor >= 0)
        close(visitor);
    return is_so(context);
}

static bool has_attention(const void *exchange)
{
    return ((const struct neap_exchange *)exchange)->attention != NEAP_ATTENTION_NONE;
}

int finish(struct neap_exchange *exchange)
{
    bool ended = poll_until(exchange->client->engine, has_attention, exchange) &&
                 exchange->attention == NEAP_ATTENTION_DONE;
    const struct neap_result *result = &exchange->call.result;
    int status = ended && result->kind == NEAP_RESULT_RESPONSE ? exchange->response->status : 0;
    neap_exchange_free(exchange);
    return status;
}
