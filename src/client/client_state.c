#include "client/client_state.h"

#include <string.h>

#include "base/buffer.h"
#include "base/holder.h"
#include "client/client.h"
#include "platform/process.h"

static void *acquire(struct neap_client *client, enum neap_cell_kind kind, const void *policy)
{
    const char *name = client->policy.name;
    return neap_cells_acquire(&client->cells, kind, name, strlen(name), policy,
                              neap_loop_now(client->engine->loop));
}

static void release(struct neap_client *client, void *cell)
{
    neap_cells_release(&client->cells, cell, neap_loop_now(client->engine->loop));
}

/* The cell that the client before this one has, where it fits; a region gives it by its name. */
static void *take(struct neap_client *client, enum neap_cell_kind kind, const void *policy,
                  void *before, const void *policy_before)
{
    if (before && !client->cells.region && neap_cells_fit(kind, policy, policy_before))
        return neap_cells_share(before);
    return acquire(client, kind, policy);
}

static bool take_board(struct neap_client *client, const struct neap_client *before)
{
    uint32_t holders = client->cells.region ? NEAP_HOLDER_MAX + 1 : 1;
    client->holder = neap_cells_holder(&client->cells);
    client->board =
        take(client, NEAP_CELL_BOARD, &holders, before ? before->board : NULL, &holders);
    return client->board != NULL;
}

/* What the breaker knows goes on in a window of another size, as far as that holds it. A shared one
 * may have been in use by others for long: it is let be. False without memory. */
static bool carry_over(struct neap_client *client, const struct neap_client *before)
{
    const struct neap_breaker_policy *policy = &client->policy.pipeline.breaker;
    int64_t now_ns = neap_loop_now(client->engine->loop);
    char *text;
    if (client->breaker == before->breaker || client->cells.region)
        return true;
    if (neap_breaker_export(before->breaker, &before->policy.pipeline.breaker, now_ns,
                            client->alloc, &text) != NEAP_OK)
        return false;
    enum neap_status status =
        neap_breaker_import(client->breaker, policy, now_ns, text, strlen(text));
    neap_free(client->alloc, text);
    return status == NEAP_OK;
}

static bool take_breaker(struct neap_client *client, const struct neap_client *before)
{
    const struct neap_breaker_policy *policy = &client->policy.pipeline.breaker;
    if (!client->policy.pipeline.has_breaker || client->policy.breaker_key != NEAP_KEY_CLIENT)
        return true;
    client->breaker = take(client, NEAP_CELL_BREAKER, policy, before ? before->breaker : NULL,
                           before ? &before->policy.pipeline.breaker : NULL);
    if (client->breaker && before && before->breaker)
        return carry_over(client, before);
    return client->breaker != NULL;
}

static bool take_bulkhead(struct neap_client *client, const struct neap_client *before)
{
    const struct neap_pipeline *pipeline = &client->policy.pipeline;
    if (!pipeline->has_bulkhead)
        return true;
    client->bulkhead =
        take(client, NEAP_CELL_BULKHEAD, &pipeline->bulkhead, before ? before->bulkhead : NULL,
             before ? &before->policy.pipeline.bulkhead : NULL);
    return client->bulkhead != NULL;
}

static bool take_limiter(struct neap_client *client, const struct neap_client *before)
{
    if (!client->policy.pipeline.has_limiter)
        return true;
    client->limiter = take(client, NEAP_CELL_LIMITER, NULL, before ? before->limiter : NULL, NULL);
    return client->limiter != NULL;
}

static bool take_budget(struct neap_client *client, const struct neap_client *before)
{
    const struct neap_pipeline *pipeline = &client->policy.pipeline;
    if (!pipeline->has_budget)
        return true;
    client->budget =
        take(client, NEAP_CELL_BUDGET, &pipeline->budget, before ? before->budget : NULL,
             before ? &before->policy.pipeline.budget : NULL);
    return client->budget != NULL;
}

static bool take_alerts(struct neap_client *client, const struct neap_client *before)
{
    if (!client->policy.has_alerts)
        return true;
    client->alerts = take(client, NEAP_CELL_ALERTS, &client->policy.alerts,
                          before ? before->alerts : NULL, before ? &before->policy.alerts : NULL);
    return client->alerts != NULL;
}

static enum neap_status take_all(struct neap_client *client, const struct neap_client *before)
{
    if (take_board(client, before) && take_breaker(client, before) &&
        take_bulkhead(client, before) && take_limiter(client, before) &&
        take_budget(client, before) && take_alerts(client, before))
        return NEAP_OK;
    return client->cells.region ? NEAP_NOT_FOUND : NEAP_NO_MEMORY;
}

/* What has been opened and reused so far counts on. */
static void count_on(struct neap_connections *connections, const struct neap_connections *before)
{
    struct neap_transport_stats counted;
    neap_network_read(&before->network, &counted);
    counted.open = counted.in_flight = 0;
    connections->network.past = connections->published = counted;
}

static void take_connections(struct neap_client *client, const struct neap_client *before)
{
    bool fits = before &&
                neap_transport_settings_equal(&before->policy.transport, &client->policy.transport);
    client->connections =
        fits ? neap_connections_hold(before->connections) : neap_connections_new(client->alloc);
    if (client->connections && before && !fits)
        count_on(client->connections, before->connections);
}

static bool has_same_keys(const struct neap_client *client, const struct neap_client *before)
{
    return before->policy.breaker_key == client->policy.breaker_key &&
           neap_cells_fit(NEAP_CELL_BREAKER, &before->policy.pipeline.breaker,
                          &client->policy.pipeline.breaker);
}

static uint32_t max_keys_of(const struct neap_client *client)
{
    uint32_t given = client->policy.breaker_max_keys;
    return given > 0 ? given : 1;
}

static void take_keyed_breakers(struct neap_client *client, const struct neap_client *before)
{
    if (before && has_same_keys(client, before)) {
        client->keyed_breakers = neap_keyed_breakers_hold(before->keyed_breakers);
        return;
    }
    client->keyed_breakers =
        neap_keyed_breakers_new(client->alloc, neap_breaker_bytes(&client->policy.pipeline.breaker),
                                max_keys_of(client), neap_engine_hash_seed(client->engine));
}

/* Who waits for the same places waits in the same queue. */
static void take_queue(struct neap_client *client, const struct neap_client *before)
{
    bool is_same = before && client->bulkhead && client->bulkhead == before->bulkhead;
    client->queue = is_same ? neap_queue_hold(before->queue) : neap_queue_new(client->alloc);
}

static enum neap_status take_parts(struct neap_client *client, const struct neap_client *before)
{
    take_connections(client, before);
    take_keyed_breakers(client, before);
    take_queue(client, before);
    bool is_whole = client->connections && client->keyed_breakers && client->queue;
    return is_whole ? NEAP_OK : NEAP_NO_MEMORY;
}

/* Private state is the engine's thread's alone. */
static void prepare(struct neap_client *client)
{
    struct neap_pipeline *pipeline = &client->policy.pipeline;
    bool is_private = !client->cells.region;
    pipeline->breaker.is_private = is_private;
    pipeline->limiter.is_private = is_private;
    neap_rate_limiter_prepare(&pipeline->limiter);
    pipeline->bulkhead.is_private = is_private;
    pipeline->budget.is_private = is_private;
}

enum neap_status neap_client_make_state(struct neap_client *client,
                                        const struct neap_client *before)
{
    neap_buffer_init(&client->cell_name, client->alloc);
    client->cells.alloc = client->alloc;
    if (client->engine->region) {
        client->cells.region = neap_region_hold(client->engine->region);
        neap_region_after_fork(client->cells.region); /* where there was no client to adopt */
    }
    prepare(client);
    enum neap_status status = take_all(client, before);
    return status == NEAP_OK ? take_parts(client, before) : status;
}

enum neap_status neap_client_start_state(struct neap_client *client)
{
    client->keyed_breakers->map.max_keys = max_keys_of(client);
    return client->alerts ? neap_client_alerts_begin(client) : NEAP_OK;
}

static void forget_all(struct neap_client *client)
{
    client->alerts = NULL;
    client->budget = NULL;
    client->limiter = NULL;
    client->bulkhead = NULL;
    client->breaker = NULL;
    client->board = NULL;
}

static void release_all(struct neap_client *client)
{
    release(client, client->alerts);
    release(client, client->budget);
    release(client, client->limiter);
    release(client, client->bulkhead);
    release(client, client->breaker);
    release(client, client->board);
    forget_all(client);
}

/* In a child that never used it the pins are the parent's. */
void neap_client_drop_state(struct neap_client *client)
{
    neap_client_alerts_end(client);
    if (client->cells.region && client->member.process != neap_process_id())
        forget_all(client);
    else
        release_all(client);
    neap_region_release(client->cells.region);
    neap_keyed_breakers_release(client->alloc, client->keyed_breakers);
    neap_queue_release(client->alloc, client->queue);
    neap_connections_release(client->alloc, client->connections);
    neap_buffer_deinit(&client->cell_name);
}

enum neap_status neap_client_adopt_state(struct neap_client *client)
{
    struct neap_client taken = *client;
    if (client->alerts)
        neap_client_alerts_adopt(client);
    if (!client->cells.region)
        return NEAP_OK;
    neap_region_after_fork(client->cells.region);
    forget_all(&taken);
    enum neap_status status = take_all(&taken, NULL);
    if (status != NEAP_OK) {
        release_all(&taken);
        return status;
    }
    client->holder = taken.holder;
    client->board = taken.board;
    client->breaker = taken.breaker;
    client->bulkhead = taken.bulkhead;
    client->limiter = taken.limiter;
    client->budget = taken.budget;
    client->alerts = taken.alerts;
    return NEAP_OK;
}
