/* Simulation: many clients, one model of a server, the real pipeline, and a clock that jumps from
 * event to event.
 *
 * Each call is a struct neap_call, stepped as a client's exchange steps it, so what is simulated is
 * what neap decides, not a description of it. What differs is at the edges: the server is a model
 * (server.h), and so is the cache (simulated_cache.c); connections cost nothing and the pool has no
 * end. Pure: the same setup gives the same record on every machine. One thread at a time. */
#ifndef NEAP_SIMULATION_SIMULATION_H
#define NEAP_SIMULATION_SIMULATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "pipeline/pipeline.h"
#include "policy/freshness.h"
#include "simulation/arrivals.h"
#include "simulation/record.h"
#include "simulation/server.h"

#define NEAP_SIMULATION_CLIENTS_MAX 1000000u
#define NEAP_SIMULATION_RESOURCES_MAX 1000000u

/* How long the calls that are under way at the end may take to end too. */
#define NEAP_SIMULATION_DRAIN_NS (INT64_C(3600) * NEAP_SECOND)

/* What an entry of the chain of fallbacks answers; it always does, but for the cache. */
struct neap_simulated_fallback {
    enum neap_source source;
    int status;
};

/* What a function of the policy says. False ends the simulation. `question` is that of the call's
 * judged attempt; `retry` the n of a backoff. *answer is that of a function which says nothing. */
typedef bool neap_simulation_ask(void *context, enum neap_question question, uint32_t retry,
                                 const struct neap_call *call, struct neap_answer *answer);

struct neap_simulation_setup {
    const struct neap_alloc *alloc;
    const struct neap_pipeline *pipeline; /* must outlive the simulation */
    struct neap_arrivals arrivals;        /* of each client */
    uint32_t clients;                     /* 1 to NEAP_SIMULATION_CLIENTS_MAX */
    bool shared;        /* all clients have one state of the policies; else each has its own */
    bool replayable;    /* the requests may be repeated */
    bool caches;        /* the policy has a cache, and the requests are of a kind that it keeps */
    uint32_t resources; /* each call asks for one of so many; for the cache alone */
    struct neap_cache_policy cache;
    struct neap_simulated_fallback fallback[NEAP_FALLBACK_MAX];
    int64_t duration_ns; /* calls begin before this */
    int64_t slot_ns;     /* of the record */
    uint64_t seed;
    struct neap_server_model server;
    neap_simulation_ask *ask; /* NULL: functions say nothing */
    void *ask_context;
};

enum neap_simulation_state {
    NEAP_SIMULATION_RUNNING,
    NEAP_SIMULATION_OVER,
    NEAP_SIMULATION_STOPPED /* by `ask` */
};

struct neap_simulation;

/* NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_simulation_new(const struct neap_simulation_setup *setup,
                                                     struct neap_simulation **simulation);
void neap_simulation_free(struct neap_simulation *simulation);

/* Goes on until that moment, or until all is over: calls may end after the duration.
 * NEAP_NO_MEMORY: it cannot go on. */
NEAP_MUST_CHECK enum neap_status neap_simulation_run(struct neap_simulation *simulation,
                                                     int64_t until_ns,
                                                     enum neap_simulation_state *state);

const struct neap_record *neap_simulation_record(const struct neap_simulation *simulation);

/* Retries, refusals, transitions and the attempts' latency, as a client counts them. */
const struct neap_counters *neap_simulation_counters(const struct neap_simulation *simulation);

/* Calls that had not ended when it was over. */
uint64_t neap_simulation_unfinished(const struct neap_simulation *simulation);

#endif
