#include "pipeline/trace.h"

#include <string.h>

static const char *const kind_names[] = {
    [NEAP_TRACE_ATTEMPT] = "attempt",
    [NEAP_TRACE_WAIT] = "wait",
    [NEAP_TRACE_REJECT] = "reject",
    [NEAP_TRACE_FALLBACK] = "fallback",
};

void neap_trace_init(struct neap_trace *trace, const struct neap_alloc *alloc)
{
    trace->alloc = alloc;
    trace->entry = trace->inlined;
    trace->count = 0;
    trace->capacity = NEAP_TRACE_INLINE;
    trace->lost = 0;
    trace->lost_at = 0;
}

void neap_trace_deinit(struct neap_trace *trace)
{
    if (trace->entry != trace->inlined)
        neap_free(trace->alloc, trace->entry);
    neap_trace_init(trace, trace->alloc);
}

/* The inlined entries move with it. */
void neap_trace_move(struct neap_trace *from, struct neap_trace *to)
{
    *to = *from;
    if (from->entry == from->inlined)
        to->entry = to->inlined;
    neap_trace_init(from, from->alloc);
}

bool neap_trace_grow(struct neap_trace *trace)
{
    uint32_t capacity = trace->capacity * 2;
    struct neap_trace_entry *bigger =
        neap_alloc_array(trace->alloc, capacity, sizeof *trace->entry);
    if (!bigger) {
        trace->lost++;
        trace->lost_at = trace->count;
        return false;
    }
    memcpy(bigger, trace->entry, trace->count * sizeof *bigger);
    if (trace->entry != trace->inlined)
        neap_free(trace->alloc, trace->entry);
    trace->entry = bigger;
    trace->capacity = capacity;
    return true;
}

struct neap_trace_entry *neap_trace_last(struct neap_trace *trace)
{
    bool is_there = trace->count > 0 && trace->count != trace->lost_at;
    return is_there ? &trace->entry[trace->count - 1] : NULL;
}

const char *neap_trace_kind_name(enum neap_trace_kind kind)
{
    return kind_names[kind];
}
