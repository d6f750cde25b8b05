/* Engine: what the clients of one host share: its loop, gates, random numbers, and the list of
 * those who wait for Lua.
 *
 * One engine belongs to one thread. The ordinary engine runs on the real clock; each testing kit
 * has one of its own on a virtual clock. Nothing is shared between engines. References are counted:
 * the host, each client and each sleeper hold one. */
#ifndef NEAP_CLIENT_ENGINE_H
#define NEAP_CLIENT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/keymap.h"
#include "base/list.h"
#include "base/random.h"
#include "base/status.h"
#include "platform/entropy.h"
#include "platform/helper.h"
#include "platform/loop.h"
#include "shared/region.h"
#include "transport/response.h"
#include "transport/stock_list.h"

/* Somebody whom Lua waits for; no two that live have the same `id` in an engine, and a new one
 * never has that of another one's, but what a caller makes one after the other
 * (binding/caller_object). */
struct neap_waiter {
    struct neap_listed listed; /* in a list while ready: who has been for longest first */
    uint64_t id;
    struct neap_list *list; /* which one that is; NULL: the engine's */
    void *thread;           /* who waits, to whoever gave it another list */
    bool ready;
};

/* Work to be done at the next turn, outside of whoever asked for it. */
struct neap_job {
    struct neap_job *next;
    bool listed;
    void (*run)(struct neap_job *job);
};

/* Somebody who belongs to an engine and has something of the process's in hands. */
struct neap_member {
    struct neap_member *next, **link;
    int64_t process; /* whose that is: the one that it joined in, or that adopted it last */
    /* This is a forked child now. Called again after a failure, and not after a success. */
    enum neap_status (*adopt)(struct neap_member *member);
    /* The engine is deserted now. May be NULL. */
    void (*desert)(struct neap_member *member);
};

struct neap_exchange;

struct neap_engine {
    const struct neap_alloc *alloc;
    struct neap_loop *loop;
    bool wants_helper;          /* the host's thread must not wait */
    struct neap_helper *helper; /* made when it is first needed; NULL before */
    struct neap_member *members;
    bool is_deserted;
    struct neap_guarded_call *guarded_calls; /* see client/guarded.h */
    uint32_t busy; /* exchanges and sleepers: what cannot go through a fork */
    struct neap_random random;
    struct neap_entropy_pool entropy;
    bool seeded;                /* keys come from `random` too, so that a test can be repeated */
    struct neap_keymap gates;   /* of clients whose state is private */
    struct neap_region *region; /* NULL: clients made from now on have their state to themselves */
    struct neap_list ready;     /* but for those who are in lists of their own */
    uint32_t ready_count;       /* in all lists */
    uint32_t may_take;          /* so many who are ready before the next turn */
    uint32_t awaited;           /* calls for which somebody waits who has a list of his own */
    bool has_background;        /* tasks of Lua that nobody waits for go on whenever it is turned */
    struct neap_job *first_job, *last_job;
    struct neap_response_shelf responses;
    struct neap_stock_list stocks; /* what clients of the same settings have together */
    struct neap_exchange *spare;   /* a list: the memory of some that have ended, warm */
    uint32_t spare_count;
    uint64_t last_id;
    int64_t process; /* whose it is: neither loop nor connections outlive a fork */
    uint32_t references;
};

/* On the real clock, seeded by the system. NEAP_NO_MEMORY, NEAP_SYSTEM. */
NEAP_MUST_CHECK enum neap_status neap_engine_new(const struct neap_alloc *alloc,
                                                 struct neap_engine **engine);

/* On a virtual clock that starts at 0; everything random comes from `seed`. */
NEAP_MUST_CHECK enum neap_status neap_engine_new_virtual(const struct neap_alloc *alloc,
                                                         uint64_t seed, int64_t epoch_ns,
                                                         struct neap_engine **engine);

/* Was it made by another process, which this one was forked from? Then it must be adopted before
 * anything of it is used. */
bool neap_engine_is_inherited(const struct neap_engine *engine);

/* Makes an inherited engine this process's own: a loop, random numbers and, through its members,
 * connections of its own; policies and their state go on as they were. NEAP_INVALID where calls or
 * sleepers were under way at the fork: they are the parent's. NEAP_NO_MEMORY, NEAP_SYSTEM as for a
 * new one. On failure the engine is as it was. A virtual one keeps its clock and its random
 * numbers, which are no process's. */
NEAP_MUST_CHECK enum neap_status neap_engine_adopt(struct neap_engine *engine);

/* The state of policies made from now on lives in the region, which the engine then holds too. */
void neap_engine_share(struct neap_engine *engine, struct neap_region *region);

void neap_engine_join(struct neap_engine *engine, struct neap_member *member);
void neap_engine_leave(struct neap_member *member);

/* The engine's helper, made if there is none. NEAP_NO_MEMORY, NEAP_SYSTEM. */
NEAP_MUST_CHECK enum neap_status neap_engine_get_helper(struct neap_engine *engine,
                                                        struct neap_helper **helper);

/* Nobody will turn it any more: a member that nobody else has, and that waits for a turn to end,
 * ends here. The caller holds the engine. */
void neap_engine_desert(struct neap_engine *engine);

struct neap_engine *neap_engine_hold(struct neap_engine *engine);
void neap_engine_release(struct neap_engine *engine);

/* Does the jobs; if there were none, one turn of the loop until `until_ns` at the latest. Whoever
 * waits for somebody to become ready looks before each turn. False if nothing was done: time ran
 * out or, on a virtual clock, there is nothing to wait for. */
bool neap_engine_turn(struct neap_engine *engine, int64_t until_ns);

/* The same for a host whose coroutines go on between turns. From then on, until the next one, only
 * a few may be taken of each list, and whoever is left lets this one not wait: what a few of many
 * use is still in the processor's cache when the next turn comes to it, and they hold up nothing
 * that is due. On a virtual clock all may: there the order of events is part of what a test sees.
 */
bool neap_engine_turn_for_few(struct neap_engine *engine, int64_t until_ns);

/* Does all that is due now, without waiting for anything, for hosts that wait by themselves. True
 * if anything was done. */
bool neap_engine_poll(struct neap_engine *engine);

/* Is there anything that a poll would do at once, or anybody ready? */
bool neap_engine_is_pending(const struct neap_engine *engine);

void neap_waiter_init(struct neap_waiter *waiter, struct neap_engine *engine);
void neap_waiter_wake(struct neap_waiter *waiter, struct neap_engine *engine);

/* Takes the waiter off the list; harmless if it is not on it. */
void neap_waiter_forget(struct neap_waiter *waiter, struct neap_engine *engine);

/* The one that has been ready longest, taken off the list; NULL if nobody is. `ready` is also NULL
 * if nobody may be taken before the next turn. */
struct neap_waiter *neap_engine_take_ready(struct neap_engine *engine);
struct neap_waiter *neap_engine_take_of(struct neap_engine *engine, struct neap_list *list);

/* A job may be listed again while it runs. It must be dropped before its memory goes. */
void neap_engine_post(struct neap_engine *engine, struct neap_job *job);
void neap_engine_drop(struct neap_engine *engine, struct neap_job *job);

/* Keys of a map may be chosen by strangers, who must not know where they hash to. */
struct neap_hash_seed neap_engine_hash_seed(struct neap_engine *engine);

/* 16 random bytes for a key. NEAP_SYSTEM. */
NEAP_MUST_CHECK enum neap_status neap_engine_random_bytes(struct neap_engine *engine,
                                                          uint8_t bytes[16]);

#endif
