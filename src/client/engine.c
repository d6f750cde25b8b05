#include "client/engine.h"

#include <string.h>

#include "base/owner.h"
#include "client/exchange.h"
#include "platform/process.h"
#include "policy/gate.h"

#define GATES_MAX 20000u

/* With none, a call of a thousand side by side costs a fifth more. */
#define TAKEN_A_TURN 32u

/* Takes over the loop, also on failure. */
static enum neap_status make(const struct neap_alloc *alloc, struct neap_loop *loop, uint64_t seed,
                             struct neap_engine **engine)
{
    struct neap_engine *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made) {
        neap_loop_free(loop);
        return NEAP_NO_MEMORY;
    }
    made->alloc = alloc;
    made->loop = loop;
    made->references = 1;
    made->may_take = UINT32_MAX;
    made->process = neap_process_id();
    made->seeded = neap_loop_is_virtual(loop);
    neap_random_init(&made->random, seed);
    neap_entropy_pool_init(&made->entropy);
    neap_keymap_init(&made->gates, alloc, sizeof(struct neap_gate), GATES_MAX);
    neap_keymap_seed(&made->gates, neap_engine_hash_seed(made));
    *engine = made;
    return NEAP_OK;
}

enum neap_status neap_engine_new(const struct neap_alloc *alloc, struct neap_engine **engine)
{
    struct neap_loop *loop;
    uint64_t seed;
    enum neap_status status = neap_entropy_fill(&seed, sizeof seed);
    if (status == NEAP_OK)
        status = neap_loop_new(alloc, &loop);
    return status == NEAP_OK ? make(alloc, loop, seed, engine) : status;
}

enum neap_status neap_engine_new_virtual(const struct neap_alloc *alloc, uint64_t seed,
                                         int64_t epoch_ns, struct neap_engine **engine)
{
    struct neap_loop *loop;
    enum neap_status status = neap_loop_new_virtual(alloc, 0, epoch_ns, &loop);
    return status == NEAP_OK ? make(alloc, loop, seed, engine) : status;
}

struct neap_hash_seed neap_engine_hash_seed(struct neap_engine *engine)
{
    struct neap_hash_seed seed;
    seed.word[0] = neap_random_next(&engine->random);
    seed.word[1] = neap_random_next(&engine->random);
    return seed;
}

void neap_engine_join(struct neap_engine *engine, struct neap_member *member)
{
    member->process = neap_process_id();
    member->next = engine->members;
    member->link = &engine->members;
    if (member->next)
        member->next->link = &member->next;
    engine->members = member;
}

void neap_engine_leave(struct neap_member *member)
{
    if (!member->link)
        return;
    *member->link = member->next;
    if (member->next)
        member->next->link = member->link;
    member->link = NULL;
}

enum neap_status neap_engine_get_helper(struct neap_engine *engine, struct neap_helper **helper)
{
    enum neap_status status = NEAP_OK;
    if (!engine->helper)
        status = neap_helper_new(engine->alloc, &engine->helper);
    if (status == NEAP_OK)
        *helper = engine->helper;
    return status;
}

void neap_engine_share(struct neap_engine *engine, struct neap_region *region)
{
    struct neap_region *former = engine->region;
    engine->region = neap_region_hold(region);
    neap_region_release(former);
}

void neap_engine_desert(struct neap_engine *engine)
{
    struct neap_member *next;
    engine->is_deserted = true;
    for (struct neap_member *member = engine->members; member; member = next) {
        next = member->next;
        if (member->desert)
            member->desert(member);
    }
}

/* Where one fails, those before it keep what they have, and are not asked a second time. */
static enum neap_status adopt_members(struct neap_engine *engine)
{
    int64_t process = neap_process_id();
    for (struct neap_member *member = engine->members; member; member = member->next) {
        if (member->process == process)
            continue;
        enum neap_status status = member->adopt(member);
        if (status != NEAP_OK)
            return status;
        member->process = process;
    }
    return NEAP_OK;
}

static enum neap_status adopt_virtual(struct neap_engine *engine)
{
    enum neap_status status = adopt_members(engine);
    if (status == NEAP_OK)
        engine->process = neap_process_id();
    return status;
}

enum neap_status neap_engine_adopt(struct neap_engine *engine)
{
    struct neap_loop *loop;
    uint64_t seed;
    if (engine->busy > 0)
        return NEAP_INVALID;
    if (neap_loop_is_virtual(engine->loop))
        return adopt_virtual(engine);
    enum neap_status status = neap_entropy_fill(&seed, sizeof seed);
    if (status == NEAP_OK)
        status = neap_loop_new(engine->alloc, &loop);
    if (status != NEAP_OK)
        return status;

    status = adopt_members(engine);
    if (status != NEAP_OK) {
        neap_loop_free(loop);
        return status;
    }
    if (engine->helper)
        neap_helper_forsake(engine->helper);
    engine->helper = NULL;
    neap_loop_free(engine->loop);
    engine->loop = loop;
    neap_random_init(&engine->random, seed);
    engine->process = neap_process_id();
    return NEAP_OK;
}

bool neap_engine_is_inherited(const struct neap_engine *engine)
{
    return engine->process != neap_process_id();
}

struct neap_engine *neap_engine_hold(struct neap_engine *engine)
{
    engine->references++;
    return engine;
}

void neap_engine_release(struct neap_engine *engine)
{
    if (!engine || --engine->references > 0)
        return;
    if (engine->helper && neap_engine_is_inherited(engine))
        neap_helper_forsake(engine->helper);
    else
        neap_helper_free(engine->helper);
    neap_exchange_free_spares(engine);
    neap_response_shelf_deinit(&engine->responses);
    neap_region_release(engine->region);
    neap_keymap_deinit(&engine->gates);
    neap_entropy_pool_deinit(&engine->entropy);
    neap_loop_free(engine->loop);
    neap_free(engine->alloc, engine);
}

void neap_engine_post(struct neap_engine *engine, struct neap_job *job)
{
    if (job->listed)
        return;
    job->listed = true;
    job->next = NULL;
    if (engine->last_job)
        engine->last_job->next = job;
    else
        engine->first_job = job;
    engine->last_job = job;
}

void neap_engine_drop(struct neap_engine *engine, struct neap_job *job)
{
    struct neap_job *previous = NULL;
    if (!job->listed)
        return;
    for (struct neap_job *at = engine->first_job; at != job; at = at->next)
        previous = at;
    if (previous)
        previous->next = job->next;
    else
        engine->first_job = job->next;
    if (engine->last_job == job)
        engine->last_job = previous;
    job->listed = false;
}

static bool do_jobs(struct neap_engine *engine)
{
    struct neap_job *job, *last = engine->last_job;
    if (!last)
        return false;
    do { /* what is posted meanwhile is for the next turn */
        job = engine->first_job;
        neap_engine_drop(engine, job);
        job->run(job);
    } while (job != last && engine->first_job);
    return true;
}

bool neap_engine_turn(struct neap_engine *engine, int64_t until_ns)
{
    return do_jobs(engine) || neap_loop_turn(engine->loop, until_ns) || do_jobs(engine);
}

bool neap_engine_turn_for_few(struct neap_engine *engine, int64_t until_ns)
{
    bool is_left = engine->may_take == 0 && engine->ready.first;
    engine->may_take = neap_loop_is_virtual(engine->loop) ? UINT32_MAX : TAKEN_A_TURN;
    return neap_engine_turn(engine, is_left ? 0 : until_ns) || is_left;
}

/* What came back over the helper happens now, not when the loop was last turned. */
static bool collect(struct neap_engine *engine)
{
    if (!engine->helper)
        return false;
    neap_loop_update(engine->loop);
    return neap_helper_collect(engine->helper);
}

bool neap_engine_poll(struct neap_engine *engine)
{
    engine->may_take = UINT32_MAX;
    bool collected = collect(engine);
    bool worked = do_jobs(engine);
    bool turned = neap_loop_turn(engine->loop, 0);
    bool worked_again = do_jobs(engine);
    if (engine->helper) /* whoever turns an engine need not know that an attempt went out */
        neap_helper_flush(engine->helper);
    return collected || worked || turned || worked_again;
}

bool neap_engine_is_pending(const struct neap_engine *engine)
{
    return engine->first_job || engine->ready_count > 0;
}

void neap_waiter_init(struct neap_waiter *waiter, struct neap_engine *engine)
{
    *waiter = (struct neap_waiter){.id = ++engine->last_id};
}

static struct neap_list *list_of(const struct neap_waiter *waiter, struct neap_engine *engine)
{
    return waiter->list ? waiter->list : &engine->ready;
}

void neap_waiter_wake(struct neap_waiter *waiter, struct neap_engine *engine)
{
    if (waiter->ready)
        return;
    waiter->ready = true;
    neap_list_append(list_of(waiter, engine), &waiter->listed);
    engine->ready_count++;
}

void neap_waiter_forget(struct neap_waiter *waiter, struct neap_engine *engine)
{
    if (!waiter->ready)
        return;
    neap_list_take_out(list_of(waiter, engine), &waiter->listed);
    waiter->ready = false;
    engine->ready_count--;
}

struct neap_waiter *neap_engine_take_of(struct neap_engine *engine, struct neap_list *list)
{
    if (!list->first)
        return NULL;
    struct neap_waiter *waiter = NEAP_OWNER(list->first, struct neap_waiter, listed);
    neap_waiter_forget(waiter, engine);
    return waiter;
}

struct neap_waiter *neap_engine_take_ready(struct neap_engine *engine)
{
    if (engine->may_take == 0)
        return NULL;
    struct neap_waiter *waiter = neap_engine_take_of(engine, &engine->ready);
    engine->may_take -= waiter != NULL;
    return waiter;
}

enum neap_status neap_engine_random_bytes(struct neap_engine *engine, uint8_t bytes[16])
{
    if (!engine->seeded)
        return neap_entropy_pool_take(&engine->entropy, bytes, 16);
    for (int i = 0; i < 2; i++) {
        uint64_t word = neap_random_next(&engine->random);
        memcpy(bytes + 8 * i, &word, 8);
    }
    return NEAP_OK;
}
