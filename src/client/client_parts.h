/* What a client has of this process alone, apart from it so that its successor (client.h,
 * neap_client_succeed) goes on with the same: connections, the queue for the bulkhead, breakers of
 * keys. References are counted; a part goes with the last client that holds it.
 *
 * Belongs to the engine's thread. */
#ifndef NEAP_CLIENT_CLIENT_PARTS_H
#define NEAP_CLIENT_CLIENT_PARTS_H

#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/keymap.h"
#include "base/list.h"
#include "client/network.h"

struct neap_exchange;

struct neap_connections {
    uint32_t references;
    struct neap_network network;
    struct neap_transport_stats published; /* of the network's, what the board has by now */
};

/* For a place in the bulkhead: first come, first served. */
struct neap_queue {
    uint32_t references;
    uint32_t waiting;      /* kept by the calls */
    struct neap_list list; /* of exchanges, by in_queue */
};

struct neap_keyed_breakers {
    uint32_t references;
    struct neap_keymap map;
};

/* Each with one reference, or NULL without memory. */
NEAP_MUST_CHECK struct neap_connections *neap_connections_new(const struct neap_alloc *alloc);
NEAP_MUST_CHECK struct neap_queue *neap_queue_new(const struct neap_alloc *alloc);
NEAP_MUST_CHECK struct neap_keyed_breakers *neap_keyed_breakers_new(const struct neap_alloc *alloc,
                                                                    size_t cell_bytes,
                                                                    size_t max_keys,
                                                                    struct neap_hash_seed seed);

struct neap_connections *neap_connections_hold(struct neap_connections *connections);
struct neap_queue *neap_queue_hold(struct neap_queue *queue);
struct neap_keyed_breakers *neap_keyed_breakers_hold(struct neap_keyed_breakers *breakers);

/* NULL is harmless. The connections must be closed or forsaken before the last one lets go. */
void neap_connections_release(const struct neap_alloc *alloc, struct neap_connections *connections);
void neap_queue_release(const struct neap_alloc *alloc, struct neap_queue *queue);
void neap_keyed_breakers_release(const struct neap_alloc *alloc,
                                 struct neap_keyed_breakers *breakers);

#endif
