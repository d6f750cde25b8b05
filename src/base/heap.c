#include "base/heap.h"

#include <stdbool.h>
#include <stdint.h>

static bool comes_before(const struct neap_timer *a, const struct neap_timer *b)
{
    if (a->when_ns != b->when_ns)
        return a->when_ns < b->when_ns;
    return a->sequence < b->sequence;
}

static struct neap_timer *at(const struct neap_heap *heap, size_t index)
{
    return heap->slot[index - 1];
}

static void place(struct neap_heap *heap, struct neap_timer *timer, size_t index)
{
    heap->slot[index - 1] = timer;
    timer->index = index;
}

static void rise(struct neap_heap *heap, struct neap_timer *timer)
{
    size_t index = timer->index;
    while (index > 1 && comes_before(timer, at(heap, index / 2))) {
        place(heap, at(heap, index / 2), index);
        index /= 2;
    }
    place(heap, timer, index);
}

static size_t earlier_child(const struct neap_heap *heap, size_t index)
{
    size_t child = index * 2;
    if (child < heap->count && comes_before(at(heap, child + 1), at(heap, child)))
        return child + 1;
    return child;
}

static void sink(struct neap_heap *heap, struct neap_timer *timer)
{
    size_t index = timer->index;
    while (index <= heap->count / 2) {
        size_t child = earlier_child(heap, index);
        if (!comes_before(at(heap, child), timer))
            break;
        place(heap, at(heap, child), index);
        index = child;
    }
    place(heap, timer, index);
}

void neap_heap_init(struct neap_heap *heap, const struct neap_alloc *alloc)
{
    *heap = (struct neap_heap){.alloc = alloc};
}

void neap_heap_deinit(struct neap_heap *heap)
{
    for (size_t i = 1; i <= heap->count; i++)
        at(heap, i)->index = 0;
    neap_free(heap->alloc, heap->slot);
    *heap = (struct neap_heap){.alloc = heap->alloc};
}

enum neap_status neap_heap_reserve(struct neap_heap *heap, size_t count)
{
    if (count <= heap->capacity)
        return NEAP_OK;
    if (count > SIZE_MAX / sizeof *heap->slot)
        return NEAP_NO_MEMORY;
    void *slot = neap_resize(heap->alloc, heap->slot, count * sizeof *heap->slot);
    if (!slot)
        return NEAP_NO_MEMORY;
    heap->slot = slot;
    heap->capacity = count;
    return NEAP_OK;
}

static enum neap_status insert(struct neap_heap *heap, struct neap_timer *timer)
{
    if (heap->count == heap->capacity) {
        size_t wanted = heap->capacity > 0 ? heap->capacity * 2 : 16;
        if (neap_heap_reserve(heap, wanted) != NEAP_OK)
            return NEAP_NO_MEMORY;
    }
    place(heap, timer, ++heap->count);
    return NEAP_OK;
}

enum neap_status neap_heap_set(struct neap_heap *heap, struct neap_timer *timer, int64_t when_ns)
{
    if (when_ns == NEAP_NEVER) {
        neap_heap_remove(heap, timer);
        return NEAP_OK;
    }
    if (timer->index == 0 && insert(heap, timer) != NEAP_OK)
        return NEAP_NO_MEMORY;
    timer->when_ns = when_ns;
    timer->sequence = heap->next_sequence++;
    rise(heap, timer);
    sink(heap, timer);
    return NEAP_OK;
}

void neap_heap_remove(struct neap_heap *heap, struct neap_timer *timer)
{
    if (timer->index == 0)
        return;
    struct neap_timer *last = at(heap, heap->count--);
    if (last != timer) {
        place(heap, last, timer->index);
        rise(heap, last);
        sink(heap, last);
    }
    timer->index = 0;
}

struct neap_timer *neap_heap_first(const struct neap_heap *heap)
{
    return heap->count > 0 ? heap->slot[0] : NULL;
}
