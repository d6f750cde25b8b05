/* Three calls of one client, stepped with any events in any order that a driver may bring them in.
 *
 * Promised: no attempt is sent after the end, with less than a millisecond left, past max_attempts,
 * or while as many are live as may be; a call that waits says until when, and not beyond its
 * deadline; when the events are over, each call ends by its own wakeups alone, and no later than
 * its deadline where nothing but the network was slow; what has ended stays so; no attempt is
 * disturbed unless the policy says so; and no permit, place, probe or block of memory is left
 * behind. */
#include "fuzz/world.h"

#define CALLS 3
#define STEPS_MAX 400
#define STEPS_TO_END 2000

struct driven {
    struct neap_call call;
    bool begun, gone; /* gone: given up by its driver */
    bool asking;      /* an ASK, FALLBACK or STORED is not answered yet */
    bool late;        /* time has passed while it was */
    bool done;
    int leader; /* of a call that follows; -1: none */
    uint32_t live[NEAP_LIVE_MAX];
};

static struct world world;
static struct driven driven[CALLS];

static bool is_under_way(const struct driven *one)
{
    return one->begun && !one->gone && !one->done;
}

static uint32_t *slot_of(struct driven *one, uint32_t attempt)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (one->live[i] == attempt)
            return &one->live[i];
    return NULL;
}

static uint32_t first_live(const struct driven *one)
{
    return one->live[0] ? one->live[0] : one->live[1];
}

static void step(struct driven *one, struct neap_event event);

/* ---- effects */

static void check_send(struct driven *one, const struct neap_effect *effect)
{
    const struct neap_call *call = &one->call;
    uint32_t *slot = slot_of(one, 0);
    promise(slot);
    promise(effect->attempt == call->attempts);
    promise(effect->attempt <= world.pipeline.retry.max_attempts);
    promise(effect->left_ns >= NEAP_MS);
    promise(world.now_ns <= call->deadline_ns - NEAP_MS);
    promise(!effect->chaos || (world.pipeline.has_chaos && !world.chaos_off));
    world.disturbed += effect->chaos;
    *slot = effect->attempt;
}

static void check_wakeup(const struct driven *one)
{
    int64_t wakeup_ns = neap_call_next_wakeup(&one->call);
    if (one->asking || one->call.setup.uninterruptible)
        return;
    promise(wakeup_ns <= one->call.deadline_ns);
    promise(wakeup_ns != NEAP_NEVER || first_live(one) || one->leader >= 0);
}

static void check_done(struct driven *one)
{
    one->done = true;
    promise(!one->live[0] && !one->live[1]);
    if (!one->late && !one->call.setup.uninterruptible)
        promise(world.now_ns <= one->call.deadline_ns);
}

static void cancel(struct driven *one, uint32_t attempt)
{
    uint32_t *slot = attempt ? slot_of(one, attempt) : NULL;
    static const struct neap_outcome cancelled = {.kind = NEAP_KIND_CANCELLED};
    promise(slot);
    *slot = 0;
    step(one, (struct neap_event){.kind = NEAP_EVENT_OUTCOME,
                                  .attempt = attempt,
                                  .outcome = &cancelled,
                                  .hint = {-1, -1, false, 0}});
}

static void perform(struct driven *one, const struct neap_effect *effect)
{
    switch (effect->kind) {
    case NEAP_EFFECT_SEND:
        check_send(one, effect);
        check_wakeup(one);
        break;
    case NEAP_EFFECT_CANCEL:
        cancel(one, effect->attempt);
        break;
    case NEAP_EFFECT_WAIT:
        check_wakeup(one);
        break;
    case NEAP_EFFECT_ASK:
    case NEAP_EFFECT_FALLBACK:
    case NEAP_EFFECT_STORED:
        one->asking = true;
        break;
    case NEAP_EFFECT_DONE:
        check_done(one);
        break;
    }
}

static void step(struct driven *one, struct neap_event event)
{
    bool was_done = one->done;
    uint32_t attempts = one->call.attempts;
    if (event.kind == NEAP_EVENT_ANSWER || event.kind == NEAP_EVENT_CANCEL ||
        event.kind == NEAP_EVENT_REFUSE)
        one->asking = false;
    if (event.kind == NEAP_EVENT_SHARE || event.kind == NEAP_EVENT_BEGIN)
        one->leader = -1;
    struct neap_effect effect = neap_call_step(&one->call, world.now_ns, &event);
    promise(one->call.notice_count <= NEAP_NOTICE_MAX);
    if (was_done)
        promise(effect.kind == NEAP_EFFECT_DONE && one->call.attempts == attempts);
    else
        perform(one, &effect);
}

static void tell(struct driven *one, enum neap_event_kind kind)
{
    step(one, (struct neap_event){.kind = kind});
}

/* ---- what a driver does unasked */

/* A leader that has concluded, or is lost, frees those who follow it. */
static void release_followers(void)
{
    for (int i = 0; i < CALLS; i++) {
        struct driven *one = &driven[i];
        if (!is_under_way(one) || one->leader < 0)
            continue;
        struct driven *leader = &driven[one->leader];
        if (leader->gone)
            tell(one, NEAP_EVENT_BEGIN);
        else if (neap_call_has_concluded(&leader->call) &&
                 neap_call_may_share(&leader->call, &one->call))
            step(one, (struct neap_event){.kind = NEAP_EVENT_SHARE, .leader = &leader->call});
        else if (neap_call_has_concluded(&leader->call))
            tell(one, NEAP_EVENT_BEGIN);
    }
}

static int64_t first_wakeup(void)
{
    int64_t first_ns = NEAP_NEVER;
    for (int i = 0; i < CALLS; i++)
        if (is_under_way(&driven[i]))
            first_ns = neap_time_min(first_ns, neap_call_next_wakeup(&driven[i].call));
    return first_ns;
}

static void wake_due(void)
{
    for (int i = 0; i < CALLS; i++)
        if (is_under_way(&driven[i]) && neap_call_next_wakeup(&driven[i].call) <= world.now_ns)
            tell(&driven[i], NEAP_EVENT_TIME);
}

/* A place may be free. */
static void wake_queue(void)
{
    for (int i = 0; i < CALLS; i++)
        if (is_under_way(&driven[i]) && driven[i].call.queued)
            tell(&driven[i], NEAP_EVENT_TIME);
}

/* Time goes on, and no call is woken late. */
static void pass(int64_t ns)
{
    int64_t until_ns = neap_time_add(world.now_ns, ns);
    for (int i = 0; i < 64; i++) {
        int64_t next_ns = neap_time_max(world.now_ns, neap_time_min(until_ns, first_wakeup()));
        for (int k = 0; k < CALLS && next_ns > world.now_ns; k++)
            driven[k].late |= driven[k].asking;
        world.now_ns = next_ns;
        wake_due();
        release_followers();
        if (world.now_ns >= until_ns)
            return;
    }
}

/* ---- events */

static void begin(struct driven *one, struct fuzz_input *input)
{
    uint8_t draw = fuzz_byte(input);
    one->leader = -1;
    one->begun = true;
    neap_call_init(&one->call,
                   &(struct neap_call_setup){
                       .alloc = neap_platform_alloc(),
                       .pipeline = &world.pipeline,
                       .state = world.shared,
                       .counters = &world.counters,
                       .in_flight = &world.in_flight,
                       .random = &world.random,
                       .chaos_off = &world.chaos_off,
                       .timeout = world.pipeline.timeout,
                       .deadline_ns = draw & 1 ? world.now_ns + draw * (S / 16) : NEAP_NEVER,
                       .replayable = draw & 2,
                       .has_cache = draw & 4,
                       .uninterruptible = (draw & 24) == 24,
                       .without_fallbacks = draw & 32,
                       .watched = ~0u});
    struct driven *other = &driven[draw / 64 % CALLS];
    if (draw & 64 && other != one && is_under_way(other) && other->leader < 0 &&
        !neap_call_has_concluded(&other->call)) {
        one->leader = (int)(other - driven);
        tell(one, NEAP_EVENT_FOLLOW);
    } else if (draw == 128) {
        step(one, (struct neap_event){.kind = NEAP_EVENT_SERVE,
                                      .answer = {.answered = true, .ok = true, .status = 200}});
    } else {
        tell(one, NEAP_EVENT_BEGIN);
    }
}

static void end_attempt(struct driven *one, uint32_t attempt, struct fuzz_input *input)
{
    static const int statuses[] = {200, 201, 301, 401, 404, 408, 429, 500, 501, 503, 504, 599};
    uint8_t draw = fuzz_byte(input), hint = fuzz_byte(input);
    struct neap_outcome outcome = {.status = statuses[draw / 2 % 12]};
    if (draw & 1)
        outcome = (struct neap_outcome){
            .kind = (enum neap_kind)(1 + draw / 2 % (NEAP_KIND_COUNT - 1)),
            .phase = draw / 2 + 1 == NEAP_KIND_TIMEOUT ? NEAP_PHASE_READ : NEAP_PHASE_NONE,
            .unsent = hint & 1,
            .certificate = hint & 2};
    struct neap_event event = {.kind = NEAP_EVENT_OUTCOME,
                               .attempt = attempt,
                               .outcome = &outcome,
                               .hint = {.retry_after_ns = hint & 4 ? hint * (S / 8) : -1,
                                        .rate_limit_ns = hint & 8 ? hint * (S / 4) : -1,
                                        .foreign = hint & 16,
                                        .stands_for = hint & 32 && !(draw & 1) ? 200 : 0}};
    if (attempt && slot_of(one, attempt))
        *slot_of(one, attempt) = 0;
    step(one, event);
}

static void answer(struct driven *one, struct fuzz_input *input)
{
    uint16_t draw = (uint16_t)fuzz_number(input, 2);
    one->asking = false;
    step(one,
         (struct neap_event){.kind = NEAP_EVENT_ANSWER,
                             .answer = {.when = (enum neap_opinion)(draw % 3),
                                        .has_verdict = draw & 4,
                                        .verdict = (enum neap_verdict)(draw / 8 % 3),
                                        .delay_s = draw & 32 ? -1 : draw / 64 % 8,
                                        .refreshed = draw & 512,
                                        .answered = draw & 1024,
                                        .source = NEAP_SOURCE_FUNCTION,
                                        .ok = draw & 2048,
                                        .status = draw & 4096 ? 200 : 0,
                                        .error = draw & 8192 ? NEAP_KIND_ERROR : NEAP_KIND_NONE}});
}

static void give_up(struct driven *one)
{
    neap_call_deinit(&one->call, world.now_ns);
    one->gone = true;
}

static void happen(struct driven *one, uint8_t draw, struct fuzz_input *input)
{
    switch (draw % 8) {
    case 0:
        pass((int64_t)fuzz_number(input, 2) * (NEAP_MS / 4));
        break;
    case 1:
        tell(one, draw & 8 ? NEAP_EVENT_CANCEL : NEAP_EVENT_TIME);
        break;
    case 2:
        if (draw & 8)
            tell(one, NEAP_EVENT_REFUSE);
        else if (draw & 16)
            give_up(one);
        else
            end_attempt(one, fuzz_byte(input) + one->call.attempts + 1u, input);
        break;
    case 3:
    case 4:
        if (one->asking)
            answer(one, input);
        break;
    default:
        if (first_live(one))
            end_attempt(one, draw & 8 && one->live[1] ? one->live[1] : first_live(one), input);
        break;
    }
    release_followers();
    wake_queue();
}

/* No more events: everything is answered with nothing, and time does the rest. */
static bool bring_to_an_end(void)
{
    struct fuzz_input nothing = {NULL, NULL};
    bool all_ended = true;
    for (int i = 0; i < CALLS; i++) {
        struct driven *one = &driven[i];
        if (!is_under_way(one))
            continue;
        all_ended = false;
        if (one->asking)
            answer(one, &nothing);
        else if (neap_call_next_wakeup(&one->call) == NEAP_NEVER && first_live(one))
            end_attempt(one, first_live(one), &nothing);
    }
    release_followers();
    int64_t wakeup_ns = first_wakeup();
    if (wakeup_ns != NEAP_NEVER)
        pass(neap_time_max(0, wakeup_ns - world.now_ns));
    return all_ended;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    memset(driven, 0, sizeof driven);
    world_begin(&world, &input);
    for (int i = 0; i < STEPS_MAX && fuzz_left(&input) > 0; i++) {
        uint8_t draw = fuzz_byte(&input);
        struct driven *one = &driven[draw / 32 % CALLS];
        if (!one->begun)
            begin(one, &input);
        else if (!one->gone)
            happen(one, draw, &input);
    }
    int steps = 0;
    while (!bring_to_an_end())
        promise(steps++ < STEPS_TO_END);
    for (int i = 0; i < CALLS; i++)
        if (driven[i].begun && !driven[i].gone)
            neap_call_deinit(&driven[i].call, world.now_ns);
    world_end(&world);
    return 0;
}
