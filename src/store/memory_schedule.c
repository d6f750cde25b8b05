/* Which entry of an outbox is next; the rules stand in memory_outbox.h. */
#include "store/memory_outbox.h"

#include "base/owner.h"

static struct neap_memory_entry *of_timer(struct neap_timer *timer)
{
    return NEAP_OWNER(timer, struct neap_memory_entry, timer);
}

/* From the end, where the youngest ones belong. */
void neap_memory_list_insert(struct neap_list *list, struct neap_memory_entry *entry)
{
    struct neap_listed *previous = list->last;
    while (previous && neap_memory_listed(previous)->id > entry->id)
        previous = previous->previous;
    neap_list_insert(list, previous, &entry->listed);
}

static void unschedule(struct neap_memory_entry *entry)
{
    if (entry->scheduled)
        neap_heap_remove(entry->scheduled, &entry->timer);
    entry->scheduled = NULL;
}

/* Both heaps have room for every living entry, so nothing can fail; was it otherwise, the entry
 * would only be scheduled nowhere. */
static void schedule(struct neap_memory_entry *entry, struct neap_heap *heap, int64_t when)
{
    unschedule(entry);
    if (neap_heap_set(heap, &entry->timer, when) == NEAP_OK)
        entry->scheduled = heap;
}

static void schedule_at(struct neap_memory_entry *entry, int64_t now_ns)
{
    if (entry->due_ns <= now_ns)
        schedule(entry, &entry->outbox->ready, (int64_t)entry->id);
    else
        schedule(entry, &entry->outbox->later, entry->due_ns);
}

static struct neap_memory_entry *first_of_lane(struct neap_memory_entry *entry)
{
    return entry->lane ? neap_memory_listed(entry->lane->list.first) : entry;
}

bool neap_memory_is_next(const struct neap_memory_entry *entry, int64_t now_ns)
{
    bool is_first = !entry->lane || entry->lane->list.first == &entry->listed;
    return entry->scheduled && (is_first || entry->due_ns > now_ns);
}

void neap_memory_schedule_lease(struct neap_memory_entry *entry)
{
    schedule(entry, &entry->outbox->later, entry->due_ns);
}

/* One that is scheduled already stays so: it may be the taken one of its lane. */
static void settle(struct neap_memory_entry *first)
{
    if (first && !first->scheduled)
        schedule(first, &first->outbox->later, first->due_ns);
}

void neap_memory_schedule_again(struct neap_memory_entry *entry)
{
    unschedule(entry);
    settle(first_of_lane(entry));
}

void neap_memory_leave(struct neap_memory_entry *entry)
{
    unschedule(entry);
    entry->outbox->living_count--;
    if (!entry->lane)
        return;
    neap_list_take_out(&entry->lane->list, &entry->listed);
    settle(neap_memory_listed(entry->lane->list.first));
}

/* Whether the lane whose first entry this was is busy with one that has been given out: this one,
 * or, where this one is scheduled nowhere, a younger one. */
static bool is_busy(const struct neap_memory_entry *first, int64_t now_ns)
{
    return !first->scheduled || (first->state == NEAP_ENTRY_TAKEN && first->due_ns > now_ns);
}

void neap_memory_enter(struct neap_memory_entry *entry, int64_t now_ns)
{
    struct neap_memory_entry *before = entry->lane ? first_of_lane(entry) : NULL;
    entry->outbox->living_count++;
    if (entry->lane)
        neap_memory_list_insert(&entry->lane->list, entry);
    if (first_of_lane(entry) != entry || (before && is_busy(before, now_ns)))
        return;
    if (before)
        unschedule(before);
    schedule_at(entry, now_ns);
}

/* Its moment has come. Where an older one of its lane was revived meanwhile, that one is next. */
static void wake(struct neap_memory_entry *entry, int64_t now_ns)
{
    unschedule(entry);
    schedule_at(first_of_lane(entry), now_ns);
}

/* A clock that has stepped back finds entries ready that are not due any more. */
struct neap_memory_entry *neap_memory_next_entry(struct neap_memory_outbox *outbox, int64_t now_ns,
                                                 int64_t *next_ns)
{
    struct neap_timer *timer = neap_heap_first(&outbox->later);
    for (; timer && timer->when_ns <= now_ns; timer = neap_heap_first(&outbox->later))
        wake(of_timer(timer), now_ns);
    for (timer = neap_heap_first(&outbox->ready); timer; timer = neap_heap_first(&outbox->ready)) {
        struct neap_memory_entry *entry = of_timer(timer);
        if (entry->due_ns <= now_ns)
            return entry;
        schedule_at(entry, now_ns);
    }
    timer = neap_heap_first(&outbox->later);
    *next_ns = timer ? timer->when_ns : INT64_MAX;
    return NULL;
}
