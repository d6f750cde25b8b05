/* neap.check for Lua: reads a policy as a client would, and answers what the check finds in it. */
#include <string.h>

#include "base/duration.h"
#include "binding/objects.h"
#include "binding/policy_options.h"
#include "client/check.h"
#include "platform/memory.h"

#define CHECK_NAME "neap.check"

/* Holds what is read, for the collector to release if something raises. */
struct check_object {
    struct neap_client_policy policy;
    struct neap_check_subject subject;
    struct neap_check_report report;
};

#define FACT(member) offsetof(struct neap_check_facts, member)

static const struct neap_option fact_rows[] = {
    {"rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE, .offset = FACT(calls_per_s),
     .unit = "calls a second", .number = 0},
    {"allowed_latency", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE,
     .offset = FACT(allowed_latency_s), .unit = "seconds", .number = 0},
    {"server_rate_limit", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE,
     .offset = FACT(server_calls_per_s), .unit = "requests a second", .number = 0},
    {"workers", .kind = NEAP_OPTION_INTEGER, .offset = FACT(workers), .min = 1, .number = 0},
};
static const struct neap_option_table fact_table = NEAP_OPTION_ROWS(fact_rows);

static int check_collect(lua_State *L)
{
    struct check_object *object = luaL_checkudata(L, 1, CHECK_NAME);
    if (object->policy.alloc)
        neap_client_policy_deinit(&object->policy);
    return 0;
}

static int misuse(lua_State *L)
{
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ----------------------------------------------------------------------------------- fallbacks */

static bool is_kind(lua_State *L, int entry, const char *kind)
{
    lua_getfield(L, entry, "kind");
    bool is = strcmp(lua_tostring(L, -1), kind) == 0;
    lua_pop(L, 1);
    return is;
}

static bool has_function(lua_State *L, int entry, const char *field)
{
    lua_getfield(L, entry, field);
    bool is = lua_isfunction(L, -1);
    lua_pop(L, 1);
    return is;
}

/* The client of the core that is at that place of the services, if any. */
static const struct neap_client_policy *service_at(lua_State *L, int services, uint32_t position)
{
    const struct neap_client_policy *policy = NULL;
    lua_rawgeti(L, services, (int)position);
    if (!lua_isnil(L, -1))
        policy = &neap_check_client(L, -1)->policy;
    lua_pop(L, 1);
    return policy;
}

/* `chain` is the list that the reader has kept. */
static void read_chain(lua_State *L, int chain, int services, struct neap_check_subject *subject)
{
    uint32_t count = subject->policy->pipeline.fallback_count;
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, chain, (int)i + 1);
        int entry = lua_gettop(L);
        bool remakes = has_function(L, entry, "request");
        subject->fallback[i] = (struct neap_check_fallback){
            .is_cache = is_kind(L, entry, "cache"),
            .is_service = is_kind(L, entry, "service"),
            .calls_program = remakes || has_function(L, entry, "value"),
            .service = service_at(L, services, i + 1),
            .may_retime = remakes,
        };
        lua_pop(L, 1);
    }
}

/* -------------------------------------------------------------------------------------- report */

static void push_declaration(lua_State *L, enum neap_check_rule rule)
{
    const struct neap_check_declaration *declaration = neap_check_declaration(rule);
    lua_createtable(L, 0, 5);
    neap_set_text(L, "rule", declaration->name);
    neap_set_text(L, "level", neap_check_level_name(declaration->level));
    neap_set_text(L, "path", declaration->path);
    neap_set_text(L, "page", declaration->page);
}

/* True if none of them is an error. */
static bool push_findings(lua_State *L, const struct neap_check_report *report)
{
    bool ok = true;
    lua_createtable(L, (int)report->count, 0);
    for (size_t i = 0; i < report->count; i++) {
        const struct neap_finding *finding = &report->finding[i];
        push_declaration(L, finding->rule);
        neap_set_text(L, "path", finding->path);
        neap_set_text(L, "message", finding->message);
        lua_rawseti(L, -2, (int)i + 1);
        ok = ok && neap_check_declaration(finding->rule)->level != NEAP_CHECK_ERROR;
    }
    return ok;
}

static void set_number(lua_State *L, const char *name, double number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

static void push_parts(lua_State *L, const struct neap_bounds *parts)
{
    lua_createtable(L, 0, NEAP_PART_COUNT);
    for (int part = 0; part < NEAP_PART_COUNT; part++)
        neap_set_seconds(L, neap_part_name((enum neap_part)part), parts->part_ns[part]);
}

static void push_report(lua_State *L, const struct neap_check_report *report)
{
    lua_createtable(L, 0, 7);
    neap_set_seconds(L, "worst_case", report->worst_ns);
    push_parts(L, &report->parts);
    lua_setfield(L, -2, "parts");
    neap_set_count(L, "attempts", report->attempts);
    set_number(L, "amplification", report->load);
    set_number(L, "amplification_without_budget", report->load_unbudgeted);
    bool ok = push_findings(L, report);
    lua_setfield(L, -2, "findings");
    lua_pushboolean(L, ok);
    lua_setfield(L, -2, "ok");
}

/* check(policy, facts or nil, services): the report, and what of the policy stays in Lua; or nil
 * and what is wrong. `services` has the clients of the core by their place in the chain. */
static int check_policy(lua_State *L)
{
    lua_settop(L, 3);
    luaL_checktype(L, 3, LUA_TTABLE);
    struct check_object *object = neap_lua_new_userdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    luaL_setmetatable(L, CHECK_NAME);
    neap_client_policy_init(&object->policy, neap_platform_alloc());

    struct neap_check_subject *subject = &object->subject;
    subject->policy = &object->policy;
    if (!lua_isnil(L, 2) &&
        !neap_options_read(L, 2, "facts", &fact_table, &subject->facts, NULL, 0))
        return misuse(L);
    if (!neap_read_client_policy(L, 1, &object->policy))
        return misuse(L);
    int kept = lua_gettop(L);
    lua_getfield(L, kept, "fallback");
    read_chain(L, kept + 1, 3, subject);
    neap_check(subject, &object->report);
    push_report(L, &object->report);
    lua_pushvalue(L, kept);
    return 2;
}

/* check_rules(): every rule as it is declared, { rule, level, path, page, summary }. */
static int check_rules(lua_State *L)
{
    lua_createtable(L, NEAP_RULE_COUNT, 0);
    for (int rule = 0; rule < NEAP_RULE_COUNT; rule++) {
        push_declaration(L, (enum neap_check_rule)rule);
        neap_set_text(L, "summary", neap_check_declaration((enum neap_check_rule)rule)->summary);
        lua_rawseti(L, -2, rule + 1);
    }
    return 1;
}

void neap_binding_add_check(lua_State *L)
{
    neap_add_collected(L, CHECK_NAME, check_collect);
    lua_pushcfunction(L, check_policy);
    lua_setfield(L, -2, "check");
    lua_pushcfunction(L, check_rules);
    lua_setfield(L, -2, "check_rules");
}
