/* One call of a simulation: does what client/exchange does, against the model of a server. */
#include "simulation/simulated_call.h"

#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/owner.h"

static void step(struct neap_simulation *simulation, struct neap_simulated_call *call,
                 const struct neap_event *event);

/* ---- memory ---- */

static void fire_call(struct neap_simulation *simulation, struct neap_happening *happening);

static struct neap_simulated_call *make(struct neap_simulation *simulation)
{
    const struct neap_alloc *alloc = simulation->setup.alloc;
    size_t timers = simulation->setup.clients + simulation->made_count + 1;
    if (neap_heap_reserve(&simulation->heap, timers) != NEAP_OK)
        return NULL;
    struct neap_simulated_call *call = neap_alloc_zeroed(alloc, sizeof *call);
    if (!call)
        return NULL;
    call->happening.fire = fire_call;
    call->next_made = simulation->made;
    simulation->made = call;
    simulation->made_count++;
    return call;
}

static struct neap_simulated_call *take(struct neap_simulation *simulation)
{
    struct neap_simulated_call *call = simulation->free;
    if (!call)
        return make(simulation);
    simulation->free = call->next_free;
    return call;
}

static void give_back(struct neap_simulation *simulation, struct neap_simulated_call *call)
{
    neap_call_deinit(&call->call, simulation->now_ns);
    neap_heap_remove(&simulation->heap, &call->happening.timer);
    call->is_used = false;
    call->next_free = simulation->free;
    simulation->free = call;
}

void neap_simulated_calls_free(struct neap_simulation *simulation)
{
    while (simulation->made) {
        struct neap_simulated_call *call = simulation->made;
        simulation->made = call->next_made;
        if (call->is_used)
            give_back(simulation, call);
        neap_free(simulation->setup.alloc, call);
    }
    simulation->free = NULL;
}

/* ---- attempts ---- */

static struct neap_simulated_flight *find_flight(struct neap_simulated_call *call, uint32_t attempt)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call->flight[i].attempt == attempt)
            return &call->flight[i];
    return NULL;
}

/* A server that is silent for longer than `timeout.read` is not waited for. */
static void send(struct neap_simulation *simulation, struct neap_simulated_call *call,
                 uint32_t attempt)
{
    struct neap_simulated_flight *flight = find_flight(call, 0);
    int64_t now_ns = simulation->now_ns;
    int64_t limit_ns = neap_time_add(now_ns, call->call.setup.timeout.read_ns);
    if (!flight) /* there is one for each attempt that can be live */
        return;
    flight->attempt = attempt;
    flight->reply = neap_server_receive(&simulation->server, now_ns);
    neap_record_attempt(&simulation->record, &flight->reply, now_ns);
    flight->due_ns = flight->reply.at_ns;
    if (flight->due_ns <= limit_ns)
        return;
    flight->due_ns = limit_ns;
    flight->reply = (struct neap_reply){.kind = NEAP_KIND_TIMEOUT, .retry_after_ns = -1};
}

static struct neap_outcome outcome_of(const struct neap_reply *reply)
{
    struct neap_outcome outcome = {
        .kind = reply->kind, .status = reply->status, .unsent = reply->kind == NEAP_KIND_CONNECT};
    const char *message = NULL;
    if (reply->kind == NEAP_KIND_TIMEOUT) {
        outcome.phase = NEAP_PHASE_READ;
        message = "the server was silent for too long";
    } else if (reply->kind == NEAP_KIND_CONNECT) {
        message = "the connection was refused";
    }
    if (message)
        snprintf(outcome.message, sizeof outcome.message, "%s", message);
    return outcome;
}

static void tell_reply(struct neap_simulation *simulation, struct neap_simulated_call *call,
                       struct neap_simulated_flight *flight)
{
    struct neap_outcome outcome = outcome_of(&flight->reply);
    struct neap_event event = {
        .kind = NEAP_EVENT_OUTCOME,
        .attempt = flight->attempt,
        .outcome = &outcome,
        .hint = {.retry_after_ns = flight->reply.retry_after_ns, .rate_limit_ns = -1},
    };
    flight->attempt = 0;
    step(simulation, call, &event);
}

/* ---- the queue for a place in the bulkhead ---- */

static void enqueue(struct neap_simulated_call *call)
{
    if (call->is_queued)
        return;
    call->is_queued = true;
    neap_list_append(&call->instance->queue, &call->in_queue);
}

static void dequeue(struct neap_simulated_call *call)
{
    if (!call->is_queued)
        return;
    neap_list_take_out(&call->instance->queue, &call->in_queue);
    call->is_queued = false;
}

/* There has been room for this timer since the call was made. */
static void wake_at(struct neap_simulation *simulation, struct neap_simulated_call *call,
                    int64_t when_ns)
{
    if (neap_heap_set(&simulation->heap, &call->happening.timer, when_ns) != NEAP_OK)
        simulation->out_of_memory = true;
}

/* A place may have become free: the first in the queue asks again, from a step of its own. */
static void wake_queue(struct neap_simulation *simulation, const struct neap_simulated_call *call)
{
    struct neap_listed *first = call->instance->queue.first;
    if (first && first != &call->in_queue)
        wake_at(simulation, NEAP_OWNER(first, struct neap_simulated_call, in_queue),
                simulation->now_ns);
}

/* ---- steps ---- */

static void arm(struct neap_simulation *simulation, struct neap_simulated_call *call)
{
    int64_t when_ns = neap_call_next_wakeup(&call->call);
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (call->flight[i].attempt)
            when_ns = neap_time_min(when_ns, call->flight[i].due_ns);
    wake_at(simulation, call, when_ns);
}

static struct neap_answer ask(struct neap_simulation *simulation,
                              const struct neap_simulated_call *call,
                              const struct neap_effect *effect)
{
    const struct neap_simulation_setup *setup = &simulation->setup;
    struct neap_answer answer = {0};
    if (!simulation->stopped && setup->ask &&
        !setup->ask(setup->ask_context, effect->question, effect->retry, &call->call, &answer))
        simulation->stopped = true;
    return answer;
}

static struct neap_answer fall_back(const struct neap_simulation *simulation, uint32_t index)
{
    const struct neap_simulated_fallback *fallback = &simulation->setup.fallback[index];
    return (struct neap_answer){.answered = true,
                                .ok = fallback->status < 400,
                                .status = fallback->status,
                                .source = fallback->source};
}

static void end(struct neap_simulation *simulation, struct neap_simulated_call *call)
{
    if (!call->is_refresh)
        neap_record_end(&simulation->record, &call->call, simulation->now_ns);
    neap_simulated_cache_keep(simulation, call);
    give_back(simulation, call);
}

static struct neap_event cancel(struct neap_simulated_call *call, uint32_t attempt,
                                struct neap_outcome *outcome)
{
    struct neap_simulated_flight *flight = find_flight(call, attempt);
    if (flight)
        flight->attempt = 0;
    *outcome = (struct neap_outcome){.kind = NEAP_KIND_CANCELLED};
    return (struct neap_event){.kind = NEAP_EVENT_OUTCOME,
                               .attempt = attempt,
                               .outcome = outcome,
                               .hint = {.retry_after_ns = -1, .rate_limit_ns = -1}};
}

/* True if the call is to be stepped again at once with *event. */
static bool perform(struct neap_simulation *simulation, struct neap_simulated_call *call,
                    const struct neap_effect *effect, struct neap_event *event,
                    struct neap_outcome *outcome)
{
    *event = (struct neap_event){.kind = NEAP_EVENT_ANSWER};
    switch (effect->kind) {
    case NEAP_EFFECT_SEND:
        send(simulation, call, effect->attempt);
        arm(simulation, call);
        return false;
    case NEAP_EFFECT_CANCEL:
        *event = cancel(call, effect->attempt, outcome);
        return true;
    case NEAP_EFFECT_WAIT:
        if (effect->queued)
            enqueue(call);
        arm(simulation, call);
        return false;
    case NEAP_EFFECT_ASK:
        event->answer = ask(simulation, call, effect);
        return true;
    case NEAP_EFFECT_FALLBACK:
        event->answer = fall_back(simulation, effect->fallback);
        return true;
    case NEAP_EFFECT_STORED:
        event->answer = neap_simulated_cache_stand_in(simulation, call, effect);
        return true;
    case NEAP_EFFECT_DONE:
        break;
    }
    end(simulation, call);
    return false;
}

static struct neap_effect step_once(struct neap_simulation *simulation,
                                    struct neap_simulated_call *call,
                                    const struct neap_event *event)
{
    struct neap_effect effect = neap_call_step(&call->call, simulation->now_ns, event);
    if (!call->call.queued)
        dequeue(call);
    wake_queue(simulation, call);
    return effect;
}

static void step(struct neap_simulation *simulation, struct neap_simulated_call *call,
                 const struct neap_event *event)
{
    struct neap_event next;
    struct neap_outcome outcome;
    struct neap_effect effect = step_once(simulation, call, event);
    while (perform(simulation, call, &effect, &next, &outcome))
        effect = step_once(simulation, call, &next);
}

/* A reply that is due at the same moment as a limit has come in time. */
static void fire_call(struct neap_simulation *simulation, struct neap_happening *happening)
{
    struct neap_simulated_call *call = NEAP_OWNER(happening, struct neap_simulated_call, happening);
    for (int i = 0; i < NEAP_LIVE_MAX; i++) {
        struct neap_simulated_flight *flight = &call->flight[i];
        if (flight->attempt && flight->due_ns <= simulation->now_ns) {
            tell_reply(simulation, call, flight);
            return;
        }
    }
    step(simulation, call, &(struct neap_event){.kind = NEAP_EVENT_TIME});
}

static void init_call(struct neap_simulation *simulation, struct neap_simulated_call *call)
{
    const struct neap_simulation_setup *setup = &simulation->setup;
    neap_call_init(&call->call, &(struct neap_call_setup){.alloc = setup->alloc,
                                                          .pipeline = setup->pipeline,
                                                          .state = call->instance->state,
                                                          .counters = &simulation->counters,
                                                          .in_flight = &simulation->in_flight,
                                                          .random = &simulation->decisions,
                                                          .timeout = setup->pipeline->timeout,
                                                          .deadline_ns = NEAP_NEVER,
                                                          .replayable = setup->replayable,
                                                          .has_cache = setup->caches,
                                                          .without_fallbacks = call->is_refresh});
}

void neap_simulated_call_begin(struct neap_simulation *simulation, struct neap_instance *instance,
                               uint32_t resource, bool is_refresh)
{
    struct neap_event event = {.kind = NEAP_EVENT_BEGIN};
    struct neap_simulated_call *call = take(simulation);
    bool refresh = false;
    if (!call) {
        simulation->out_of_memory = true;
        return;
    }
    call->instance = instance;
    call->resource = resource;
    call->is_refresh = is_refresh;
    call->is_used = true;
    memset(call->flight, 0, sizeof call->flight);
    init_call(simulation, call);
    if (!is_refresh) {
        neap_record_call(&simulation->record, simulation->now_ns);
        (void)neap_simulated_cache_serve(simulation, instance, resource, &event, &refresh);
    }
    step(simulation, call, &event);
    if (refresh)
        neap_simulated_call_begin(simulation, instance, resource, true);
}
