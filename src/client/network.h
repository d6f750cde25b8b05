/* Network: the connections of a client, worked on the engine's own loop, or on its helper's thread
 * where the host must not wait. Made when the first attempt needs them. */
#ifndef NEAP_CLIENT_NETWORK_H
#define NEAP_CLIENT_NETWORK_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/status.h"
#include "client/engine.h"
#include "transport/remote.h"
#include "transport/transport.h"

/* Zeroed before first use; one of the two is there once it is connected. */
struct neap_network {
    struct neap_transport *transport;
    struct neap_remote *remote;
    struct neap_transport_stats past; /* what the connections before these had counted */
};

/* One attempt on its way; both NULL: none. */
struct neap_wire {
    struct neap_transfer *transfer;
    struct neap_parcel *parcel;
};

/* As neap_transport_send, connecting first. NEAP_NO_MEMORY also where the system gives no thread or
 * no descriptors for a helper, with a message that says so; NEAP_SYSTEM with a message where the
 * settings do not allow connections. */
NEAP_MUST_CHECK enum neap_status
neap_network_send(struct neap_network *network, struct neap_engine *engine,
                  const struct neap_transport_settings *settings,
                  const struct neap_request *request, const struct neap_limits *limits,
                  neap_transfer_done *done, void *context, struct neap_wire *wire,
                  char message[NEAP_MESSAGE_BYTES]);

/* Does now what the next turn of the engine would do for it. It may end here. */
void neap_network_hurry(const struct neap_wire *wire);

/* Ends it without telling; true if it is certain that the server has processed nothing of it. What
 * a parent had under way at a fork is not touched: the parent goes on with it. */
bool neap_network_cancel(struct neap_network *network, const struct neap_engine *engine,
                         struct neap_wire *wire);

/* What was counted since the network began. */
void neap_network_read(const struct neap_network *network, struct neap_transport_stats *stats);

/* Closes the connections; nothing may be in flight. They are made anew if need be. */
void neap_network_close(struct neap_network *network);

/* In a forked child: lets go of the parent's connections in silence. */
void neap_network_forsake(struct neap_network *network);

#endif
