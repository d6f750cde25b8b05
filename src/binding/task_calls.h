/* Tasks of neap.run, where C can be yielded across: those that wait for a call in C are resumed by
 * C, and no Lua runs for it but their own.
 *
 * A loop of the scheduler (lua/neap/scheduler.lua), a run or a background, has one list of the
 * calls that its tasks wait for. The list is of no use without the loop, which holds its tasks with
 * their coroutines and calls; so none of these is gone while its call is in the list. Belongs to
 * the thread of the Lua state. */
#ifndef NEAP_BINDING_TASK_CALLS_H
#define NEAP_BINDING_TASK_CALLS_H

#include "binding/objects.h"
#include "client/engine.h"
#include "client/tie.h"

/* The calls that the tasks of one loop wait for. */
struct neap_task_calls {
    struct neap_engine *engine;
    struct neap_list ready;
    struct neap_tie *tie; /* which each has, and which ends with the loop */
    uint32_t count;
    uint32_t may_take; /* so many who are ready before the loop's next turn */
};

/* What runs now; one for each Lua state. Its user table is the scheduler's table of what runs. */
struct neap_runner {
    const lua_State *thread;       /* of the task that was resumed last and has not come back */
    struct neap_task_calls *calls; /* of its loop */
    const lua_State *waiting; /* the one that has yielded to wait for a call, if it was the last */
    bool is_elsewhere;        /* there is a loop that is not neap's */
};

/* The runner of the C function that runs, whose first upvalue it is. */
#define NEAP_RUNNER_UPVALUE 1
struct neap_runner *neap_runner(lua_State *L);

/* The call, which is not done, is waited for by the task that runs, and which keeps the object of
 * the call, at that index. */
void neap_task_calls_add(lua_State *L, struct neap_runner *runner, int object,
                         struct neap_exchange *exchange);

/* Yields until the call is done; the continuation is called earlier where somebody else resumes the
 * coroutine. To be returned. */
int neap_task_yield(lua_State *L, lua_KContext context, lua_KFunction continuation);

#endif
