/* History: calls and failures of the last minutes in slots of five seconds, for a small chart.
 *
 * State is atomics without pointers, so that processes may share it; each slot is one word, and
 * recording is one compare-and-swap. `now_ns` is monotonic and the same for all who share. A clock
 * that steps back counts in the slot of the moment that it tells, where that one is still there. */
#ifndef NEAP_METRICS_HISTORY_H
#define NEAP_METRICS_HISTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NEAP_HISTORY_SLOTS 60u
#define NEAP_HISTORY_SLOT_SECONDS 5

/* Calls of one slot saturate here; failures are never more than calls. */
#define NEAP_HISTORY_COUNT_BITS 20
#define NEAP_HISTORY_MAX ((1u << NEAP_HISTORY_COUNT_BITS) - 1)

struct neap_history {
    _Atomic uint64_t slot[NEAP_HISTORY_SLOTS]; /* its number, calls, failures; 0: never used */
    /* Of one thread that records alone: the slot of its last call, and the moments that are counted
     * there. */
    int64_t from_ns, until_ns;
    uint32_t index;
};

struct neap_history_point {
    uint32_t calls, failures;
};

void neap_history_init(struct neap_history *history);

/* The general case. */
void neap_history_add_anywhere(struct neap_history *history, int64_t now_ns, bool failed,
                               bool is_private);

/* `is_private`: one thread alone records here. */
static inline void neap_history_add(struct neap_history *history, int64_t now_ns, bool failed,
                                    bool is_private)
{
    if (!is_private || now_ns < history->from_ns || now_ns >= history->until_ns) {
        neap_history_add_anywhere(history, now_ns, failed, is_private);
        return;
    }
    _Atomic uint64_t *slot = &history->slot[history->index];
    uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t call = UINT64_C(1) << NEAP_HISTORY_COUNT_BITS;
    if ((word & call * NEAP_HISTORY_MAX) != call * NEAP_HISTORY_MAX)
        atomic_store_explicit(slot, word + call + failed, memory_order_relaxed);
}

static inline void neap_history_record(struct neap_history *history, int64_t now_ns, bool failed)
{
    neap_history_add(history, now_ns, failed, false);
}

/* Oldest first; the last one is the slot of `now_ns`, which is not over yet. */
void neap_history_read(const struct neap_history *history, int64_t now_ns,
                       struct neap_history_point points[NEAP_HISTORY_SLOTS]);

#endif
