/* Store step: one function of store.h asked for by Lua, made here and now or on the desk's thread.
 *
 * Life: neap_store_step_new, then either _perform, or _send and, once the waiter is ready, `over`
 * is true; then the results may be read until _free. One that is freed while it is out is done all
 * the same, and nobody learns what came of it. Belongs to the engine's thread. */
#ifndef NEAP_CLIENT_STORE_STEP_H
#define NEAP_CLIENT_STORE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/outcome.h"
#include "base/status.h"
#include "client/desk.h"
#include "client/engine.h"
#include "store/store.h"

/* Each is the function of that name in store.h. Claims are the guard's own. */
enum neap_store_op {
    NEAP_STORE_OP_GET,
    NEAP_STORE_OP_PUT,
    NEAP_STORE_OP_REMOVE,
    NEAP_STORE_OP_OUTBOX_PUT,
    NEAP_STORE_OP_OUTBOX_TAKE,
    NEAP_STORE_OP_OUTBOX_RENEW,
    NEAP_STORE_OP_OUTBOX_DONE,
    NEAP_STORE_OP_OUTBOX_RETRY,
    NEAP_STORE_OP_OUTBOX_BURY,
    NEAP_STORE_OP_OUTBOX_COUNT,
    NEAP_STORE_OP_OUTBOX_DEAD,
    NEAP_STORE_OP_OUTBOX_REVIVE,
    NEAP_STORE_OP_OUTBOX_DROP,
    NEAP_STORE_OP_SWEEP,
    NEAP_STORE_OP_COUNT
};

/* What an op takes; the rest is not looked at. */
struct neap_store_arguments {
    struct neap_bytes key;                 /* of the cache; of an outbox: its name */
    struct neap_bytes ordering_key;        /* OUTBOX_PUT */
    struct neap_bytes value;               /* PUT, OUTBOX_PUT; OUTBOX_BURY: the reason */
    uint64_t id;                           /* of an entry; OUTBOX_DEAD: after it */
    uint8_t token[NEAP_STORE_TOKEN_BYTES]; /* of who has the entry; OUTBOX_TAKE: a new one */
    int64_t now_ns;                        /* wall clock */
    int64_t until_ns;                      /* PUT: it expires; OUTBOX_RETRY: it is due */
    int64_t lease_ns;                      /* OUTBOX_TAKE, OUTBOX_RENEW */
};

struct neap_store_step {
    struct neap_waiter waiter;
    struct neap_desk_errand errand;
    const struct neap_alloc *alloc;
    struct neap_engine *engine;
    struct neap_desk *desk;
    enum neap_store_op op;
    struct neap_store_arguments arguments; /* texts are copies behind the struct */
    bool out, over;
    bool abandoned; /* out, and without its reference to the desk */

    enum neap_store_status status;
    char message[NEAP_MESSAGE_BYTES]; /* where the status is UNAVAILABLE */
    struct neap_blob value;           /* GET */
    uint64_t id;                      /* OUTBOX_PUT */
    struct neap_outbox_entry entry;   /* OUTBOX_TAKE */
    int64_t next_ns;                  /* OUTBOX_TAKE, also where the status is NONE */
    struct neap_outbox_counts counts; /* OUTBOX_COUNT */
    struct neap_dead_letter letter;   /* OUTBOX_DEAD */
    bool more;                        /* SWEEP */
};

/* Texts are copied. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status
neap_store_step_new(struct neap_desk *desk, struct neap_engine *engine, enum neap_store_op op,
                    const struct neap_store_arguments *arguments, struct neap_store_step **step);

/* Here and now: may block, unless the desk is quick. */
void neap_store_step_perform(struct neap_store_step *step);

/* On the desk's thread. Where that cannot be had the step is over at once, with UNAVAILABLE. */
void neap_store_step_send(struct neap_store_step *step);

void neap_store_step_free(struct neap_store_step *step);

#endif
