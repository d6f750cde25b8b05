/* The guarded function where LuaJIT compiles it: steps that the face calls by the FFI, so that a
 * trace goes through them and the Lua function alike (lua/neap/compiled.lua). No step runs Lua,
 * raises or collects anything. What one has to say besides its answer it leaves in the object,
 * where the face reads it at once. */
#include <float.h>
#include <string.h>

#include "base/duration.h"
#include "binding/guarded_object.h"
#include "client/guarded_way.h"
#include "pipeline/classify.h"

#define STEPS_NAME "neap.guarded_ffi"

/* The first fields of the object, as C and the FFI see it: the steps, what a refusal was, what a
 * failure was. `retry_after_ns` is below 0 where nobody knows, `state` an enum neap_breaker_state;
 * of `history` see below. */
#define SHARED_FIELDS                                                                              \
    int (*meet)(void *object);                                                                     \
    int (*begin)(void *object, void *keeper);                                                      \
    int (*tie)(void *keeper, void *ties, void *request);                                           \
    int (*succeed)(void *object, void *keeper);                                                    \
    int (*fail)(void *object, void *keeper, const char *text, size_t bytes);                       \
    double refused_at_ns, retry_after_ns, at_ns, elapsed_ns, history;                              \
    int state, attempts, is_retryable, left;

#define TEXT_OF(...) #__VA_ARGS__
#define EXPANDED_TEXT_OF(...) TEXT_OF(__VA_ARGS__)

struct steps_object {
    SHARED_FIELDS
    struct neap_guarded *guarded;
    const void *interpreter; /* where its calls return to */
    uint32_t interpreted;    /* calls in a row that it has ended */
};

/* Answers beside those of enum neap_guarded_next. */
enum { TOLD = NEAP_GUARDED_WAITS + 1, BUSY, ENDED };

/* What is left for the face to do: something on the engine; to call the function in another way
 * from now on, since this one is not compiled; to raise, since the call has ended long ago. */
enum { LEFT_PENDING = 1, LEFT_INTERPRETED = 2, LEFT_ENDED = 4 };

/* LuaJIT compiles what has run some fifty times, and tries again, ever more rarely, where it could
 * not. After so many calls it has given up, or will. */
#define PATIENCE 1000

static bool is_pending(const struct steps_object *object)
{
    return object->guarded && neap_guarded_is_pending(object->guarded);
}

/* A call by the FFI costs nothing where it is compiled, and in the interpreter, whose calls all
 * return to one place, more than one of a C function does. */
static int left_by(struct steps_object *object, const void *caller, bool is_pending)
{
    object->interpreted = caller == object->interpreter ? object->interpreted + 1 : 0;
    return (is_pending ? LEFT_PENDING : 0) |
           (object->interpreted > PATIENCE ? LEFT_INTERPRETED : 0);
}

/* To be called by the interpreter. */
static int meet(void *of)
{
    struct steps_object *object = of;
    object->interpreter = __builtin_return_address(0);
    return 0;
}

static NEAP_SELDOM int tell_refusal(struct steps_object *object, const void *caller)
{
    const struct neap_guarded_refusal refusal = neap_guarded_refusal(object->guarded);
    bool is_known = refusal.retry_after_ns != NEAP_NEVER;
    object->state = (int)refusal.state;
    object->refused_at_ns = (double)refusal.at_ns;
    object->retry_after_ns = is_known ? (double)refusal.retry_after_ns : -1;
    object->left = left_by(object, caller, is_pending(object));
    return NEAP_GUARDED_REFUSED;
}

/* Or BUSY: this keeper holds a call. What a refusal is, and what is left, is told. */
static int begin(void *of, void *held_by)
{
    struct steps_object *object = of;
    struct neap_guarded_keeper *keeper = held_by;
    if (keeper->call)
        return BUSY;
    if (!object->guarded)
        return NEAP_GUARDED_ELSEWHERE;
    enum neap_guarded_next next = neap_guarded_begin(object->guarded, &keeper->call);
    if (next == NEAP_GUARDED_REFUSED)
        return tell_refusal(object, __builtin_return_address(0));
    return (int)next;
}

/* The call is given up when that request of the host ends. 0 where there is no memory. */
static int tie(void *held_by, void *ties, void *request)
{
    const struct neap_guarded_keeper *keeper = held_by;
    struct neap_tie *found = NULL;
    enum neap_status status = neap_ties_find(ties, request, &found);
    if (status == NEAP_OK)
        neap_guarded_tie(keeper->call, found);
    return status != NEAP_NO_MEMORY;
}

static void let_go(struct neap_guarded_keeper *keeper)
{
    struct neap_guarded_call *call = keeper->call;
    keeper->call = NULL;
    neap_guarded_spare(call);
}

/* While a Lua state is closed, a call can outlive its function. */
static bool conclude(const struct steps_object *object, struct neap_guarded_call *call)
{
    if (object->guarded)
        return neap_guarded_conclude(object->guarded, call);
    neap_guarded_succeed(call);
    neap_guarded_spare(call);
    return false;
}

/* What is left. */
static int succeed(void *of, void *held_by)
{
    struct steps_object *object = of;
    struct neap_guarded_keeper *keeper = held_by;
    struct neap_guarded_call *call = keeper->call;
    if (!call)
        return LEFT_ENDED;
    keeper->call = NULL;
    return left_by(object, __builtin_return_address(0), conclude(object, call));
}

/* What the trace of a failure is made from, beside its moment and how long it took: as one number,
 * exact in a double, since a trace is hardly ever asked for. From below: the number of attempts, an
 * enum neap_stop, and how long each attempt but the last one took. Other traces are kept whole. */
#define COUNT_BITS 2
#define STOP_BITS 4
#define ELAPSED_BITS 23
#define MOST_ATTEMPTS 3u

_Static_assert(MOST_ATTEMPTS < 1u << COUNT_BITS, "a number of attempts lacks its bits");
_Static_assert(NEAP_STOP_COUNT <= 1 << STOP_BITS, "a reason lacks its bits");
_Static_assert(COUNT_BITS + STOP_BITS + (MOST_ATTEMPTS - 1) * ELAPSED_BITS <= DBL_MANT_DIG,
               "a double does not hold the history exactly");

/* NEAP_STOP_COUNT where the reason is another one. */
static int stop_of(const char *reason)
{
    int stop = NEAP_STOP_NONE;
    while (stop < NEAP_STOP_COUNT && neap_stop_name((enum neap_stop)stop) != reason)
        stop++;
    return stop;
}

static bool is_plain_attempt(const struct neap_trace_entry *entry)
{
    return entry->kind == NEAP_TRACE_ATTEMPT && entry->error == NEAP_KIND_ERROR;
}

/* An attempt, and the next one at once. */
static bool is_repeated(const struct neap_trace_entry *entry)
{
    const struct neap_trace_entry *wait = entry + 1, *next = entry + 2;
    return is_plain_attempt(entry) && !entry->reason &&
           entry->elapsed_ns < INT64_C(1) << ELAPSED_BITS && wait->kind == NEAP_TRACE_WAIT &&
           wait->reason && strcmp(wait->reason, "backoff") == 0 &&
           next->at_ns == entry->at_ns + entry->elapsed_ns;
}

/* False where the trace is another one. */
static bool tell_history(const struct neap_call *call, int64_t now_ns, double *history)
{
    const struct neap_trace *trace = &call->trace;
    const struct neap_trace_entry *entry = trace->entry;
    if (call->attempts - 1 >= MOST_ATTEMPTS || trace->count != 2 * call->attempts - 1)
        return false;
    int64_t told = call->attempts;
    int bits = COUNT_BITS + STOP_BITS;
    for (uint32_t i = 1; i < call->attempts; i++, entry += 2, bits += ELAPSED_BITS) {
        if (!is_repeated(entry))
            return false;
        told |= entry->elapsed_ns << bits;
    }
    int stop = stop_of(entry->reason);
    told |= (int64_t)stop << COUNT_BITS;
    *history = (double)told;
    return stop < NEAP_STOP_COUNT && is_plain_attempt(entry) &&
           trace->entry->at_ns == call->began_ns && entry->at_ns + entry->elapsed_ns == now_ns;
}

/* False where it is more than the function's own failure, or has a message that is not all of what
 * the function said. */
static bool tell_failure(struct steps_object *object, const struct neap_guarded_call *by,
                         size_t text_bytes)
{
    const struct neap_call *call = &by->call;
    const struct neap_outcome *outcome = &call->result.outcome;
    int64_t now_ns = neap_guarded_now(by);
    if (outcome->kind != NEAP_KIND_ERROR || call->result.retry_after_ns >= 0 ||
        strlen(outcome->message) != text_bytes || !tell_history(call, now_ns, &object->history))
        return false;
    object->at_ns = (double)now_ns;
    object->elapsed_ns = (double)neap_time_since(now_ns, call->began_ns);
    object->attempts = (int)call->attempts;
    object->is_retryable = neap_classify_is_retryable(outcome, call->setup.replayable);
    return true;
}

/* Or ENDED; or TOLD: it is DONE, nothing is held, and the failure and what is left are told. */
static int fail(void *of, void *held_by, const char *text, size_t bytes)
{
    struct steps_object *object = of;
    struct neap_guarded_keeper *keeper = held_by;
    struct neap_guarded_call *call = keeper->call;
    if (!call || call->state == NEAP_GUARDED_OVER)
        return ENDED;
    enum neap_guarded_next next = neap_guarded_fail(call, text, bytes);
    if (next != NEAP_GUARDED_DONE || !tell_failure(object, call, bytes))
        return (int)next;
    let_go(keeper);
    object->left = left_by(object, __builtin_return_address(0), is_pending(object));
    return TOLD;
}

/* outcome(object, keeper, next, cause), for the rest of what a call can come to: true, the error,
 * and whether there is something left to be done on the engine; or false and the exchange that goes
 * on with it. The keeper is at rest afterwards. */
static int outcome(lua_State *L)
{
    const struct steps_object *object = lua_touserdata(L, 1);
    struct neap_guarded_keeper *keeper = lua_touserdata(L, 2);
    bool is_done = lua_tointeger(L, 3) == NEAP_GUARDED_DONE;
    luaL_argcheck(L, keeper->call, 2, "the call has ended");
    lua_settop(L, 4);
    lua_pushboolean(L, is_done);
    bool is_whole = is_done ? neap_push_guarded_error_safely(L, keeper->call, 4)
                            : neap_push_handed_over(L, keeper->call);
    let_go(keeper);
    if (!is_whole)
        return lua_error(L);
    lua_pushboolean(L, is_pending(object));
    return 3;
}

static int new_keeper(lua_State *L)
{
    neap_push_keeper(L);
    return 1;
}

static int steps_collect(lua_State *L)
{
    struct steps_object *object = luaL_checkudata(L, 1, STEPS_NAME);
    neap_guarded_free(object->guarded);
    object->guarded = NULL;
    return 0;
}

/* guarded_ffi(client): the object for a function of that client. */
static int guarded_ffi(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    struct steps_object *object = neap_lua_new_userdata(L, sizeof *object);
    *object = (struct steps_object){
        .meet = meet, .begin = begin, .tie = tie, .succeed = succeed, .fail = fail};
    luaL_setmetatable(L, STEPS_NAME);
    if (neap_guarded_new(client, &object->guarded) != NEAP_OK)
        return neap_raise_memory(L);
    return 1;
}

static void set_code(lua_State *L, const char *name, int code)
{
    lua_pushinteger(L, code);
    lua_setfield(L, -2, name);
}

/* What the object's numbers stand for, and are made of. */
static void set_meanings(lua_State *L)
{
    lua_newtable(L);
    for (int state = 0; state < NEAP_BREAKER_STATE_COUNT; state++) {
        lua_pushstring(L, neap_breaker_refusal((enum neap_breaker_state)state));
        lua_rawseti(L, -2, state);
    }
    lua_setfield(L, -2, "refusals");
    lua_newtable(L);
    for (int stop = NEAP_STOP_NONE; stop < NEAP_STOP_COUNT; stop++) {
        lua_pushstring(L, neap_stop_name((enum neap_stop)stop));
        lua_rawseti(L, -2, stop);
    }
    lua_setfield(L, -2, "stops");
    set_code(L, "COUNTS", 1 << COUNT_BITS);
    set_code(L, "STOPS", 1 << STOP_BITS);
    set_code(L, "ELAPSEDS", 1 << ELAPSED_BITS);
}

static void set_codes(lua_State *L)
{
    set_code(L, "REFUSED", NEAP_GUARDED_REFUSED);
    set_code(L, "RUN", NEAP_GUARDED_RUN);
    set_code(L, "TOLD", TOLD);
    set_code(L, "BUSY", BUSY);
    set_code(L, "ENDED", ENDED);
    set_code(L, "LEFT_INTERPRETED", LEFT_INTERPRETED);
    set_code(L, "LEFT_ENDED", LEFT_ENDED);
}

void neap_binding_add_guarded_ffi(lua_State *L)
{
    if (NEAP_LUA_CONTINUES)
        return;
    neap_add_collected(L, STEPS_NAME, steps_collect);
    lua_createtable(L, 0, 18);
    set_codes(L);
    set_meanings(L);
    neap_set_text(L, "declaration", "struct {" EXPANDED_TEXT_OF(SHARED_FIELDS) "}");
    lua_pushcfunction(L, guarded_ffi);
    lua_setfield(L, -2, "new");
    lua_pushcfunction(L, new_keeper);
    lua_setfield(L, -2, "new_keeper");
    lua_pushcfunction(L, outcome);
    lua_setfield(L, -2, "outcome");
    neap_push_ties(L);
    lua_setfield(L, -2, "ties");
    lua_setfield(L, -2, "guarded_ffi");
}
