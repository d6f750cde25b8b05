/* What the files of the guarded function share, and the two steps that most of its calls make, for
 * callers in a hurry: see client/guarded.h. */
#ifndef NEAP_CLIENT_GUARDED_WAY_H
#define NEAP_CLIENT_GUARDED_WAY_H

#include "base/attributes.h"
#include "client/guarded.h"
#include "pipeline/straight_way.h"
#include "platform/loop_clock.h"

struct neap_guarded {
    struct neap_client *client;
    struct neap_call_setup setup;    /* of `process` */
    struct neap_engine *engine;      /* the client's, and its loop: a reading of the time waits for
                                        each pointer that is on the way to it */
    struct neap_loop *loop;          /* of `process` */
    int64_t process;                 /* -1: none yet */
    const _Atomic int64_t *this_one; /* which process this is, see neap_process_id_cell */
    bool suits, suits_failures;
    int64_t retry_after_ns; /* of the last refusal */
    struct neap_guarded_call *all, *spare;
    bool released;
};

/* The general case of whether calls may go straight: the client, or the process, is another one. */
bool neap_guarded_look_again(struct neap_guarded *guarded);

/* NULL: no memory. */
struct neap_guarded_call *neap_guarded_make_call(struct neap_guarded *guarded);

/* What the straight way has not admitted. `*call` is NULL where it is refused. */
enum neap_guarded_next neap_guarded_begin_otherwise(struct neap_guarded_call **call,
                                                    int64_t now_ns);

/* Takes the call out of the list of those that stand in coroutines. */
void neap_guarded_leave_coroutine(struct neap_guarded_call *call);

/* Who is not admitted at once has states: to wait, to be refused, or to be a probe. */
enum neap_guarded_next neap_guarded_begin_call(struct neap_guarded_call *call);

/* The straight way has left it between two attempts. */
enum neap_guarded_next neap_guarded_go_on(struct neap_guarded_call *call);

/* Where it may have been ended by a fork, or by the client's end. */
void neap_guarded_end_early(struct neap_guarded_call *call);

/* A call with states is told how the function went. */
void neap_guarded_tell_success(struct neap_guarded_call *call);
enum neap_guarded_next neap_guarded_tell_failure(struct neap_guarded_call *call,
                                                 const char *message, size_t message_bytes);

/* A place in the bulkhead may be free. */
static inline void neap_guarded_wake_queue(struct neap_client *client)
{
    if (client->queue->list.first)
        neap_exchange_wake_first(client, NULL);
}

NEAP_INLINE void neap_guarded_end(const struct neap_guarded *guarded,
                                  struct neap_guarded_call *call)
{
    call->state = NEAP_GUARDED_OVER;
    guarded->engine->busy--;
    if (call->link)
        neap_guarded_leave_coroutine(call);
    if (call->tied.tie)
        neap_tie_remove(&call->tied);
    neap_guarded_wake_queue(guarded->client);
}

static inline bool neap_guarded_may_go_straight(struct neap_guarded *guarded)
{
    const struct neap_client *client = guarded->client;
    int64_t process = atomic_load_explicit(guarded->this_one, memory_order_relaxed);
    bool is_known = guarded->process == process && guarded->setup.watched == client->watched;
    return is_known && !client->closed ? guarded->suits : neap_guarded_look_again(guarded);
}

static inline struct neap_guarded_call *neap_guarded_take(struct neap_guarded *guarded)
{
    struct neap_guarded_call *call = guarded->spare;
    if (call)
        guarded->spare = call->next;
    else
        call = neap_guarded_make_call(guarded);
    return call;
}

/* ELSEWHERE too where there is no memory, the client is closed, or this is a forked child that has
 * not adopted it. */
NEAP_INLINE enum neap_guarded_next neap_guarded_begin(struct neap_guarded *guarded,
                                                      struct neap_guarded_call **call)
{
    struct neap_client *client = guarded->client;
    struct neap_guarded_call *taken =
        neap_guarded_may_go_straight(guarded) ? neap_guarded_take(guarded) : NULL;
    *call = taken;
    if (!taken)
        return NEAP_GUARDED_ELSEWHERE;
    int64_t now_ns = neap_loop_step(guarded->loop);
    if (client->cells.region)
        neap_cells_reap(&client->cells, now_ns);
    if (!neap_straight_begin(&taken->way, &guarded->setup, now_ns))
        return neap_guarded_begin_otherwise(call, now_ns);
    guarded->engine->busy++;
    taken->state = NEAP_GUARDED_STRAIGHT;
    return NEAP_GUARDED_RUN;
}

NEAP_INLINE void neap_guarded_put_back(struct neap_guarded *guarded, struct neap_guarded_call *call)
{
    if (call->call.trace.count > 0)
        neap_trace_deinit(&call->call.trace);
    call->state = NEAP_GUARDED_SPARE;
    call->next = guarded->spare;
    guarded->spare = call;
}

/* neap_guarded_succeed and neap_guarded_spare in one, for a driver that holds its function:
 * neap_guarded_is_pending. */
NEAP_INLINE bool neap_guarded_conclude(struct neap_guarded *guarded, struct neap_guarded_call *call)
{
    bool is_straight = call->state == NEAP_GUARDED_STRAIGHT;
    if (is_straight && guarded->setup.is_private && !guarded->client->closed) {
        neap_straight_succeed(&call->way, &guarded->setup, neap_loop_step(guarded->loop));
        neap_guarded_end(guarded, call);
    } else {
        neap_guarded_succeed(call);
    }
    neap_guarded_put_back(guarded, call);
    return neap_engine_is_pending(guarded->engine);
}

#endif
