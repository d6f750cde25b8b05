/* The life of an exchange: its memory, which an engine uses again, from the request to the end. */
#include <stddef.h>
#include <string.h>

#include "client/exchange_cache.h"
#include "client/exchange_internal.h"

/* A function has no transport. */
static bool can_be_disturbed(const struct neap_client *client, const struct neap_draft *draft)
{
    return client->carrier != NEAP_CARRIER_FUNCTION && !draft->without_chaos;
}

/* Without memory nobody is told anything, and the call fails. */
static enum neap_status make_room_for_notices(struct neap_exchange *exchange,
                                              struct neap_call_setup *setup)
{
    if (setup->watched == 0)
        return NEAP_OK;
    setup->notice = neap_arena_take(&exchange->arena, NEAP_NOTICE_MAX * sizeof(struct neap_notice));
    return setup->notice ? NEAP_OK : NEAP_NO_MEMORY;
}

static enum neap_status init_call(struct neap_exchange *exchange, const struct neap_draft *draft)
{
    struct neap_client *client = exchange->client;
    struct neap_call_setup setup;
    neap_client_call_setup(client, &setup);
    enum neap_status status = make_room_for_notices(exchange, &setup);
    setup.state.breaker = exchange->breaker;
    setup.state.gate_origin = exchange->gates[0];
    setup.state.gate_credential = exchange->gates[1];
    setup.timeout = draft->timeout;
    setup.deadline_ns = draft->deadline_ns;
    setup.replayable = exchange->replayable;
    setup.without_fallbacks = draft->without_fallbacks;
    setup.chaos_off = can_be_disturbed(client, draft) ? &client->board->chaos_off : NULL;
    neap_call_init(&exchange->call, &setup);
    return status;
}

static void link_to_client(struct neap_exchange *exchange)
{
    struct neap_client *client = exchange->client;
    exchange->next_of_client = client->exchanges;
    if (client->exchanges)
        client->exchanges->previous_of_client = exchange;
    client->exchanges = exchange;
}

static void unlink_from_client(struct neap_exchange *exchange)
{
    if (exchange->previous_of_client)
        exchange->previous_of_client->next_of_client = exchange->next_of_client;
    else
        exchange->client->exchanges = exchange->next_of_client;
    if (exchange->next_of_client)
        exchange->next_of_client->previous_of_client = exchange->previous_of_client;
}

static struct neap_exchange *take_spare(struct neap_engine *engine)
{
    struct neap_exchange *exchange = engine->spare;
    if (!exchange)
        return NULL;
    engine->spare = exchange->next_of_client;
    engine->spare_count--;
    return exchange;
}

/* Blank but for `call`, with the arena of the one that had the memory before. */
static struct neap_exchange *take_memory(struct neap_engine *engine)
{
    struct neap_arena arena;
    struct neap_exchange *exchange = take_spare(engine);
    if (exchange)
        arena = exchange->arena;
    else
        neap_arena_init(&arena, engine->alloc);
    if (!exchange)
        exchange = neap_alloc(engine->alloc, sizeof *exchange);
    if (!exchange)
        return NULL;
    memset(exchange, 0, offsetof(struct neap_exchange, call));
    exchange->arena = arena;
    return exchange;
}

static void free_memory(struct neap_engine *engine, struct neap_exchange *exchange)
{
    neap_arena_deinit(&exchange->arena);
    neap_free(engine->alloc, exchange);
}

static void give_memory_back(struct neap_engine *engine, struct neap_exchange *exchange)
{
    if (engine->spare_count >= NEAP_SPARE_EXCHANGES_MAX) {
        free_memory(engine, exchange);
        return;
    }
    neap_arena_clear(&exchange->arena);
    exchange->next_of_client = engine->spare;
    engine->spare = exchange;
    engine->spare_count++;
}

void neap_exchange_free_spares(struct neap_engine *engine)
{
    struct neap_exchange *exchange;
    while ((exchange = take_spare(engine)) != NULL)
        free_memory(engine, exchange);
}

static struct neap_exchange *make(struct neap_client *client)
{
    struct neap_exchange *exchange = take_memory(client->engine);
    if (!exchange)
        return NULL;
    exchange->client = neap_client_hold(client);
    client->engine->busy++;
    neap_waiter_init(&exchange->waiter, client->engine);
    exchange->timer.fire = neap_exchange_on_timer;
    exchange->job.run = neap_exchange_on_job;
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        neap_flight_init(&exchange->flight[i], exchange);
    link_to_client(exchange);
    return exchange;
}

enum neap_status neap_exchange_new(struct neap_client *client, struct neap_draft *draft,
                                   struct neap_exchange **made)
{
    struct neap_exchange *exchange = make(client);
    if (!exchange) {
        neap_url_deinit(&draft->url);
        return NEAP_NO_MEMORY;
    }
    exchange->url = draft->url;
    memset(&draft->url, 0, sizeof draft->url);
    enum neap_status status = neap_exchange_prepare(exchange, draft);
    enum neap_status init_status = init_call(exchange, draft);
    if (status == NEAP_OK)
        status = init_status;
    if (status != NEAP_OK) {
        neap_exchange_free(exchange);
        return status;
    }
    *made = exchange;
    return NEAP_OK;
}

bool neap_exchange_is_parents(const struct neap_exchange *exchange)
{
    const struct neap_client *client = exchange->client;
    return client->cells.region && neap_engine_is_inherited(client->engine);
}

void neap_exchange_give_up(struct neap_exchange *exchange)
{
    struct neap_engine *engine = exchange->client->engine;
    if (exchange->given_up)
        return;
    exchange->given_up = true;
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (exchange->flight[i].attempt)
            neap_exchange_abandon(exchange, exchange->flight[i].attempt);
    neap_coalescing_leave(exchange);
    if (neap_exchange_is_parents(exchange))
        neap_call_forsake(&exchange->call);
    neap_call_deinit(&exchange->call, neap_loop_now(engine->loop));
    neap_exchange_dequeue(exchange);
    neap_exchange_wake_first(exchange->client, exchange);
    neap_loop_clear(engine->loop, &exchange->timer);
    neap_engine_drop(engine, &exchange->job);
    neap_waiter_forget(&exchange->waiter, engine);
    if (!neap_exchange_is_parents(exchange))
        neap_exchange_unprepare(exchange);
    neap_tie_remove(&exchange->tied);
    unlink_from_client(exchange);
    engine->busy--;
}

static void on_tie_end(struct neap_tied *tied)
{
    neap_exchange_give_up(NEAP_OWNER(tied, struct neap_exchange, tied));
}

void neap_exchange_tie(struct neap_exchange *exchange, struct neap_tie *tie)
{
    exchange->tied.engine = exchange->client->engine;
    exchange->tied.give_up = on_tie_end;
    if (!exchange->given_up)
        neap_tie_add(tie, &exchange->tied);
}

void neap_exchange_free(struct neap_exchange *exchange)
{
    if (!exchange)
        return;
    struct neap_client *client = exchange->client;
    neap_exchange_give_up(exchange);
    neap_exchange_leave_cache(exchange);
    neap_response_free(exchange->response);
    neap_url_deinit(&exchange->url);
    give_memory_back(client->engine, exchange);
    neap_client_release(client);
}
