#include "client/client.h"

#include <string.h>

#include "base/duration.h"
#include "base/owner.h"
#include "client/client_state.h"
#include "client/exchange.h"

static enum neap_status adopt(struct neap_member *member)
{
    struct neap_client *client = NEAP_OWNER(member, struct neap_client, member);
    neap_network_forsake(&client->connections->network);
    if (client->cells.region) /* the board has the parent's part from the parent */
        neap_network_read(&client->connections->network, &client->connections->published);
    else
        neap_client_publish_pool(client);
    return neap_client_adopt_state(client);
}

static enum neap_status make_coalescing(struct neap_client *client)
{
    if (!client->policy.coalesce || client->carrier == NEAP_CARRIER_FUNCTION)
        return NEAP_OK;
    struct neap_hash_seed seed = neap_engine_hash_seed(client->engine);
    return neap_coalescing_new(client->alloc, &seed, &client->coalescing);
}

void neap_client_publish_pool(struct neap_client *client)
{
    struct neap_board *board = client->board;
    struct neap_transport_stats now, *before = &client->connections->published;
    neap_network_read(&client->connections->network, &now);
    if (now.opened != before->opened)
        atomic_fetch_add_explicit(&board->connections_opened, now.opened - before->opened,
                                  memory_order_relaxed);
    if (now.reused != before->reused)
        atomic_fetch_add_explicit(&board->connections_reused, now.reused - before->reused,
                                  memory_order_relaxed);
    if (now.open != before->open)
        atomic_fetch_add_explicit(&board->holding[client->holder].connections,
                                  (int32_t)now.open - (int32_t)before->open, memory_order_relaxed);
    *before = now;
}

static enum neap_status make_parts(struct neap_client *client, const struct neap_client *before)
{
    enum neap_status status = neap_client_make_state(client, before);
    if (status == NEAP_OK && !before)
        status = neap_client_start_state(client);
    return status == NEAP_OK ? make_coalescing(client) : status;
}

/* Takes over what *policy owns, also on failure. */
static enum neap_status make(struct neap_engine *engine, struct neap_client_policy *policy,
                             enum neap_carrier carrier, const struct neap_client *before,
                             struct neap_client **client)
{
    struct neap_client *made = neap_alloc_zeroed(engine->alloc, sizeof *made);
    if (!made) {
        neap_client_policy_deinit(policy);
        return NEAP_NO_MEMORY;
    }
    made->alloc = engine->alloc;
    made->engine = neap_engine_hold(engine);
    made->member.adopt = adopt;
    neap_engine_join(engine, &made->member);
    made->policy = *policy;
    made->carrier = carrier;
    neap_url_memo_init(&made->urls, made->alloc);
    made->references = 1;
    memset(policy, 0, sizeof *policy);

    enum neap_status status = make_parts(made, before);
    if (status != NEAP_OK) {
        neap_client_release(made);
        return status;
    }
    *client = made;
    return NEAP_OK;
}

enum neap_status neap_client_new(struct neap_engine *engine, struct neap_client_policy *policy,
                                 enum neap_carrier carrier, struct neap_client **client)
{
    return make(engine, policy, carrier, NULL, client);
}

/* It, or the one before it, that has calls. */
static struct neap_client *busy_one(struct neap_client *client)
{
    while (client && !client->exchanges)
        client = client->before;
    return client;
}

static void set_before(struct neap_client *client, struct neap_client *before)
{
    struct neap_client *old = client->before;
    client->before = before ? neap_client_hold(before) : NULL;
    neap_client_release(old);
}

/* Or else there were one more for each change of the policy that a call was under way at. */
static void let_idle_go(struct neap_client *client)
{
    for (; client; client = client->before)
        set_before(client, busy_one(client->before));
}

enum neap_status neap_client_propose(struct neap_client *before, struct neap_client_policy *policy,
                                     struct neap_client **candidate)
{
    enum neap_status status = make(before->engine, policy, before->carrier, before, candidate);
    if (status == NEAP_OK)
        (*candidate)->role = NEAP_CLIENT_CANDIDATE;
    return status;
}

enum neap_status neap_client_take_over(struct neap_client *candidate, struct neap_client *before)
{
    enum neap_status status = neap_client_start_state(candidate);
    if (status != NEAP_OK)
        return status;
    set_before(candidate, busy_one(before));
    let_idle_go(candidate);
    candidate->watched = before->watched;
    candidate->closed = before->closed;
    candidate->role = NEAP_CLIENT_IN_CHARGE;
    before->role = NEAP_CLIENT_SUCCEEDED;
    neap_client_alerts_hand_over(before, candidate);
    return NEAP_OK;
}

struct neap_client *neap_client_hold(struct neap_client *client)
{
    client->references++;
    return client;
}

static void disconnect(struct neap_client *client)
{
    if (neap_engine_is_inherited(client->engine))
        neap_network_forsake(&client->connections->network);
    else
        neap_network_close(&client->connections->network);
    if (client->board && !neap_engine_is_inherited(client->engine))
        neap_client_publish_pool(client);
}

void neap_client_release(struct neap_client *client)
{
    if (!client || --client->references > 0)
        return;
    neap_engine_leave(&client->member);
    if (client->connections && client->connections->references == 1)
        disconnect(client);
    neap_client_release(client->before);
    neap_client_drop_state(client);
    neap_coalescing_free(client->coalescing);
    neap_url_memo_deinit(&client->urls);
    neap_client_policy_deinit(&client->policy);
    neap_engine_release(client->engine);
    neap_free(client->alloc, client);
}

static struct neap_pipeline_state state_of(struct neap_client *client)
{
    return (struct neap_pipeline_state){.breaker = client->breaker,
                                        .limiter = client->limiter,
                                        .bulkhead = client->bulkhead,
                                        .bulkhead_waiting = &client->queue->waiting,
                                        .bulkhead_is_shared = client->cells.region != NULL,
                                        .budget = client->budget,
                                        .holder = client->holder};
}

void neap_client_call_setup(struct neap_client *client, struct neap_call_setup *setup)
{
    bool is_function = client->carrier == NEAP_CARRIER_FUNCTION;
    *setup = (struct neap_call_setup){
        .alloc = client->alloc,
        .pipeline = &client->policy.pipeline,
        .state = state_of(client),
        .counters = &client->board->counters,
        .in_flight = &client->board->holding[client->holder].in_flight,
        .random = &client->engine->random,
        .timeout = client->policy.pipeline.timeout,
        .deadline_ns = NEAP_NEVER,
        .replayable = is_function,
        .is_private = client->cells.region == NULL,
        .uninterruptible = is_function,
        .watched = client->watched,
    };
}

const char *neap_client_key_header(const struct neap_client *client)
{
    const char *own = client->policy.idempotency.header;
    return own ? own : NEAP_KEY_HEADER;
}

void neap_client_close(struct neap_client *client)
{
    client->closed = true;
    if (client->before)
        neap_client_close(client->before);
    if (neap_engine_is_inherited(client->engine)) { /* what is in flight is the parent's */
        disconnect(client);
        return;
    }
    for (struct neap_exchange *at = client->exchanges; at; at = at->next_of_client)
        neap_exchange_cancel(at);

    /* A call whose listeners are being told ends its transfers only afterwards. */
    struct neap_transport_stats stats;
    neap_network_read(&client->connections->network, &stats);
    if (stats.in_flight == 0)
        disconnect(client);
}
