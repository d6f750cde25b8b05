#include "client/guarded.h"

#include "base/attributes.h"
#include "base/owner.h"
#include "client/hint.h"
#include "platform/process.h"

struct neap_guarded {
    struct neap_client *client;
    struct neap_call_setup setup; /* of `process` */
    int64_t process;
    bool suits, suits_failures;
    int64_t retry_after_ns; /* of the last refusal */
    struct neap_guarded_call *all, *spare;
    uint32_t taken; /* calls that are not spare */
    bool released;
};

enum neap_status neap_guarded_new(struct neap_client *client, struct neap_guarded **guarded)
{
    struct neap_guarded *made = neap_alloc_zeroed(client->alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->client = neap_client_hold(client);
    *guarded = made;
    return NEAP_OK;
}

static void destroy(struct neap_guarded *guarded)
{
    struct neap_guarded_call *call, *next;
    for (call = guarded->all; call; call = next) {
        next = call->elder;
        neap_call_deinit(&call->call, 0);
        neap_free(guarded->client->alloc, call);
    }
    const struct neap_alloc *alloc = guarded->client->alloc;
    neap_client_release(guarded->client);
    neap_free(alloc, guarded);
}

void neap_guarded_free(struct neap_guarded *guarded)
{
    if (!guarded)
        return;
    guarded->released = true;
    if (guarded->taken == 0)
        destroy(guarded);
}

/* What the client has taken on since: this process's own cells, other listeners. */
static NEAP_SELDOM bool look_at_client(struct neap_guarded *guarded)
{
    const struct neap_client *client = guarded->client;
    bool has_one_breaker = client->breaker || !client->policy.pipeline.has_breaker;
    neap_client_call_setup(guarded->client, &guarded->setup);
    guarded->process = client->engine->process;
    guarded->suits = has_one_breaker && !client->alerts && neap_straight_suits(&guarded->setup);
    guarded->suits_failures = guarded->suits && neap_straight_suits_failures(&guarded->setup);
    return guarded->suits;
}

static inline bool may_go_straight(struct neap_guarded *guarded)
{
    const struct neap_client *client = guarded->client;
    int64_t process = neap_process_id();
    if (client->closed)
        return false;
    if (guarded->process == process && guarded->setup.watched == client->watched)
        return guarded->suits;
    return client->engine->process == process && look_at_client(guarded);
}

static NEAP_SELDOM struct neap_guarded_call *make_call(struct neap_guarded *guarded)
{
    struct neap_guarded_call *call = neap_alloc_zeroed(guarded->client->alloc, sizeof *call);
    if (!call)
        return NULL;
    call->guarded = guarded;
    call->elder = guarded->all;
    guarded->all = call;
    neap_trace_init(&call->call.trace, guarded->client->alloc);
    return call;
}

static inline struct neap_guarded_call *take(struct neap_guarded *guarded)
{
    struct neap_guarded_call *call = guarded->spare;
    if (call)
        guarded->spare = call->next;
    else
        call = make_call(guarded);
    guarded->taken += call != NULL;
    return call;
}

/* A place in the bulkhead may be free. */
static inline void wake_queue(struct neap_client *client)
{
    if (client->queue->first)
        neap_engine_post(client->engine, &client->queue->first->job);
}

static NEAP_SELDOM void leave_coroutine(struct neap_guarded_call *call)
{
    *call->link = call->beside;
    if (call->beside)
        call->beside->link = call->link;
    call->link = NULL;
}

NEAP_INLINE void end(struct neap_guarded_call *call)
{
    struct neap_client *client = call->guarded->client;
    call->state = NEAP_GUARDED_OVER;
    client->engine->busy--;
    if (call->link)
        leave_coroutine(call);
    if (call->tied.tie)
        neap_tie_remove(&call->tied);
    wake_queue(client);
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
        wake_queue(call->guarded->client);
        return NEAP_GUARDED_RUN;
    case NEAP_EFFECT_DONE:
        end(call);
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

/* Who is not admitted at once has states: to wait, to be refused, or to be a probe. */
static NEAP_SELDOM enum neap_guarded_next begin_call(struct neap_guarded_call *call)
{
    neap_call_init(&call->call, &call->guarded->setup);
    call->guarded->client->engine->busy++;
    call->state = NEAP_GUARDED_CALL;
    step(call, &(struct neap_event){.kind = NEAP_EVENT_BEGIN});
    return next_of(call);
}

/* It has not begun, and goes back to where it was taken from. */
static enum neap_guarded_next refuse(struct neap_guarded_call *call)
{
    struct neap_guarded *guarded = call->guarded;
    call->next = guarded->spare;
    guarded->spare = call;
    guarded->taken--;
    return NEAP_GUARDED_REFUSED;
}

/* What the straight way has not admitted. */
static enum neap_guarded_next begin_otherwise(struct neap_guarded_call **call, int64_t now_ns)
{
    struct neap_guarded *guarded = (*call)->guarded;
    if (!guarded->suits_failures ||
        !neap_straight_refuse(&guarded->setup, now_ns, &guarded->retry_after_ns))
        return begin_call(*call);
    enum neap_guarded_next next = refuse(*call);
    *call = NULL;
    return next;
}

enum neap_guarded_next neap_guarded_begin(struct neap_guarded *guarded,
                                          struct neap_guarded_call **call)
{
    struct neap_client *client = guarded->client;
    struct neap_guarded_call *taken = may_go_straight(guarded) ? take(guarded) : NULL;
    *call = taken;
    if (!taken)
        return NEAP_GUARDED_ELSEWHERE;
    int64_t now_ns = neap_loop_update(client->engine->loop);
    if (client->cells.region)
        neap_cells_reap(&client->cells, now_ns);
    if (!neap_straight_begin(&taken->way, &guarded->setup, now_ns))
        return begin_otherwise(call, now_ns);
    client->engine->busy++;
    taken->state = NEAP_GUARDED_STRAIGHT;
    return NEAP_GUARDED_RUN;
}

struct neap_guarded_refusal neap_guarded_refusal(const struct neap_guarded *guarded)
{
    const struct neap_client *client = guarded->client;
    return (struct neap_guarded_refusal){.at_ns = neap_loop_now(client->engine->loop),
                                         .retry_after_ns = guarded->retry_after_ns,
                                         .state = neap_breaker_state(guarded->setup.state.breaker)};
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
    end(call);
}

/* In a forked child the permits are the parent's, where others share them. */
static bool is_parents(const struct neap_client *client)
{
    return client->cells.region && neap_engine_is_inherited(client->engine);
}

static NEAP_SELDOM void end_early(struct neap_guarded_call *call)
{
    const struct neap_client *client = call->guarded->client;
    if (is_parents(client))
        neap_guarded_give_up(call);
    else if (client->closed)
        cancel(call);
}

/* True where the function's result makes no difference any more. */
static inline bool has_ended(struct neap_guarded_call *call)
{
    const struct neap_client *client = call->guarded->client;
    bool may_end_early = client->closed || client->cells.region;
    if (may_end_early && call->state != NEAP_GUARDED_OVER)
        end_early(call);
    return call->state == NEAP_GUARDED_OVER;
}

static NEAP_SELDOM void tell_success(struct neap_guarded_call *call)
{
    tell_outcome(call, &(struct neap_outcome){.kind = NEAP_KIND_NONE});
}

void neap_guarded_succeed(struct neap_guarded_call *call)
{
    const struct neap_guarded *guarded = call->guarded;
    int64_t now_ns = neap_loop_update(guarded->client->engine->loop);
    if (has_ended(call))
        return;
    if (call->state == NEAP_GUARDED_STRAIGHT)
        neap_straight_succeed(&call->way, &guarded->setup, now_ns);
    else
        tell_success(call);
    end(call);
}

static const struct neap_outcome failure = {.kind = NEAP_KIND_ERROR};

/* The message is written only where it is read: most failures are repeated. */
static enum neap_guarded_next fail_straight(struct neap_guarded_call *call, const char *message,
                                            size_t message_bytes)
{
    const struct neap_guarded *guarded = call->guarded;
    switch (neap_straight_fail(&call->way, &guarded->setup, &call->call, &failure,
                               neap_guarded_now(call))) {
    case NEAP_STRAIGHT_AGAIN:
        wake_queue(guarded->client);
        return NEAP_GUARDED_RUN;
    case NEAP_STRAIGHT_OVER:
        neap_outcome_say(&call->call.result.outcome, message, message_bytes);
        end(call);
        return NEAP_GUARDED_DONE;
    case NEAP_STRAIGHT_BETWEEN:
        break;
    }
    neap_outcome_say(&call->call.error, message, message_bytes);
    call->state = NEAP_GUARDED_CALL;
    step(call, &(struct neap_event){.kind = NEAP_EVENT_TIME});
    return next_of(call);
}

static NEAP_SELDOM enum neap_guarded_next fail_otherwise(struct neap_guarded_call *call,
                                                         const char *message, size_t message_bytes)
{
    struct neap_outcome outcome = failure;
    neap_outcome_say(&outcome, message, message_bytes);
    if (call->state == NEAP_GUARDED_STRAIGHT)
        become(call);
    tell_outcome(call, &outcome);
    return next_of(call);
}

enum neap_guarded_next neap_guarded_fail(struct neap_guarded_call *call, const char *message,
                                         size_t message_bytes)
{
    const struct neap_guarded *guarded = call->guarded;
    neap_loop_update(guarded->client->engine->loop);
    if (has_ended(call))
        return NEAP_GUARDED_DONE;
    if (call->state == NEAP_GUARDED_STRAIGHT && guarded->suits_failures)
        return fail_straight(call, message, message_bytes);
    return fail_otherwise(call, message, message_bytes);
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
    end(call);
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
    end(call);
}

NEAP_INLINE void spare(struct neap_guarded *guarded, struct neap_guarded_call *call)
{
    if (call->call.trace.count > 0)
        neap_trace_deinit(&call->call.trace);
    call->state = NEAP_GUARDED_SPARE;
    call->next = guarded->spare;
    guarded->spare = call;
    guarded->taken--;
}

void neap_guarded_spare(struct neap_guarded_call *call)
{
    struct neap_guarded *guarded = call->guarded;
    spare(guarded, call);
    if (guarded->taken == 0 && guarded->released)
        destroy(guarded);
}

bool neap_guarded_conclude(struct neap_guarded_call *call)
{
    struct neap_guarded *guarded = call->guarded;
    neap_guarded_succeed(call);
    spare(guarded, call);
    return neap_engine_is_pending(guarded->client->engine);
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

int64_t neap_guarded_now(const struct neap_guarded_call *call)
{
    return neap_loop_now(call->guarded->client->engine->loop);
}

bool neap_guarded_is_pending(const struct neap_guarded *guarded)
{
    return neap_engine_is_pending(guarded->client->engine);
}
