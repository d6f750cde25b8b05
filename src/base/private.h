/* Atomics of state that may be shared, but is not always: where one thread alone has it, a load and
 * a store do what a locked instruction does, in a tenth of the time.
 *
 * Whoever passes `is_private` knows that nobody else writes the cell at all. The cells stay atomic,
 * so that ThreadSanitizer finds whoever passes it wrongly. `cell` may be evaluated more than once.
 */
#ifndef NEAP_BASE_PRIVATE_H
#define NEAP_BASE_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/step_back.h"

/* Adds; relaxed, since a count orders nothing. */
#define NEAP_ADD(cell, amount, is_private)                                                         \
    ((is_private) ? atomic_store_explicit(                                                         \
                        (cell), atomic_load_explicit((cell), memory_order_relaxed) + (amount),     \
                        memory_order_relaxed)                                                      \
                  : (void)atomic_fetch_add_explicit((cell), (amount), memory_order_relaxed))

/* Puts `next` where `*seen` was read; false, with what is there in *seen, if somebody else was
 * faster. May fail for no reason, so it belongs into a loop.
 *
 * Whoever was slower steps back for a moment (base/step_back.h): two who swap the same word as fast
 * as they can take its cache line from each other between the look and the swap, again and again,
 * and are three times as slow as when one of them waits. */
#define NEAP_SWAP(cell, seen, next, is_private)                                                    \
    ((is_private) ? (atomic_store_explicit((cell), (next), memory_order_relaxed), true)            \
                  : (atomic_compare_exchange_weak((cell), (seen), (next)) ||                       \
                     (neap_step_back(), *(seen) = atomic_load(cell), false)))

#endif
