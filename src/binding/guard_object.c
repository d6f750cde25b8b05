/* The guard for Lua: options of neap.idempotency. */
#include "binding/guard_object.h"

#include <strings.h>

#include "base/method.h"
#include "binding/objects.h"
#include "binding/option_tables.h"
#include "binding/options.h"
#include "binding/policy_readers.h"
#include "platform/memory.h"

_Static_assert(sizeof(enum neap_on_conflict) == sizeof(int), "a choice is written as an int");
_Static_assert(sizeof(enum neap_on_error) == sizeof(int), "a choice is written as an int");
_Static_assert(sizeof(enum neap_fingerprint_kind) == sizeof(int), "a choice is written as an int");

#define GUARD_NAME "neap.guard"
#define TYPE(name) (1u << LUA_T##name)
#define GUARD(member) offsetof(struct neap_guard_object, member)

static const struct neap_option_choice conflicts[] = {
    {"reject", NEAP_ON_CONFLICT_REJECT},
    {"wait", NEAP_ON_CONFLICT_WAIT},
    {NULL, 0},
};

static const struct neap_option_choice errors[] = {
    {"store", NEAP_ON_ERROR_STORE},
    {"release", NEAP_ON_ERROR_RELEASE},
    {NULL, 0},
};

static const struct neap_option_choice fingerprints[] = {
    {"bytes", NEAP_FINGERPRINT_BYTES_OF_BODY},
    {"json", NEAP_FINGERPRINT_JSON},
    {NULL, 0},
};

static const struct neap_option fingerprint_function = {.kind = NEAP_OPTION_FUNCTION,
                                                        .offset = GUARD(asks_fingerprint)};

/* Store and env are the face's. */
static const struct neap_option guard_rows[] = {
    {"store", .kind = NEAP_OPTION_VALUE, .flags = NEAP_OPTION_REQUIRED, .types = TYPE(TABLE),
     .expected = "a store", .about = "a [store](stores.md): where claims and answers are kept"},
    {"env", .kind = NEAP_OPTION_VALUE, .types = TYPE(TABLE), .expected = "a table",
     .about = "the clock of a [testing kit](testing.md)"},
    {"ttl", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = GUARD(policy.ttl_ns),
     .number = 86400,
     .about = "a key is new again so long after its first request, even if that one still runs: "
              "keep it above `max_run`"},
    {"lease", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = GUARD(policy.lease_ns), .number = 60,
     .about = "how long a claim outlives a process that died; renewed every third of it while the "
              "handler runs"},
    {"max_run", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = GUARD(policy.max_run_ns), .number = 600,
     .about = "renewals stop so long after the claim: a handler that hangs does not hold its key "
              "for ever"},
    {"header", .kind = NEAP_OPTION_TEXT, .offset = GUARD(header), .is_valid = neap_is_header_name,
     .noun = "a header name", .text = "Idempotency-Key", .about = "the name of the key's header"},
    {"required", .kind = NEAP_OPTION_BOOLEAN, .offset = GUARD(policy.required), .number = true,
     .about = "`false`: a request without a key goes to the handler unguarded"},
    {"methods", .kind = NEAP_OPTION_TEXTS, .flags = NEAP_OPTION_UPPER, .offset = GUARD(methods),
     .count = GUARD(method_count), .is_valid = neap_method_is_safe, .noun = "a method name",
     .expected = "a list of method names", .text = "POST PATCH",
     .about = "the methods that are guarded; others go to the handler as they are"},
    {"fingerprint", .kind = NEAP_OPTION_CHOICE, .offset = GUARD(fingerprint),
     .choices = fingerprints, .number = NEAP_FINGERPRINT_BYTES_OF_BODY,
     .other = &fingerprint_function,
     .about = "what makes two requests the same: method, path with query, and the body byte for "
              "byte; `\"json\"`: the order of members and white space do not matter; "
              "`function(req) -> string`: what you say"},
    {"on_conflict", .kind = NEAP_OPTION_CHOICE, .offset = GUARD(policy.on_conflict),
     .choices = conflicts, .number = NEAP_ON_CONFLICT_REJECT,
     .about = "while the first request runs, others get 409; `\"wait\"`: they wait for its answer, "
              "no longer than `lease`"},
    {"on_error", .kind = NEAP_OPTION_CHOICE, .offset = GUARD(policy.on_error), .choices = errors,
     .number = NEAP_ON_ERROR_STORE,
     .about = "a handler that raises is answered 500, which is stored, since nobody knows what it "
              "did; `\"release\"`: the key is free again"},
    {"scope", .kind = NEAP_OPTION_FUNCTION, .offset = GUARD(asks_scope),
     .about = "`function(req) -> string`: whose key it is; the same key in another scope is "
              "another key"},
    {"store_statuses", .kind = NEAP_OPTION_FUNCTION, .offset = GUARD(asks_statuses),
     .about = "`function(status) -> boolean`: which answers are stored; none: all but 408, 425, "
              "429 and 503"},
};
const struct neap_option_table neap_guard_options = NEAP_OPTION_ROWS(guard_rows);

static struct neap_guard_object *guard_object(lua_State *L, int index)
{
    return luaL_checkudata(L, index, GUARD_NAME);
}

const struct neap_guard_object *neap_check_guard(lua_State *L, int index)
{
    return guard_object(L, index);
}

static int guard_collect(lua_State *L)
{
    struct neap_guard_object *guard = guard_object(L, 1);
    const struct neap_alloc *alloc = neap_platform_alloc();
    for (size_t i = 0; i < guard->method_count; i++)
        neap_free(alloc, guard->methods[i]);
    neap_free(alloc, guard->methods);
    neap_free(alloc, guard->header);
    *guard = (struct neap_guard_object){.header = NULL};
    return 0;
}

/* guard(options): the guard, and a table with the functions among its options; or nil and what is
 * wrong with them. */
static int guard_new(lua_State *L)
{
    const struct neap_alloc *alloc = neap_platform_alloc();
    lua_settop(L, 1);
    struct neap_guard_object *guard = neap_lua_new_userdata(L, sizeof *guard);
    *guard = (struct neap_guard_object){.header = NULL};
    luaL_setmetatable(L, GUARD_NAME);
    lua_newtable(L);
    neap_options_defaults(L, &neap_guard_options, guard, alloc);
    if (!neap_options_read(L, 1, "options", &neap_guard_options, guard, alloc, 3)) {
        lua_pushnil(L);
        lua_insert(L, -2);
    }
    return 2;
}

bool neap_guard_object_guards(const struct neap_guard_object *guard, const char *method)
{
    for (size_t i = 0; i < guard->method_count; i++)
        if (strcasecmp(guard->methods[i], method) == 0)
            return true;
    return false;
}

/* guards(method) */
static int guard_guards(lua_State *L)
{
    lua_pushboolean(L, neap_guard_object_guards(guard_object(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* passes(method, has_key): does the request go to the handler as if there were no guard? */
static int guard_passes(lua_State *L)
{
    const struct neap_guard_object *guard = guard_object(L, 1);
    bool guarded = neap_guard_object_guards(guard, luaL_checkstring(L, 2));
    enum neap_key_fault fault = lua_toboolean(L, 3) ? NEAP_KEY_FAULT_NONE : NEAP_KEY_FAULT_MISSING;
    lua_pushboolean(L, neap_guard_passes(&guard->policy, guarded, fault));
    return 1;
}

/* header(): the name of the key's header. */
static int guard_header(lua_State *L)
{
    lua_pushstring(L, guard_object(L, 1)->header);
    return 1;
}

void neap_binding_add_guard(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"guards", guard_guards},
        {"passes", guard_passes},
        {"header", guard_header},
        {NULL, NULL},
    };
    neap_new_metatable(L, GUARD_NAME, methods, guard_collect);
    lua_pop(L, 1);
    lua_pushcfunction(L, guard_new);
    lua_setfield(L, -2, "guard");
}
