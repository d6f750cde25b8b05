/* The serving side's guard, stepped with any events, also such as do not belong to its state.
 *
 * Promised, as pipeline/guard.h has it: each life has exactly one of PASS, ANSWER, PROBLEM and
 * REPLAY; the handler runs at most once, and only for who owns the key or is not guarded; at most
 * one step of the store is out; nothing is renewed beyond max_run; and when the events are over the
 * guard ends by its own wakeups and answers of a store that is down. */
#include "base/duration.h"
#include "fuzz/fuzz.h"
#include "pipeline/guard.h"

#define S NEAP_SECOND
#define STEPS_MAX 300
#define STEPS_TO_END 5000

static struct neap_guard guard;
static struct neap_guard_policy policy;
static int64_t now_ns;
static bool store_is_out, owns, runs, has_run, is_over;
static int answers;

static void ask_store(void)
{
    promise(!store_is_out);
    store_is_out = true;
}

static void answer_caller(const struct neap_guard_effect *effect, bool is_problem)
{
    promise(++answers == 1);
    promise(!is_problem || effect->problem != NEAP_PROBLEM_NONE);
    is_over = !effect->more;
}

static void perform(const struct neap_guard_effect *effect)
{
    switch (effect->kind) {
    case NEAP_GUARD_PASS:
        promise(++answers == 1 && !store_is_out);
        is_over = true;
        break;
    case NEAP_GUARD_CLAIM:
        promise(!has_run);
        ask_store();
        break;
    case NEAP_GUARD_RUN:
        promise(owns && !has_run);
        has_run = runs = true;
        break;
    case NEAP_GUARD_RENEW:
        promise(owns && now_ns <= neap_time_add(guard.claimed_ns, policy.max_run_ns));
        ask_store();
        break;
    case NEAP_GUARD_FINISH:
    case NEAP_GUARD_RELEASE:
        promise(has_run && !runs);
        ask_store();
        break;
    case NEAP_GUARD_ANSWER:
        promise(has_run && !runs);
        answer_caller(effect, false);
        break;
    case NEAP_GUARD_PROBLEM:
        answer_caller(effect, true);
        break;
    case NEAP_GUARD_REPLAY:
        promise(!has_run && ++answers == 1);
        is_over = true;
        break;
    case NEAP_GUARD_DONE:
        promise(answers == 1);
        is_over = true;
        break;
    case NEAP_GUARD_WAIT:
        break;
    }
}

static void step(const struct neap_guard_event *event)
{
    bool is_claim = event->kind == NEAP_GUARD_EVENT_CLAIMED;
    bool is_answer = is_claim || event->kind == NEAP_GUARD_EVENT_RENEWED ||
                     event->kind == NEAP_GUARD_EVENT_SETTLED;
    bool belongs = !is_answer || store_is_out;
    if (is_answer && belongs)
        store_is_out = false;
    owns = owns || (is_claim && belongs && event->claim <= NEAP_GUARD_CLAIM_RECOVERED);
    if (event->kind == NEAP_GUARD_EVENT_HANDLED)
        runs = false;
    struct neap_guard_effect effect = neap_guard_step(&guard, now_ns, 0.5, event);
    perform(&effect);
}

/* What the store was asked for last: its answer is the one that belongs. */
static enum neap_guard_event_kind answer_of_store(void)
{
    switch (guard.state) {
    case NEAP_GUARD_STATE_CLAIMING:
        return NEAP_GUARD_EVENT_CLAIMED;
    case NEAP_GUARD_STATE_STARTING:
    case NEAP_GUARD_STATE_RENEWING:
        return NEAP_GUARD_EVENT_RENEWED;
    case NEAP_GUARD_STATE_NEW:
    case NEAP_GUARD_STATE_POLLING:
    case NEAP_GUARD_STATE_RUNNING:
    case NEAP_GUARD_STATE_SETTLING:
    case NEAP_GUARD_STATE_OWING:
    case NEAP_GUARD_STATE_DONE:
        break;
    }
    return NEAP_GUARD_EVENT_SETTLED;
}

static void begin(struct fuzz_input *input)
{
    uint8_t draw = fuzz_byte(input), more = fuzz_byte(input);
    policy = (struct neap_guard_policy){
        .ttl_ns = 100 * S,
        .lease_ns = (1 + draw % 4) * S,
        .max_run_ns = (1 + draw / 4 % 16) * S,
        .required = draw & 64,
        .on_conflict = draw & 128 ? NEAP_ON_CONFLICT_WAIT : NEAP_ON_CONFLICT_REJECT,
        .on_error = more & 1 ? NEAP_ON_ERROR_RELEASE : NEAP_ON_ERROR_STORE};
    now_ns = 0;
    store_is_out = owns = runs = has_run = is_over = false;
    answers = 0;
    neap_guard_init(&guard, &policy, more & 2, (enum neap_key_fault)(more / 4 % 3));
    step(&(struct neap_guard_event){.kind = NEAP_GUARD_EVENT_BEGIN});
}

/* Answers come only to what was asked, and a handler ends only where it runs. */
static void happen(uint8_t draw, struct fuzz_input *input)
{
    uint8_t how = fuzz_byte(input);
    if (draw % 4 == 0)
        now_ns += (int64_t)how * (S / 16);
    if (draw % 4 == 1 && store_is_out)
        step(&(struct neap_guard_event){.kind = answer_of_store(),
                                        .claim = (enum neap_guard_claim)(how % 7),
                                        .store = (enum neap_guard_store)(how % 4)});
    else if (draw % 4 == 2 && runs)
        step(&(struct neap_guard_event){
            .kind = NEAP_GUARD_EVENT_HANDLED,
            .handled = {how & 1, 200 + how, (enum neap_guard_verdict)(how / 2 % 3)}});
    else
        step(&(struct neap_guard_event){.kind = NEAP_GUARD_EVENT_TIME});
}

static void bring_to_an_end(void)
{
    if (store_is_out) {
        step(&(struct neap_guard_event){.kind = answer_of_store(),
                                        .claim = NEAP_GUARD_CLAIM_DOWN,
                                        .store = NEAP_GUARD_STORE_DOWN});
        return;
    }
    if (runs) {
        step(&(struct neap_guard_event){.kind = NEAP_GUARD_EVENT_HANDLED,
                                        .handled = {.status = 200}});
        return;
    }
    int64_t wakeup_ns = neap_guard_next_wakeup(&guard);
    promise(wakeup_ns != NEAP_NEVER);
    now_ns = neap_time_max(now_ns, wakeup_ns);
    step(&(struct neap_guard_event){.kind = NEAP_GUARD_EVENT_TIME});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    begin(&input);
    for (int i = 0; i < STEPS_MAX && !is_over && fuzz_left(&input) > 0; i++)
        happen(fuzz_byte(&input), &input);
    for (int steps = 0; !is_over; steps++) {
        promise(steps < STEPS_TO_END);
        bring_to_an_end();
    }
    promise(answers == 1);
    return 0;
}
