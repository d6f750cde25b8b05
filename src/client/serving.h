/* Serving: one request under an idempotency key, on its way through guard, store and handler.
 *
 * The guard (pipeline/guard.h) decides, its store steps are made here, and the owner is asked for
 * the rest. On a real engine all of it happens on the desk's thread, which goes on renewing the
 * lease while the handler runs, even one that blocks; on a virtual engine, on its clock and at
 * once. Life: neap_serving_new, _begin, then whenever the waiter is ready look at `stage`:
 *
 *     WAITS      nothing yet
 *     PASS       run the handler as if there were no guard                  -> _free
 *     RUN        begin the handler, told `recovered`                        -> _handled
 *     ANSWER     give the handler's own answer                              -> _free
 *     PROBLEM    give the answer of `problem`                               -> _free
 *     REPLAY     give the stored answer, opened by `replay`                 -> _free
 *
 * _free may come at any time: what was claimed and not begun is released, what was begun is left to
 * its lease, who waits for another's end stops, and what the store has not learnt yet is told to it
 * as long as the lease lasts, or a last time when the desk goes; on a virtual engine that ends with
 * _free. In a forked child a parent's serving does nothing with the store. Belongs to the engine's
 * thread. */
#ifndef NEAP_CLIENT_SERVING_H
#define NEAP_CLIENT_SERVING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/outcome.h"
#include "base/status.h"
#include "client/desk.h"
#include "client/engine.h"
#include "client/tie.h"
#include "pipeline/guard.h"
#include "pipeline/stored_answer.h"
#include "policy/fingerprint.h"

enum neap_serving_stage {
    NEAP_SERVING_WAITS,
    NEAP_SERVING_PASS,
    NEAP_SERVING_RUN,
    NEAP_SERVING_ANSWER,
    NEAP_SERVING_PROBLEM,
    NEAP_SERVING_REPLAY
};

struct neap_serving;

struct neap_serving_setup {
    struct neap_guard_policy policy;
    bool guarded;              /* the request's method is one of the policy's */
    enum neap_key_fault fault; /* of its key */
    struct neap_bytes key;     /* in the store; the scope included */
    uint8_t fingerprint[NEAP_FINGERPRINT_BYTES];
};

/* The key is copied. NEAP_NO_MEMORY; NEAP_SYSTEM where there are no random bytes for a token. */
NEAP_MUST_CHECK enum neap_status neap_serving_new(struct neap_desk *desk,
                                                  struct neap_engine *engine,
                                                  const struct neap_serving_setup *setup,
                                                  struct neap_serving **serving);

void neap_serving_begin(struct neap_serving *serving);

/* The handler has ended. `blob` is its answer as neap_stored_answer_write made it with the engine's
 * allocator, taken over; NULL where it raised. Where the thread cannot be told, the answer is the
 * caller's at once, and the key is left to its lease. Nothing but the blob's end where no handler
 * was to begin, or it has ended already. */
void neap_serving_handled(struct neap_serving *serving, const struct neap_guard_handled *handled,
                          char *blob, size_t blob_bytes);

void neap_serving_free(struct neap_serving *serving);

/* The handler may have ended without a word: ends as _free, when the tie ends. */
void neap_serving_tie(struct neap_serving *serving, struct neap_tie *tie);

uint64_t neap_serving_id(const struct neap_serving *serving); /* the waiter's */

/* Takes the waiter off the engine's list of those who are ready. */
void neap_serving_quieten(struct neap_serving *serving);

/* Turns the engine until there is a stage. False where nothing can happen any more: after the end
 * of the tie, on a virtual engine that waits for nothing, and in a forked child. */
bool neap_serving_run(struct neap_serving *serving);

/* Who has seen RUN is taken to have begun the handler. */
enum neap_serving_stage neap_serving_stage(struct neap_serving *serving);

struct neap_loop *neap_serving_loop(struct neap_serving *serving); /* the engine's */

/* When it will do something by itself, by the engine's clock; NEAP_NEVER where the desk does. */
int64_t neap_serving_next_wakeup(const struct neap_serving *serving);

/* RUN: an earlier owner's lease ended without a result. */
bool neap_serving_is_recovered(const struct neap_serving *serving);

/* PROBLEM: which; and the store's message where it was the store, else "". */
enum neap_problem neap_serving_problem(const struct neap_serving *serving);
const char *neap_serving_message(const struct neap_serving *serving);

/* REPLAY: the stored answer; it points into memory of the serving's. */
const struct neap_stored_reader *neap_serving_replay(const struct neap_serving *serving);

/* On a virtual engine: the caller has its answer, and the store is to learn of it at a later turn
 * of the engine, if it is not freed before. */
bool neap_serving_owes(const struct neap_serving *serving);

#endif
