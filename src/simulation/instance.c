#include "simulation/instance.h"

#include <string.h>

#include "base/holder.h"

static void init_cells(struct neap_instance *instance)
{
    neap_gate_init(&instance->gate_origin);
    neap_gate_init(&instance->gate_credential);
    neap_rate_limiter_init(&instance->limiter);
    instance->state = (struct neap_pipeline_state){.gate_origin = &instance->gate_origin,
                                                   .gate_credential = &instance->gate_credential,
                                                   .limiter = &instance->limiter,
                                                   .bulkhead_waiting = &instance->bulkhead_waiting,
                                                   .holder = NEAP_HOLDER_NONE};
}

static size_t rounded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* Breaker, bulkhead and budget follow each other in one block, which begins with the breaker. */
static enum neap_status make_block(struct neap_instance *instance, const struct neap_alloc *alloc,
                                   const struct neap_pipeline *pipeline)
{
    size_t breaker_bytes = pipeline->has_breaker ? neap_breaker_bytes(&pipeline->breaker) : 0;
    size_t bulkhead_bytes = pipeline->has_bulkhead ? neap_bulkhead_bytes(&pipeline->bulkhead) : 0;
    size_t budget_bytes = pipeline->has_budget ? neap_retry_budget_bytes(&pipeline->budget) : 0;
    char *block = neap_alloc_zeroed(alloc, rounded(breaker_bytes) + rounded(bulkhead_bytes) +
                                               rounded(budget_bytes) + 8);
    if (!block)
        return NEAP_NO_MEMORY;
    instance->block = block;
    if (pipeline->has_breaker) {
        instance->state.breaker = (struct neap_breaker *)(void *)block;
        neap_breaker_init(instance->state.breaker, &pipeline->breaker);
    }
    block += rounded(breaker_bytes);
    if (pipeline->has_bulkhead) {
        instance->state.bulkhead = (struct neap_bulkhead *)(void *)block;
        neap_bulkhead_init(instance->state.bulkhead, &pipeline->bulkhead);
    }
    block += rounded(bulkhead_bytes);
    if (pipeline->has_budget) {
        instance->state.budget = (struct neap_retry_budget *)(void *)block;
        neap_retry_budget_init(instance->state.budget, &pipeline->budget);
    }
    return NEAP_OK;
}

enum neap_status neap_instance_init(struct neap_instance *instance, const struct neap_alloc *alloc,
                                    const struct neap_pipeline *pipeline, uint32_t resources)
{
    memset(instance, 0, sizeof *instance);
    init_cells(instance);
    if (resources > 0) {
        instance->stored = neap_alloc_array(alloc, resources, sizeof *instance->stored);
        if (!instance->stored)
            return NEAP_NO_MEMORY;
        for (uint32_t i = 0; i < resources; i++)
            instance->stored[i].at_ns = -1;
    }
    return make_block(instance, alloc, pipeline);
}

void neap_instance_deinit(struct neap_instance *instance, const struct neap_alloc *alloc)
{
    neap_free(alloc, instance->block);
    neap_free(alloc, instance->stored);
    instance->block = NULL;
    instance->stored = NULL;
}
