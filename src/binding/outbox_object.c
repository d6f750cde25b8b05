/* The outbox's policy for Lua: reads its options and decides on deliveries. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "base/duration.h"
#include "binding/objects.h"
#include "binding/option_tables.h"
#include "binding/policy_objects.h"
#include "pipeline/delivery.h"

#define OUTBOX_NAME "neap.outbox_policy"
#define TYPE(name) (1u << LUA_T##name)
#define OUTBOX(member) offsetof(struct outbox_object, member)

struct outbox_object {
    struct neap_delivery_policy policy;
    struct neap_env env;
};

/* The longest wait is an hour: a provider that is back is met soon enough, and one that is down for
 * a day is asked about forty times. */
#define BACKOFF_BASE_S 5
#define BACKOFF_MAX_S 3600

static const struct neap_option outbox_rows[] = {
    {"store", .kind = NEAP_OPTION_VALUE, .flags = NEAP_OPTION_REQUIRED, .types = TYPE(TABLE),
     .expected = "a store",
     .about = "`neap.store.sqlite` (one machine), `neap.store.redis` (several), "
              "`neap.store.memory` (gone with the process)"},
    {"client", .kind = NEAP_OPTION_VALUE, .types = TYPE(TABLE), .expected = "a client",
     .about = "its calls are the deliveries", .otherwise = "the first one that queues with it"},
    {"name", .kind = NEAP_OPTION_VALUE, .types = TYPE(STRING), .expected = "a string",
     .about = "one of the store's outboxes", .otherwise = "`\"outbox\"`"},
    {"ordering_key", .kind = NEAP_OPTION_VALUE, .types = TYPE(FUNCTION), .expected = "a function",
     .about = "`function(req) -> string or nil`: entries of one key go one at a time, in order"},
    {"max_attempts", .kind = NEAP_OPTION_INTEGER, .offset = OUTBOX(policy.max_attempts), .min = 1,
     .number = 20, .about = "rounds that may fail; each is a call with the client's own retries"},
    {"backoff", .kind = NEAP_OPTION_TABLE, .offset = OUTBOX(policy.backoff),
     .table = &neap_backoff_options,
     .about = "the wait between rounds; keys as in [retry.backoff](retry.md)",
     .otherwise = "`{ kind = \"exponential\", base = 5, factor = 2, max = 3600, jitter = 0.5 }`"},
    {"max_age", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = OUTBOX(policy.max_age_ns), .number = 604800,
     .about = "since it was put, by the wall clock; nothing waits past it"},
    {"env", .kind = NEAP_OPTION_VALUE, .types = TYPE(TABLE), .expected = "a table",
     .about = "`time` and `random` of a [testing kit](testing.md)", .otherwise = "the machine's"},
};
const struct neap_option_table neap_outbox_options = NEAP_OPTION_ROWS(outbox_rows);

/* outbox_policy(options, env): or nil and what is wrong with them. */
static int outbox_new(lua_State *L)
{
    struct outbox_object read = {.policy.one_breaker = false};
    lua_settop(L, 2);
    neap_options_defaults(L, &neap_outbox_options, &read, NULL);
    read.policy.backoff.base_s = BACKOFF_BASE_S;
    read.policy.backoff.max_s = BACKOFF_MAX_S;
    if (!neap_options_read(L, 1, "options", &neap_outbox_options, &read, NULL, 0) ||
        !neap_env_read(L, 2, &read.env))
        return neap_object_misuse(L);
    struct outbox_object *object = neap_object_new(L, sizeof *object, OUTBOX_NAME);
    *object = read;
    return 1;
}

static struct outbox_object *check_outbox(lua_State *L)
{
    return luaL_checkudata(L, 1, OUTBOX_NAME);
}

/* serve(client): deliveries are this client's calls; how long one may take, in seconds. */
static int outbox_serve(lua_State *L)
{
    struct outbox_object *object = check_outbox(L);
    const struct neap_client_policy *policy = &neap_check_client(L, 2)->policy;
    object->policy.one_breaker = policy->breaker_key == NEAP_KEY_CLIENT;
    object->policy.one_gate = policy->base_url && !policy->gate_key_is_function;
    lua_pushnumber(L, neap_seconds_from_ns(policy->pipeline.timeout.total_ns));
    return 1;
}

static void read_facts(lua_State *L, struct neap_delivery_facts *facts)
{
    double retry_after_s = neap_get_number(L, 2, "retry_after", -1);
    *facts = (struct neap_delivery_facts){
        .outcome = {.kind = neap_kind_from_name(neap_get_text(L, 2, "kind").text),
                    .phase = neap_phase_from_name(neap_get_text(L, 2, "phase").text),
                    .status = (int)neap_get_number(L, 2, "status", 0)},
        .body = neap_get_text(L, 2, "body"),
        .retry_after_ns = retry_after_s >= 0 ? neap_ns_from_seconds(retry_after_s) : -1,
        .attempts = (uint32_t)neap_get_number(L, 2, "attempts", 0),
        .put_ns = neap_ns_from_seconds(neap_get_number(L, 2, "put_at", 0)),
        .now_ns = neap_ns_from_seconds(neap_get_number(L, 2, "now", 0)),
    };
    snprintf(facts->outcome.message, sizeof facts->outcome.message, "%s",
             neap_get_text(L, 2, "message").text);
    lua_getfield(L, 2, "own_credential");
    facts->own_credential = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

static int push_delivery(lua_State *L, const struct neap_delivery *delivery)
{
    static const char *const names[] = {
        [NEAP_DELIVERY_DONE] = "done",
        [NEAP_DELIVERY_RETRY] = "retry",
        [NEAP_DELIVERY_HOLD] = "hold",
        [NEAP_DELIVERY_BURY] = "bury",
    };
    lua_pushstring(L, names[delivery->verdict]);
    switch (delivery->verdict) {
    case NEAP_DELIVERY_DONE:
        return 1;
    case NEAP_DELIVERY_RETRY:
    case NEAP_DELIVERY_HOLD:
        lua_pushnumber(L, neap_seconds_from_ns(delivery->due_ns));
        lua_pushboolean(L, delivery->all);
        return 3;
    case NEAP_DELIVERY_BURY:
        break;
    }
    lua_pushstring(L, delivery->reason);
    return 2;
}

/* decide(facts): "done" · "retry", when · "hold", when, is it every entry's? · "bury", reason.
 * Facts are kind, phase and message of an error or status and body of a response, retry_after,
 * attempts (before this one), put_at, now, own_credential; times in seconds since 1970. */
static int outbox_decide(lua_State *L)
{
    struct outbox_object *object = check_outbox(L);
    struct neap_delivery_facts facts;
    struct neap_delivery delivery;
    luaL_checktype(L, 2, LUA_TTABLE);
    read_facts(L, &facts);
    neap_delivery_decide(&object->policy, &facts, neap_env_random(L, 1, &object->env), &delivery);
    return push_delivery(L, &delivery);
}

static int outbox_to_string(lua_State *L)
{
    const struct outbox_object *object = check_outbox(L);
    lua_pushfstring(L, OUTBOX_NAME " (%d attempts)", (int)object->policy.max_attempts);
    return 1;
}

void neap_binding_add_outbox(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"serve", outbox_serve},
        {"decide", outbox_decide},
        {NULL, NULL},
    };
    static const struct neap_object_class outbox = {
        .name = OUTBOX_NAME, .methods = methods, .to_string = outbox_to_string};
    neap_object_add_class(L, &outbox);
    lua_pushcfunction(L, outbox_new);
    lua_setfield(L, -2, "outbox_policy");
}
