/* Guarded calls that have states, that stand where they may be dropped, or that somebody ends. */
#include "client/guarded_way.h"

#include "base/owner.h"
#include "client/hint.h"

static const struct neap_outcome failure = {.kind = NEAP_KIND_ERROR};

NEAP_SELDOM void neap_guarded_leave_coroutine(struct neap_guarded_call *call)
{
    *call->link = call->beside;
    if (call->beside)
        call->beside->link = call->link;
    call->link = NULL;
}

/* Its trace has what the straight way has left there. */
static void become(struct neap_guarded_call *call)
{
    neap_straight_become(&call->way, &call->guarded->setup, &call->call);
    call->state = NEAP_GUARDED_CALL;
}

static void step(struct neap_guarded_call *call, const struct neap_event *event)
{
    struct neap_loop *loop = call->guarded->client->engine->loop;
    call->effect = neap_call_step(&call->call, neap_loop_now(loop), event);
}

static enum neap_guarded_next next_of(struct neap_guarded_call *call)
{
    switch (call->effect.kind) {
    case NEAP_EFFECT_SEND:
        neap_guarded_wake_queue(call->guarded->client);
        return NEAP_GUARDED_RUN;
    case NEAP_EFFECT_DONE:
        neap_guarded_end(call->guarded, call);
        return NEAP_GUARDED_DONE;
    case NEAP_EFFECT_CANCEL:
    case NEAP_EFFECT_WAIT:
    case NEAP_EFFECT_ASK:
    case NEAP_EFFECT_FALLBACK:
    case NEAP_EFFECT_STORED:
        break;
    }
    return NEAP_GUARDED_WAITS;
}

NEAP_SELDOM enum neap_guarded_next neap_guarded_begin_call(struct neap_guarded_call *call)
{
    neap_call_init(&call->call, &call->guarded->setup);
    call->guarded->client->engine->busy++;
    call->state = NEAP_GUARDED_CALL;
    step(call, &(struct neap_event){.kind = NEAP_EVENT_BEGIN});
    return next_of(call);
}

enum neap_guarded_next neap_guarded_go_on(struct neap_guarded_call *call)
{
    call->state = NEAP_GUARDED_CALL;
    step(call, &(struct neap_event){.kind = NEAP_EVENT_TIME});
    return next_of(call);
}

static void tell_outcome(struct neap_guarded_call *call, const struct neap_outcome *outcome)
{
    step(call, &(struct neap_event){.kind = NEAP_EVENT_OUTCOME,
                                    .attempt = call->call.attempts,
                                    .outcome = outcome,
                                    .hint = neap_hint_none()});
}

/* The client was closed while the function ran: whatever that came to, the call was cancelled. */
static void cancel(struct neap_guarded_call *call)
{
    const struct neap_outcome cancelled = {.kind = NEAP_KIND_CANCELLED};
    if (call->state == NEAP_GUARDED_STRAIGHT)
        become(call);
    step(call, &(struct neap_event){.kind = NEAP_EVENT_CANCEL});
    while (call->effect.kind == NEAP_EFFECT_CANCEL)
        tell_outcome(call, &cancelled);
    neap_guarded_end(call->guarded, call);
}

/* In a forked child the permits are the parent's, where others share them. */
static bool is_parents(const struct neap_client *client)
{
    return client->cells.region && neap_engine_is_inherited(client->engine);
}

NEAP_SELDOM void neap_guarded_end_early(struct neap_guarded_call *call)
{
    const struct neap_client *client = call->guarded->client;
    if (is_parents(client))
        neap_guarded_give_up(call);
    else if (client->closed)
        cancel(call);
}

NEAP_SELDOM void neap_guarded_tell_success(struct neap_guarded_call *call)
{
    tell_outcome(call, &(struct neap_outcome){.kind = NEAP_KIND_NONE});
}

NEAP_SELDOM enum neap_guarded_next
neap_guarded_tell_failure(struct neap_guarded_call *call, const char *message, size_t message_bytes)
{
    struct neap_outcome outcome = failure;
    neap_outcome_say(&outcome, message, message_bytes);
    if (call->state == NEAP_GUARDED_STRAIGHT)
        become(call);
    tell_outcome(call, &outcome);
    return next_of(call);
}

enum neap_status neap_guarded_hand_over(struct neap_guarded_call *call,
                                        struct neap_exchange **exchange)
{
    struct neap_client *client = call->guarded->client;
    struct neap_draft draft = {
        .method = "", .deadline_ns = NEAP_NEVER, .timeout = client->policy.pipeline.timeout};
    struct neap_exchange *made;
    enum neap_status status = neap_exchange_new(client, &draft, &made);
    if (status != NEAP_OK) {
        neap_guarded_give_up(call);
        return status;
    }
    neap_exchange_take_over(made, &call->call, &call->effect);
    neap_guarded_end(call->guarded, call);
    *exchange = made;
    return NEAP_OK;
}

void neap_guarded_give_up(struct neap_guarded_call *call)
{
    const struct neap_client *client = call->guarded->client;
    if (call->state == NEAP_GUARDED_OVER || call->state == NEAP_GUARDED_SPARE)
        return;
    if (call->state == NEAP_GUARDED_STRAIGHT)
        become(call);
    if (is_parents(client))
        neap_call_forsake(&call->call);
    neap_call_deinit(&call->call, neap_loop_now(client->engine->loop));
    neap_guarded_end(call->guarded, call);
}

void neap_guarded_stand_in(struct neap_guarded_call *call, const void *coroutine)
{
    struct neap_engine *engine = call->guarded->client->engine;
    call->coroutine = coroutine;
    call->beside = engine->guarded_calls;
    call->link = &engine->guarded_calls;
    if (call->beside)
        call->beside->link = &call->beside;
    engine->guarded_calls = call;
}

void neap_guarded_abandon(struct neap_engine *engine, const void *coroutine)
{
    struct neap_guarded_call *next;
    for (struct neap_guarded_call *call = engine->guarded_calls; call; call = next) {
        next = call->beside;
        if (call->coroutine == coroutine)
            neap_guarded_give_up(call);
    }
}

static void on_tie_end(struct neap_tied *tied)
{
    neap_guarded_give_up(NEAP_OWNER(tied, struct neap_guarded_call, tied));
}

void neap_guarded_tie(struct neap_guarded_call *call, struct neap_tie *tie)
{
    call->tied.engine = call->guarded->client->engine;
    call->tied.give_up = on_tie_end;
    neap_tie_add(tie, &call->tied);
}
