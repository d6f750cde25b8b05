/* Helper: a thread with a loop of its own, that runs errands for the one thread that owns it.
 *
 * For hosts whose thread must not wait and cannot watch descriptors: what waits is done over there.
 * An errand goes out by neap_helper_post, runs on the helper's thread, comes back by
 * neap_helper_return when that thread is done with it, and ends on the owner's thread inside
 * neap_helper_collect. Errands go out, and come back, in order; between the two, memory that they
 * name belongs to the helper's thread alone.
 *
 * The thread starts with the first errand, blocks all signals and never runs anything of Lua. A
 * forked child has no helper: neap_helper_forsake. The process may end by exit() at any moment:
 * helpers that still run are stopped first (platform/exit_stop.h), since what they use is torn down
 * then. */
#ifndef NEAP_PLATFORM_HELPER_H
#define NEAP_PLATFORM_HELPER_H

#include <stdbool.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "platform/loop.h"

struct neap_helper;

/* Embedded in its owner. `back` may be NULL for one that is never returned. */
struct neap_errand {
    struct neap_errand *next;
    void (*run)(struct neap_errand *errand);  /* on the helper's thread */
    void (*back)(struct neap_errand *errand); /* on the owner's thread */
};

/* NEAP_NO_MEMORY; NEAP_SYSTEM where the system gives no descriptors. `alloc` is used by both
 * threads. */
NEAP_MUST_CHECK enum neap_status neap_helper_new(const struct neap_alloc *alloc,
                                                 struct neap_helper **helper);

/* For an owner that does not wait at a doorbell: `returned` is called on the helper's thread as
 * soon as an errand has come back, whatever that thread does next. What comes back at the helper's
 * end comes on the owner's thread. */
struct neap_helper_listener {
    void (*returned)(struct neap_helper_listener *listener);
};

/* As neap_helper_new, without a doorbell; the listener must outlive the helper. */
NEAP_MUST_CHECK enum neap_status neap_helper_new_heard(const struct neap_alloc *alloc,
                                                       struct neap_helper_listener *listener,
                                                       struct neap_helper **helper);

/* Runs the errands that are posted, stops the thread for good, and lets those that came back end.
 * The loop is this thread's from now on, and so is what is posted by those who end: it is run here,
 * before this returns or in neap_helper_free. NULL is harmless. */
void neap_helper_stop(struct neap_helper *helper);

/* Stops it first. NULL is harmless. */
void neap_helper_free(struct neap_helper *helper);

/* In a forked child: closes the descriptors of what the parent made. Its memory stays, since the
 * parent's thread may have been in the middle of using it. */
void neap_helper_forsake(struct neap_helper *helper);

/* Starts the thread if it does not run yet. NEAP_SYSTEM where none can be had, and where it was
 * stopped: by neap_helper_stop, or because the process exits. */
NEAP_MUST_CHECK enum neap_status neap_helper_start(struct neap_helper *helper);

/* The loop that the errands of a running thread may use, on that thread. */
struct neap_loop *neap_helper_loop(struct neap_helper *helper);

/* Owner's thread; the thread runs. */
void neap_helper_post(struct neap_helper *helper, struct neap_errand *errand);

/* Likewise, for an owner that posts many one after the other: where both threads have one core, to
 * wake the other one for the first of them is to be interrupted by it. The thread is told when
 * there are enough of them, at neap_helper_flush, or at the next post, collect or arm. */
void neap_helper_post_soon(struct neap_helper *helper, struct neap_errand *errand);

/* Owner's thread: is there anything that the thread has not been told of? */
bool neap_helper_is_untold(const struct neap_helper *helper);

/* Owner's thread: tells it. */
void neap_helper_flush(struct neap_helper *helper);

/* Helper's thread: hands the errand back. */
void neap_helper_return(struct neap_helper *helper, struct neap_errand *errand);

/* Owner's thread: ends all that has come back. True if there was any. `back` may post. */
bool neap_helper_collect(struct neap_helper *helper);

/* Owner's thread, before waiting at the doorbell: false if something has come back already, else
 * the bell will ring once when something does. */
bool neap_helper_arm(struct neap_helper *helper);

/* Owner's thread: lets the bell ring as if something had come back. */
void neap_helper_nudge(struct neap_helper *helper);

/* Any thread: lets the bell ring as if something had come back. The helper runs, or has run. */
void neap_helper_knock(struct neap_helper *helper);

/* The descriptor N for which unix:/proc/self/fd/N is the doorbell's address: who connects there is
 * sent a byte whenever it rings. -1 where there is none. */
int neap_helper_doorbell(const struct neap_helper *helper);

#endif
