#include "client/serving.h"

#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/owner.h"
#include "platform/process.h"

/* The first part is the owner's. The second is the desk's thread's from the first errand on. The
 * third is the thread's while an errand is out, and the owner's else. */
struct neap_serving {
    struct neap_waiter waiter;
    struct neap_tied tied;
    struct neap_engine *engine;
    struct neap_desk *desk;
    bool holds_desk; /* who is abandoned leaves it to the errand that is out */
    int64_t process;
    bool is_inline; /* on a virtual engine: all of it on the owner's thread */
    bool out, abandoned, given_up;
    bool begun; /* the handler was, or may have been */

    struct neap_desk_errand errand;
    struct neap_desk_guest guest;
    struct neap_loop_timer timer;
    struct neap_loop *loop;
    struct neap_random random;
    struct neap_guard_policy policy;
    struct neap_guard guard;
    uint8_t fingerprint[NEAP_FINGERPRINT_BYTES], token[NEAP_STORE_TOKEN_BYTES];
    struct neap_bytes key; /* behind the struct */
    bool is_guest, owes, leaves;

    enum neap_serving_stage told;
    bool told_more, recovered;
    enum neap_problem problem;
    char message[NEAP_MESSAGE_BYTES];
    struct neap_blob replay;
    struct neap_stored_reader reader;
    struct neap_guard_handled handled;
    struct neap_blob answer; /* of the handler */
};

/* ------------------------------------------------------------------------------- the store */

static struct neap_store *take(struct neap_serving *serving)
{
    return neap_desk_take(serving->desk);
}

static void give(struct neap_serving *serving, struct neap_store *store,
                 enum neap_store_status status)
{
    if (status == NEAP_STORE_UNAVAILABLE)
        snprintf(serving->message, sizeof serving->message, "%s", neap_store_message(store));
    if (status == NEAP_STORE_FULL)
        snprintf(serving->message, sizeof serving->message, "the store has no room");
    neap_desk_give(serving->desk);
}

static enum neap_guard_claim read_result(struct neap_serving *serving, struct neap_claim *claim)
{
    serving->replay = claim->result;
    enum neap_stored_fault fault =
        neap_stored_answer_open(serving->replay.at, serving->replay.bytes, &serving->reader);
    if (fault == NEAP_STORED_FAULT_NONE)
        return NEAP_GUARD_CLAIM_DONE;
    snprintf(serving->message, sizeof serving->message, "%s", neap_stored_fault_text(fault));
    return NEAP_GUARD_CLAIM_DAMAGED;
}

static enum neap_guard_claim read_claim(struct neap_serving *serving, struct neap_claim *claim)
{
    if (claim->other_work)
        return NEAP_GUARD_CLAIM_OTHER_WORK;
    switch (claim->state) {
    case NEAP_CLAIM_NEW:
        return claim->recovered ? NEAP_GUARD_CLAIM_RECOVERED : NEAP_GUARD_CLAIM_NEW;
    case NEAP_CLAIM_RUNNING:
        return NEAP_GUARD_CLAIM_RUNNING;
    case NEAP_CLAIM_DONE:
        break;
    }
    return read_result(serving, claim);
}

static enum neap_guard_claim claim(struct neap_serving *serving)
{
    struct neap_claim claim = {0};
    struct neap_claim_request request = {.key = serving->key,
                                         .now_ns = neap_loop_wall(serving->loop),
                                         .lease_ns = serving->policy.lease_ns,
                                         .ttl_ns = serving->policy.ttl_ns};
    memcpy(request.fingerprint, serving->fingerprint, sizeof request.fingerprint);
    memcpy(request.token, serving->token, sizeof request.token);
    struct neap_store *store = take(serving);
    enum neap_store_status status = neap_store_claim(store, &request, &claim);
    give(serving, store, status);
    return status == NEAP_STORE_OK ? read_claim(serving, &claim) : NEAP_GUARD_CLAIM_DOWN;
}

static enum neap_guard_store guard_status(enum neap_store_status status)
{
    static const enum neap_guard_store statuses[] = {
        [NEAP_STORE_OK] = NEAP_GUARD_STORE_OK,
        [NEAP_STORE_NONE] = NEAP_GUARD_STORE_LOST,
        [NEAP_STORE_LOST] = NEAP_GUARD_STORE_LOST,
        [NEAP_STORE_FULL] = NEAP_GUARD_STORE_FULL,
        [NEAP_STORE_INVALID] = NEAP_GUARD_STORE_DOWN,
        [NEAP_STORE_NO_MEMORY] = NEAP_GUARD_STORE_DOWN,
        [NEAP_STORE_UNAVAILABLE] = NEAP_GUARD_STORE_DOWN,
    };
    return statuses[status];
}

static enum neap_guard_store renew(struct neap_serving *serving)
{
    struct neap_store *store = take(serving);
    enum neap_store_status status =
        neap_store_renew(store, serving->key, serving->token, neap_loop_wall(serving->loop),
                         serving->policy.lease_ns);
    give(serving, store, status);
    return guard_status(status);
}

static enum neap_guard_store release(struct neap_serving *serving)
{
    struct neap_store *store = take(serving);
    enum neap_store_status status =
        neap_store_release(store, serving->key, serving->token, neap_loop_wall(serving->loop));
    give(serving, store, status);
    return guard_status(status);
}

/* The key was good, so the problem is none of the kind that tells of it. */
static enum neap_status write_problem(struct neap_serving *serving, enum neap_problem problem,
                                      struct neap_blob *blob)
{
    struct neap_problem_answer answer;
    const struct neap_alloc *alloc = serving->engine->alloc;
    enum neap_status status =
        neap_problem_answer_init(&answer, problem, NEAP_KEY_FAULT_NONE, "", alloc);
    if (status != NEAP_OK)
        return status;
    status = neap_stored_answer_write(&answer.answer, alloc, &blob->at, &blob->bytes);
    if (status == NEAP_OK)
        blob->alloc = alloc;
    neap_problem_answer_deinit(&answer);
    return status;
}

static enum neap_guard_store finish(struct neap_serving *serving, enum neap_problem problem)
{
    struct neap_blob of_problem = {0};
    const struct neap_blob *blob = &serving->answer;
    if (problem != NEAP_PROBLEM_NONE) {
        if (write_problem(serving, problem, &of_problem) != NEAP_OK)
            return NEAP_GUARD_STORE_DOWN;
        blob = &of_problem;
    }
    struct neap_store *store = take(serving);
    enum neap_store_status status = neap_store_finish(store, serving->key, serving->token,
                                                      (struct neap_bytes){blob->at, blob->bytes},
                                                      neap_loop_wall(serving->loop));
    give(serving, store, status);
    neap_blob_free(&of_problem);
    return guard_status(status);
}

/* ------------------------------------------------------------------------------- telling */

static void tell(struct neap_serving *serving, enum neap_serving_stage stage)
{
    serving->told = stage;
    if (serving->is_inline)
        neap_waiter_wake(&serving->waiter, serving->engine);
    else
        neap_desk_return(&serving->errand);
}

static void arm(struct neap_serving *serving)
{
    /* Without memory for one more timer the lease ends, as if the process had. */
    enum neap_status unused =
        neap_loop_set(serving->loop, &serving->timer, neap_guard_next_wakeup(&serving->guard));
    (void)unused;
}

static void leave(struct neap_serving *serving)
{
    neap_loop_clear(serving->loop, &serving->timer);
    if (serving->is_guest)
        neap_desk_dismiss(&serving->guest);
    serving->is_guest = false;
}

/* Nobody is to be told any more but the one who waits for the end of this. */
static void finish_debt(struct neap_serving *serving)
{
    serving->owes = false;
    leave(serving);
    if (serving->leaves)
        tell(serving, serving->told);
}

/* What the guard wants done; true where that ended at once, with what is to be told to it. */
static bool perform(struct neap_serving *serving, const struct neap_guard_effect *effect,
                    struct neap_guard_event *event)
{
    switch (effect->kind) {
    case NEAP_GUARD_CLAIM:
        *event =
            (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_CLAIMED, .claim = claim(serving)};
        return true;
    case NEAP_GUARD_RENEW:
        *event =
            (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_RENEWED, .store = renew(serving)};
        return true;
    case NEAP_GUARD_FINISH:
        *event = (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_SETTLED,
                                           .store = finish(serving, effect->problem)};
        return true;
    case NEAP_GUARD_RELEASE:
        *event =
            (struct neap_guard_event){.kind = NEAP_GUARD_EVENT_SETTLED, .store = release(serving)};
        return true;
    case NEAP_GUARD_WAIT:
        arm(serving);
        return false;
    case NEAP_GUARD_RUN:
        serving->recovered = effect->recovered;
        arm(serving);
        tell(serving, NEAP_SERVING_RUN);
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
    static const enum neap_serving_stage stages[] = {
        [NEAP_GUARD_PASS] = NEAP_SERVING_PASS,
        [NEAP_GUARD_ANSWER] = NEAP_SERVING_ANSWER,
        [NEAP_GUARD_PROBLEM] = NEAP_SERVING_PROBLEM,
        [NEAP_GUARD_REPLAY] = NEAP_SERVING_REPLAY,
    };
    serving->problem = effect->problem;
    serving->owes = serving->told_more = effect->more;
    if (effect->more)
        arm(serving);
    else
        leave(serving);
    tell(serving, stages[effect->kind]);
    return false;
}

static struct neap_guard_effect step(struct neap_serving *serving,
                                     const struct neap_guard_event *event)
{
    double r = neap_random_unit(&serving->random);
    return neap_guard_step(&serving->guard, neap_loop_update(serving->loop), r, event);
}

static void go_on(struct neap_serving *serving, struct neap_guard_effect effect)
{
    struct neap_guard_event event;
    while (perform(serving, &effect, &event))
        effect = step(serving, &event);
}

static void on_timer(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_serving *serving = NEAP_OWNER(timer, struct neap_serving, timer);
    (void)now_ns;
    go_on(serving, step(serving, &(struct neap_guard_event){.kind = NEAP_GUARD_EVENT_TIME}));
}

/* ------------------------------------------------------------------------------- its end */

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

/* The thread and its loop have ended; what is owed is tried a last time. */
static void on_evict(struct neap_desk_guest *guest)
{
    struct neap_serving *serving = NEAP_OWNER(guest, struct neap_serving, guest);
    const struct neap_guard_effect *settling = &serving->guard.settling;
    serving->loop = serving->engine->loop;
    if (serving->owes && settling->kind == NEAP_GUARD_FINISH)
        (void)finish(serving, settling->problem);
    else if (serving->owes)
        (void)release(serving);
    end(serving);
}

/* ------------------------------------------------------------------------------- errands */

static void put_away(struct neap_serving *serving);
static void call_off(struct neap_serving *serving);

static void on_back(struct neap_desk_errand *errand)
{
    struct neap_serving *serving = NEAP_OWNER(errand, struct neap_serving, errand);
    serving->out = false;
    if (serving->abandoned)
        put_away(serving);
    else if (serving->given_up)
        call_off(serving);
    else
        neap_waiter_wake(&serving->waiter, serving->engine);
}

static enum neap_status send(struct neap_serving *serving,
                             void (*run)(struct neap_desk_errand *errand))
{
    serving->errand = (struct neap_desk_errand){.run = run, .back = on_back};
    enum neap_status status = neap_desk_send(serving->desk, serving->engine, &serving->errand);
    serving->out = status == NEAP_OK;
    return status;
}

static void claim_there(struct neap_desk_errand *errand)
{
    struct neap_serving *serving = NEAP_OWNER(errand, struct neap_serving, errand);
    serving->loop = neap_desk_loop(errand->desk);
    serving->guest.evict = on_evict;
    neap_desk_admit(errand->desk, &serving->guest);
    serving->is_guest = true;
    go_on(serving, (struct neap_guard_effect){.kind = NEAP_GUARD_CLAIM});
}

static void tell_of_end(struct neap_serving *serving)
{
    struct neap_guard_event event = {.kind = NEAP_GUARD_EVENT_HANDLED, .handled = serving->handled};
    go_on(serving, step(serving, &event));
}

static void handle_there(struct neap_desk_errand *errand)
{
    tell_of_end(NEAP_OWNER(errand, struct neap_serving, errand));
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
    if (serving->told == NEAP_SERVING_RUN && !serving->begun)
        (void)release(serving);
    leave(serving);
    serving->told = NEAP_SERVING_WAITS;
    serving->told_more = false;
    neap_desk_return(errand);
}

/* Is it still known at the desk's thread? */
static bool stays_there(const struct neap_serving *serving)
{
    return serving->told == NEAP_SERVING_RUN || serving->told_more;
}

/* Has the thread forget it, if it still knows it. Where that cannot be asked for, its memory is the
 * thread's for good. */
static void call_off(struct neap_serving *serving)
{
    if (stays_there(serving))
        (void)send(serving, leave_there);
}

/* Nobody has it any more, and no errand is out. */
static void put_away(struct neap_serving *serving)
{
    if (stays_there(serving))
        call_off(serving);
    else
        end(serving);
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
    made->timer.fire = on_timer;
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
    snprintf(serving->message, sizeof serving->message, "%s", neap_desk_failure(status));
    neap_waiter_wake(&serving->waiter, serving->engine);
}

void neap_serving_begin(struct neap_serving *serving)
{
    struct neap_guard_event event = {.kind = NEAP_GUARD_EVENT_BEGIN};
    bool is_inline = serving->is_inline;
    serving->is_inline = true; /* what needs no store needs no thread */
    struct neap_guard_effect effect = step(serving, &event);
    if (is_inline || effect.kind != NEAP_GUARD_CLAIM) {
        go_on(serving, effect);
        return;
    }
    serving->is_inline = false;
    enum neap_status status = send(serving, claim_there);
    if (status != NEAP_OK)
        refuse(serving, status);
}

void neap_serving_handled(struct neap_serving *serving, const struct neap_guard_handled *handled,
                          char *blob, size_t blob_bytes)
{
    serving->handled = *handled;
    serving->answer = (struct neap_blob){serving->engine->alloc, blob, blob_bytes};
    serving->told = NEAP_SERVING_WAITS;
    if (serving->is_inline) {
        tell_of_end(serving);
    } else if (serving->given_up || send(serving, handle_there) != NEAP_OK) {
        serving->told = handled->raised ? NEAP_SERVING_PROBLEM : NEAP_SERVING_ANSWER;
        serving->problem = NEAP_PROBLEM_RAISED;
        neap_waiter_wake(&serving->waiter, serving->engine);
    }
}

static void free_inline(struct neap_serving *serving)
{
    neap_loop_clear(serving->loop, &serving->timer);
    if (serving->told == NEAP_SERVING_RUN && !serving->begun)
        (void)release(serving);
    end(serving);
}

void neap_serving_free(struct neap_serving *serving)
{
    if (!serving)
        return;
    neap_tie_remove(&serving->tied);
    if (serving->process != neap_process_id()) {
        end(serving);
        return;
    }
    if (serving->is_inline) {
        free_inline(serving);
        return;
    }
    struct neap_desk *desk = serving->desk;
    serving->abandoned = true;
    if (!serving->out && !stays_there(serving)) {
        end(serving);
        return;
    }
    if (!serving->out)
        call_off(serving);
    if (!serving->out)
        return;
    serving->holds_desk = false;
    neap_desk_release(desk); /* this may be the end of it */
}

static void on_tie_end(struct neap_tied *tied)
{
    struct neap_serving *serving = NEAP_OWNER(tied, struct neap_serving, tied);
    neap_tie_remove(tied);
    serving->given_up = true;
    if (!serving->out && !serving->is_inline)
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
    while (serving->out || serving->told == NEAP_SERVING_WAITS)
        if (!neap_engine_turn(serving->engine, NEAP_NEVER))
            return false;
    neap_serving_quieten(serving);
    return true;
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
