/* List: its members in order, each with the link inside it, so that one is taken out from wherever
 * it stands without a search. Allocates nothing; a member is in one list at a time by each link. */
#ifndef NEAP_BASE_LIST_H
#define NEAP_BASE_LIST_H

#include <stddef.h>

/* Means nothing while it is in no list. */
struct neap_listed {
    struct neap_listed *next, *previous; /* NULL: none */
};

/* Empty when both are NULL. */
struct neap_list {
    struct neap_listed *first, *last;
};

static inline void neap_list_append(struct neap_list *list, struct neap_listed *listed)
{
    listed->next = NULL;
    listed->previous = list->last;
    if (list->last)
        list->last->next = listed;
    else
        list->first = listed;
    list->last = listed;
}

/* Behind one that is in the list; NULL: at its beginning. */
static inline void neap_list_insert(struct neap_list *list, struct neap_listed *previous,
                                    struct neap_listed *listed)
{
    struct neap_listed *next = previous ? previous->next : list->first;
    listed->previous = previous;
    listed->next = next;
    *(next ? &next->previous : &list->last) = listed;
    *(previous ? &previous->next : &list->first) = listed;
}

/* It is in this list. */
static inline void neap_list_take_out(struct neap_list *list, const struct neap_listed *listed)
{
    if (listed->previous)
        listed->previous->next = listed->next;
    else
        list->first = listed->next;
    if (listed->next)
        listed->next->previous = listed->previous;
    else
        list->last = listed->previous;
}

#endif
