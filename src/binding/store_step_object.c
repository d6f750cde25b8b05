/* Steps of a store for Lua: made from a table of arguments, performed or sent, then read. */
#include <string.h>

#include "base/duration.h"
#include "binding/objects.h"

#define STEP_NAME "neap.store_step"

struct step_object {
    struct neap_store_step *step;
};

static struct step_object *step_object(lua_State *L)
{
    return luaL_checkudata(L, 1, STEP_NAME);
}

static struct neap_store_step *check_step(lua_State *L)
{
    struct step_object *object = step_object(L);
    luaL_argcheck(L, object->step, 1, "the step is over");
    return object->step;
}

/* ------------------------------------------------------------------------------- arguments */

/* The text stays in the caller's table while the step copies it. */
static struct neap_bytes bytes_field(lua_State *L, const char *name)
{
    struct neap_text text = neap_get_text(L, 4, name);
    return (struct neap_bytes){text.text, text.bytes};
}

static void read_token(lua_State *L, struct neap_engine *engine, enum neap_store_op op,
                       uint8_t token[NEAP_STORE_TOKEN_BYTES])
{
    if (op == NEAP_STORE_OP_OUTBOX_TAKE) {
        if (neap_entropy_pool_take(&engine->entropy, token, NEAP_STORE_TOKEN_BYTES) != NEAP_OK)
            luaL_error(L, "neap: the system gives no random bytes");
        return;
    }
    struct neap_bytes given = bytes_field(L, "token");
    if (given.bytes == NEAP_STORE_TOKEN_BYTES)
        memcpy(token, given.at, NEAP_STORE_TOKEN_BYTES);
}

static void read_arguments(lua_State *L, struct neap_engine *engine, enum neap_store_op op,
                           struct neap_store_arguments *arguments)
{
    neap_loop_update(engine->loop);
    double now_s = neap_get_number(L, 4, "now_time", -1);
    *arguments = (struct neap_store_arguments){
        .key = bytes_field(L, "key"),
        .ordering_key = bytes_field(L, "ordering_key"),
        .value = bytes_field(L, "value"),
        .id = (uint64_t)neap_get_number(L, 4, "id", 0),
        .now_ns = now_s >= 0 ? neap_ns_from_seconds(now_s) : neap_loop_wall(engine->loop),
        .until_ns = neap_ns_from_seconds(neap_get_number(L, 4, "until_time", 0)),
        .lease_ns = neap_ns_from_seconds(neap_get_number(L, 4, "lease", 0)),
    };
    read_token(L, engine, op, arguments->token);
}

static const char *const op_names[] = {
    [NEAP_STORE_OP_GET] = "get",
    [NEAP_STORE_OP_PUT] = "put",
    [NEAP_STORE_OP_REMOVE] = "remove",
    [NEAP_STORE_OP_OUTBOX_PUT] = "outbox_put",
    [NEAP_STORE_OP_OUTBOX_TAKE] = "outbox_take",
    [NEAP_STORE_OP_OUTBOX_RENEW] = "outbox_renew",
    [NEAP_STORE_OP_OUTBOX_DONE] = "outbox_done",
    [NEAP_STORE_OP_OUTBOX_RETRY] = "outbox_retry",
    [NEAP_STORE_OP_OUTBOX_BURY] = "outbox_bury",
    [NEAP_STORE_OP_OUTBOX_COUNT] = "outbox_count",
    [NEAP_STORE_OP_OUTBOX_DEAD] = "outbox_dead",
    [NEAP_STORE_OP_OUTBOX_REVIVE] = "outbox_revive",
    [NEAP_STORE_OP_OUTBOX_DROP] = "outbox_drop",
    [NEAP_STORE_OP_SWEEP] = "sweep",
    [NEAP_STORE_OP_COUNT] = NULL,
};

/* store_step(store, engine, op, arguments): not begun; see lua/neap/store.lua. */
static int step_new(lua_State *L)
{
    struct neap_store_arguments arguments;
    struct neap_desk *desk = neap_check_store(L, 1);
    struct neap_engine *engine = neap_check_engine(L, 2);
    enum neap_store_op op = (enum neap_store_op)luaL_checkoption(L, 3, NULL, op_names);
    luaL_checktype(L, 4, LUA_TTABLE);
    struct step_object *object = neap_lua_new_userdata(L, sizeof *object);
    object->step = NULL;
    luaL_setmetatable(L, STEP_NAME);
    read_arguments(L, engine, op, &arguments);
    if (neap_store_step_new(desk, engine, op, &arguments, &object->step) != NEAP_OK)
        return neap_raise_memory(L);
    return 1;
}

/* ------------------------------------------------------------------------------- results */

static void push_blob(lua_State *L, const struct neap_blob *blob)
{
    lua_pushlstring(L, blob->at ? blob->at : "", blob->bytes);
}

static void set_blob(lua_State *L, const char *name, const struct neap_blob *blob)
{
    push_blob(L, blob);
    lua_setfield(L, -2, name);
}

static void push_value(lua_State *L, const struct neap_store_step *step)
{
    push_blob(L, &step->value);
}

static void push_true(lua_State *L, const struct neap_store_step *step)
{
    (void)step;
    lua_pushboolean(L, 1);
}

static void push_id(lua_State *L, const struct neap_store_step *step)
{
    lua_pushinteger(L, (lua_Integer)step->id);
}

static void push_entry(lua_State *L, const struct neap_store_step *step)
{
    const struct neap_outbox_entry *entry = &step->entry;
    lua_createtable(L, 0, 5);
    neap_set_count(L, "id", entry->id);
    neap_set_count(L, "attempts", entry->attempts);
    neap_set_seconds(L, "put_at", entry->put_ns);
    lua_pushlstring(L, (const char *)entry->token, NEAP_STORE_TOKEN_BYTES);
    lua_setfield(L, -2, "token");
    set_blob(L, "value", &entry->value);
}

static void push_counts(lua_State *L, const struct neap_store_step *step)
{
    lua_createtable(L, 0, 3);
    neap_set_count(L, "waiting", step->counts.waiting);
    neap_set_count(L, "taken", step->counts.taken);
    neap_set_count(L, "dead", step->counts.dead);
}

static void push_letter(lua_State *L, const struct neap_store_step *step)
{
    const struct neap_dead_letter *letter = &step->letter;
    lua_createtable(L, 0, 6);
    neap_set_count(L, "id", letter->id);
    neap_set_count(L, "attempts", letter->attempts);
    neap_set_seconds(L, "put_at", letter->put_ns);
    neap_set_seconds(L, "died_at", letter->died_ns);
    set_blob(L, "value", &letter->value);
    set_blob(L, "reason", &letter->reason);
}

static void push_more(lua_State *L, const struct neap_store_step *step)
{
    lua_pushboolean(L, step->more);
}

static void (*const push_result[])(lua_State *L, const struct neap_store_step *step) = {
    [NEAP_STORE_OP_GET] = push_value,          [NEAP_STORE_OP_PUT] = push_true,
    [NEAP_STORE_OP_REMOVE] = push_true,        [NEAP_STORE_OP_OUTBOX_PUT] = push_id,
    [NEAP_STORE_OP_OUTBOX_TAKE] = push_entry,  [NEAP_STORE_OP_OUTBOX_RENEW] = push_true,
    [NEAP_STORE_OP_OUTBOX_DONE] = push_true,   [NEAP_STORE_OP_OUTBOX_RETRY] = push_true,
    [NEAP_STORE_OP_OUTBOX_BURY] = push_true,   [NEAP_STORE_OP_OUTBOX_COUNT] = push_counts,
    [NEAP_STORE_OP_OUTBOX_DEAD] = push_letter, [NEAP_STORE_OP_OUTBOX_REVIVE] = push_true,
    [NEAP_STORE_OP_OUTBOX_DROP] = push_true,   [NEAP_STORE_OP_SWEEP] = push_more,
};

/* false, and of an empty outbox when something may be due, in seconds since 1970 */
static int push_none(lua_State *L, const struct neap_store_step *step)
{
    lua_pushboolean(L, 0);
    if (step->op != NEAP_STORE_OP_OUTBOX_TAKE || step->next_ns == INT64_MAX)
        return 1;
    lua_pushnumber(L, neap_seconds_from_ns(step->next_ns));
    return 2;
}

/* result(): "ok", what came of it · "none" or "lost", false · "full", "invalid" or "unavailable",
 * a message. */
static int step_result(lua_State *L)
{
    static const char *const names[] = {
        [NEAP_STORE_OK] = "ok",
        [NEAP_STORE_NONE] = "none",
        [NEAP_STORE_LOST] = "lost",
        [NEAP_STORE_FULL] = "full",
        [NEAP_STORE_INVALID] = "invalid",
        [NEAP_STORE_NO_MEMORY] = "memory",
        [NEAP_STORE_UNAVAILABLE] = "unavailable",
    };
    const struct neap_store_step *step = check_step(L);
    lua_pushstring(L, names[step->status]);
    switch (step->status) {
    case NEAP_STORE_OK:
        push_result[step->op](L, step);
        return 2;
    case NEAP_STORE_NONE:
    case NEAP_STORE_LOST:
        return 1 + push_none(L, step);
    case NEAP_STORE_FULL:
        lua_pushliteral(L, "the store has no room for it");
        return 2;
    case NEAP_STORE_INVALID:
        lua_pushliteral(L, "a key, a time or an amount is out of the store's bounds");
        return 2;
    case NEAP_STORE_NO_MEMORY:
        return neap_raise_memory(L);
    case NEAP_STORE_UNAVAILABLE:
        break;
    }
    lua_pushstring(L, step->message);
    return 2;
}

/* ------------------------------------------------------------------------------- doing it */

static int step_perform(lua_State *L)
{
    neap_store_step_perform(check_step(L));
    return 0;
}

static int step_send(lua_State *L)
{
    neap_store_step_send(check_step(L));
    return 0;
}

static int step_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_step(L)->waiter.id);
    return 1;
}

/* Only the store ends it. */
static int step_wait(lua_State *L)
{
    (void)L;
    return 0;
}

static int step_free(lua_State *L)
{
    struct step_object *object = step_object(L);
    neap_store_step_free(object->step);
    object->step = NULL;
    return 0;
}

void neap_binding_add_store_steps(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"perform", step_perform}, {"send", step_send}, {"id", step_id}, {"wait", step_wait},
        {"result", step_result},   {"free", step_free}, {NULL, NULL},
    };
    neap_new_metatable(L, STEP_NAME, methods, step_free);
    lua_pop(L, 1);
    lua_pushcfunction(L, step_new);
    lua_setfield(L, -2, "store_step");
}
