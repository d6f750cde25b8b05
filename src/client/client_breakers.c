/* A breaker for each key of a client: pinned while calls use it, found, and looked at one after the
 * other. In a region each is a cell of its own, else an entry of the client's map. */
#include <string.h>

#include "base/buffer.h"
#include "client/client.h"

/* The name of the client and the key: no client's name has a NUL. It lies in client->cell_name
 * until the next one is put together; what they begin with stays there. */
static bool name_of(struct neap_client *client, const char *key, size_t key_bytes)
{
    struct neap_buffer *name = &client->cell_name;
    const char *own = client->policy.name;
    if (client->cell_prefix_bytes == 0) {
        if (neap_buffer_append(name, own, strlen(own) + 1) != NEAP_OK)
            return false;
        client->cell_prefix_bytes = name->bytes;
    }
    name->bytes = client->cell_prefix_bytes;
    return neap_buffer_append(name, key, key_bytes) == NEAP_OK;
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
    if (!name_of(client, key, key_bytes))
        return NULL;
    return get(client, client->cell_name.data, client->cell_name.bytes);
}

struct neap_breaker *neap_client_pin_breaker(struct neap_client *client, const char *key,
                                             size_t key_bytes)
{
    bool is_new;
    if (!key)
        return client->breaker;
    if (client->cells.region)
        return pin_shared(client, key, key_bytes, make_shared);
    void *cell = neap_keymap_get(&client->keyed_breakers->map, key, key_bytes, &is_new);
    if (!cell)
        return NULL;
    if (is_new)
        neap_breaker_init(cell, &client->policy.pipeline.breaker);
    neap_keymap_pin(&client->keyed_breakers->map, cell);
    return cell;
}

struct neap_breaker *neap_client_find_breaker(struct neap_client *client, const char *key,
                                              size_t key_bytes)
{
    if (!key)
        return client->breaker;
    if (client->cells.region)
        return pin_shared(client, key, key_bytes, find_shared);
    struct neap_breaker *breaker = neap_keymap_find(&client->keyed_breakers->map, key, key_bytes);
    if (breaker)
        neap_keymap_pin(&client->keyed_breakers->map, breaker);
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
    const struct neap_keymap *breakers = &client->keyed_breakers->map;
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
        neap_cells_release(&client->cells, breaker, neap_loop_now(client->engine->loop));
    else
        neap_keymap_unpin(&client->keyed_breakers->map, breaker);
}
