#include "client/client.h"

#include <string.h>

#include "client/exchange.h"

/* Only the parts that the policy has are allocated; what is NULL is not looked at by the pipeline.
 */
static enum neap_status make_state(struct neap_client *client)
{
    const struct neap_pipeline *pipeline = &client->policy.pipeline;
    const struct neap_alloc *alloc = client->alloc;

    neap_keymap_init(&client->keyed_breakers, alloc, neap_breaker_bytes(&pipeline->breaker),
                     client->policy.breaker_max_keys > 0 ? client->policy.breaker_max_keys : 1);
    neap_keymap_seed(&client->keyed_breakers, neap_engine_hash_seed(client->engine));
    neap_rate_limiter_init(&client->limiter);
    if (pipeline->has_breaker && client->policy.breaker_key == NEAP_KEY_CLIENT) {
        client->breaker = neap_alloc(alloc, neap_breaker_bytes(&pipeline->breaker));
        if (!client->breaker)
            return NEAP_NO_MEMORY;
        neap_breaker_init(client->breaker, &pipeline->breaker);
    }
    if (pipeline->has_bulkhead) {
        client->bulkhead = neap_alloc(alloc, neap_bulkhead_bytes(&pipeline->bulkhead));
        if (!client->bulkhead)
            return NEAP_NO_MEMORY;
        neap_bulkhead_init(client->bulkhead, &pipeline->bulkhead);
    }
    if (pipeline->has_budget) {
        client->budget = neap_alloc(alloc, neap_retry_budget_bytes(&pipeline->budget));
        if (!client->budget)
            return NEAP_NO_MEMORY;
        neap_retry_budget_init(client->budget, &pipeline->budget);
    }
    return NEAP_OK;
}

enum neap_status neap_client_new(struct neap_engine *engine, struct neap_client_policy *policy,
                                 enum neap_carrier carrier, struct neap_client **client)
{
    struct neap_client *made = neap_alloc_zeroed(engine->alloc, sizeof *made);
    if (!made) {
        neap_client_policy_deinit(policy);
        return NEAP_NO_MEMORY;
    }
    made->alloc = engine->alloc;
    made->engine = neap_engine_hold(engine);
    made->policy = *policy;
    made->carrier = carrier;
    made->references = 1;
    memset(policy, 0, sizeof *policy);
    neap_counters_init(&made->counters);

    enum neap_status status = make_state(made);
    if (status != NEAP_OK) {
        neap_client_release(made);
        return status;
    }
    *client = made;
    return NEAP_OK;
}

struct neap_client *neap_client_hold(struct neap_client *client)
{
    client->references++;
    return client;
}

void neap_client_release(struct neap_client *client)
{
    if (!client || --client->references > 0)
        return;
    neap_transport_free(client->transport);
    neap_free(client->alloc, client->budget);
    neap_free(client->alloc, client->bulkhead);
    neap_free(client->alloc, client->breaker);
    neap_keymap_deinit(&client->keyed_breakers);
    neap_client_policy_deinit(&client->policy);
    neap_engine_release(client->engine);
    neap_free(client->alloc, client);
}

const char *neap_client_key_header(const struct neap_client *client)
{
    const char *own = client->policy.idempotency.header;
    return own ? own : NEAP_KEY_HEADER;
}

struct neap_transport_stats neap_client_pool(const struct neap_client *client)
{
    struct neap_transport_stats stats = client->pool;
    if (client->transport)
        neap_transport_read(client->transport, &stats);
    return stats;
}

void neap_client_close(struct neap_client *client)
{
    client->closed = true;
    for (struct neap_exchange *at = client->exchanges; at; at = at->next_of_client)
        neap_exchange_cancel(at);

    /* A call whose listeners are being told ends its transfers only afterwards. */
    struct neap_transport_stats stats = neap_client_pool(client);
    if (stats.in_flight > 0)
        return;
    client->pool = stats;
    neap_transport_free(client->transport);
    client->transport = NULL;
}

enum neap_status neap_client_connect(struct neap_client *client, char message[NEAP_MESSAGE_BYTES])
{
    if (client->transport)
        return NEAP_OK;
    return neap_transport_new(client->alloc, client->engine->loop, &client->policy.transport,
                              &client->transport, message);
}

struct neap_breaker *neap_client_pin_breaker(struct neap_client *client, const char *key,
                                             size_t key_bytes)
{
    bool is_new;
    if (!key)
        return client->breaker;
    void *cell = neap_keymap_get(&client->keyed_breakers, key, key_bytes, &is_new);
    if (!cell)
        return NULL;
    if (is_new)
        neap_breaker_init(cell, &client->policy.pipeline.breaker);
    neap_keymap_pin(&client->keyed_breakers, cell);
    return cell;
}

void neap_client_unpin_breaker(struct neap_client *client, struct neap_breaker *breaker)
{
    if (breaker && breaker != client->breaker)
        neap_keymap_unpin(&client->keyed_breakers, breaker);
}
