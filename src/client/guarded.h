/* A guarded function: what the calls of one that needs nobody share, and what each of them holds.
 *
 * While nobody has to be waited for, told or asked, a call needs no exchange; where
 * pipeline/straight can carry it, not even the states of a call. The driver takes a call, runs the
 * function, and says how that went, for as long as `next` is RUN:
 *
 *     neap_guarded_begin      a call, or none where `next` is ELSEWHERE or REFUSED
 *     neap_guarded_succeed    the function has succeeded: the call is over
 *     neap_guarded_fail       it has failed
 *     neap_guarded_spare      at last, of each call that there is
 *
 *     ELSEWHERE  nothing has happened; go the ordinary way, by an exchange
 *     REFUSED    the breaker has refused it, and the call is over: see neap_guarded_refusal
 *     RUN        run the function
 *     DONE       the call is over; what it came to is in call->call
 *     WAITS      an exchange must go on with it, see neap_guarded_hand_over
 *
 * The first one stands in client/guarded_way.h, and so does the last but one together with spare. A
 * call whose driver goes away is given up instead. Belongs to the engine's thread. */
#ifndef NEAP_CLIENT_GUARDED_H
#define NEAP_CLIENT_GUARDED_H

#include "client/exchange.h"
#include "pipeline/straight.h"

struct neap_guarded;

enum neap_guarded_state {
    NEAP_GUARDED_SPARE,    /* in its function's list */
    NEAP_GUARDED_STRAIGHT, /* `way` holds its permits */
    NEAP_GUARDED_CALL,     /* `call` does */
    NEAP_GUARDED_OVER      /* nothing is held; what there is to know is in `call` */
};

struct neap_guarded_call {
    struct neap_guarded *guarded;
    enum neap_guarded_state state;
    struct neap_straight way;
    struct neap_call call;
    struct neap_effect effect;
    struct neap_tied tied;
    struct neap_guarded_call *elder;  /* all of its function */
    struct neap_guarded_call *next;   /* spare */
    struct neap_guarded_call **link;  /* NULL: it stands in no coroutine that may be dropped */
    struct neap_guarded_call *beside; /* in the engine's list of those that do */
    const void *coroutine;            /* names it, and is never looked into */
    void *keeper;                     /* the driver's; NULL in a spare one */
    int arguments, base;              /* the driver's */
};

/* NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_guarded_new(struct neap_client *client,
                                                  struct neap_guarded **guarded);

/* Calls that are under way keep it until they are spare. */
void neap_guarded_free(struct neap_guarded *guarded);

enum neap_guarded_next {
    NEAP_GUARDED_ELSEWHERE,
    NEAP_GUARDED_REFUSED,
    NEAP_GUARDED_RUN,
    NEAP_GUARDED_DONE,
    NEAP_GUARDED_WAITS
};

/* Of the call that was REFUSED last. */
struct neap_guarded_refusal {
    int64_t at_ns, retry_after_ns; /* -1: nobody knows */
    enum neap_breaker_state state; /* why, see neap_breaker_refusal */
};

struct neap_guarded_refusal neap_guarded_refusal(const struct neap_guarded *guarded);

/* Both change nothing where the call is over, because it was given up meanwhile. */
void neap_guarded_succeed(struct neap_guarded_call *call);
enum neap_guarded_next neap_guarded_fail(struct neap_guarded_call *call, const char *message,
                                         size_t message_bytes);

/* After WAITS: the exchange has the call. NEAP_NO_MEMORY: the call is given up. */
NEAP_MUST_CHECK enum neap_status neap_guarded_hand_over(struct neap_guarded_call *call,
                                                        struct neap_exchange **exchange);

/* The moment of its last step. */
int64_t neap_guarded_now(const struct neap_guarded_call *call);

/* Has a call left something to be done on the engine, for others? */
bool neap_guarded_is_pending(const struct neap_guarded *guarded);

/* Gives back what it holds; harmless on one that is over. */
void neap_guarded_give_up(struct neap_guarded_call *call);

/* Must be over, or handed over. */
void neap_guarded_spare(struct neap_guarded_call *call);

/* The coroutine in which its function runs may be dropped; see neap_guarded_abandon. */
void neap_guarded_stand_in(struct neap_guarded_call *call, const void *coroutine);

/* Gives up what stands in that coroutine, the innermost first. */
void neap_guarded_abandon(struct neap_engine *engine, const void *coroutine);

/* It is given up when the tie ends. */
void neap_guarded_tie(struct neap_guarded_call *call, struct neap_tie *tie);

#endif
