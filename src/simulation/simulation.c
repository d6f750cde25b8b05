#include "simulation/simulation.h"

#include <string.h>

#include "base/duration.h"
#include "base/owner.h"
#include "simulation/simulated_call.h"

/* Each source of chance has a sequence of its own. */
#define SEED_OF_SERVER UINT64_C(0x5851F42D4C957F2D)
#define SEED_OF_DECISIONS UINT64_C(0x14057B7EF767814F)

/* ---- clients ---- */

static void set_client(struct neap_simulation *simulation, struct neap_simulated_client *client,
                       int64_t when_ns)
{
    if (when_ns >= simulation->setup.duration_ns)
        return;
    if (neap_heap_set(&simulation->heap, &client->happening.timer, when_ns) != NEAP_OK)
        simulation->out_of_memory = true;
}

/* Without a cache it does not matter, and costs no chance. */
static uint32_t choose_resource(struct neap_simulation *simulation)
{
    uint32_t resources = simulation->setup.resources;
    if (resources < 2)
        return 0;
    return (uint32_t)(neap_random_unit(&simulation->arrivals) * resources);
}

static void fire_client(struct neap_simulation *simulation, struct neap_happening *happening)
{
    struct neap_simulated_client *client =
        NEAP_OWNER(happening, struct neap_simulated_client, happening);
    int64_t next_ns =
        neap_arrivals_next(&simulation->setup.arrivals, &simulation->arrivals, simulation->now_ns);
    set_client(simulation, client, next_ns);
    neap_simulated_call_begin(simulation, client->instance, choose_resource(simulation), false);
}

static enum neap_status make_clients(struct neap_simulation *simulation)
{
    const struct neap_simulation_setup *setup = &simulation->setup;
    simulation->client = neap_alloc_array(setup->alloc, setup->clients, sizeof *simulation->client);
    if (!simulation->client || neap_heap_reserve(&simulation->heap, setup->clients) != NEAP_OK)
        return NEAP_NO_MEMORY;
    for (size_t i = 0; i < setup->clients; i++) {
        struct neap_simulated_client *client = &simulation->client[i];
        client->happening.fire = fire_client;
        client->instance = &simulation->instance[setup->shared ? 0 : i];
        set_client(simulation, client,
                   neap_arrivals_first(&setup->arrivals, &simulation->arrivals));
    }
    return NEAP_OK;
}

static bool keeps_answers(const struct neap_simulation_setup *setup)
{
    return setup->resources > 0 && (setup->caches || setup->pipeline->fallback_caches != 0);
}

static enum neap_status make_instances(struct neap_simulation *simulation)
{
    const struct neap_simulation_setup *setup = &simulation->setup;
    size_t count = setup->shared ? 1 : setup->clients;
    simulation->instance = neap_alloc_array(setup->alloc, count, sizeof *simulation->instance);
    if (!simulation->instance)
        return NEAP_NO_MEMORY;
    while (simulation->instance_count < count) {
        struct neap_instance *made = &simulation->instance[simulation->instance_count++];
        if (neap_instance_init(made, setup->alloc, setup->pipeline,
                               keeps_answers(setup) ? setup->resources : 0) != NEAP_OK)
            return NEAP_NO_MEMORY;
    }
    return NEAP_OK;
}

/* ---- life ---- */

static enum neap_status fill(struct neap_simulation *simulation)
{
    const struct neap_simulation_setup *setup = &simulation->setup;
    size_t slots = (size_t)((setup->duration_ns + setup->slot_ns - 1) / setup->slot_ns);
    enum neap_status status =
        neap_record_init(&simulation->record, setup->alloc, setup->slot_ns, slots);
    if (status == NEAP_OK)
        status = make_instances(simulation);
    if (status == NEAP_OK)
        status = make_clients(simulation);
    return status;
}

enum neap_status neap_simulation_new(const struct neap_simulation_setup *setup,
                                     struct neap_simulation **simulation)
{
    struct neap_simulation *made = neap_alloc_zeroed(setup->alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->setup = *setup;
    neap_heap_init(&made->heap, setup->alloc);
    neap_server_init(&made->server, &made->setup.server, setup->seed ^ SEED_OF_SERVER);
    neap_random_init(&made->arrivals, setup->seed);
    neap_random_init(&made->decisions, setup->seed ^ SEED_OF_DECISIONS);
    neap_counters_init(&made->counters);
    if (fill(made) != NEAP_OK) {
        neap_simulation_free(made);
        return NEAP_NO_MEMORY;
    }
    *simulation = made;
    return NEAP_OK;
}

void neap_simulation_free(struct neap_simulation *simulation)
{
    if (!simulation)
        return;
    const struct neap_alloc *alloc = simulation->setup.alloc;
    neap_simulated_calls_free(simulation);
    neap_heap_deinit(&simulation->heap);
    neap_free(alloc, simulation->client);
    for (size_t i = 0; i < simulation->instance_count; i++)
        neap_instance_deinit(&simulation->instance[i], alloc);
    neap_free(alloc, simulation->instance);
    if (simulation->record.alloc)
        neap_record_deinit(&simulation->record);
    neap_free(alloc, simulation);
}

/* ---- time ---- */

static void count_breakers(const struct neap_simulation *simulation, struct neap_slot *at_end)
{
    for (size_t i = 0; i < simulation->instance_count; i++) {
        const struct neap_breaker *breaker = simulation->instance[i].state.breaker;
        if (!breaker)
            return;
        enum neap_breaker_state state = neap_breaker_state(breaker);
        at_end->open += state == NEAP_BREAKER_OPEN;
        at_end->half_open += state == NEAP_BREAKER_HALF_OPEN;
    }
}

/* Each slot is closed before anything happens at its end, which belongs to the next one. */
static void close_slots(struct neap_simulation *simulation, int64_t until_ns)
{
    struct neap_record *record = &simulation->record;
    while (simulation->closed_slots < record->slot_count) {
        int64_t end_ns = (int64_t)(simulation->closed_slots + 1) * record->slot_ns;
        if (end_ns > until_ns)
            return;
        struct neap_slot at_end = {
            .in_flight = (uint32_t)atomic_load(&simulation->in_flight),
            .backlog_ns = neap_server_backlog(&simulation->server, end_ns),
        };
        count_breakers(simulation, &at_end);
        neap_record_close_slot(record, simulation->closed_slots++, &at_end);
    }
}

/* The next thing that happens until then; NULL if nothing does. */
static struct neap_happening *next_until(struct neap_simulation *simulation, int64_t until_ns)
{
    struct neap_timer *timer = neap_heap_first(&simulation->heap);
    if (!timer || timer->when_ns > until_ns)
        return NULL;
    simulation->now_ns = timer->when_ns;
    neap_heap_remove(&simulation->heap, timer);
    return NEAP_OWNER(timer, struct neap_happening, timer);
}

enum neap_status neap_simulation_run(struct neap_simulation *simulation, int64_t until_ns,
                                     enum neap_simulation_state *state)
{
    int64_t last_ns = neap_time_add(simulation->setup.duration_ns, NEAP_SIMULATION_DRAIN_NS);
    int64_t end_ns = neap_time_min(until_ns, last_ns);
    struct neap_happening *happening;
    while (!simulation->stopped && !simulation->out_of_memory &&
           (happening = next_until(simulation, end_ns))) {
        close_slots(simulation, simulation->now_ns);
        happening->fire(simulation, happening);
    }
    if (simulation->out_of_memory)
        return NEAP_NO_MEMORY;
    bool is_over = until_ns >= last_ns || !neap_heap_first(&simulation->heap);
    *state = simulation->stopped ? NEAP_SIMULATION_STOPPED
             : is_over           ? NEAP_SIMULATION_OVER
                                 : NEAP_SIMULATION_RUNNING;
    if (*state == NEAP_SIMULATION_OVER)
        close_slots(simulation, NEAP_NEVER);
    return NEAP_OK;
}

const struct neap_record *neap_simulation_record(const struct neap_simulation *simulation)
{
    return &simulation->record;
}

const struct neap_counters *neap_simulation_counters(const struct neap_simulation *simulation)
{
    return &simulation->counters;
}

uint64_t neap_simulation_unfinished(const struct neap_simulation *simulation)
{
    return (uint64_t)atomic_load(&simulation->in_flight);
}
