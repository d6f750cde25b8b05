#include "client/serving_internal.h"

#include <stdio.h>
#include <string.h>

/* Has the store been found down by somebody behind whom this one waited? Then it is, for him too:
 * hundreds would else wait for it one after the other. On a virtual clock nobody waits. */
static bool is_found_down(const struct neap_serving *serving)
{
    return !serving->is_inline && neap_desk_is_down_since(serving->desk, serving->due_ns);
}

void neap_serving_note(struct neap_serving *serving, const char *message)
{
    snprintf(serving->message, sizeof serving->message, "%s", message);
}

static const char *failure(const struct neap_store *store, enum neap_store_status status)
{
    static const char *const messages[] = {
        [NEAP_STORE_OK] = "",
        [NEAP_STORE_NONE] = "",
        [NEAP_STORE_LOST] = "",
        [NEAP_STORE_FULL] = "the store has no room",
        [NEAP_STORE_INVALID] = "the clock says that it is before 1970",
        [NEAP_STORE_NO_MEMORY] = "not enough memory",
    };
    return status == NEAP_STORE_UNAVAILABLE ? neap_store_message(store) : messages[status];
}

/* Later than before the handler nobody is refused because of the store, and the message is the
 * owner's to read. */
static void give(struct neap_serving *serving, struct neap_store *store,
                 enum neap_store_status status)
{
    enum neap_guard_state state = serving->guard.state;
    if (state == NEAP_GUARD_STATE_CLAIMING || state == NEAP_GUARD_STATE_STARTING)
        neap_serving_note(serving, failure(store, status));
    if (!is_found_down(serving))
        neap_desk_note(serving->desk, status == NEAP_STORE_UNAVAILABLE,
                       neap_loop_update(serving->loop));
    neap_desk_give(serving->desk);
}

typedef enum neap_store_status store_step(struct neap_store *store, struct neap_serving *serving,
                                          void *context);

/* One step of the store, unless it is known to be down. */
static enum neap_store_status make_step(struct neap_serving *serving, store_step *step,
                                        void *context)
{
    struct neap_store *store = neap_desk_take(serving->desk);
    enum neap_store_status status =
        is_found_down(serving) ? NEAP_STORE_UNAVAILABLE : step(store, serving, context);
    give(serving, store, status);
    return status;
}

static enum neap_guard_claim read_result(struct neap_serving *serving, struct neap_claim *claim)
{
    serving->replay = claim->result;
    enum neap_stored_fault fault =
        neap_stored_answer_open(serving->replay.at, serving->replay.bytes, &serving->reader);
    if (fault == NEAP_STORED_FAULT_NONE)
        return NEAP_GUARD_CLAIM_DONE;
    neap_serving_note(serving, neap_stored_fault_text(fault));
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

static enum neap_store_status claim(struct neap_store *store, struct neap_serving *serving,
                                    void *context)
{
    struct neap_claim_request request = {.key = serving->key,
                                         .now_ns = neap_loop_wall(serving->loop),
                                         .lease_ns = serving->policy.lease_ns,
                                         .ttl_ns = serving->policy.ttl_ns};
    memcpy(request.fingerprint, serving->fingerprint, sizeof request.fingerprint);
    memcpy(request.token, serving->token, sizeof request.token);
    return neap_store_claim(store, &request, context);
}

enum neap_guard_claim neap_serving_claim(struct neap_serving *serving)
{
    struct neap_claim claimed = {0};
    if (make_step(serving, claim, &claimed) != NEAP_STORE_OK)
        return NEAP_GUARD_CLAIM_DOWN;
    return read_claim(serving, &claimed);
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

static enum neap_store_status renew(struct neap_store *store, struct neap_serving *serving,
                                    void *context)
{
    (void)context;
    return neap_store_renew(store, serving->key, serving->token, neap_loop_wall(serving->loop),
                            serving->policy.lease_ns);
}

enum neap_guard_store neap_serving_renew(struct neap_serving *serving)
{
    return guard_status(make_step(serving, renew, NULL));
}

static enum neap_store_status release(struct neap_store *store, struct neap_serving *serving,
                                      void *context)
{
    (void)context;
    return neap_store_release(store, serving->key, serving->token, neap_loop_wall(serving->loop));
}

enum neap_guard_store neap_serving_release(struct neap_serving *serving)
{
    return guard_status(make_step(serving, release, NULL));
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

static enum neap_store_status finish(struct neap_store *store, struct neap_serving *serving,
                                     void *context)
{
    const struct neap_blob *result = context;
    return neap_store_finish(store, serving->key, serving->token,
                             (struct neap_bytes){result->at, result->bytes},
                             neap_loop_wall(serving->loop));
}

enum neap_guard_store neap_serving_finish(struct neap_serving *serving, enum neap_problem problem)
{
    struct neap_blob of_problem = {0};
    if (problem == NEAP_PROBLEM_NONE)
        return guard_status(make_step(serving, finish, &serving->answer));
    if (write_problem(serving, problem, &of_problem) != NEAP_OK)
        return NEAP_GUARD_STORE_DOWN;
    enum neap_store_status status = make_step(serving, finish, &of_problem);
    neap_blob_free(&of_problem);
    return guard_status(status);
}
