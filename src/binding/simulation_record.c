#include "binding/simulation_record.h"

#include "base/duration.h"
#include "binding/fields.h"
#include "binding/stats_tables.h"

/* ---- one list with a number for each slot ---- */

typedef double slot_number(const struct neap_slot *slot);

static double p50_of(const struct neap_slot *slot)
{
    return slot->p50_s;
}

static double p99_of(const struct neap_slot *slot)
{
    return slot->p99_s;
}

static double backlog_of(const struct neap_slot *slot)
{
    return neap_seconds_from_ns(slot->backlog_ns);
}

static void set_numbers(lua_State *L, const char *name, const struct neap_record *record,
                        slot_number *number)
{
    lua_createtable(L, (int)record->slot_count, 0);
    for (size_t i = 0; i < record->slot_count; i++) {
        lua_pushnumber(L, number(&record->slot[i]));
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, name);
}

/* The counter of that offset in each slot. */
static void set_counts(lua_State *L, const char *name, const struct neap_record *record,
                       size_t offset)
{
    lua_createtable(L, (int)record->slot_count, 0);
    for (size_t i = 0; i < record->slot_count; i++) {
        const char *slot = (const char *)&record->slot[i];
        lua_pushinteger(L, (lua_Integer) * (const uint32_t *)(const void *)(slot + offset));
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, name);
}

#define SLOT(member) offsetof(struct neap_slot, member)

static void set_endings(lua_State *L, const char *name, const struct neap_record *record, int first,
                        int end)
{
    lua_newtable(L);
    for (int i = first; i < end; i++)
        if (record->ending[i] > 0)
            set_counts(L, neap_ending_name(i), record,
                       SLOT(ending) + (size_t)i * sizeof record->slot[0].ending[0]);
    lua_setfield(L, -2, name);
}

static void push_slots(lua_State *L, const struct neap_record *record)
{
    static const struct {
        const char *name;
        size_t offset;
    } counts[] = {
        {"calls", SLOT(calls)},         {"attempts", SLOT(attempts)},   {"refused", SLOT(refused)},
        {"served", SLOT(served)},       {"in_flight", SLOT(in_flight)}, {"open", SLOT(open)},
        {"half_open", SLOT(half_open)},
    };
    lua_createtable(L, 0, 14);
    neap_set_count(L, "count", record->slot_count);
    neap_set_seconds(L, "width", record->slot_ns);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        set_counts(L, counts[i].name, record, counts[i].offset);
    set_numbers(L, "backlog", record, backlog_of);
    set_numbers(L, "p50", record, p50_of);
    set_numbers(L, "p99", record, p99_of);
    set_endings(L, "answers", record, NEAP_ENDING_SOURCE, NEAP_ENDING_ERROR);
    set_endings(L, "errors", record, NEAP_ENDING_ERROR, NEAP_ENDING_COUNT);
}

/* ---- altogether ---- */

static void set_sums(lua_State *L, const char *name, const struct neap_record *record, int first,
                     int end)
{
    lua_newtable(L);
    for (int i = first; i < end; i++)
        if (record->ending[i] > 0)
            neap_set_count(L, neap_ending_name(i), record->ending[i]);
    lua_setfield(L, -2, name);
}

void neap_push_simulation_record(lua_State *L, const struct neap_simulation *simulation)
{
    const struct neap_record *record = neap_simulation_record(simulation);
    const struct neap_counters *counters = neap_simulation_counters(simulation);
    lua_createtable(L, 0, 16);
    neap_set_count(L, "calls", record->calls);
    neap_set_count(L, "attempts", record->attempts);
    neap_set_count(L, "served", record->served);
    neap_set_count(L, "refused", record->refused);
    neap_set_count(L, "unfinished", neap_simulation_unfinished(simulation));
    neap_binding_set_counts(L, counters);
    set_sums(L, "answers", record, NEAP_ENDING_SOURCE, NEAP_ENDING_ERROR);
    set_sums(L, "errors", record, NEAP_ENDING_ERROR, NEAP_ENDING_COUNT);
    neap_binding_push_latency(L, &record->latency);
    lua_setfield(L, -2, "latency");
    neap_binding_push_latency(L, &counters->attempt_latency);
    lua_setfield(L, -2, "attempt_latency");
    push_slots(L, record);
    lua_setfield(L, -2, "slots");
}
