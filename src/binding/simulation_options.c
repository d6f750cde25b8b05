#include "binding/simulation_options.h"

#include <math.h>
#include <string.h>

#include "base/duration.h"
#include "base/method.h"
#include "binding/fields.h"
#include "binding/option_message.h"
#include "binding/options.h"

#define TYPE(name) (1u << LUA_T##name)
#define YEAR_S 31536000

/* ---- incidents ---- */

/* One more than what can be read. */
enum { NO_INCIDENT = -1 };

struct incident_options {
    double lasts_s, retry_after_s; /* retry_after below 0: not given */
    int kind;                      /* enum neap_incident_kind */
    int outage_kind;
    int64_t from_ns, latency_ns;
    double share, limit;
};

#define INCIDENT(member) offsetof(struct incident_options, member)

static const struct neap_option_choice outages[] = {
    {"503", NEAP_OUTAGE_STATUS},
    {"refused", NEAP_OUTAGE_REFUSED},
    {"silence", NEAP_OUTAGE_SILENCE},
    {NULL, 0},
};

static bool read_outage(struct neap_option_reader *reader, void *target)
{
    static const struct neap_option row = {.kind = NEAP_OPTION_VALUE, .expected = "true"};
    (void)target;
    return lua_toboolean(reader->L, -1) || neap_option_fail_expected(reader, &row);
}

static const struct neap_option incident_rows[] = {
    {"outage", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(BOOLEAN), .expected = "true",
     .read = read_outage, .mark = INCIDENT(kind), .mark_value = NEAP_INCIDENT_OUTAGE},
    {"brownout", .kind = NEAP_OPTION_NUMBER, .offset = INCIDENT(share), .max = 1,
     .mark = INCIDENT(kind), .mark_value = NEAP_INCIDENT_BROWNOUT},
    {"slow", .kind = NEAP_OPTION_SECONDS, .offset = INCIDENT(latency_ns), .max = YEAR_S,
     .mark = INCIDENT(kind), .mark_value = NEAP_INCIDENT_SLOW},
    {"rate_limit", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE,
     .offset = INCIDENT(limit), .max = 1e9, .unit = "requests a second", .mark = INCIDENT(kind),
     .mark_value = NEAP_INCIDENT_RATE_LIMIT},
    {"from", .kind = NEAP_OPTION_SECONDS, .offset = INCIDENT(from_ns), .max = YEAR_S, .number = 0},
    {"lasts", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE, .offset = INCIDENT(lasts_s),
     .max = YEAR_S, .unit = "seconds", .number = YEAR_S},
    {"answer", .kind = NEAP_OPTION_CHOICE, .flags = NEAP_OPTION_BY_TEXT,
     .offset = INCIDENT(outage_kind), .choices = outages, .number = NEAP_OUTAGE_STATUS},
    {"retry_after", .kind = NEAP_OPTION_NUMBER, .offset = INCIDENT(retry_after_s), .max = YEAR_S,
     .unit = "seconds", .number = -1},
};
static const struct neap_option_table incident_table = NEAP_OPTION_ROWS(incident_rows);

static bool check_incident(struct neap_option_reader *reader, void *target)
{
    static const char *const kinds[] = {"outage", "brownout", "slow", "rate_limit"};
    const struct incident_options *read = target;
    int given = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        given += neap_has_field(reader->L, kinds[i]);
    if (given != 1)
        return neap_option_fail(reader,
                                "expected exactly one of outage, brownout, slow and rate_limit");
    if (neap_has_field(reader->L, "answer") && !neap_has_field(reader->L, "outage"))
        return neap_option_fail(reader, "expected answer only together with outage");
    bool is_silent = read->kind == NEAP_INCIDENT_SLOW || (read->kind == NEAP_INCIDENT_OUTAGE &&
                                                          read->outage_kind != NEAP_OUTAGE_STATUS);
    if (is_silent && neap_has_field(reader->L, "retry_after"))
        return neap_option_fail(reader, "expected retry_after only where the server answers 503 or "
                                        "429");
    return true;
}

static const struct neap_option incident_row = {
    .kind = NEAP_OPTION_TABLE, .table = &incident_table, .check = check_incident};

/* A limit that says nothing about coming back would be of no use to a gate: it says a second. */
static int64_t retry_after_of(const struct incident_options *read)
{
    if (read->retry_after_s >= 0)
        return neap_ns_from_seconds(read->retry_after_s);
    return read->kind == NEAP_INCIDENT_RATE_LIMIT ? NEAP_SECOND : -1;
}

static bool read_incident(struct neap_option_reader *reader, void *target)
{
    struct neap_server_model *server = target;
    struct incident_options read = {.kind = NO_INCIDENT};
    neap_options_defaults(reader->L, &incident_table, &read, NULL);
    if (!neap_option_read_row(reader, &incident_row, &read))
        return false;
    server->incident[server->incident_count++] = (struct neap_incident){
        .kind = (enum neap_incident_kind)read.kind,
        .from_ns = read.from_ns,
        .until_ns = neap_time_add(read.from_ns, neap_ns_from_seconds(read.lasts_s)),
        .amount = read.kind == NEAP_INCIDENT_BROWNOUT ? read.share : read.limit,
        .latency_ns = read.latency_ns,
        .outage = (enum neap_outage)read.outage_kind,
        .retry_after_ns = retry_after_of(&read),
    };
    return true;
}

static bool read_scenario(struct neap_option_reader *reader, void *target)
{
    struct neap_simulation_options *options = target;
    size_t count = lua_rawlen(reader->L, -1);
    if (count > NEAP_INCIDENT_MAX)
        return neap_option_fail(reader, "expected a list of at most %d entries, got %d",
                                (int)NEAP_INCIDENT_MAX, (int)count);
    return neap_option_read_list(reader, read_incident, &options->server);
}

/* ---- the whole ---- */

#define OPTION(member) offsetof(struct neap_simulation_options, member)

static const struct neap_option_choice arrivals[] = {
    {"random", NEAP_ARRIVAL_RANDOM},
    {"steady", NEAP_ARRIVAL_STEADY},
    {"together", NEAP_ARRIVAL_TOGETHER},
    {NULL, 0},
};

static const struct neap_option_choice methods[] = {
    {"GET", 0},    {"HEAD", 1},  {"OPTIONS", 2}, {"PUT", 3},
    {"DELETE", 4}, {"PATCH", 5}, {"POST", 6},    {NULL, 0},
};

static const struct neap_option rows[] = {
    {"clients", .kind = NEAP_OPTION_INTEGER, .offset = OPTION(clients), .min = 1,
     .max = NEAP_SIMULATION_CLIENTS_MAX, .number = 1000},
    {"rate", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE, .offset = OPTION(rate),
     .max = 1e6, .unit = "calls a second", .number = 1},
    {"arrival", .kind = NEAP_OPTION_CHOICE, .offset = OPTION(arrival), .choices = arrivals,
     .number = NEAP_ARRIVAL_RANDOM},
    {"duration", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = OPTION(duration_ns), .max = YEAR_S, .number = 600},
    {"resolution", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = OPTION(slot_ns), .max = YEAR_S, .number = 0},
    {"seed", .kind = NEAP_OPTION_INTEGER, .offset = OPTION(seed), .number = 1},
    {"shared", .kind = NEAP_OPTION_BOOLEAN, .offset = OPTION(shared)},
    {"method", .kind = NEAP_OPTION_CHOICE, .offset = OPTION(method), .choices = methods,
     .number = 0},
    {"replayable", .kind = NEAP_OPTION_BOOLEAN, .offset = OPTION(replayable)},
    {"resources", .kind = NEAP_OPTION_INTEGER, .offset = OPTION(resources), .min = 1,
     .max = NEAP_SIMULATION_RESOURCES_MAX, .number = 1},
    {"capacity", .kind = NEAP_OPTION_NUMBER, .flags = NEAP_OPTION_ABOVE,
     .offset = OPTION(server.capacity), .max = 1e9, .unit = "requests a second", .number = 0},
    {"queue", .kind = NEAP_OPTION_SECONDS, .offset = OPTION(server.queue_ns), .max = YEAR_S,
     .number = 10},
    {"latency", .kind = NEAP_OPTION_SECONDS, .offset = OPTION(server.latency_ns), .max = YEAR_S,
     .number = 0.1},
    {"spread", .kind = NEAP_OPTION_NUMBER, .offset = OPTION(server.spread), .max = 1,
     .number = 0.5},
    {"scenario", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE), .expected = "a list",
     .read = read_scenario},
};
static const struct neap_option_table table = NEAP_OPTION_ROWS(rows);

/* As many slots as make a fine chart, of a length that people can read: 1, 2 or 5 times a power of
 * ten, a millisecond at least. */
static int64_t slot_for(int64_t duration_ns)
{
    static const int64_t steps[] = {1, 2, 5};
    for (int64_t power_ns = NEAP_MS;; power_ns *= 10)
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
            if (duration_ns / (steps[i] * power_ns) <= 600)
                return steps[i] * power_ns;
}

static bool fail(lua_State *L, const char *message)
{
    lua_pushstring(L, message);
    return false;
}

bool neap_read_simulation_options(lua_State *L, int index, struct neap_simulation_options *options)
{
    memset(options, 0, sizeof *options);
    neap_options_defaults(L, &table, options, NULL);
    if (!lua_isnoneornil(L, index) &&
        !neap_options_read(L, index, "simulation", &table, options, NULL, 0))
        return false;
    if (options->slot_ns == 0)
        options->slot_ns = slot_for(options->duration_ns);
    if (options->duration_ns / options->slot_ns >= NEAP_SIMULATION_SLOT_MAX)
        return fail(L, "simulation.resolution: expected one that divides the duration into fewer "
                       "than 100000 parts");
    return true;
}

void neap_simulation_options_apply(const struct neap_simulation_options *options,
                                   const struct neap_client_policy *policy,
                                   struct neap_simulation_setup *setup)
{
    const char *method = methods[options->method].name;
    bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    *setup = (struct neap_simulation_setup){
        .alloc = policy->alloc,
        .pipeline = &policy->pipeline,
        .arrivals = {(enum neap_arrival)options->arrival, 1 / options->rate},
        .clients = options->clients,
        .shared = options->shared,
        .replayable = options->replayable || neap_method_is_idempotent(method) ||
                      neap_idempotency_wants_key(&policy->idempotency, method),
        .caches = policy->cache.enabled && is_read,
        .resources = is_read ? options->resources : 0,
        .cache = policy->cache.freshness,
        .duration_ns = options->duration_ns,
        .slot_ns = options->slot_ns,
        .seed = options->seed,
        .server = options->server,
    };
}

/* ---- what was read ---- */

static void set_number(lua_State *L, const char *name, double number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

static void push_incident(lua_State *L, const struct neap_incident *incident)
{
    static const char *const names[] = {
        [NEAP_INCIDENT_BROWNOUT] = "brownout",
        [NEAP_INCIDENT_RATE_LIMIT] = "rate_limit",
    };
    lua_createtable(L, 0, 5);
    neap_set_seconds(L, "from", incident->from_ns);
    neap_set_seconds(L, "lasts", neap_time_since(incident->until_ns, incident->from_ns));
    if (incident->retry_after_ns >= 0)
        neap_set_seconds(L, "retry_after", incident->retry_after_ns);
    switch (incident->kind) {
    case NEAP_INCIDENT_OUTAGE:
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "outage");
        neap_set_text(L, "answer", outages[incident->outage].name);
        break;
    case NEAP_INCIDENT_BROWNOUT:
    case NEAP_INCIDENT_RATE_LIMIT:
        set_number(L, names[incident->kind], incident->amount);
        break;
    case NEAP_INCIDENT_SLOW:
        neap_set_seconds(L, "slow", incident->latency_ns);
        break;
    }
}

static void push_scenario(lua_State *L, const struct neap_server_model *server)
{
    lua_createtable(L, (int)server->incident_count, 0);
    for (size_t i = 0; i < server->incident_count; i++) {
        push_incident(L, &server->incident[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

void neap_push_simulation_options(lua_State *L, const struct neap_simulation_options *options)
{
    const struct neap_server_model *server = &options->server;
    lua_createtable(L, 0, 16);
    neap_set_count(L, "clients", options->clients);
    neap_set_count(L, "seed", options->seed);
    neap_set_count(L, "resources", options->resources);
    set_number(L, "rate", options->rate);
    neap_set_text(L, "arrival", arrivals[options->arrival].name);
    neap_set_text(L, "method", methods[options->method].name);
    lua_pushboolean(L, options->shared);
    lua_setfield(L, -2, "shared");
    lua_pushboolean(L, options->replayable);
    lua_setfield(L, -2, "replayable");
    neap_set_seconds(L, "duration", options->duration_ns);
    neap_set_seconds(L, "resolution", options->slot_ns);
    if (server->capacity > 0)
        set_number(L, "capacity", server->capacity);
    neap_set_seconds(L, "queue", server->queue_ns);
    neap_set_seconds(L, "latency", server->latency_ns);
    set_number(L, "spread", server->spread);
    push_scenario(L, server);
    lua_setfield(L, -2, "scenario");
}
