#include "client/serving.h"

#include <string.h>

#include "base/owner.h"
#include "client/serving_internal.h"
#include "platform/process.h"

/* ------------------------------------------------------------------------------- its end */

/* Servings of a parent are none of a forked child's business; those on a virtual engine are, whose
 * clock and memory the child has. */
static bool is_inherited(const struct neap_serving *serving)
{
    return !serving->is_inline && serving->process != neap_process_id();
}

static void end(struct neap_serving *serving)
{
    struct neap_desk *desk = serving->holds_desk ? serving->desk : NULL;
    struct neap_engine *engine = serving->engine;
    neap_blob_free(&serving->replay);
    neap_blob_free(&serving->answer);
    neap_waiter_forget(&serving->waiter, engine);
    neap_tie_remove(&serving->tied);
    neap_free(engine->alloc, serving);
    neap_desk_release(desk);
    neap_engine_release(engine);
}

/* What the parent's thread was writing at the fork is in nobody knows which state. */
static void end_in_child(struct neap_serving *serving)
{
    if (serving->out)
        serving->replay = serving->answer = (struct neap_blob){0};
    end(serving);
}

/* One that finds the store down speaks for all those after it: each might wait for a network. */
static void try_last(struct neap_serving *serving)
{
    const struct neap_guard_effect *settling = &serving->guard.settling;
    serving->due_ns = neap_loop_update(serving->loop);
    enum neap_guard_store said = settling->kind == NEAP_GUARD_FINISH
                                     ? neap_serving_finish(serving, settling->problem)
                                     : neap_serving_release(serving);
    struct neap_desk_guest *other = said == NEAP_GUARD_STORE_DOWN ? serving->guest.next : NULL;
    for (; other; other = other->next)
        if (other->evict == serving->guest.evict)
            (NEAP_OWNER(other, struct neap_serving, guest))->owes = false;
}

/* The thread has ended; what is owed is tried a last time. */
static void on_evict(struct neap_desk_guest *guest)
{
    struct neap_serving *serving = NEAP_OWNER(guest, struct neap_serving, guest);
    serving->is_guest = false;
    if (serving->owes)
        try_last(serving);
    if (serving->out) {
        neap_serving_leave_telling(serving, NEAP_SERVING_WAITS);
        return;
    }
    neap_serving_leave(serving);
    end(serving);
}

/* ------------------------------------------------------------------------------- errands */

static void call_off(struct neap_serving *serving);

static void on_back(struct neap_desk_errand *errand)
{
    struct neap_serving *serving = NEAP_OWNER(errand, struct neap_serving, errand);
    serving->out = false;
    if (serving->abandoned || serving->given_up)
        call_off(serving);
    else
        neap_waiter_wake(&serving->waiter, serving->engine);
    if (serving->abandoned && !serving->out && !serving->stays)
        end(serving);
}

static enum neap_status send(struct neap_serving *serving,
                             void (*run)(struct neap_desk_errand *errand))
{
    serving->errand = (struct neap_desk_errand){.run = run, .back = on_back};
    serving->sent_ns = neap_loop_update(serving->engine->loop);
    enum neap_status status = neap_desk_send(serving->desk, serving->engine, &serving->errand);
    serving->out = status == NEAP_OK;
    return status;
}

static void claim_there(struct neap_desk_errand *errand)
{
    struct neap_serving *serving = NEAP_OWNER(errand, struct neap_serving, errand);
    serving->loop = neap_desk_loop(errand->desk);
    serving->due_ns = serving->sent_ns;
    if (atomic_load(&serving->gone)) {
        neap_serving_tell(serving, NEAP_SERVING_WAITS, false);
        return;
    }
    serving->guest.evict = on_evict;
    neap_desk_admit(errand->desk, &serving->guest);
    serving->is_guest = true;
    neap_serving_go_on(serving, (struct neap_guard_effect){.kind = NEAP_GUARD_CLAIM});
}

static void tell_of_end(struct neap_serving *serving)
{
    struct neap_guard_event event = {.kind = NEAP_GUARD_EVENT_HANDLED, .handled = serving->handled};
    neap_serving_go_on(serving, neap_serving_step(serving, &event));
}

static void handle_there(struct neap_desk_errand *errand)
{
    struct neap_serving *serving = NEAP_OWNER(errand, struct neap_serving, errand);
    serving->due_ns = serving->sent_ns;
    tell_of_end(serving);
}

/* A claim that no handler began under is free at once; one that was begun under, at its lease's
 * end, and no earlier. */
static void leave_there(struct neap_desk_errand *errand)
{
    struct neap_serving *serving = NEAP_OWNER(errand, struct neap_serving, errand);
    if (serving->owes) {
        serving->leaves = true;
        return;
    }
    serving->due_ns = serving->sent_ns;
    if (serving->told == NEAP_SERVING_RUN && !serving->begun)
        (void)neap_serving_release(serving);
    neap_serving_leave_telling(serving, NEAP_SERVING_WAITS);
}

/* No errand is out: the thread is asked to forget it. Where that cannot be, it does no more for it
 * than to try what is owed, and the desk's end is its end. */
static void call_off(struct neap_serving *serving)
{
    enum neap_status unused = NEAP_OK;
    if (serving->stays)
        unused = send(serving, leave_there);
    (void)unused;
}

/* ------------------------------------------------------------------------------- public */

enum neap_status neap_serving_new(struct neap_desk *desk, struct neap_engine *engine,
                                  const struct neap_serving_setup *setup,
                                  struct neap_serving **serving)
{
    struct neap_serving *made = neap_alloc_zeroed(engine->alloc, sizeof *made + setup->key.bytes);
    if (!made)
        return NEAP_NO_MEMORY;
    if (neap_entropy_pool_take(&engine->entropy, made->token, sizeof made->token) != NEAP_OK) {
        neap_free(engine->alloc, made);
        return NEAP_SYSTEM;
    }
    made->engine = neap_engine_hold(engine);
    made->desk = neap_desk_hold(desk);
    made->holds_desk = true;
    made->process = neap_process_id();
    made->is_inline = neap_loop_is_virtual(engine->loop);
    made->loop = engine->loop;
    made->timer.fire = neap_serving_on_timer;
    made->policy = setup->policy;
    made->key = (struct neap_bytes){made + 1, setup->key.bytes};
    if (setup->key.bytes > 0)
        memcpy(made + 1, setup->key.at, setup->key.bytes);
    memcpy(made->fingerprint, setup->fingerprint, sizeof made->fingerprint);
    neap_random_init(&made->random, neap_random_next(&engine->random));
    neap_guard_init(&made->guard, &made->policy, setup->guarded, setup->fault);
    neap_waiter_init(&made->waiter, engine);
    *serving = made;
    return NEAP_OK;
}

static void refuse(struct neap_serving *serving, enum neap_status status)
{
    serving->told = NEAP_SERVING_PROBLEM;
    serving->problem = NEAP_PROBLEM_STORE_DOWN;
    neap_serving_note(serving, neap_desk_failure(status));
    neap_waiter_wake(&serving->waiter, serving->engine);
}

void neap_serving_begin(struct neap_serving *serving)
{
    struct neap_guard_event event = {.kind = NEAP_GUARD_EVENT_BEGIN};
    bool is_inline = serving->is_inline;
    serving->is_inline = true; /* what needs no store needs no thread */
    struct neap_guard_effect effect = neap_serving_step(serving, &event);
    if (is_inline || effect.kind != NEAP_GUARD_CLAIM) {
        neap_serving_go_on(serving, effect);
        return;
    }
    serving->is_inline = false;
    enum neap_status status = is_inherited(serving) ? NEAP_INVALID : send(serving, claim_there);
    if (status != NEAP_OK)
        refuse(serving, status);
}

static void answer_unstored(struct neap_serving *serving)
{
    serving->told = serving->handled.raised ? NEAP_SERVING_PROBLEM : NEAP_SERVING_ANSWER;
    serving->problem = NEAP_PROBLEM_RAISED;
    neap_waiter_wake(&serving->waiter, serving->engine);
}

void neap_serving_handled(struct neap_serving *serving, const struct neap_guard_handled *handled,
                          char *blob, size_t blob_bytes)
{
    if (serving->out || serving->told != NEAP_SERVING_RUN) {
        neap_free(serving->engine->alloc, blob);
        return;
    }
    serving->handled = *handled;
    serving->answer = (struct neap_blob){serving->engine->alloc, blob, blob_bytes};
    serving->told = NEAP_SERVING_WAITS;
    if (serving->is_inline)
        tell_of_end(serving);
    else if (is_inherited(serving) || send(serving, handle_there) != NEAP_OK)
        answer_unstored(serving);
}

static void free_inline(struct neap_serving *serving)
{
    bool is_of_parent = serving->process != neap_process_id();
    neap_loop_clear(serving->loop, &serving->timer);
    if (serving->told == NEAP_SERVING_RUN && !serving->begun && !is_of_parent)
        (void)neap_serving_release(serving);
    end(serving);
}

/* On a real engine, in the process that it was begun in. */
static void abandon(struct neap_serving *serving)
{
    struct neap_desk *desk = serving->desk;
    serving->abandoned = true;
    atomic_store(&serving->gone, true);
    if (!serving->out)
        call_off(serving);
    if (!serving->out && !serving->stays) {
        end(serving);
        return;
    }
    serving->holds_desk = false;
    neap_desk_release(desk); /* this may be the end of it */
}

void neap_serving_free(struct neap_serving *serving)
{
    if (!serving)
        return;
    neap_tie_remove(&serving->tied);
    if (is_inherited(serving))
        end_in_child(serving);
    else if (serving->is_inline)
        free_inline(serving);
    else
        abandon(serving);
}

static void on_tie_end(struct neap_tied *tied)
{
    struct neap_serving *serving = NEAP_OWNER(tied, struct neap_serving, tied);
    neap_tie_remove(tied);
    serving->given_up = true;
    atomic_store(&serving->gone, true);
    if (!serving->out && !serving->is_inline && !is_inherited(serving))
        call_off(serving);
}

void neap_serving_tie(struct neap_serving *serving, struct neap_tie *tie)
{
    serving->tied.engine = serving->engine;
    serving->tied.give_up = on_tie_end;
    neap_tie_add(tie, &serving->tied);
}

uint64_t neap_serving_id(const struct neap_serving *serving)
{
    return serving->waiter.id;
}

void neap_serving_quieten(struct neap_serving *serving)
{
    neap_waiter_forget(&serving->waiter, serving->engine);
}

struct neap_loop *neap_serving_loop(struct neap_serving *serving)
{
    return serving->engine->loop;
}

bool neap_serving_run(struct neap_serving *serving)
{
    while (!serving->given_up && (serving->out || serving->told == NEAP_SERVING_WAITS))
        if (is_inherited(serving) || !neap_engine_turn(serving->engine, NEAP_NEVER))
            return false;
    neap_serving_quieten(serving);
    return !serving->given_up;
}

enum neap_serving_stage neap_serving_stage(struct neap_serving *serving)
{
    if (serving->out || serving->given_up)
        return NEAP_SERVING_WAITS;
    serving->begun = serving->begun || serving->told == NEAP_SERVING_RUN;
    return serving->told;
}

int64_t neap_serving_next_wakeup(const struct neap_serving *serving)
{
    return serving->is_inline ? neap_guard_next_wakeup(&serving->guard) : NEAP_NEVER;
}

bool neap_serving_is_recovered(const struct neap_serving *serving)
{
    return serving->recovered;
}

enum neap_problem neap_serving_problem(const struct neap_serving *serving)
{
    return serving->problem;
}

const char *neap_serving_message(const struct neap_serving *serving)
{
    return serving->message;
}

const struct neap_stored_reader *neap_serving_replay(const struct neap_serving *serving)
{
    return &serving->reader;
}

bool neap_serving_owes(const struct neap_serving *serving)
{
    return serving->is_inline && serving->owes;
}
