/* The queue for a place in the bulkhead: first come, first served. */
#include "client/exchange_internal.h"

void neap_exchange_enqueue(struct neap_exchange *exchange)
{
    if (exchange->queued)
        return;
    exchange->queued = true;
    neap_list_append(&exchange->client->queue->list, &exchange->in_queue);
}

void neap_exchange_dequeue(struct neap_exchange *exchange)
{
    if (!exchange->queued)
        return;
    exchange->queued = false;
    neap_list_take_out(&exchange->client->queue->list, &exchange->in_queue);
}

void neap_exchange_wake_first(struct neap_client *client, const struct neap_exchange *but)
{
    struct neap_listed *first = client->queue->list.first;
    struct neap_exchange *exchange =
        first ? NEAP_OWNER(first, struct neap_exchange, in_queue) : NULL;
    if (exchange && exchange != but)
        neap_engine_post(client->engine, &exchange->job);
}
