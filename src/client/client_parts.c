#include "client/client_parts.h"

struct neap_connections *neap_connections_new(const struct neap_alloc *alloc)
{
    struct neap_connections *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (made)
        made->references = 1;
    return made;
}

struct neap_queue *neap_queue_new(const struct neap_alloc *alloc)
{
    struct neap_queue *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (made)
        made->references = 1;
    return made;
}

struct neap_keyed_breakers *neap_keyed_breakers_new(const struct neap_alloc *alloc,
                                                    size_t cell_bytes, size_t max_keys,
                                                    struct neap_hash_seed seed)
{
    struct neap_keyed_breakers *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NULL;
    made->references = 1;
    neap_keymap_init(&made->map, alloc, cell_bytes, max_keys);
    neap_keymap_seed(&made->map, seed);
    return made;
}

struct neap_connections *neap_connections_hold(struct neap_connections *connections)
{
    connections->references++;
    return connections;
}

struct neap_queue *neap_queue_hold(struct neap_queue *queue)
{
    queue->references++;
    return queue;
}

struct neap_keyed_breakers *neap_keyed_breakers_hold(struct neap_keyed_breakers *breakers)
{
    breakers->references++;
    return breakers;
}

void neap_connections_release(const struct neap_alloc *alloc, struct neap_connections *connections)
{
    if (connections && --connections->references == 0)
        neap_free(alloc, connections);
}

void neap_queue_release(const struct neap_alloc *alloc, struct neap_queue *queue)
{
    if (queue && --queue->references == 0)
        neap_free(alloc, queue);
}

void neap_keyed_breakers_release(const struct neap_alloc *alloc,
                                 struct neap_keyed_breakers *breakers)
{
    if (!breakers || --breakers->references > 0)
        return;
    neap_keymap_deinit(&breakers->map);
    neap_free(alloc, breakers);
}
