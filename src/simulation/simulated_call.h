/* What the files of a simulation share among themselves: simulation.c moves the clock,
 * simulated_call.c drives one call, simulated_cache.c answers from what is stored. */
#ifndef NEAP_SIMULATION_SIMULATED_CALL_H
#define NEAP_SIMULATION_SIMULATED_CALL_H

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "simulation/instance.h"
#include "simulation/simulation.h"

/* Something that happens at a moment. */
struct neap_happening {
    struct neap_timer timer;
    void (*fire)(struct neap_simulation *simulation, struct neap_happening *happening);
};

/* What an attempt will come to, unless the call gives it up. */
struct neap_simulated_flight {
    uint32_t attempt; /* 0: the slot is free */
    int64_t due_ns;
    struct neap_reply reply;
};

struct neap_simulated_call {
    struct neap_happening happening;
    struct neap_call call;
    struct neap_instance *instance;
    struct neap_simulated_flight flight[NEAP_LIVE_MAX];
    uint32_t resource;
    bool is_refresh; /* in the background, for the cache: nobody waits for it */
    bool is_used, is_queued;
    struct neap_listed in_queue; /* while `is_queued` */
    struct neap_simulated_call *next_made, *next_free;
};

struct neap_simulated_client {
    struct neap_happening happening;
    struct neap_instance *instance;
};

struct neap_simulation {
    struct neap_simulation_setup setup;
    struct neap_heap heap;
    int64_t now_ns;
    struct neap_server server;
    struct neap_random arrivals, decisions; /* apart: two policies meet the same calls */
    struct neap_counters counters;
    _Atomic int32_t in_flight;
    struct neap_record record;
    size_t closed_slots;
    struct neap_instance *instance;
    size_t instance_count;
    struct neap_simulated_client *client;
    struct neap_simulated_call *made, *free; /* all calls, and those that are not in use */
    size_t made_count;
    bool out_of_memory, stopped;
};

/* Makes a call for one of the resources, or in the background refreshes what is stored of it. */
void neap_simulated_call_begin(struct neap_simulation *simulation, struct neap_instance *instance,
                               uint32_t resource, bool is_refresh);

/* Gives back what calls hold that have not ended, and their memory. */
void neap_simulated_calls_free(struct neap_simulation *simulation);

/* True where a stored answer is enough: then *event ends the call with it, and *refresh tells
 * whether it is to be refreshed. */
bool neap_simulated_cache_serve(const struct neap_simulation *simulation,
                                struct neap_instance *instance, uint32_t resource,
                                struct neap_event *event, bool *refresh);

/* May a stored answer stand in for a failure? */
struct neap_answer neap_simulated_cache_stand_in(const struct neap_simulation *simulation,
                                                 const struct neap_simulated_call *call,
                                                 const struct neap_effect *effect);

/* The call has ended: its answer is stored. */
void neap_simulated_cache_keep(const struct neap_simulation *simulation,
                               const struct neap_simulated_call *call);

#endif
