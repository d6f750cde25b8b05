/* One request under an idempotency key for Lua: what neap.idempotency drives. */
#include <string.h>

#include "base/duration.h"
#include "binding/fields.h"
#include "binding/guard_object.h"
#include "binding/objects.h"
#include "client/serving.h"
#include "platform/memory.h"

#define SERVING_NAME "neap.serving"
#define SCOPE_MAX 3072u /* with the key within what a store takes */

struct serving_object {
    struct neap_serving *serving;
    const struct neap_guard_object *guard; /* in the user table */
    enum neap_key_fault fault;
    struct neap_problem_answer problem; /* here, so that an error while it is read leaks nothing */
};

static struct serving_object *serving_object(lua_State *L)
{
    return luaL_checkudata(L, 1, SERVING_NAME);
}

static struct neap_serving *check_serving(lua_State *L)
{
    struct serving_object *object = serving_object(L);
    luaL_argcheck(L, object->serving, 1, "the request has been served");
    return object->serving;
}

/* ------------------------------------------------------------------------------- making one */

static struct neap_text check_text(lua_State *L, int index)
{
    struct neap_text text;
    text.text = luaL_checklstring(L, index, &text.bytes);
    return text;
}

/* Of more than two fields nothing but their number matters. */
static enum neap_key_fault read_key(lua_State *L, int index, struct neap_key *key)
{
    struct neap_text values[2];
    size_t count = lua_rawlen(L, index);
    luaL_checktype(L, index, LUA_TTABLE);
    for (size_t i = 0; i < count && i < 2; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        values[i].text = luaL_checklstring(L, -1, &values[i].bytes);
        lua_pop(L, 1); /* the table holds it */
    }
    return neap_key_field_read(values, count < 2 ? count : 2, key);
}

/* The key in the store: "<bytes of the scope>:<scope><key>". */
static size_t write_store_key(lua_State *L, int scope_index, const struct neap_key *key,
                              char out[NEAP_STORE_KEY_MAX])
{
    size_t scope_bytes;
    const char *scope = luaL_optlstring(L, scope_index, "", &scope_bytes);
    if (scope_bytes > SCOPE_MAX) { /* luaL_error would name a line of ours */
        lua_pushfstring(L, "options.scope: expected a string of at most %d bytes to be returned",
                        (int)SCOPE_MAX);
        lua_error(L);
    }
    size_t at = (size_t)snprintf(out, NEAP_STORE_KEY_MAX, "%u:", (unsigned)scope_bytes);
    memcpy(out + at, scope, scope_bytes);
    memcpy(out + at + scope_bytes, key->text, key->bytes);
    return at + scope_bytes + key->bytes;
}

static void make_fingerprint(lua_State *L, const struct neap_guard_object *guard,
                             uint8_t out[NEAP_FINGERPRINT_BYTES])
{
    struct neap_fingerprint_parts parts = {
        .method = check_text(L, 4), .path = check_text(L, 5), .body = check_text(L, 6)};
    enum neap_status status =
        lua_isnoneornil(L, 9)
            ? neap_fingerprint(guard->fingerprint, &parts, neap_platform_alloc(), out)
            : neap_fingerprint_of_text(check_text(L, 9), out);
    if (status == NEAP_NO_MEMORY)
        neap_raise_memory(L);
    if (status != NEAP_OK)
        luaL_error(L, "neap: libcrypto cannot compute SHA-256");
}

/* The guard, at 1, is held by the object's user table. */
static struct serving_object *push_serving(lua_State *L, const struct neap_guard_object *guard,
                                           enum neap_key_fault fault)
{
    struct serving_object *object = neap_lua_new_userdata(L, sizeof *object);
    *object = (struct serving_object){.guard = guard, .fault = fault};
    luaL_setmetatable(L, SERVING_NAME);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    neap_lua_set_user_table(L, -2);
    return object;
}

/* serving(guard, store, engine, method, path, body, values, scope, fingerprint): `values` are those
 * of the key's header, `scope` and `fingerprint` what functions returned, or nil. */
static int serving_new(lua_State *L)
{
    char store_key[NEAP_STORE_KEY_MAX];
    struct neap_key key;
    const struct neap_guard_object *guard = neap_check_guard(L, 1);
    struct neap_desk *desk = neap_check_store(L, 2);
    struct neap_engine *engine = neap_check_engine(L, 3);
    struct neap_serving_setup setup = {
        .policy = guard->policy,
        .guarded = neap_guard_object_guards(guard, luaL_checkstring(L, 4)),
        .fault = read_key(L, 7, &key),
    };
    lua_settop(L, 9);
    if (setup.guarded && setup.fault == NEAP_KEY_FAULT_NONE) {
        setup.key = (struct neap_bytes){store_key, write_store_key(L, 8, &key, store_key)};
        make_fingerprint(L, guard, setup.fingerprint);
    }
    struct serving_object *object = push_serving(L, guard, setup.fault);
    enum neap_status status = neap_serving_new(desk, engine, &setup, &object->serving);
    if (status == NEAP_NO_MEMORY)
        return neap_raise_memory(L);
    if (status != NEAP_OK)
        return luaL_error(L, "neap: the system gives no random bytes");
    return 1;
}

static int serving_free(lua_State *L)
{
    struct serving_object *object = serving_object(L);
    neap_serving_free(object->serving);
    object->serving = NULL;
    neap_problem_answer_deinit(&object->problem);
    return 0;
}

/* ------------------------------------------------------------------------------- its stages */

static int push_stage(lua_State *L, struct neap_serving *serving)
{
    static const char *const names[] = {
        [NEAP_SERVING_WAITS] = NULL,        [NEAP_SERVING_PASS] = "pass",
        [NEAP_SERVING_RUN] = "run",         [NEAP_SERVING_ANSWER] = "answer",
        [NEAP_SERVING_PROBLEM] = "problem", [NEAP_SERVING_REPLAY] = "replay",
    };
    lua_pushstring(L, names[neap_serving_stage(serving)]);
    return 1;
}

static int serving_begin(lua_State *L)
{
    struct neap_serving *serving = check_serving(L);
    neap_serving_begin(serving);
    return push_stage(L, serving);
}

/* stage(): what Lua has to do next, or nil while the store is at work. */
static int serving_stage(lua_State *L)
{
    struct neap_serving *serving = check_serving(L);
    neap_serving_quieten(serving);
    return push_stage(L, serving);
}

/* run(): blocks until there is a stage. */
static int serving_run(lua_State *L)
{
    struct neap_serving *serving = check_serving(L);
    if (!neap_serving_run(serving))
        return luaL_error(L, "the request waits for something that cannot happen any more");
    return push_stage(L, serving);
}

static int serving_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_serving_id(check_serving(L)));
    return 1;
}

static int serving_wait(lua_State *L)
{
    struct neap_serving *serving = check_serving(L);
    return neap_push_wait(L, neap_serving_loop(serving), neap_serving_next_wakeup(serving));
}

static int serving_tie(lua_State *L)
{
    struct neap_serving *serving = check_serving(L);
    struct neap_tie *tie = neap_tie_of_request(L, 2);
    if (tie)
        neap_serving_tie(serving, tie);
    return 0;
}

static int serving_recovered(lua_State *L)
{
    lua_pushboolean(L, neap_serving_is_recovered(check_serving(L)));
    return 1;
}

static int serving_owes(lua_State *L)
{
    lua_pushboolean(L, neap_serving_owes(check_serving(L)));
    return 1;
}

/* ------------------------------------------------------------------------------- answers */

/* The flat list of names and values at `index` as headers, in a userdata that is pushed. */
static struct neap_stored_header *read_headers(lua_State *L, int index, size_t *count)
{
    *count = lua_rawlen(L, index) / 2;
    struct neap_stored_header *headers = neap_lua_new_userdata(L, (*count + 1) * sizeof *headers);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, index, (int)(2 * i) + 1);
        lua_rawgeti(L, index, (int)(2 * i) + 2);
        headers[i].name = check_text(L, -2);
        headers[i].value = check_text(L, -1);
        lua_pop(L, 2); /* the list holds them */
    }
    return headers;
}

static enum neap_guard_verdict verdict_at(lua_State *L, int index)
{
    if (!lua_isboolean(L, index))
        return NEAP_GUARD_BY_STATUS;
    return lua_toboolean(L, index) ? NEAP_GUARD_STORE_IT : NEAP_GUARD_DROP_IT;
}

/* handled(): the handler raised; or handled(status, headers, body, verdict): it answered, with a
 * flat list of names and values, and what store_statuses said of the status, nil for nothing. */
static int serving_handled(lua_State *L)
{
    char *blob = NULL;
    size_t blob_bytes = 0;
    struct neap_serving *serving = check_serving(L);
    struct neap_guard_handled handled = {.raised = lua_isnoneornil(L, 2)};
    if (!handled.raised) {
        struct neap_stored_answer answer = {.status = (int)luaL_checkinteger(L, 2),
                                            .body = check_text(L, 4)};
        luaL_checktype(L, 3, LUA_TTABLE);
        handled.status = answer.status;
        handled.verdict = verdict_at(L, 5);
        answer.headers = read_headers(L, 3, &answer.header_count);
        if (neap_stored_answer_write(&answer, neap_platform_alloc(), &blob, &blob_bytes) != NEAP_OK)
            return neap_raise_memory(L);
    }
    neap_serving_handled(serving, &handled, blob, blob_bytes);
    return push_stage(L, serving);
}

static void set_header(lua_State *L, int position, const struct neap_stored_header *header)
{
    neap_push_text(L, header->name);
    lua_rawseti(L, -2, 2 * position + 1);
    neap_push_text(L, header->value);
    lua_rawseti(L, -2, 2 * position + 2);
}

/* replay(): status, flat list of names and values, body. */
static int serving_replay(lua_State *L)
{
    struct neap_stored_reader reader = *neap_serving_replay(check_serving(L));
    lua_pushinteger(L, reader.status);
    lua_newtable(L);
    for (int i = 0; reader.headers_left > 0; i++) {
        struct neap_stored_header header = neap_stored_answer_next(&reader);
        set_header(L, i, &header);
    }
    neap_push_text(L, reader.body);
    return 3;
}

/* problem(): the same, and the store's message where it was the store. */
static int serving_problem(lua_State *L)
{
    struct neap_serving *serving = check_serving(L);
    struct serving_object *object = serving_object(L);
    neap_problem_answer_deinit(&object->problem);
    if (neap_problem_answer_init(&object->problem, neap_serving_problem(serving), object->fault,
                                 object->guard->header, neap_platform_alloc()) != NEAP_OK)
        return neap_raise_memory(L);
    const struct neap_stored_answer *answer = &object->problem.answer;
    lua_pushinteger(L, answer->status);
    lua_newtable(L);
    for (size_t i = 0; i < answer->header_count; i++)
        set_header(L, (int)i, &answer->headers[i]);
    neap_push_text(L, answer->body);
    lua_pushstring(L, neap_serving_message(serving));
    return 4;
}

void neap_binding_add_serving(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"begin", serving_begin},
        {"stage", serving_stage},
        {"run", serving_run},
        {"id", serving_id},
        {"wait", serving_wait},
        {"tie", serving_tie},
        {"recovered", serving_recovered},
        {"owes", serving_owes},
        {"handled", serving_handled},
        {"replay", serving_replay},
        {"problem", serving_problem},
        {"free", serving_free},
        {NULL, NULL},
    };
    neap_new_metatable(L, SERVING_NAME, methods, serving_free);
    lua_pop(L, 1);
    lua_pushcfunction(L, serving_new);
    lua_setfield(L, -2, "serving");
}
