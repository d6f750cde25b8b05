#include "client/tie.h"

#include <stddef.h>

#include "client/exchange.h"

enum neap_status neap_tie_new(const struct neap_alloc *alloc, struct neap_tie **tie)
{
    struct neap_tie *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->alloc = alloc;
    made->references = 1;
    *tie = made;
    return NEAP_OK;
}

struct neap_tie *neap_tie_hold(struct neap_tie *tie)
{
    tie->references++;
    return tie;
}

void neap_tie_release(struct neap_tie *tie)
{
    if (tie && --tie->references == 0)
        neap_free(tie->alloc, tie);
}

void neap_tie_add(struct neap_tie *tie, struct neap_exchange *exchange)
{
    if (exchange->tie || exchange->given_up)
        return;
    if (tie->ended) {
        neap_exchange_give_up(exchange);
        return;
    }
    exchange->tie = neap_tie_hold(tie);
    exchange->link_of_tie = &tie->first;
    exchange->next_of_tie = tie->first;
    if (tie->first)
        tie->first->link_of_tie = &exchange->next_of_tie;
    tie->first = exchange;
}

void neap_tie_remove(struct neap_exchange *exchange)
{
    struct neap_tie *tie = exchange->tie;
    if (!tie)
        return;
    *exchange->link_of_tie = exchange->next_of_tie;
    if (exchange->next_of_tie)
        exchange->next_of_tie->link_of_tie = exchange->link_of_tie;
    exchange->tie = NULL;
    neap_tie_release(tie);
}

/* Nobody turns the engine for calls that nobody waits for: what their end makes possible for others
 * is done when the host's bell has rung. */
void neap_tie_end(struct neap_tie *tie)
{
    tie->ended = true;
    while (tie->first) {
        struct neap_exchange *exchange = tie->first;
        struct neap_helper *helper = exchange->client->engine->helper;
        neap_exchange_give_up(exchange);
        if (helper)
            neap_helper_nudge(helper);
    }
}
