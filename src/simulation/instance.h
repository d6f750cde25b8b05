/* Instance: the state of a policy in one simulated process: breaker, gates, limiter, bulkhead,
 * budget, and what its cache holds. Plain memory; the order of the calls that wait for a place in
 * the bulkhead is the simulation's matter, their list begins here. */
#ifndef NEAP_SIMULATION_INSTANCE_H
#define NEAP_SIMULATION_INSTANCE_H

#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/list.h"
#include "base/status.h"
#include "pipeline/pipeline.h"

struct neap_simulated_call;

/* What the cache holds of one resource. */
struct neap_stored {
    int64_t at_ns;            /* when the answer was stored; below 0: there is none */
    int64_t refresh_after_ns; /* not refreshed in the background before; NEAP_NEVER: it is being */
};

struct neap_instance {
    struct neap_gate gate_origin, gate_credential;
    struct neap_rate_limiter limiter;
    uint32_t bulkhead_waiting;
    struct neap_pipeline_state state; /* points into this struct and into `block` */
    void *block;                      /* owned: breaker, bulkhead and budget */
    struct neap_stored *stored;       /* owned; NULL: there is no cache */
    struct neap_list queue;           /* of simulated calls, by in_queue */
};

/* `resources` 0: there is no cache. The struct must not move afterwards. NEAP_NO_MEMORY; to be
 * released after a failure too. */
NEAP_MUST_CHECK enum neap_status neap_instance_init(struct neap_instance *instance,
                                                    const struct neap_alloc *alloc,
                                                    const struct neap_pipeline *pipeline,
                                                    uint32_t resources);
void neap_instance_deinit(struct neap_instance *instance, const struct neap_alloc *alloc);

#endif
