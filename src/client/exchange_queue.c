/* The queue for a place in the bulkhead: first come, first served. */
#include "client/exchange_internal.h"

void neap_exchange_enqueue(struct neap_exchange *exchange)
{
    struct neap_client *client = exchange->client;
    if (exchange->queued)
        return;
    exchange->queued = true;
    exchange->next_queued = NULL;
    exchange->previous_queued = client->last_queued;
    if (client->last_queued)
        client->last_queued->next_queued = exchange;
    else
        client->first_queued = exchange;
    client->last_queued = exchange;
}

void neap_exchange_dequeue(struct neap_exchange *exchange)
{
    struct neap_client *client = exchange->client;
    if (!exchange->queued)
        return;
    if (exchange->previous_queued)
        exchange->previous_queued->next_queued = exchange->next_queued;
    else
        client->first_queued = exchange->next_queued;
    if (exchange->next_queued)
        exchange->next_queued->previous_queued = exchange->previous_queued;
    else
        client->last_queued = exchange->previous_queued;
    exchange->queued = false;
}

/* A place in the bulkhead may be free: the first in the queue asks again, from a step of its own.
 */
void neap_exchange_wake_queue(struct neap_exchange *exchange)
{
    struct neap_client *client = exchange->client;
    if (client->first_queued && client->first_queued != exchange)
        neap_engine_post(client->engine, &client->first_queued->job);
}
