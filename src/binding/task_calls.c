#include "binding/task_calls.h"

#include "base/duration.h"
#include "base/owner.h"
#include "platform/memory.h"

static const char calls_name[] = "neap.task_calls";
#define RUNNER_NAME "neap.runner"

/* What resumes coroutines has as upvalues besides: the scheduler's table of what runs, and the name
 * of the task in that. */
enum { RUNNING = NEAP_RUNNER_UPVALUE + 1, TASK_NAME, UPVALUES = TASK_NAME };

struct neap_runner *neap_runner(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(NEAP_RUNNER_UPVALUE));
}

static void push_running_task(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(TASK_NAME));
    lua_rawget(L, lua_upvalueindex(RUNNING));
}

/* The task at `index` is the one that runs. */
static void set_running_task(lua_State *L, int index)
{
    lua_pushvalue(L, lua_upvalueindex(TASK_NAME));
    lua_pushvalue(L, index);
    lua_rawset(L, lua_upvalueindex(RUNNING));
}

/* ---------------------------------------------------------------------------- those who wait */

/* Its coroutine may be closed, which leaves the object to nobody else: the loop could not know of
 * the end of its call. */
static void have_task_keep(lua_State *L, int object)
{
    neap_lua_get_user_table(L, lua_upvalueindex(NEAP_RUNNER_UPVALUE));
    lua_getfield(L, -1, "task");
    lua_pushvalue(L, object);
    lua_setfield(L, -2, "call");
    lua_pop(L, 2);
}

void neap_task_calls_add(lua_State *L, struct neap_runner *runner, int object,
                         struct neap_exchange *exchange)
{
    struct neap_task_calls *calls = runner->calls;
    have_task_keep(L, object);
    exchange->waiter.list = &calls->ready;
    exchange->waiter.thread = L;
    neap_exchange_tie(exchange, calls->tie);
    calls->count++;
    calls->engine->awaited++;
}

int neap_task_yield(lua_State *L, lua_KContext context, lua_KFunction continuation)
{
    neap_runner(L)->waiting = L;
    return lua_yieldk(L, 0, context, continuation);
}

/* Is there one whose call is done, and that may go on before the next turn? */
static bool has_ready(const struct neap_task_calls *calls)
{
    return calls->ready.first && calls->may_take > 0;
}

/* The coroutine whose call has been done for longest; NULL. */
static lua_State *take(struct neap_task_calls *calls)
{
    if (!has_ready(calls))
        return NULL;
    struct neap_waiter *waiter = neap_engine_take_of(calls->engine, &calls->ready);
    calls->may_take--;
    lua_State *co = waiter->thread;
    neap_tie_remove(&NEAP_OWNER(waiter, struct neap_exchange, waiter)->tied);
    waiter->list = NULL;
    waiter->thread = NULL;
    calls->count--;
    calls->engine->awaited--;
    return co;
}

static void give_up(struct neap_task_calls *calls)
{
    neap_tie_end(calls->tie);
    calls->engine->awaited -= calls->count;
    calls->count = 0;
}

/* ----------------------------------------------------------------------------------- running */

/* True where the coroutine waits for a call now. */
static bool go_on(lua_State *L, lua_State *co, struct neap_task_calls *calls, int arguments,
                  int *status, int *results)
{
    struct neap_runner *runner = neap_runner(L);
    struct neap_runner outer = *runner;
    runner->thread = co;
    runner->calls = calls;
    runner->waiting = NULL;
    *status = neap_lua_resume(co, L, arguments, results);
    bool waits = *status == LUA_YIELD && runner->waiting == co;
    runner->thread = outer.thread;
    runner->calls = outer.calls;
    runner->waiting = NULL;
    return waits;
}

/* Pushes what coroutine.resume returns. The number of values. */
static int push_results(lua_State *L, lua_State *co, int status, int results)
{
    bool is_good = status == LUA_OK || status == LUA_YIELD;
    int values = is_good ? results : 1;
    luaL_checkstack(L, values + 1, "too many results to resume");
    lua_pushboolean(L, is_good);
    lua_xmove(co, L, values);
    return values + 1;
}

static int push_failure(lua_State *L, const char *message)
{
    lua_pushboolean(L, false);
    lua_pushstring(L, message);
    return 2;
}

static struct neap_task_calls *check_calls(lua_State *L)
{
    return neap_check_object(L, 1, calls_name);
}

/* resume(calls, co, …): as coroutine.resume, for a task of that loop; nothing where the task waits
 * for a call. */
static int resume(lua_State *L)
{
    struct neap_task_calls *calls = check_calls(L);
    lua_State *co = lua_tothread(L, 2);
    luaL_argcheck(L, co, 2, "expected a coroutine");
    int arguments = lua_gettop(L) - 2, status, results;
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0)
        return push_failure(L, "cannot resume dead coroutine");
    if (!lua_checkstack(co, arguments))
        return push_failure(L, "too many arguments to resume");
    lua_xmove(L, co, arguments);
    if (go_on(L, co, calls, arguments, &status, &results))
        return 0;
    return push_results(L, co, status, results);
}

/* As coroutine.resume; true where it waits for another call now. Somebody may have closed it. */
static bool go_on_after_call(lua_State *L, lua_State *co, struct neap_task_calls *calls,
                             int *results)
{
    int status, count;
    if (lua_status(co) != LUA_YIELD) {
        *results = push_failure(L, "cannot resume dead coroutine");
        return false;
    }
    bool waits = go_on(L, co, calls, 0, &status, &count);
    if (!waits)
        *results = push_results(L, co, status, count);
    return waits;
}

/* Where `sweep` and `turn` keep things. */
enum { CALLS = 1, LOOP, TASKS, OUTER, TASK };

/* Lays the stack out for a sweep. */
static void prepare_sweep(lua_State *L)
{
    lua_settop(L, LOOP);
    neap_lua_get_user_table(L, CALLS);
    push_running_task(L);
}

/* Resumes those whose calls are done, until there is none left that may go on now, or one has
 * ended, or yielded for something else: then pushes that task, and what coroutine.resume returns.
 * The number of values. */
static int sweep_ready(lua_State *L, struct neap_task_calls *calls)
{
    lua_State *co;
    int results;
    while ((co = take(calls)) != NULL) {
        lua_pushthread(co);
        lua_xmove(co, L, 1);
        lua_rawget(L, TASKS);
        set_running_task(L, TASK);
        bool waits = go_on_after_call(L, co, calls, &results);
        set_running_task(L, OUTER);
        if (!waits)
            return 1 + results;
        lua_settop(L, OUTER);
    }
    return 0;
}

/* sweep(calls): as sweep_ready. */
static int sweep(lua_State *L)
{
    struct neap_task_calls *calls = check_calls(L);
    if (!has_ready(calls))
        return 0;
    prepare_sweep(L);
    return sweep_ready(L, calls);
}

/* Is there nothing in the loop, and nobody on its engine, whom Lua has to see to? */
static bool has_calls_only(lua_State *L, const struct neap_task_calls *calls)
{
    if (calls->count == 0 || calls->engine->ready.first || calls->engine->has_background)
        return false;
    lua_getfield(L, LOOP, "first");
    bool has_ready_task = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return !has_ready_task;
}

/* Whoever was left by the last sweep goes on after this turn, which does not wait then. */
static bool turn_engine(struct neap_task_calls *calls)
{
    bool is_left = calls->ready.first != NULL;
    bool did = neap_engine_turn_for_few(calls->engine, is_left ? 0 : NEAP_NEVER);
    calls->may_take = calls->engine->may_take;
    return did || is_left;
}

/* turn(calls, loop): turns the engine and sweeps, again as long as nothing but that is to be done.
 * False where nothing was done; else true, and what sweep_ready pushes. */
static int turn(lua_State *L)
{
    struct neap_task_calls *calls = check_calls(L);
    bool did = false;
    int results = 0;
    luaL_checktype(L, LOOP, LUA_TTABLE);
    prepare_sweep(L);
    do {
        if (!turn_engine(calls))
            break;
        did = true;
        results = sweep_ready(L, calls);
    } while (results == 0 && has_calls_only(L, calls));
    lua_pushboolean(L, did);
    lua_insert(L, -1 - results);
    return 1 + results;
}

/* ------------------------------------------------------------------------------------ objects */

/* calls(engine, tasks): the list of a new loop, with its tasks by their coroutines. */
static int calls_new(lua_State *L)
{
    struct neap_engine *engine = neap_check_engine(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct neap_task_calls *calls = neap_lua_new_userdata(L, sizeof *calls);
    *calls = (struct neap_task_calls){.engine = NULL, .may_take = UINT32_MAX};
    neap_set_class(L, calls_name);
    if (neap_tie_new(neap_platform_alloc(), &calls->tie) != NEAP_OK)
        return neap_raise_memory(L);
    calls->engine = neap_engine_hold(engine);
    lua_pushvalue(L, 2);
    neap_lua_set_user_table(L, -2);
    return 1;
}

static int calls_collect(lua_State *L)
{
    struct neap_task_calls *calls = check_calls(L);
    struct neap_engine *engine = calls->engine;
    if (engine)
        give_up(calls);
    neap_tie_release(calls->tie);
    calls->engine = NULL;
    calls->tie = NULL;
    neap_engine_release(engine);
    return 0;
}

/* give_up(): the loop is over, and so are the calls. */
static int calls_give_up(lua_State *L)
{
    give_up(check_calls(L));
    return 0;
}

/* count(): how many of its tasks wait for a call; and whether one of them may go on now. */
static int calls_count(lua_State *L)
{
    const struct neap_task_calls *calls = check_calls(L);
    lua_pushinteger(L, (lua_Integer)calls->count);
    lua_pushboolean(L, has_ready(calls));
    return 2;
}

/* leave(): from now on there is a loop that is not neap's. */
static int runner_leave(lua_State *L)
{
    struct neap_runner *runner = luaL_checkudata(L, 1, RUNNER_NAME);
    runner->is_elsewhere = true;
    return 0;
}

/* tasks(running): the functions calls, resume, sweep and turn of a scheduler that says in the field
 * `task` of that table which task runs, and its runner. A task, which is a table, has its last call
 * in the field `call`. */
static int tasks(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct neap_runner *runner = neap_lua_new_userdata(L, sizeof *runner);
    *runner = (struct neap_runner){.thread = NULL};
    luaL_setmetatable(L, RUNNER_NAME);
    lua_pushvalue(L, 1);
    neap_lua_set_user_table(L, -2);
    lua_insert(L, 1);
    lua_pushcfunction(L, calls_new);
    lua_CFunction functions[] = {resume, sweep, turn};
    for (int i = 0; i < 3; i++) {
        lua_pushvalue(L, 1);
        lua_pushvalue(L, 2);
        lua_pushliteral(L, "task");
        lua_pushcclosure(L, functions[i], UPVALUES);
    }
    lua_pushvalue(L, 1);
    return 5;
}

void neap_binding_add_tasks(lua_State *L)
{
    static const luaL_Reg calls_methods[] = {
        {"give_up", calls_give_up}, {"count", calls_count}, {NULL, NULL}};
    static const luaL_Reg runner_methods[] = {{"leave", runner_leave}, {NULL, NULL}};
    if (!NEAP_LUA_CONTINUES)
        return;
    neap_new_metatable(L, calls_name, calls_methods, calls_collect);
    neap_new_metatable(L, RUNNER_NAME, runner_methods, NULL);
    lua_pop(L, 2);
    lua_pushcfunction(L, tasks);
    lua_setfield(L, -2, "tasks");
}
