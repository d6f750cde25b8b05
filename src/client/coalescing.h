/* Coalescing: calls of one client that are alike share the attempts of the first, the leader. The
 * others follow it: they wait for its outcome, and have what it has concluded before its fallbacks.
 *
 * Alike are two GETs or two HEADs with the same URL, the same headers (in any order, names in any
 * letter case) and the same body, whose attempts have the same limits and go through the same
 * breaker and gates. Deadlines may differ.
 *
 * A leader that ends without an outcome for the others (it is cancelled, given up, or fails for
 * want of time that others have) leaves its place to one of them: the one whose deadline comes
 * last, so that no third has to set out for want of time. That one begins from a job of the engine,
 * and whoever asks the helper for its bell is told.
 *
 * Nobody follows a leader that is in the hands of Lua, where a listener or a function of the policy
 * runs: the call could come from there, and the two would wait for each other. It becomes one more
 * leader, for those who come later. Those who follow already wait for Lua no longer than
 * NEAP_PATIENCE_NS: the coroutine that should serve the leader may have been killed without a word.
 *
 * Belongs to the engine's thread. Nothing here can fail: where there is no memory for a timer, the
 * patience is at an end at once. */
#ifndef NEAP_CLIENT_COALESCING_H
#define NEAP_CLIENT_COALESCING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/duration.h"
#include "base/hash.h"
#include "base/status.h"
#include "platform/loop.h"

struct neap_exchange;

#define NEAP_PATIENCE_NS NEAP_SECOND

#define NEAP_LEADER_BUCKETS 256u

/* The leaders of one client. */
struct neap_coalescing {
    const struct neap_alloc *alloc;
    struct neap_hash_seed seed;
    struct neap_exchange *leaders[NEAP_LEADER_BUCKETS]; /* by their hashes */
};

/* An exchange's part in it; zeroed memory has none. It is in one list at most: its leader's, or its
 * bucket's. */
struct neap_share {
    bool leads;
    uint64_t hash;
    struct neap_exchange *leader;       /* whom it follows; NULL: nobody */
    struct neap_exchange *first, *last; /* who follow it, in the order in which they came */
    struct neap_exchange *next, *previous;
    int64_t in_hands_since_ns;       /* a leader: since when it has been Lua's turn */
    struct neap_loop_timer patience; /* set while others follow one whose turn is Lua's */
};

/* NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_coalescing_new(const struct neap_alloc *alloc,
                                                     const struct neap_hash_seed *seed,
                                                     struct neap_coalescing **coalescing);
void neap_coalescing_free(struct neap_coalescing *coalescing);

/* Before its first step. True: it follows another one now, and is to be stepped with FOLLOW. False:
 * it makes its own attempts, and others may follow it if there can be any. Without `may_follow`
 * that is so in any case. */
bool neap_coalescing_join(struct neap_exchange *exchange, bool may_follow);

/* Now it is Lua's turn. */
void neap_coalescing_await_lua(struct neap_exchange *exchange);

/* After each step, and before an exchange is given up: where its part is over, those who follow it
 * have its outcome or go on without it. */
void neap_coalescing_update(struct neap_exchange *exchange);
void neap_coalescing_leave(struct neap_exchange *exchange);

#endif
