/* Desk: a store at work for one thread that must not wait for it: what is asked of the store is
 * done on a thread of the desk's own, and ends on the owner's.
 *
 * An errand goes out by neap_desk_send, runs on the desk's thread, comes back by neap_desk_return
 * and ends on the owner's thread, inside a turn of the engine for which it was sent. Who does not
 * mind waiting takes the store itself for a moment: neap_desk_take, neap_desk_give.
 *
 * Made without a thread, which starts with the first errand. Functions are for the owner's thread
 * unless they say otherwise. References are counted. In a forked child the desk goes on with a
 * thread of its own, unless errands were out or the store was in use at the fork: it is then in
 * nobody knows which state, and the child cannot use it. */
#ifndef NEAP_CLIENT_DESK_H
#define NEAP_CLIENT_DESK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "client/engine.h"
#include "platform/helper.h"
#include "store/store.h"

struct neap_desk;

/* Embedded in its owner; of the desk while it is out, which it then holds by itself: an owner that
 * nobody waits for any more lets go of its own reference at once, so that a desk knows when nobody
 * has it any more. */
struct neap_desk_errand {
    struct neap_errand errand; /* the desk's */
    struct neap_desk *desk;    /* the desk's */
    /* On the desk's thread; neap_desk_return must follow, then or later. */
    void (*run)(struct neap_desk_errand *errand);
    void (*back)(struct neap_desk_errand *errand); /* on the owner's thread */
};

/* Somebody who stays at the desk's thread between errands, without a reference. `evict` is called
 * when the desk goes, after the thread has ended, and ends the guest; the store and the loop are
 * still there. Not called in a forked child. */
struct neap_desk_guest {
    struct neap_desk_guest *next, **link; /* the desk's */
    void (*evict)(struct neap_desk_guest *guest);
};

/* Takes the store over, also on failure. `is_quick` says that its steps never wait for anything.
 * NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_desk_new(const struct neap_alloc *alloc,
                                               struct neap_store *store, bool is_quick,
                                               struct neap_desk **desk);
struct neap_desk *neap_desk_hold(struct neap_desk *desk);

/* After the last one the desk goes: at once where nothing is out, else when all of it is back.
 * Where the engine is deserted it waits for that here; what comes back may send something once
 * more, which is done on this thread. Whoever turns the engine holds it. */
void neap_desk_release(struct neap_desk *desk);

bool neap_desk_is_quick(const struct neap_desk *desk);

/* Can it not be used in this process? Where errands were out, or another thread had the store, when
 * the process was forked. */
bool neap_desk_is_lost(const struct neap_desk *desk);

/* The engine is one on the real clock. NEAP_INVALID where the desk is lost, or errands are out
 * for another engine; NEAP_NO_MEMORY; NEAP_SYSTEM where no thread or no descriptors can be had. On
 * success `back` will be called. */
NEAP_MUST_CHECK enum neap_status neap_desk_send(struct neap_desk *desk, struct neap_engine *engine,
                                                struct neap_desk_errand *errand);

/* Why it could not be sent, for people. */
const char *neap_desk_failure(enum neap_status status);

/* Desk's thread: what was sent goes back. */
void neap_desk_return(struct neap_desk_errand *errand);

/* Desk's thread: its loop, for timers. */
struct neap_loop *neap_desk_loop(struct neap_desk *desk);

/* Desk's thread: comes to stay, and leaves. */
void neap_desk_admit(struct neap_desk *desk, struct neap_desk_guest *guest);
void neap_desk_dismiss(struct neap_desk_guest *guest);

/* Any thread: the store, for one step; waits until nobody else has it. */
struct neap_store *neap_desk_take(struct neap_desk *desk);
void neap_desk_give(struct neap_desk *desk);

/* Who has the store: its step has found it down, or at work. By a monotonic clock, the same for
 * all. */
void neap_desk_note(struct neap_desk *desk, bool is_down, int64_t now_ns);

/* Who has the store: has its last step found it down, later than `since_ns`? Who has waited behind
 * that step need not wait for a network, or for a lock, as long once more. */
bool neap_desk_is_down_since(const struct neap_desk *desk, int64_t since_ns);

#endif
