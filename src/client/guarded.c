#include "client/guarded.h"

#include "client/guarded_way.h"
#include "platform/process.h"

static const _Atomic int64_t no_process;

enum neap_status neap_guarded_new(struct neap_client *client, struct neap_guarded **guarded)
{
    struct neap_guarded *made = neap_alloc_zeroed(client->alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->client = neap_client_hold(client);
    made->process = -1;
    made->this_one = &no_process;
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

static NEAP_SELDOM void destroy_unused(struct neap_guarded *guarded)
{
    const struct neap_guarded_call *call = guarded->all;
    while (call && call->state == NEAP_GUARDED_SPARE)
        call = call->elder;
    if (!call)
        destroy(guarded);
}

void neap_guarded_free(struct neap_guarded *guarded)
{
    if (!guarded)
        return;
    guarded->released = true;
    destroy_unused(guarded);
}

/* What the client has taken on since: this process's own cells, other listeners. */
static NEAP_SELDOM bool look_at_client(struct neap_guarded *guarded)
{
    const struct neap_client *client = guarded->client;
    bool has_one_breaker = client->breaker || !client->policy.pipeline.has_breaker;
    neap_client_call_setup(guarded->client, &guarded->setup);
    guarded->engine = client->engine;
    guarded->loop = client->engine->loop;
    guarded->process = client->engine->process;
    guarded->suits = has_one_breaker && !client->alerts && neap_straight_suits(&guarded->setup);
    guarded->suits_failures = guarded->suits && neap_straight_suits_failures(&guarded->setup);
    return guarded->suits;
}

NEAP_SELDOM bool neap_guarded_look_again(struct neap_guarded *guarded)
{
    const struct neap_client *client = guarded->client;
    int64_t process = neap_process_id();
    const _Atomic int64_t *cell = neap_process_id_cell();
    guarded->this_one = cell ? cell : &no_process;
    if (client->closed)
        return false;
    if (guarded->process == process && guarded->setup.watched == client->watched)
        return guarded->suits;
    return client->engine->process == process && look_at_client(guarded);
}

NEAP_SELDOM struct neap_guarded_call *neap_guarded_make_call(struct neap_guarded *guarded)
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

/* It has not begun, and goes back to where it was taken from. */
static enum neap_guarded_next refuse(struct neap_guarded_call *call)
{
    struct neap_guarded *guarded = call->guarded;
    call->next = guarded->spare;
    guarded->spare = call;
    return NEAP_GUARDED_REFUSED;
}

enum neap_guarded_next neap_guarded_begin_otherwise(struct neap_guarded_call **call, int64_t now_ns)
{
    struct neap_guarded *guarded = (*call)->guarded;
    if (!guarded->suits_failures ||
        !neap_straight_refuse(&guarded->setup, now_ns, &guarded->retry_after_ns))
        return neap_guarded_begin_call(*call);
    enum neap_guarded_next next = refuse(*call);
    *call = NULL;
    return next;
}

struct neap_guarded_refusal neap_guarded_refusal(const struct neap_guarded *guarded)
{
    return (struct neap_guarded_refusal){.at_ns = neap_loop_now(guarded->loop),
                                         .retry_after_ns = guarded->retry_after_ns,
                                         .state = neap_breaker_state(guarded->setup.state.breaker)};
}

/* True where the function's result makes no difference any more. */
static inline bool has_ended(struct neap_guarded_call *call)
{
    const struct neap_client *client = call->guarded->client;
    bool may_end_early = client->closed || client->cells.region;
    if (may_end_early && call->state != NEAP_GUARDED_OVER)
        neap_guarded_end_early(call);
    return call->state == NEAP_GUARDED_OVER;
}

void neap_guarded_succeed(struct neap_guarded_call *call)
{
    const struct neap_guarded *guarded = call->guarded;
    int64_t now_ns = neap_loop_step(guarded->loop);
    if (has_ended(call))
        return;
    if (call->state == NEAP_GUARDED_STRAIGHT)
        neap_straight_succeed(&call->way, &guarded->setup, now_ns);
    else
        neap_guarded_tell_success(call);
    neap_guarded_end(guarded, call);
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
        neap_guarded_wake_queue(guarded->client);
        return NEAP_GUARDED_RUN;
    case NEAP_STRAIGHT_OVER:
        neap_outcome_say(&call->call.result.outcome, message, message_bytes);
        neap_guarded_end(guarded, call);
        return NEAP_GUARDED_DONE;
    case NEAP_STRAIGHT_BETWEEN:
        break;
    }
    neap_outcome_say(&call->call.error, message, message_bytes);
    return neap_guarded_go_on(call);
}

enum neap_guarded_next neap_guarded_fail(struct neap_guarded_call *call, const char *message,
                                         size_t message_bytes)
{
    const struct neap_guarded *guarded = call->guarded;
    neap_loop_step(guarded->loop);
    if (has_ended(call))
        return NEAP_GUARDED_DONE;
    if (call->state == NEAP_GUARDED_STRAIGHT && guarded->suits_failures)
        return fail_straight(call, message, message_bytes);
    return neap_guarded_tell_failure(call, message, message_bytes);
}

void neap_guarded_spare(struct neap_guarded_call *call)
{
    struct neap_guarded *guarded = call->guarded;
    neap_guarded_put_back(guarded, call);
    if (guarded->released)
        destroy_unused(guarded);
}

int64_t neap_guarded_now(const struct neap_guarded_call *call)
{
    return neap_loop_now(call->guarded->client->engine->loop);
}

bool neap_guarded_is_pending(const struct neap_guarded *guarded)
{
    return neap_engine_is_pending(guarded->client->engine);
}
