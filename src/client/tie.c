#include "client/tie.h"

#include <stddef.h>

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

void neap_tie_add(struct neap_tie *tie, struct neap_tied *tied)
{
    if (tied->tie)
        return;
    if (tie->ended) {
        tied->give_up(tied);
        return;
    }
    tied->tie = neap_tie_hold(tie);
    tied->link = &tie->first;
    tied->next = tie->first;
    if (tie->first)
        tie->first->link = &tied->next;
    tie->first = tied;
}

void neap_tie_remove(struct neap_tied *tied)
{
    struct neap_tie *tie = tied->tie;
    if (!tie)
        return;
    *tied->link = tied->next;
    if (tied->next)
        tied->next->link = tied->link;
    tied->tie = NULL;
    neap_tie_release(tie);
}

/* Nobody turns the engine for what nobody waits for: what its end makes possible for others is done
 * when the host's bell has rung. */
void neap_tie_end(struct neap_tie *tie)
{
    tie->ended = true;
    while (tie->first) {
        struct neap_helper *helper = tie->first->engine->helper;
        tie->first->give_up(tie->first);
        if (helper)
            neap_helper_nudge(helper);
    }
}
