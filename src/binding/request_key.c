#include "binding/request_key.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "binding/shown_value.h"
#include "policy/idempotency_key.h"

struct maker {
    lua_State *L;
    const struct neap_request_source *source;
    struct neap_client *client;
    struct neap_exchange_object *object;
    int keeper;
    struct neap_draft *draft;
};

static const struct neap_idempotency_policy *policy_of(const struct maker *maker)
{
    return &maker->client->policy.idempotency;
}

/* A quoted or bare copy of the key on top of the stack becomes the header's value. */
static bool use_key(struct maker *maker, const char *path)
{
    lua_State *L = maker->L;
    size_t bytes;
    const char *key = lua_tolstring(L, -1, &bytes);
    if (!neap_idempotency_key_is_valid(key, bytes)) {
        lua_pushfstring(L, "%s: expected 1 to 255 characters of printable ASCII", path);
        return false;
    }
    neap_keep_for_call(L, maker->keeper, "idempotency_key", lua_gettop(L));
    if (policy_of(maker)->quoted) {
        char quoted[2 * NEAP_IDEMPOTENCY_KEY_MAX + 3];
        size_t quoted_bytes = neap_idempotency_key_quote(key, bytes, quoted);
        lua_pushlstring(L, quoted, quoted_bytes);
        key = lua_tostring(L, -1);
    }
    maker->draft->idempotency_key = key;
    return true;
}

static bool use_made_key(struct maker *maker, const char *path)
{
    lua_State *L = maker->L;
    const char *prefix = policy_of(maker)->prefix;
    if (prefix) {
        lua_pushstring(L, prefix);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return use_key(maker, path);
}

/* Goes down the dots of `name` in the table on top, which is replaced by what is found. */
static void descend(lua_State *L, const char *name)
{
    const char *dot;
    while (lua_istable(L, -1) && (dot = strchr(name, '.'))) {
        lua_pushlstring(L, name, (size_t)(dot - name));
        lua_rawget(L, -2);
        lua_remove(L, -2);
        name = dot + 1;
    }
    if (lua_istable(L, -1)) {
        lua_pushstring(L, name);
        lua_rawget(L, -2);
    } else {
        lua_pushnil(L);
    }
    lua_remove(L, -2);
}

/* Pushes the value of a field: in `json` with its dots, else as it is written in form or query. */
static void push_field(struct maker *maker, const char *name)
{
    static const char *const places[] = {"json", "form", "query"};
    lua_State *L = maker->L;
    for (int i = 0; i < 3; i++) {
        lua_pushstring(L, places[i]);
        lua_rawget(L, maker->source->request);
        if (i == 0) {
            descend(L, name);
        } else if (lua_istable(L, -1)) {
            lua_pushstring(L, name);
            lua_rawget(L, -2);
            lua_remove(L, -2);
        }
        if (!lua_isnil(L, -1))
            return;
        lua_pop(L, 1);
    }
    lua_pushnil(L);
}

/* Turns the value on top into its text: strings as they are, integers in decimal, other numbers
 * with
 * %.17g, booleans as words. */
static bool to_text(lua_State *L)
{
    char written[40];
    int64_t whole;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        return true;
    case LUA_TBOOLEAN:
        snprintf(written, sizeof written, "%s", lua_toboolean(L, -1) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        if (neap_lua_integer(L, -1, &whole))
            snprintf(written, sizeof written, "%" PRId64, whole);
        else
            snprintf(written, sizeof written, "%.17g", lua_tonumber(L, -1));
        if (!isfinite(lua_tonumber(L, -1)))
            return false;
        break;
    default:
        return false;
    }
    lua_pop(L, 1);
    lua_pushstring(L, written);
    return true;
}

/* Leaves the text on the stack. */
static bool push_part(struct maker *maker, const char *field, struct neap_text *part)
{
    lua_State *L = maker->L;
    if (lua_istable(L, maker->source->request))
        push_field(maker, field);
    else
        lua_pushnil(L);
    if (!to_text(L)) {
        if (lua_isnil(L, -1))
            lua_pushliteral(L, "a missing field");
        else
            neap_push_shown(L, -1, false);
        lua_pushfstring(L,
                        "request: policy.idempotency.from wants \"%s\" in json, form or query "
                        "as a string, a number or a boolean, got %s",
                        field, lua_tostring(L, -1));
        return false;
    }
    part->text = lua_tolstring(L, -1, &part->bytes);
    return true;
}

static bool push_digest(struct maker *maker)
{
    lua_State *L = maker->L;
    const struct neap_idempotency_policy *policy = policy_of(maker);
    size_t count = policy->field_count + 2;
    struct neap_text *part = lua_newuserdata(L, count * sizeof *part);
    char digest[NEAP_DIGEST_BYTES];

    luaL_checkstack(L, (int)policy->field_count + 10, "idempotency");
    part[0] = (struct neap_text){maker->draft->method, strlen(maker->draft->method)};
    part[1] = (struct neap_text){maker->object->url.path, strlen(maker->object->url.path)};
    for (size_t i = 0; i < policy->field_count; i++)
        if (!push_part(maker, policy->fields[i], &part[i + 2]))
            return false;
    if (neap_idempotency_digest(part, count, maker->client->alloc, digest) != NEAP_OK)
        return neap_raise_memory(L);
    lua_pushlstring(L, digest, NEAP_DIGEST_BYTES - 1);
    return true;
}

static void push_uuid(struct maker *maker)
{
    uint8_t random[16];
    char uuid[NEAP_UUID_BYTES];
    if (neap_engine_random_bytes(maker->client->engine, random) != NEAP_OK)
        luaL_error(maker->L, "neap: the system gives no random bytes");
    neap_uuid4_format(random, uuid);
    lua_pushlstring(maker->L, uuid, NEAP_UUID_BYTES - 1);
}

static bool stands_in_policy(const struct neap_client *client)
{
    const struct neap_client_policy *policy = &client->policy;
    return neap_header_find(policy->headers, policy->header_count, neap_client_key_header(client));
}

/* Pushes the text of that name in the table, or nothing. */
static bool push_text(lua_State *L, int table, const char *name)
{
    if (!lua_istable(L, table))
        return false;
    lua_pushstring(L, name);
    lua_rawget(L, table);
    if (lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    return false;
}

static bool has_own_header(lua_State *L, int request, const char *name)
{
    bool found = false;
    lua_pushliteral(L, "headers");
    lua_rawget(L, request);
    if (lua_istable(L, -1)) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            lua_pop(L, 1);
            found = found ||
                    (lua_type(L, -1) == LUA_TSTRING && strcasecmp(lua_tostring(L, -1), name) == 0);
        }
    }
    lua_pop(L, 1);
    return found;
}

bool neap_request_wants_key(lua_State *L, int request, const struct neap_client *client,
                            const char *method)
{
    if (!neap_idempotency_wants_key(&client->policy.idempotency, method) ||
        stands_in_policy(client))
        return false;
    if (!lua_istable(L, request))
        return true;
    if (push_text(L, request, "idempotency_key")) {
        lua_pop(L, 1);
        return false;
    }
    return !has_own_header(L, request, neap_client_key_header(client));
}

bool neap_read_request_key(lua_State *L, const struct neap_request_source *source, int given,
                           struct neap_client *client, struct neap_exchange_object *object,
                           int keeper, struct neap_draft *draft)
{
    struct maker maker = {L, source, client, object, keeper, draft};
    bool own_header =
        neap_header_find(draft->headers, draft->header_count, neap_client_key_header(client));
    if (given) {
        lua_pushvalue(L, given);
        if (!own_header)
            return use_key(&maker, "request.idempotency_key");
        lua_pushfstring(L, "request.idempotency_key: the header %s is there already",
                        neap_client_key_header(client));
        return false;
    }
    bool is_wanted = neap_idempotency_wants_key(policy_of(&maker), draft->method);
    if (own_header || stands_in_policy(client) || !(is_wanted || source->must_have_key))
        return true;
    if (push_text(L, source->extras, "idempotency_key"))
        return use_made_key(&maker, "policy.idempotency.from");
    if (is_wanted && policy_of(&maker)->source == NEAP_KEY_FIELDS) {
        if (!push_digest(&maker))
            return false;
    } else {
        push_uuid(&maker);
    }
    return use_made_key(&maker, "policy.idempotency.prefix");
}
