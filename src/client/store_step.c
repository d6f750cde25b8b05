#include "client/store_step.h"

#include <stdio.h>
#include <string.h>

#include "base/owner.h"

/* ------------------------------------------------------------------------------- the ops */

typedef enum neap_store_status perform_op(struct neap_store *store, struct neap_store_step *step);

static enum neap_store_status get(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_get(store, step->arguments.key, step->arguments.now_ns, &step->value);
}

static enum neap_store_status put(struct neap_store *store, struct neap_store_step *step)
{
    const struct neap_store_arguments *given = &step->arguments;
    return neap_store_put(store, given->key, given->value, given->now_ns, given->until_ns);
}

static enum neap_store_status remove_key(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_remove(store, step->arguments.key);
}

static enum neap_store_status outbox_put(struct neap_store *store, struct neap_store_step *step)
{
    const struct neap_store_arguments *given = &step->arguments;
    return neap_store_outbox_put(store, given->key, given->ordering_key, given->value,
                                 given->now_ns, &step->id);
}

static enum neap_store_status outbox_take(struct neap_store *store, struct neap_store_step *step)
{
    const struct neap_store_arguments *given = &step->arguments;
    return neap_store_outbox_take(store, given->key, given->token, given->now_ns, given->lease_ns,
                                  &step->entry, &step->next_ns);
}

static enum neap_store_status outbox_renew(struct neap_store *store, struct neap_store_step *step)
{
    const struct neap_store_arguments *given = &step->arguments;
    return neap_store_outbox_renew(store, given->id, given->token, given->now_ns, given->lease_ns);
}

static enum neap_store_status outbox_done(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_outbox_done(store, step->arguments.id, step->arguments.token);
}

static enum neap_store_status outbox_retry(struct neap_store *store, struct neap_store_step *step)
{
    const struct neap_store_arguments *given = &step->arguments;
    return neap_store_outbox_retry(store, given->id, given->token, given->until_ns);
}

static enum neap_store_status outbox_bury(struct neap_store *store, struct neap_store_step *step)
{
    const struct neap_store_arguments *given = &step->arguments;
    return neap_store_outbox_bury(store, given->id, given->token, given->value, given->now_ns);
}

static enum neap_store_status outbox_count(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_outbox_count(store, step->arguments.key, step->arguments.now_ns,
                                   &step->counts);
}

static enum neap_store_status outbox_dead(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_outbox_dead(store, step->arguments.key, step->arguments.id, &step->letter);
}

static enum neap_store_status outbox_revive(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_outbox_revive(store, step->arguments.id, step->arguments.now_ns);
}

static enum neap_store_status outbox_drop(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_outbox_drop(store, step->arguments.id);
}

static enum neap_store_status sweep(struct neap_store *store, struct neap_store_step *step)
{
    return neap_store_sweep(store, step->arguments.now_ns, &step->more);
}

static perform_op *const ops[NEAP_STORE_OP_COUNT] = {
    [NEAP_STORE_OP_GET] = get,
    [NEAP_STORE_OP_PUT] = put,
    [NEAP_STORE_OP_REMOVE] = remove_key,
    [NEAP_STORE_OP_OUTBOX_PUT] = outbox_put,
    [NEAP_STORE_OP_OUTBOX_TAKE] = outbox_take,
    [NEAP_STORE_OP_OUTBOX_RENEW] = outbox_renew,
    [NEAP_STORE_OP_OUTBOX_DONE] = outbox_done,
    [NEAP_STORE_OP_OUTBOX_RETRY] = outbox_retry,
    [NEAP_STORE_OP_OUTBOX_BURY] = outbox_bury,
    [NEAP_STORE_OP_OUTBOX_COUNT] = outbox_count,
    [NEAP_STORE_OP_OUTBOX_DEAD] = outbox_dead,
    [NEAP_STORE_OP_OUTBOX_REVIVE] = outbox_revive,
    [NEAP_STORE_OP_OUTBOX_DROP] = outbox_drop,
    [NEAP_STORE_OP_SWEEP] = sweep,
};

/* ------------------------------------------------------------------------------- life */

static char *copy_bytes(char *at, struct neap_bytes *bytes)
{
    if (bytes->bytes > 0)
        memcpy(at, bytes->at, bytes->bytes);
    bytes->at = at;
    return at + bytes->bytes;
}

enum neap_status neap_store_step_new(struct neap_desk *desk, struct neap_engine *engine,
                                     enum neap_store_op op,
                                     const struct neap_store_arguments *arguments,
                                     struct neap_store_step **step)
{
    size_t texts = arguments->key.bytes + arguments->ordering_key.bytes + arguments->value.bytes;
    struct neap_store_step *made = neap_alloc_zeroed(engine->alloc, sizeof *made + texts);
    if (!made)
        return NEAP_NO_MEMORY;
    made->alloc = engine->alloc;
    made->engine = neap_engine_hold(engine);
    made->desk = neap_desk_hold(desk);
    made->op = op;
    made->arguments = *arguments;
    char *at = copy_bytes((char *)(made + 1), &made->arguments.key);
    at = copy_bytes(at, &made->arguments.ordering_key);
    copy_bytes(at, &made->arguments.value);
    neap_waiter_init(&made->waiter, engine);
    *step = made;
    return NEAP_OK;
}

static void end(struct neap_store_step *step)
{
    neap_blob_free(&step->value);
    neap_blob_free(&step->entry.value);
    neap_blob_free(&step->letter.value);
    neap_blob_free(&step->letter.reason);
    neap_waiter_forget(&step->waiter, step->engine);
    struct neap_desk *desk = step->abandoned ? NULL : step->desk;
    struct neap_engine *engine = step->engine;
    neap_free(step->alloc, step);
    neap_desk_release(desk);
    neap_engine_release(engine);
}

void neap_store_step_free(struct neap_store_step *step)
{
    if (!step)
        return;
    if (!step->out) {
        end(step);
        return;
    }
    step->abandoned = true;
    neap_desk_release(step->desk); /* which may end the step */
}

/* ------------------------------------------------------------------------------- doing it */

static void fail(struct neap_store_step *step, const char *message)
{
    step->status = NEAP_STORE_UNAVAILABLE;
    snprintf(step->message, sizeof step->message, "%s", message);
    step->over = true;
}

static void perform(struct neap_store_step *step)
{
    struct neap_store *store = neap_desk_take(step->desk);
    step->status = ops[step->op](store, step);
    if (step->status == NEAP_STORE_UNAVAILABLE)
        snprintf(step->message, sizeof step->message, "%s", neap_store_message(store));
    neap_desk_give(step->desk);
}

void neap_store_step_perform(struct neap_store_step *step)
{
    if (neap_desk_is_lost(step->desk)) {
        fail(step, neap_desk_failure(NEAP_INVALID));
        return;
    }
    perform(step);
    step->over = true;
}

static void on_desk(struct neap_desk_errand *errand)
{
    perform(NEAP_OWNER(errand, struct neap_store_step, errand));
    neap_desk_return(errand);
}

static void on_back(struct neap_desk_errand *errand)
{
    struct neap_store_step *step = NEAP_OWNER(errand, struct neap_store_step, errand);
    step->out = false;
    step->over = true;
    if (step->abandoned)
        end(step);
    else
        neap_waiter_wake(&step->waiter, step->engine);
}

void neap_store_step_send(struct neap_store_step *step)
{
    step->errand = (struct neap_desk_errand){.run = on_desk, .back = on_back};
    enum neap_status status = neap_desk_send(step->desk, step->engine, &step->errand);
    step->out = status == NEAP_OK;
    if (step->out)
        return;
    fail(step, neap_desk_failure(status));
    neap_waiter_wake(&step->waiter, step->engine);
}
