#include "client/network.h"

#include <stdio.h>

static enum neap_status connect_remote(struct neap_network *network, struct neap_engine *engine,
                                       const struct neap_transport_settings *settings,
                                       char message[NEAP_MESSAGE_BYTES])
{
    struct neap_helper *helper;
    enum neap_status status = neap_engine_get_helper(engine, &helper);
    if (status == NEAP_SYSTEM)
        snprintf(message, NEAP_MESSAGE_BYTES,
                 "the system gives no descriptors for a helper thread");
    if (status != NEAP_OK)
        return NEAP_NO_MEMORY;
    status = neap_remote_new(engine->alloc, helper, settings, &network->remote, message);
    if (status == NEAP_OK)
        neap_remote_use_shelf(network->remote, &engine->responses);
    return status;
}

static enum neap_status connect_network(struct neap_network *network, struct neap_engine *engine,
                                        const struct neap_transport_settings *settings,
                                        char message[NEAP_MESSAGE_BYTES])
{
    if (network->transport || network->remote)
        return NEAP_OK;
    if (engine->wants_helper)
        return connect_remote(network, engine, settings, message);
    enum neap_status status = neap_transport_new(engine->alloc, engine->loop, settings,
                                                 &engine->stocks, &network->transport, message);
    if (status == NEAP_OK)
        neap_transport_use_shelf(network->transport, &engine->responses);
    return status;
}

enum neap_status neap_network_send(struct neap_network *network, struct neap_engine *engine,
                                   const struct neap_transport_settings *settings,
                                   const struct neap_request *request,
                                   const struct neap_limits *limits, neap_transfer_done *done,
                                   void *context, struct neap_wire *wire,
                                   char message[NEAP_MESSAGE_BYTES])
{
    enum neap_status status = connect_network(network, engine, settings, message);
    if (status != NEAP_OK)
        return status;
    if (network->remote)
        return neap_remote_send(network->remote, request, limits, done, context, &wire->parcel);
    return neap_transport_send(network->transport, request, limits, done, context, &wire->transfer);
}

void neap_network_hurry(const struct neap_wire *wire)
{
    if (wire->transfer)
        neap_transfer_hurry(wire->transfer);
}

bool neap_network_cancel(struct neap_network *network, const struct neap_engine *engine,
                         struct neap_wire *wire)
{
    struct neap_wire ended = *wire;
    *wire = (struct neap_wire){NULL, NULL};
    if (neap_engine_is_inherited(engine))
        return false;
    if (ended.parcel)
        return neap_remote_cancel(network->remote, ended.parcel);
    if (!ended.transfer)
        return false;
    bool unsent = neap_transfer_is_unsent(ended.transfer);
    neap_transport_cancel(network->transport, ended.transfer);
    return unsent;
}

void neap_network_read(const struct neap_network *network, struct neap_transport_stats *stats)
{
    *stats = (struct neap_transport_stats){0};
    if (network->remote)
        neap_remote_read(network->remote, stats);
    else if (network->transport)
        neap_transport_read(network->transport, stats);
    stats->opened += network->past.opened;
    stats->reused += network->past.reused;
}

static void note_past(struct neap_network *network)
{
    struct neap_transport_stats stats;
    neap_network_read(network, &stats);
    network->past = stats;
}

void neap_network_close(struct neap_network *network)
{
    note_past(network);
    neap_remote_free(network->remote);
    neap_transport_free(network->transport);
    network->remote = NULL;
    network->transport = NULL;
}

void neap_network_forsake(struct neap_network *network)
{
    note_past(network);
    if (network->remote)
        neap_remote_forsake(network->remote);
    if (network->transport)
        neap_transport_forsake(network->transport);
    network->remote = NULL;
    network->transport = NULL;
}
