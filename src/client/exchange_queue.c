/* The queue for a place in the bulkhead: first come, first served. */
#include "client/exchange_internal.h"

void neap_exchange_enqueue(struct neap_exchange *exchange)
{
    struct neap_queue *queue = exchange->client->queue;
    if (exchange->queued)
        return;
    exchange->queued = true;
    exchange->next_queued = NULL;
    exchange->previous_queued = queue->last;
    if (queue->last)
        queue->last->next_queued = exchange;
    else
        queue->first = exchange;
    queue->last = exchange;
}

void neap_exchange_dequeue(struct neap_exchange *exchange)
{
    struct neap_queue *queue = exchange->client->queue;
    if (!exchange->queued)
        return;
    if (exchange->previous_queued)
        exchange->previous_queued->next_queued = exchange->next_queued;
    else
        queue->first = exchange->next_queued;
    if (exchange->next_queued)
        exchange->next_queued->previous_queued = exchange->previous_queued;
    else
        queue->last = exchange->previous_queued;
    exchange->queued = false;
}

/* A place in the bulkhead may be free: the first in the queue asks again, from a step of its own.
 */
void neap_exchange_wake_queue(struct neap_exchange *exchange)
{
    struct neap_queue *queue = exchange->client->queue;
    if (queue->first && queue->first != exchange)
        neap_engine_post(exchange->client->engine, &queue->first->job);
}
