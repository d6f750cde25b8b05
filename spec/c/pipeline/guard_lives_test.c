#include "pipeline/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "base/random.h"

/* Random lives: several requests under one key, on a store that is slow, fails, or forgets to say
 * that it did what it was asked for. */

#define S NEAP_SECOND
#define LIVES 10000
#define REQUESTS 5
#define STEPS_MAX 60000

static struct neap_random random_numbers;
static struct neap_guard_policy policy;
static int64_t now_ns;
static double trouble; /* how often a step of the store fails */

/* What the store knows of the key. */
static struct {
    bool claimed, done;
    int owner, work; /* the request that has it, and its fingerprint */
    int64_t first_ns, lease_end_ns;
} key;

static struct request {
    struct neap_guard guard;
    struct neap_guard_effect asked; /* the step of the store that is out */
    bool is_asked, is_applied;
    int64_t apply_ns, reply_ns;
    struct neap_guard_event reply;
    int work;
    bool deaf; /* a blocking host: no TIME while the handler runs */
    bool granted, granted_recovered, saw_done, running, ran, lost;
    int64_t granted_first_ns, claim_asked_ns, handled_ns, begins_ns;
    struct neap_guard_handled handled;
    int answers, steps;
    bool begun, over;
} requests[REQUESTS];

static uint64_t pick(uint64_t below)
{
    return neap_random_next(&random_numbers) % below;
}

static bool by_chance(double share)
{
    return neap_random_unit(&random_numbers) < share;
}

/* ---- the store ---- */

static bool has_key(const struct request *request)
{
    return key.claimed && !key.done && key.owner == (int)(request - requests);
}

static enum neap_guard_claim grant(struct request *request, bool recovered)
{
    if (!recovered)
        key.first_ns = now_ns;
    key.claimed = true;
    key.done = false;
    key.owner = (int)(request - requests);
    key.work = request->work;
    key.lease_end_ns = now_ns + policy.lease_ns;
    request->granted = true;
    request->granted_recovered = recovered;
    request->granted_first_ns = key.first_ns;
    return recovered ? NEAP_GUARD_CLAIM_RECOVERED : NEAP_GUARD_CLAIM_NEW;
}

static enum neap_guard_claim apply_claim(struct request *request)
{
    assert_false(request->granted);
    if (!key.claimed || now_ns - key.first_ns >= policy.ttl_ns)
        return grant(request, false);
    if (key.work != request->work)
        return NEAP_GUARD_CLAIM_OTHER_WORK;
    request->saw_done = key.done;
    if (key.done)
        return by_chance(0.05) ? NEAP_GUARD_CLAIM_DAMAGED : NEAP_GUARD_CLAIM_DONE;
    return now_ns < key.lease_end_ns ? NEAP_GUARD_CLAIM_RUNNING : grant(request, true);
}

static enum neap_guard_store apply_renew(const struct request *request)
{
    if (!has_key(request))
        return NEAP_GUARD_STORE_LOST;
    key.lease_end_ns = now_ns + policy.lease_ns;
    return NEAP_GUARD_STORE_OK;
}

static enum neap_guard_store apply_finish(const struct request *request)
{
    if (!has_key(request))
        return NEAP_GUARD_STORE_LOST;
    if (by_chance(trouble / 2))
        return NEAP_GUARD_STORE_FULL;
    key.done = true;
    return NEAP_GUARD_STORE_OK;
}

static enum neap_guard_store apply_release(const struct request *request)
{
    if (!has_key(request))
        return NEAP_GUARD_STORE_LOST;
    key.claimed = false;
    return NEAP_GUARD_STORE_OK;
}

static void apply(struct request *request)
{
    bool fails = by_chance(trouble), changes = !fails || by_chance(0.5);
    struct neap_guard_event reply = {.kind = NEAP_GUARD_EVENT_SETTLED};
    enum neap_guard_effect_kind kind = request->asked.kind;
    if (kind == NEAP_GUARD_CLAIM)
        reply.kind = NEAP_GUARD_EVENT_CLAIMED;
    if (kind == NEAP_GUARD_RENEW)
        reply.kind = NEAP_GUARD_EVENT_RENEWED;
    if (changes && kind == NEAP_GUARD_CLAIM)
        reply.claim = apply_claim(request);
    if (changes && kind == NEAP_GUARD_RENEW)
        reply.store = apply_renew(request);
    if (changes && kind == NEAP_GUARD_FINISH)
        reply.store = apply_finish(request);
    if (changes && kind == NEAP_GUARD_RELEASE)
        reply.store = apply_release(request);
    if (fails) {
        reply.claim = NEAP_GUARD_CLAIM_DOWN;
        reply.store = NEAP_GUARD_STORE_DOWN;
    }
    request->reply = reply;
    request->is_applied = true;
}

/* ---- effects ---- */

static void ask_store(struct request *request, struct neap_guard_effect effect)
{
    bool slow = by_chance(0.05);
    assert_false(request->is_asked);
    request->asked = effect;
    request->is_asked = true;
    request->is_applied = false;
    request->apply_ns = now_ns + (int64_t)pick((uint64_t)(slow ? policy.lease_ns : S / 100));
    request->reply_ns =
        request->apply_ns + (int64_t)pick((uint64_t)(slow ? 2 * policy.lease_ns : S / 100));
    if (effect.kind == NEAP_GUARD_CLAIM)
        request->claim_asked_ns = now_ns;
}

static void run(struct request *request, bool recovered)
{
    static const int status[] = {200, 201, 400, 404, 408, 425, 429, 500, 503};
    assert_true(request->granted);
    assert_false(request->ran);
    assert_int_equal(recovered, request->granted_recovered);
    bool is_old = now_ns - request->granted_first_ns >= policy.ttl_ns;
    assert_true(is_old || (has_key(request) && now_ns < key.lease_end_ns));
    uint64_t length_ns = (uint64_t)(by_chance(0.2) ? 4 * policy.max_run_ns : policy.lease_ns);
    request->ran = request->running = true;
    request->handled_ns = now_ns + (int64_t)pick(length_ns);
    request->handled = (struct neap_guard_handled){
        .raised = by_chance(0.15),
        .status = status[pick(sizeof status / sizeof *status)],
        .verdict = by_chance(0.3) ? (enum neap_guard_verdict)pick(3) : NEAP_GUARD_BY_STATUS};
}

static bool is_result(const struct neap_guard_handled *handled)
{
    int status = handled->status;
    if (handled->raised)
        return policy.on_error == NEAP_ON_ERROR_STORE;
    if (handled->verdict != NEAP_GUARD_BY_STATUS)
        return handled->verdict == NEAP_GUARD_STORE_IT;
    return status != 408 && status != 425 && status != 429 && status != 503;
}

static void answer_caller(struct request *request, struct neap_guard_effect effect)
{
    const struct neap_guard_handled *handled = &request->handled;
    assert_false(request->running);
    assert_int_equal(++request->answers, 1);
    if (request->ran && handled->raised)
        assert_int_equal(effect.problem, NEAP_PROBLEM_RAISED);
    else if (request->ran)
        assert_int_equal(effect.kind, NEAP_GUARD_ANSWER);
    else
        assert_int_not_equal(effect.kind, NEAP_GUARD_ANSWER);
    if (effect.kind == NEAP_GUARD_REPLAY || effect.problem == NEAP_PROBLEM_DAMAGED)
        assert_true(request->saw_done);
    request->over = !effect.more;
}

static void settle(struct request *request, struct neap_guard_effect effect)
{
    bool is_finish = effect.kind == NEAP_GUARD_FINISH;
    assert_true(request->ran && !request->running && !request->lost);
    assert_int_equal(is_finish, is_result(&request->handled));
    if (is_finish && request->handled.raised)
        assert_int_equal(effect.problem, NEAP_PROBLEM_RAISED);
    else if (effect.problem != NEAP_PROBLEM_NONE)
        assert_int_equal(effect.problem, NEAP_PROBLEM_NOT_KEPT);
    ask_store(request, effect);
}

static void renew(struct request *request, struct neap_guard_effect effect)
{
    assert_true(request->granted && !request->lost && (!request->ran || request->running));
    assert_true(now_ns < request->claim_asked_ns + policy.max_run_ns);
    ask_store(request, effect);
}

static void perform(struct request *request, struct neap_guard_effect effect)
{
    switch (effect.kind) {
    case NEAP_GUARD_CLAIM:
        ask_store(request, effect);
        return;
    case NEAP_GUARD_RUN:
        run(request, effect.recovered);
        return;
    case NEAP_GUARD_RENEW:
        renew(request, effect);
        return;
    case NEAP_GUARD_FINISH:
    case NEAP_GUARD_RELEASE:
        settle(request, effect);
        return;
    case NEAP_GUARD_PASS:
    case NEAP_GUARD_ANSWER:
    case NEAP_GUARD_PROBLEM:
    case NEAP_GUARD_REPLAY:
        answer_caller(request, effect);
        return;
    case NEAP_GUARD_WAIT:
        assert_true(neap_guard_next_wakeup(&request->guard) > now_ns);
        return;
    case NEAP_GUARD_DONE:
        assert_int_equal(request->answers, 1);
        request->over = true;
    }
}

static void tell(struct request *request, struct neap_guard_event event)
{
    assert_true(++request->steps < STEPS_MAX);
    if (event.kind == NEAP_GUARD_EVENT_RENEWED && event.store == NEAP_GUARD_STORE_LOST)
        request->lost = true;
    perform(request,
            neap_guard_step(&request->guard, now_ns, neap_random_unit(&random_numbers), &event));
}

/* ---- time ---- */

static int64_t next_of(const struct request *request)
{
    int64_t next_ns = neap_guard_next_wakeup(&request->guard);
    if (request->over)
        return NEAP_NEVER;
    if (!request->begun)
        return request->begins_ns;
    if (request->running && request->deaf)
        next_ns = NEAP_NEVER;
    if (request->is_asked)
        next_ns =
            neap_time_min(next_ns, request->is_applied ? request->reply_ns : request->apply_ns);
    return request->running ? neap_time_min(next_ns, request->handled_ns) : next_ns;
}

static void hand_over(struct request *request)
{
    request->running = false;
    tell(request,
         (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_HANDLED, .handled = request->handled});
}

static void reply(struct request *request)
{
    request->is_asked = false;
    tell(request, request->reply);
}

static void go_on(struct request *request)
{
    if (!request->begun) {
        request->begun = true;
        tell(request, (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_BEGIN});
    } else if (request->is_asked && !request->is_applied && now_ns >= request->apply_ns) {
        apply(request);
    } else if (request->is_asked && request->is_applied && now_ns >= request->reply_ns) {
        reply(request);
    } else if (request->running && now_ns >= request->handled_ns) {
        hand_over(request);
    } else {
        tell(request, (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_TIME});
    }
}

static struct request *first_due(void)
{
    struct request *first = NULL;
    for (size_t i = 0; i < REQUESTS; i++)
        if (!requests[i].over && (!first || next_of(&requests[i]) < next_of(first)))
            first = &requests[i];
    return first;
}

static void begin_life(void)
{
    int64_t lease_ns = S + (int64_t)pick(20 * (uint64_t)S);
    policy = (struct neap_guard_policy){.ttl_ns = 6 * lease_ns,
                                        .lease_ns = lease_ns,
                                        .max_run_ns = 1 + (int64_t)pick(4 * (uint64_t)lease_ns),
                                        .on_conflict = (enum neap_on_conflict)pick(2),
                                        .on_error = (enum neap_on_error)pick(2)};
    trouble = pick(3) ? neap_random_unit(&random_numbers) / 2 : 0;
    memset(&key, 0, sizeof key);
    memset(requests, 0, sizeof requests);
    now_ns = (int64_t)pick((uint64_t)S);
    for (size_t i = 0; i < REQUESTS; i++) {
        struct request *request = &requests[i];
        neap_guard_init(&request->guard, &policy, true, NEAP_KEY_FAULT_NONE);
        request->begins_ns =
            now_ns + (int64_t)pick((uint64_t)(2 + 3 * by_chance(0.3)) * (uint64_t)lease_ns);
        request->work = by_chance(0.1);
        request->deaf = by_chance(0.3);
    }
}

static int ran, replayed, recovered, owed, not_kept;

static void count(const struct request *request)
{
    ran += request->ran;
    replayed += request->guard.state == NEAP_GUARD_STATE_DONE && request->saw_done;
    recovered += request->guard.recovered;
    owed += request->guard.answered && request->guard.tries > 0 && !request->lost;
    not_kept += request->guard.settling.problem == NEAP_PROBLEM_NOT_KEPT;
}

static void live(void)
{
    begin_life();
    for (struct request *request = first_due(); request; request = first_due()) {
        assert_int_not_equal(next_of(request), NEAP_NEVER);
        now_ns = neap_time_max(now_ns, next_of(request));
        if (by_chance(0.1))
            now_ns += (int64_t)pick((uint64_t)S / 2); /* everybody is late */
        go_on(request);
        struct request *other = &requests[pick(REQUESTS)];
        if (by_chance(0.1) && other->begun && !other->over)
            tell(other, (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_TIME});
    }
    for (size_t i = 0; i < REQUESTS; i++)
        assert_int_equal(requests[i].answers, 1);
    for (size_t i = 0; i < REQUESTS; i++)
        count(&requests[i]);
}

static void every_request_is_answered_once_and_runs_once_a_claim(void **state)
{
    (void)state;
    neap_random_init(&random_numbers, 20260101);
    for (int i = 0; i < LIVES; i++)
        live();
    assert_true(ran > LIVES);
    assert_true(replayed > LIVES / 4);
    assert_true(recovered > LIVES / 50);
    assert_true(owed > LIVES / 50);
    assert_true(not_kept > LIVES / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_is_answered_once_and_runs_once_a_claim),
    };
    return cmocka_run_group_tests_name("guard_lives", tests, NULL, NULL);
}
