#include "binding/stats_tables.h"

#include "base/kind.h"
#include "binding/fields.h"
#include "policy/breaker.h"

/* Only what has happened stands in the table. */
static void push_counts(lua_State *L, const _Atomic uint64_t *counter, int count,
                        const char *(*name)(int))
{
    lua_newtable(L);
    for (int i = 0; i < count; i++) {
        uint64_t value = atomic_load_explicit(&counter[i], memory_order_relaxed);
        if (value > 0 && name(i))
            neap_set_count(L, name(i), value);
    }
}

static const char *kind_name(int kind)
{
    return neap_kind_name((enum neap_kind)kind);
}

static const char *phase_name(int phase)
{
    return neap_phase_name((enum neap_phase)phase);
}

static const char *reason_name(int reason)
{
    return neap_retry_reason_name((enum neap_retry_reason)reason);
}

static const char *source_name(int source)
{
    return neap_source_name((enum neap_source)source);
}

static const char *cache_event_name(int event)
{
    return neap_cache_event_name((enum neap_cache_event)event);
}

static const char *shadow_name(int shadow)
{
    return neap_shadow_name((enum neap_shadow)shadow);
}

static const char *failed_name(int failed)
{
    return neap_failed_status_name((enum neap_failed_status)failed);
}

static const char *state_name(int state)
{
    return neap_breaker_state_name((enum neap_breaker_state)state);
}

void neap_binding_push_latency(lua_State *L, const struct neap_histogram *histogram)
{
    struct neap_histogram_snapshot snapshot;
    neap_histogram_read(histogram, &snapshot);
    const struct {
        const char *name;
        double value;
    } fields[] = {
        {"mean", snapshot.mean_s}, {"p50", snapshot.p50_s}, {"p90", snapshot.p90_s},
        {"p95", snapshot.p95_s},   {"p99", snapshot.p99_s}, {"max", snapshot.max_s},
    };
    lua_createtable(L, 0, 7);
    neap_set_count(L, "count", snapshot.count);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        lua_pushnumber(L, fields[i].value);
        lua_setfield(L, -2, fields[i].name);
    }
}

static void push_list(lua_State *L, const struct neap_history_point *points, bool failures)
{
    lua_createtable(L, NEAP_HISTORY_SLOTS, 0);
    for (int i = 0; i < (int)NEAP_HISTORY_SLOTS; i++) {
        lua_pushinteger(L, (lua_Integer)(failures ? points[i].failures : points[i].calls));
        lua_rawseti(L, -2, i + 1);
    }
}

static void push_history(lua_State *L, const struct neap_history *history, int64_t now_ns)
{
    struct neap_history_point points[NEAP_HISTORY_SLOTS];
    neap_history_read(history, now_ns, points);
    lua_createtable(L, 0, 3);
    neap_set_count(L, "seconds", NEAP_HISTORY_SLOT_SECONDS);
    push_list(L, points, false);
    lua_setfield(L, -2, "calls");
    push_list(L, points, true);
    lua_setfield(L, -2, "failures");
}

static void push_numbers(lua_State *L, const struct neap_board *board)
{
    const struct neap_counters *counters = &board->counters;
    neap_set_count(L, "calls", atomic_load(&counters->calls));
    neap_set_count(L, "ok", atomic_load(&counters->ok));
    neap_set_count(L, "attempts", atomic_load(&counters->attempts));
    neap_set_count(L, "chaos", atomic_load(&counters->chaos));
    neap_set_count(L, "abandoned", atomic_load(&counters->abandoned));
    neap_set_count(L, "coalesced", atomic_load(&counters->coalesced));
    neap_set_count(L, "listener_errors", atomic_load(&counters->listener_errors));
    neap_set_count(L, "in_flight", neap_board_add_up(board).in_flight);
}

void neap_binding_set_counts(lua_State *L, const struct neap_counters *counters)
{
    const struct {
        const char *field;
        const _Atomic uint64_t *counter;
        int count;
        const char *(*name_of)(int);
    } tables[] = {
        {"failed", counters->failed, NEAP_FAILED_STATUS_COUNT, failed_name},
        {"errors", counters->errors, NEAP_KIND_COUNT, kind_name},
        {"retries", counters->retries, NEAP_RETRY_REASON_COUNT, reason_name},
        {"timeouts", counters->timeouts, NEAP_PHASE_COUNT, phase_name},
        {"rejections", counters->rejections, NEAP_KIND_COUNT, kind_name},
        {"shadow_rejections", counters->shadow_rejections, NEAP_SHADOW_COUNT, shadow_name},
        {"shadow_waits", counters->shadow_waits, NEAP_SHADOW_COUNT, shadow_name},
        {"fallbacks", counters->fallbacks, NEAP_SOURCE_COUNT, source_name},
        {"cache", counters->cache, NEAP_CACHE_EVENT_COUNT, cache_event_name},
        {"transitions", counters->transitions, NEAP_COUNTED_STATES, state_name},
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        push_counts(L, tables[i].counter, tables[i].count, tables[i].name_of);
        lua_setfield(L, -2, tables[i].field);
    }
}

void neap_binding_push_board(lua_State *L, const struct neap_board *board, int64_t now_ns)
{
    const struct neap_counters *counters = &board->counters;
    lua_createtable(L, 0, 20);
    push_numbers(L, board);
    neap_binding_set_counts(L, counters);
    neap_binding_push_latency(L, &counters->latency);
    lua_setfield(L, -2, "latency");
    neap_binding_push_latency(L, &counters->attempt_latency);
    lua_setfield(L, -2, "attempt_latency");
    push_history(L, &counters->history, now_ns);
    lua_setfield(L, -2, "history");
}

/* What the threshold is of an alert that fires was told when it began. */
void neap_binding_push_firing(lua_State *L, enum neap_alert alert, int64_t since_ns, double value)
{
    lua_createtable(L, 0, 3);
    neap_set_text(L, "alert", neap_alert_name(alert));
    neap_set_seconds(L, "since", since_ns);
    lua_pushnumber(L, value);
    lua_setfield(L, -2, "value");
}
