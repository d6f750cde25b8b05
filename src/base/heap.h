/* A binary min-heap of timers: which of many waits ends first.
 *
 * Intrusive: a timer lives inside the object that waits, and the heap holds pointers only, so it
 * must leave the heap before its memory goes. Timers of the same moment leave in the order in which
 * they were set. One thread at a time. */
#ifndef NEAP_BASE_HEAP_H
#define NEAP_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/duration.h"
#include "base/status.h"

/* All zero before first use. Read only outside of the heap. */
struct neap_timer {
    int64_t when_ns;
    uint64_t sequence;
    size_t index; /* 0 when not in the heap, else its place counted from 1 */
};

struct neap_heap {
    const struct neap_alloc *alloc;
    struct neap_timer **slot;
    size_t count, capacity;
    uint64_t next_sequence;
};

void neap_heap_init(struct neap_heap *heap, const struct neap_alloc *alloc);

/* The timers still inside are taken out. */
void neap_heap_deinit(struct neap_heap *heap);

/* Makes room for `count` timers in all: as long as no more are inside, setting one cannot fail.
 * NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_heap_reserve(struct neap_heap *heap, size_t count);

/* Inserts the timer, or moves it; NEAP_NEVER takes it out. O(log n). NEAP_NO_MEMORY only where a
 * timer is inserted. */
NEAP_MUST_CHECK enum neap_status neap_heap_set(struct neap_heap *heap, struct neap_timer *timer,
                                               int64_t when_ns);

/* O(log n); harmless for a timer that is not inside. */
void neap_heap_remove(struct neap_heap *heap, struct neap_timer *timer);

/* The timer that ends first, which stays inside; NULL where there is none. O(1). */
struct neap_timer *neap_heap_first(const struct neap_heap *heap);

#endif
