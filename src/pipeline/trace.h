/* Trace: why a call went as it did, one entry an attempt, wait, refusal or fallback, in order. */
#ifndef NEAP_PIPELINE_TRACE_H
#define NEAP_PIPELINE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/kind.h"
#include "base/status.h"

enum neap_trace_kind {
    NEAP_TRACE_ATTEMPT,
    NEAP_TRACE_WAIT,
    NEAP_TRACE_REJECT,
    NEAP_TRACE_FALLBACK
};

struct neap_trace_entry {
    int64_t at_ns, elapsed_ns;
    const char *reason;            /* a static word, or NULL */
    int status;                    /* of an attempt or fallback; 0: none */
    enum neap_trace_kind kind : 8; /* bits: errors take their traces along */
    enum neap_kind error : 8;      /* of an attempt, refusal or fallback; NONE: none */
    enum neap_phase phase : 8;
    bool chaos : 1;        /* an attempt that was disturbed on purpose */
    bool not_enforced : 1; /* a refusal in shadow mode: the attempt was admitted */
};

/* Most calls have one attempt, few have more than three attempts and two waits. */
#define NEAP_TRACE_INLINE 6u

struct neap_trace {
    const struct neap_alloc *alloc;
    struct neap_trace_entry *entry; /* `inlined`, or a block of `alloc` */
    uint32_t count, capacity;
    uint32_t lost;    /* entries that found no memory; the call goes on without them */
    uint32_t lost_at; /* how many there were when the last of those was lost; 0: none was */
    struct neap_trace_entry inlined[NEAP_TRACE_INLINE];
};

/* The struct must not move afterwards. */
void neap_trace_init(struct neap_trace *trace, const struct neap_alloc *alloc);
void neap_trace_deinit(struct neap_trace *trace);

/* What `to` had is forgotten; `from` is empty afterwards. */
void neap_trace_move(struct neap_trace *from, struct neap_trace *to);

/* Makes room for another entry; false (and `lost` counts) without memory. */
bool neap_trace_grow(struct neap_trace *trace);

/* The new last entry, zeroed but for kind and at_ns; NULL without memory. */
static inline struct neap_trace_entry *neap_trace_add(struct neap_trace *trace,
                                                      enum neap_trace_kind kind, int64_t at_ns)
{
    if (trace->count == trace->capacity && !neap_trace_grow(trace))
        return NULL;
    struct neap_trace_entry *entry = &trace->entry[trace->count++];
    *entry = (struct neap_trace_entry){.kind = kind, .at_ns = at_ns};
    return entry;
}

/* NULL where the trace is empty, or has lost the entry that was added last: what is said of that
 * one is not said of an older one. */
struct neap_trace_entry *neap_trace_last(struct neap_trace *trace);

/* "attempt", "wait", "reject", "fallback". */
const char *neap_trace_kind_name(enum neap_trace_kind kind);

#endif
