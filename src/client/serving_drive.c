/* What the guard of a serving wants is done here, by the thread that drives it. */
#include "base/owner.h"
#include "client/serving_internal.h"

void neap_serving_tell(struct neap_serving *serving, enum neap_serving_stage stage, bool stays)
{
    serving->told = stage;
    serving->stays = stays;
    if (serving->is_inline)
        neap_waiter_wake(&serving->waiter, serving->engine);
    else
        neap_desk_return(&serving->errand);
}

/* False without memory for one more timer. */
static bool arm(struct neap_serving *serving)
{
    int64_t when_ns = neap_guard_next_wakeup(&serving->guard);
    return neap_loop_set(serving->loop, &serving->timer, when_ns) == NEAP_OK;
}

void neap_serving_leave(struct neap_serving *serving)
{
    neap_loop_clear(serving->loop, &serving->timer);
    if (serving->is_guest)
        neap_desk_dismiss(&serving->guest);
    serving->is_guest = false;
}

void neap_serving_leave_telling(struct neap_serving *serving, enum neap_serving_stage stage)
{
    neap_serving_leave(serving);
    neap_serving_tell(serving, stage, false);
}

/* Nobody is to be told any more but the one who waits for the end of this. Who has not asked for it
 * yet stays a guest until he does. */
static void finish_debt(struct neap_serving *serving)
{
    serving->owes = false;
    neap_loop_clear(serving->loop, &serving->timer);
    if (serving->leaves)
        neap_serving_leave_telling(serving, NEAP_SERVING_WAITS);
}

/* Where nothing wakes it, who waits for another's end is refused as one who does not wait, and a
 * lease ends as if the process had. */
static void wait_for_time(struct neap_serving *serving)
{
    if (arm(serving))
        return;
    if (serving->owes)
        finish_debt(serving);
    if (serving->guard.state != NEAP_GUARD_STATE_POLLING)
        return;
    serving->problem = NEAP_PROBLEM_CONFLICT;
    neap_serving_leave_telling(serving, NEAP_SERVING_PROBLEM);
}

static void start_handler(struct neap_serving *serving, bool recovered)
{
    bool unused = arm(serving);
    (void)unused;
    serving->recovered = recovered;
    neap_serving_tell(serving, NEAP_SERVING_RUN, true);
}

static void answer(struct neap_serving *serving, const struct neap_guard_effect *effect)
{
    static const enum neap_serving_stage stages[] = {
        [NEAP_GUARD_PASS] = NEAP_SERVING_PASS,
        [NEAP_GUARD_ANSWER] = NEAP_SERVING_ANSWER,
        [NEAP_GUARD_PROBLEM] = NEAP_SERVING_PROBLEM,
        [NEAP_GUARD_REPLAY] = NEAP_SERVING_REPLAY,
    };
    serving->problem = effect->problem;
    if (effect->problem == NEAP_PROBLEM_STORE_DOWN && serving->message[0] == '\0')
        neap_serving_note(serving, "the store was slower than max_run");
    serving->owes = effect->more && arm(serving);
    if (serving->owes)
        neap_serving_tell(serving, stages[effect->kind], true);
    else
        neap_serving_leave_telling(serving, stages[effect->kind]);
}

/* What the guard wants done; true where that ended at once, with what is to be told to it. */
static bool perform(struct neap_serving *serving, const struct neap_guard_effect *effect,
                    struct neap_guard_event *event)
{
    switch (effect->kind) {
    case NEAP_GUARD_CLAIM:
        *event = (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_CLAIMED,
                                           .claim = neap_serving_claim(serving)};
        return true;
    case NEAP_GUARD_RENEW:
        *event = (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_RENEWED,
                                           .store = neap_serving_renew(serving)};
        return true;
    case NEAP_GUARD_FINISH:
        *event = (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_SETTLED,
                                           .store = neap_serving_finish(serving, effect->problem)};
        return true;
    case NEAP_GUARD_RELEASE:
        *event = (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_SETTLED,
                                           .store = neap_serving_release(serving)};
        return true;
    case NEAP_GUARD_WAIT:
        wait_for_time(serving);
        return false;
    case NEAP_GUARD_RUN:
        start_handler(serving, effect->recovered);
        return false;
    case NEAP_GUARD_DONE:
        finish_debt(serving);
        return false;
    case NEAP_GUARD_PASS:
    case NEAP_GUARD_ANSWER:
    case NEAP_GUARD_PROBLEM:
    case NEAP_GUARD_REPLAY:
        break;
    }
    answer(serving, effect);
    return false;
}

struct neap_guard_effect neap_serving_step(struct neap_serving *serving,
                                           const struct neap_guard_event *event)
{
    double r = neap_random_unit(&serving->random);
    return neap_guard_step(&serving->guard, neap_loop_update(serving->loop), r, event);
}

void neap_serving_go_on(struct neap_serving *serving, struct neap_guard_effect effect)
{
    struct neap_guard_event event;
    while (perform(serving, &effect, &event))
        effect = neap_serving_step(serving, &event);
}

/* Nobody waits for it any more: it asks no more for the key, nor for more of its lease. */
static bool falls_silent(struct neap_serving *serving)
{
    if (!atomic_load(&serving->gone) || serving->owes)
        return false;
    if (serving->guard.state == NEAP_GUARD_STATE_POLLING)
        neap_serving_leave_telling(serving, NEAP_SERVING_WAITS);
    return true;
}

void neap_serving_on_timer(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_serving *serving = NEAP_OWNER(timer, struct neap_serving, timer);
    (void)now_ns;
    serving->due_ns = neap_guard_next_wakeup(&serving->guard);
    if (serving->is_inline || !falls_silent(serving))
        neap_serving_go_on(serving, neap_serving_step(serving, &(struct neap_guard_event){
                                                                   .kind = NEAP_GUARD_EVENT_TIME}));
}
