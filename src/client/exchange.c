#include "client/exchange.h"

#include "base/duration.h"
#include "client/exchange_cache.h"
#include "client/exchange_internal.h"
#include "client/hint.h"

#define NOT_MODIFIED 304

static void set_attention(struct neap_exchange *exchange, enum neap_attention attention)
{
    exchange->attention = attention;
    neap_coalescing_await_lua(exchange);
    neap_waiter_wake(&exchange->waiter, exchange->client->engine);
}

static void arm_timer(struct neap_exchange *exchange)
{
    struct neap_loop *loop = exchange->client->engine->loop;
    /* The heap has had room for this timer since the exchange was made. */
    enum neap_status status =
        neap_loop_set(loop, &exchange->timer, neap_call_next_wakeup(&exchange->call));
    if (status != NEAP_OK)
        neap_engine_post(exchange->client->engine, &exchange->job);
}

static void perform_wait(struct neap_exchange *exchange, const struct neap_effect *effect)
{
    if (effect->queued)
        neap_exchange_enqueue(exchange);
    arm_timer(exchange);
}

/* Each attempt of a request is asked for once. */
static bool wants_trace(const struct neap_exchange *exchange, uint32_t attempt)
{
    const struct neap_client *client = exchange->client;
    bool is_request = client->carrier != NEAP_CARRIER_FUNCTION;
    return client->policy.asks_trace && is_request && exchange->traced != attempt;
}

static void perform_send(struct neap_exchange *exchange, const struct neap_effect *effect)
{
    exchange->effect = *effect;
    if (wants_trace(exchange, effect->attempt)) {
        exchange->traced = effect->attempt;
        set_attention(exchange, NEAP_ATTENTION_TRACE);
        return;
    }
    arm_timer(exchange);
    if (neap_exchange_send(exchange, effect))
        neap_exchange_ask_for_attempt(exchange);
}

void neap_exchange_ask_for_attempt(struct neap_exchange *exchange)
{
    set_attention(exchange, NEAP_ATTENTION_ATTEMPT);
}

/* The attempt is over at once: its outcome. */
static struct neap_event perform_cancel(struct neap_exchange *exchange, uint32_t attempt,
                                        struct neap_outcome *outcome)
{
    *outcome = (struct neap_outcome){.kind = NEAP_KIND_CANCELLED,
                                     .unsent = neap_exchange_abandon(exchange, attempt)};
    return (struct neap_event){.kind = NEAP_EVENT_OUTCOME,
                               .attempt = attempt,
                               .outcome = outcome,
                               .hint = neap_hint_none()};
}

/* What only Lua can do, or see to its end. */
static void hand_to_lua(struct neap_exchange *exchange, const struct neap_effect *effect)
{
    static const enum neap_attention attention[] = {
        [NEAP_EFFECT_ASK] = NEAP_ATTENTION_ASK,
        [NEAP_EFFECT_FALLBACK] = NEAP_ATTENTION_FALLBACK,
        [NEAP_EFFECT_DONE] = NEAP_ATTENTION_DONE,
    };
    exchange->effect = *effect;
    neap_loop_clear(exchange->client->engine->loop, &exchange->timer);
    set_attention(exchange, attention[effect->kind]);
}

/* True if the call is to be stepped again at once with *event. */
static bool perform(struct neap_exchange *exchange, const struct neap_effect *effect,
                    struct neap_event *event, struct neap_outcome *outcome)
{
    switch (effect->kind) {
    case NEAP_EFFECT_SEND:
        perform_send(exchange, effect);
        return false;
    case NEAP_EFFECT_CANCEL:
        *event = perform_cancel(exchange, effect->attempt, outcome);
        return true;
    case NEAP_EFFECT_WAIT:
        perform_wait(exchange, effect);
        return false;
    case NEAP_EFFECT_STORED:
        *event = (struct neap_event){.kind = NEAP_EVENT_ANSWER};
        event->answer = neap_exchange_stand_in(exchange, effect);
        return true;
    case NEAP_EFFECT_ASK:
    case NEAP_EFFECT_FALLBACK:
    case NEAP_EFFECT_DONE:
        break;
    }
    hand_to_lua(exchange, effect);
    return false;
}

/* One step of the call. False if listeners are to be told before its effect is performed. */
static bool step_call(struct neap_exchange *exchange, const struct neap_event *event,
                      struct neap_effect *effect)
{
    struct neap_client *client = exchange->client;
    int64_t now_ns = neap_loop_now(client->engine->loop);
    if (client->alerts)
        neap_client_alerts_before(client, now_ns);
    *effect = neap_call_step(&exchange->call, now_ns, event);
    if (client->alerts)
        neap_client_alerts_after(exchange, now_ns);
    if (!exchange->call.queued)
        neap_exchange_dequeue(exchange);
    neap_exchange_wake_first(exchange->client, exchange);
    neap_coalescing_update(exchange);
    if (exchange->call.notice_count == 0)
        return true;
    exchange->effect = *effect;
    set_attention(exchange, NEAP_ATTENTION_NOTICE);
    return false;
}

static void go_on(struct neap_exchange *exchange, struct neap_effect effect)
{
    struct neap_event event;
    struct neap_outcome outcome;
    while (perform(exchange, &effect, &event, &outcome))
        if (!step_call(exchange, &event, &effect))
            return;
}

void neap_exchange_step(struct neap_exchange *exchange, const struct neap_event *event)
{
    struct neap_effect effect;
    if (step_call(exchange, event, &effect))
        go_on(exchange, effect);
}

/* While listeners are being told, or asked for headers, nothing else happens to the call. */
static bool is_busy(const struct neap_exchange *exchange)
{
    return exchange->attention == NEAP_ATTENTION_NOTICE ||
           exchange->attention == NEAP_ATTENTION_TRACE;
}

static void tell_outcome(struct neap_flight *flight)
{
    struct neap_exchange *exchange = flight->exchange;
    struct neap_event event = {.kind = NEAP_EVENT_OUTCOME,
                               .attempt = flight->attempt,
                               .outcome = &flight->outcome,
                               .hint = neap_hint_none()};
    if (flight->response) {
        event.hint =
            neap_hint_read(flight->response, neap_loop_wall(exchange->client->engine->loop));
        if (flight->response->status == NOT_MODIFIED)
            event.hint.stands_for = neap_exchange_asked_about(exchange);
        neap_response_free(exchange->response);
        exchange->response = flight->response;
        flight->response = NULL;
    }
    neap_flight_land(flight);
    neap_exchange_step(exchange, &event);
}

/* An outcome that came while Lua was busy is told now. */
static bool tell_waiting_outcome(struct neap_exchange *exchange)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        if (!exchange->flight[i].landed)
            continue;
        exchange->flight[i].landed = false;
        tell_outcome(&exchange->flight[i]);
        return true;
    }
    return false;
}

void neap_flight_end(struct neap_flight *flight, const struct neap_outcome *outcome,
                     struct neap_response *response)
{
    flight->wire = (struct neap_wire){NULL, NULL};
    flight->outcome = *outcome;
    flight->response = response;
    if (is_busy(flight->exchange))
        flight->landed = true;
    else
        tell_outcome(flight);
}

static void on_time(struct neap_exchange *exchange)
{
    struct neap_client *client = exchange->client;
    if (!exchange->begun || is_busy(exchange))
        return;
    if (exchange->queued) /* a place may be held by a process that has died */
        neap_cells_reap(&client->cells, neap_loop_now(client->engine->loop));
    bool is_heir = exchange->share.leads && exchange->call.state == NEAP_CALL_FOLLOWING;
    neap_exchange_step(exchange,
                       &(struct neap_event){.kind = is_heir ? NEAP_EVENT_BEGIN : NEAP_EVENT_TIME});
}

/* A reply that is due at the same moment as a limit has come in time. */
static bool reply_is_due(struct neap_exchange *exchange, int64_t now_ns)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        struct neap_flight *flight = &exchange->flight[i];
        if (flight->attempt && flight->timer.node.index > 0 &&
            flight->timer.node.when_ns <= now_ns) {
            neap_loop_clear(exchange->client->engine->loop, &flight->timer);
            flight->timer.fire(&flight->timer, now_ns);
            return true;
        }
    }
    return false;
}

void neap_exchange_on_timer(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_exchange *exchange = NEAP_OWNER(timer, struct neap_exchange, timer);
    if (!reply_is_due(exchange, now_ns))
        on_time(exchange);
}

void neap_exchange_on_job(struct neap_job *job)
{
    on_time(NEAP_OWNER(job, struct neap_exchange, job));
}

static enum neap_event_kind first_event(struct neap_exchange *exchange, bool may_follow)
{
    if (exchange->client->closed)
        return NEAP_EVENT_CANCEL;
    return neap_coalescing_join(exchange, may_follow) ? NEAP_EVENT_FOLLOW : NEAP_EVENT_BEGIN;
}

void neap_exchange_begin(struct neap_exchange *exchange, bool may_follow)
{
    struct neap_client *client = exchange->client;
    neap_cells_reap(&client->cells, neap_loop_update(client->engine->loop));
    exchange->begun = true;
    neap_exchange_step(exchange, &(struct neap_event){.kind = first_event(exchange, may_follow)});
}

void neap_exchange_take_over(struct neap_exchange *exchange, struct neap_call *call,
                             const struct neap_effect *effect)
{
    neap_call_move(call, &exchange->call);
    exchange->begun = true;
    go_on(exchange, *effect);
}

void neap_exchange_serve(struct neap_exchange *exchange, const struct neap_answer *answer)
{
    exchange->begun = true;
    neap_exchange_step(exchange, &(struct neap_event){.kind = NEAP_EVENT_SERVE, .answer = *answer});
}

/* Asking the system what has come meanwhile, before anything is sent, costs a twentieth of a call.
 */
static void hurry(struct neap_exchange *exchange)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        neap_network_hurry(&exchange->flight[i].wire);
}

bool neap_exchange_run(struct neap_exchange *exchange)
{
    struct neap_engine *engine = exchange->client->engine;
    while (exchange->attention == NEAP_ATTENTION_NONE) {
        hurry(exchange);
        if (exchange->attention == NEAP_ATTENTION_NONE && !neap_engine_turn(engine, NEAP_NEVER))
            return false;
    }
    neap_waiter_forget(&exchange->waiter, engine);
    return true;
}

int64_t neap_exchange_next_wakeup(const struct neap_exchange *exchange)
{
    const struct neap_timer *timer = &exchange->timer.node;
    int64_t when_ns = timer->index > 0 ? timer->when_ns : NEAP_NEVER;
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        const struct neap_timer *reply = &exchange->flight[i].timer.node;
        if (reply->index > 0)
            when_ns = neap_time_min(when_ns, reply->when_ns);
    }
    return when_ns;
}

void neap_exchange_answer(struct neap_exchange *exchange, const struct neap_answer *answer)
{
    if (exchange->attention != NEAP_ATTENTION_ASK && exchange->attention != NEAP_ATTENTION_FALLBACK)
        return;
    exchange->attention = NEAP_ATTENTION_NONE;
    neap_loop_update(exchange->client->engine->loop);
    neap_exchange_step(exchange,
                       &(struct neap_event){.kind = NEAP_EVENT_ANSWER, .answer = *answer});
}

/* Ends the call by CANCEL or REFUSE. */
static void end_call(struct neap_exchange *exchange, enum neap_event_kind how)
{
    if (is_busy(exchange)) {
        exchange->end_asked = how;
        return;
    }
    if (!exchange->begun || exchange->attention == NEAP_ATTENTION_DONE ||
        neap_exchange_is_parents(exchange))
        return;
    exchange->attention = NEAP_ATTENTION_NONE;
    neap_loop_clear(exchange->client->engine->loop, &exchange->timer);
    neap_exchange_step(exchange, &(struct neap_event){.kind = how});
}

/* Lua was busy until after the limit of the attempt that was to be sent: now it need not be. */
static bool came_too_late(const struct neap_exchange *exchange)
{
    const struct neap_call *call = &exchange->call;
    int64_t now_ns = neap_loop_now(exchange->client->engine->loop);
    if (exchange->effect.kind != NEAP_EFFECT_SEND)
        return false;
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call->live[i].number == exchange->effect.attempt)
            return now_ns >= call->live[i].limit_ns;
    return false;
}

void neap_exchange_resume(struct neap_exchange *exchange)
{
    enum neap_event_kind end_asked = exchange->end_asked;
    if (!is_busy(exchange))
        return;
    exchange->attention = NEAP_ATTENTION_NONE;
    exchange->call.notice_count = 0;
    neap_loop_update(exchange->client->engine->loop);
    exchange->end_asked = NEAP_EVENT_BEGIN;
    if (end_asked != NEAP_EVENT_BEGIN && exchange->effect.kind != NEAP_EFFECT_DONE) {
        end_call(exchange, end_asked);
        return;
    }
    if (came_too_late(exchange))
        neap_exchange_step(exchange, &(struct neap_event){.kind = NEAP_EVENT_TIME});
    else
        go_on(exchange, exchange->effect);
    while (!is_busy(exchange) && tell_waiting_outcome(exchange))
        continue;
    if (exchange->queued) /* a place may have become free while Lua was busy */
        neap_engine_post(exchange->client->engine, &exchange->job);
}

void neap_exchange_cancel(struct neap_exchange *exchange)
{
    end_call(exchange, NEAP_EVENT_CANCEL);
}

void neap_exchange_refuse(struct neap_exchange *exchange)
{
    exchange->begun = true; /* one that has not begun ends before it sends anything */
    neap_loop_update(exchange->client->engine->loop);
    end_call(exchange, NEAP_EVENT_REFUSE);
}

struct neap_flight *neap_exchange_take_attempt(struct neap_exchange *exchange, uint32_t attempt)
{
    if (exchange->attention == NEAP_ATTENTION_ATTEMPT && exchange->effect.attempt == attempt)
        exchange->attention = NEAP_ATTENTION_NONE;
    return neap_flight_find(exchange, attempt);
}

void neap_exchange_deliver(struct neap_exchange *exchange, uint32_t attempt,
                           const struct neap_outcome *outcome, struct neap_response *response)
{
    struct neap_flight *flight = neap_exchange_take_attempt(exchange, attempt);
    if (!flight) {
        neap_response_free(response);
        return;
    }
    neap_loop_update(exchange->client->engine->loop);
    neap_flight_end(flight, outcome, response);
}
