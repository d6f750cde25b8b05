/* What is inside a serving, for its parts: its life (serving.c), what drives its guard
 * (serving_drive.c) and its steps of the store (serving_store.c). */
#ifndef NEAP_CLIENT_SERVING_INTERNAL_H
#define NEAP_CLIENT_SERVING_INTERNAL_H

#include <stdatomic.h>

#include "client/serving.h"

/* The first part is the owner's. The second is the desk's thread's from the first errand on. The
 * third is the thread's while an errand is out, and the owner's else. `gone`, and what never
 * changes, is for both. */
struct neap_serving {
    struct neap_waiter waiter;
    struct neap_tied tied;
    struct neap_engine *engine;
    struct neap_desk *desk;
    bool holds_desk; /* who is abandoned leaves it to the errand that is out, or is evicted */
    int64_t process;
    bool is_inline; /* on a virtual engine: all of it on the owner's thread */
    bool out, abandoned, given_up;
    bool begun; /* the handler was, or may have been */

    _Atomic bool gone; /* abandoned or given up */

    struct neap_desk_errand errand;
    struct neap_desk_guest guest;
    struct neap_loop_timer timer;
    struct neap_loop *loop;
    struct neap_random random;
    struct neap_guard_policy policy;
    struct neap_guard guard;
    uint8_t fingerprint[NEAP_FINGERPRINT_BYTES], token[NEAP_STORE_TOKEN_BYTES];
    struct neap_bytes key; /* behind the struct */
    int64_t due_ns;        /* when the step that comes was to be made */
    bool is_guest, owes, leaves;

    enum neap_serving_stage told;
    int64_t sent_ns; /* when the errand was */
    bool stays;      /* the thread knows it still, and must be asked to forget it */
    bool recovered;
    enum neap_problem problem;
    char message[NEAP_MESSAGE_BYTES];
    struct neap_blob replay;
    struct neap_stored_reader reader;
    struct neap_guard_handled handled;
    struct neap_blob answer; /* of the handler */
};

/* All that follows is for the thread that drives the guard: the desk's from the first errand on,
 * else the owner's. */

/* What the guard says to the event, and doing it until it waits for something. */
struct neap_guard_effect neap_serving_step(struct neap_serving *serving,
                                           const struct neap_guard_event *event);
void neap_serving_go_on(struct neap_serving *serving, struct neap_guard_effect effect);
void neap_serving_on_timer(struct neap_loop_timer *timer, int64_t now_ns);

/* The owner is told of a stage; `stays` says that the thread is not done with it. */
void neap_serving_tell(struct neap_serving *serving, enum neap_serving_stage stage, bool stays);

/* The thread has nothing to do with it any more. */
void neap_serving_leave(struct neap_serving *serving);
void neap_serving_leave_telling(struct neap_serving *serving, enum neap_serving_stage stage);

/* The steps of the store. A claim takes a stored result into `replay` and `reader`. Where one that
 * comes before the handler fails, `message` says why. */
enum neap_guard_claim neap_serving_claim(struct neap_serving *serving);
enum neap_guard_store neap_serving_renew(struct neap_serving *serving);
enum neap_guard_store neap_serving_release(struct neap_serving *serving);

/* The result is the handler's answer, or that of `problem`. */
enum neap_guard_store neap_serving_finish(struct neap_serving *serving, enum neap_problem problem);

void neap_serving_note(struct neap_serving *serving, const char *message);

#endif
