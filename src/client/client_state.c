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

static bool take_board(struct neap_client *client)
{
    uint32_t holders = client->cells.region ? NEAP_HOLDER_MAX + 1 : 1;
    client->holder = neap_cells_holder(&client->cells);
    client->board = acquire(client, NEAP_CELL_BOARD, &holders);
    return client->board != NULL;
}

static bool take_breaker(struct neap_client *client)
{
    const struct neap_pipeline *pipeline = &client->policy.pipeline;
    if (!pipeline->has_breaker || client->policy.breaker_key != NEAP_KEY_CLIENT)
        return true;
    client->breaker = acquire(client, NEAP_CELL_BREAKER, &pipeline->breaker);
    return client->breaker != NULL;
}

static bool take_bulkhead(struct neap_client *client)
{
    const struct neap_pipeline *pipeline = &client->policy.pipeline;
    if (!pipeline->has_bulkhead)
        return true;
    client->bulkhead = acquire(client, NEAP_CELL_BULKHEAD, &pipeline->bulkhead);
    return client->bulkhead != NULL;
}

static bool take_limiter(struct neap_client *client)
{
    if (!client->policy.pipeline.has_limiter)
        return true;
    client->limiter = acquire(client, NEAP_CELL_LIMITER, NULL);
    return client->limiter != NULL;
}

static bool take_budget(struct neap_client *client)
{
    const struct neap_pipeline *pipeline = &client->policy.pipeline;
    if (!pipeline->has_budget)
        return true;
    client->budget = acquire(client, NEAP_CELL_BUDGET, &pipeline->budget);
    return client->budget != NULL;
}

static bool take_alerts(struct neap_client *client)
{
    if (!client->policy.has_alerts)
        return true;
    client->alerts = acquire(client, NEAP_CELL_ALERTS, &client->policy.alerts);
    return client->alerts != NULL;
}

static enum neap_status take_all(struct neap_client *client)
{
    if (take_board(client) && take_breaker(client) && take_bulkhead(client) &&
        take_limiter(client) && take_budget(client) && take_alerts(client))
        return NEAP_OK;
    return client->cells.region ? NEAP_NOT_FOUND : NEAP_NO_MEMORY;
}

enum neap_status neap_client_make_state(struct neap_client *client)
{
    const struct neap_pipeline *pipeline = &client->policy.pipeline;
    uint32_t max_keys = client->policy.breaker_max_keys;
    neap_keymap_init(&client->keyed_breakers, client->alloc, neap_breaker_bytes(&pipeline->breaker),
                     max_keys > 0 ? max_keys : 1);
    neap_keymap_seed(&client->keyed_breakers, neap_engine_hash_seed(client->engine));
    client->cells.alloc = client->alloc;
    if (client->engine->region) {
        client->cells.region = neap_region_hold(client->engine->region);
        neap_region_after_fork(client->cells.region); /* where there was no client to adopt */
    }
    enum neap_status status = take_all(client);
    if (status == NEAP_OK && client->alerts)
        status = neap_client_alerts_begin(client);
    return status;
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
    neap_keymap_deinit(&client->keyed_breakers);
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
    enum neap_status status = take_all(&taken);
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

/* ------------------------------------------------------------------------ a breaker for each key
 */

/* The name of the client and the key: no client's name has a NUL. */
static enum neap_status name_of(const struct neap_client *client, const char *key, size_t key_bytes,
                                struct neap_buffer *name)
{
    const char *own = client->policy.name;
    neap_buffer_init(name, client->alloc);
    enum neap_status status = neap_buffer_append(name, own, strlen(own) + 1);
    if (status == NEAP_OK)
        status = neap_buffer_append(name, key, key_bytes);
    return status;
}

typedef struct neap_breaker *shared_breaker(struct neap_client *client, const char *name,
                                            size_t name_bytes);

static struct neap_breaker *make_shared(struct neap_client *client, const char *name,
                                        size_t name_bytes)
{
    return neap_cells_acquire(&client->cells, NEAP_CELL_BREAKER, name, name_bytes,
                              &client->policy.pipeline.breaker,
                              neap_loop_now(client->engine->loop));
}

static struct neap_breaker *find_shared(struct neap_client *client, const char *name,
                                        size_t name_bytes)
{
    return neap_cells_find(&client->cells, NEAP_CELL_BREAKER, name, name_bytes,
                           &client->policy.pipeline.breaker, neap_loop_now(client->engine->loop));
}

static struct neap_breaker *pin_shared(struct neap_client *client, const char *key,
                                       size_t key_bytes, shared_breaker *get)
{
    struct neap_buffer name;
    struct neap_breaker *breaker = NULL;
    if (name_of(client, key, key_bytes, &name) == NEAP_OK)
        breaker = get(client, name.data, name.bytes);
    neap_buffer_deinit(&name);
    return breaker;
}

struct neap_breaker *neap_client_pin_breaker(struct neap_client *client, const char *key,
                                             size_t key_bytes)
{
    bool is_new;
    if (!key)
        return client->breaker;
    if (client->cells.region)
        return pin_shared(client, key, key_bytes, make_shared);
    void *cell = neap_keymap_get(&client->keyed_breakers, key, key_bytes, &is_new);
    if (!cell)
        return NULL;
    if (is_new)
        neap_breaker_init(cell, &client->policy.pipeline.breaker);
    neap_keymap_pin(&client->keyed_breakers, cell);
    return cell;
}

struct neap_breaker *neap_client_find_breaker(struct neap_client *client, const char *key,
                                              size_t key_bytes)
{
    if (!key)
        return client->breaker;
    if (client->cells.region)
        return pin_shared(client, key, key_bytes, find_shared);
    struct neap_breaker *breaker = neap_keymap_find(&client->keyed_breakers, key, key_bytes);
    if (breaker)
        neap_keymap_pin(&client->keyed_breakers, breaker);
    return breaker;
}

bool neap_client_has_keys(const struct neap_client *client)
{
    return client->policy.pipeline.has_breaker && client->policy.breaker_key != NEAP_KEY_CLIENT;
}

static bool each_shared(struct neap_client *client, neap_cell_look *look, void *context)
{
    const char *own = client->policy.name;
    return neap_cells_each(&client->cells, NEAP_CELL_BREAKER, own, strlen(own) + 1,
                           &client->policy.pipeline.breaker, look, context);
}

bool neap_client_each_breaker(struct neap_client *client, neap_cell_look *look, void *context)
{
    const struct neap_keymap *breakers = &client->keyed_breakers;
    if (client->cells.region)
        return each_shared(client, look, context);
    for (void *cell = neap_keymap_next(breakers, NULL); cell;
         cell = neap_keymap_next(breakers, cell)) {
        size_t key_bytes;
        const char *key = neap_keymap_key(cell, &key_bytes);
        look(cell, key, key_bytes, context);
    }
    return true;
}

void neap_client_unpin_breaker(struct neap_client *client, struct neap_breaker *breaker)
{
    if (!breaker || breaker == client->breaker)
        return;
    if (client->cells.region)
        release(client, breaker);
    else
        neap_keymap_unpin(&client->keyed_breakers, breaker);
}
