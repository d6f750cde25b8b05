#include "client/cell_kinds.h"

#include "base/holder.h"
#include "metrics/alerts.h"
#include "policy/breaker.h"
#include "policy/bulkhead.h"
#include "policy/gate.h"
#include "policy/rate_limiter.h"
#include "policy/retry_budget.h"

/* ------------------------------------------------------------------------------------ breaker */

static size_t breaker_measure(const void *policy, uint32_t size[3])
{
    const struct neap_breaker_policy *breaker = policy;
    size[0] = breaker->window_count;
    size[1] = breaker->window_seconds;
    size[2] = breaker->permits;
    return neap_breaker_bytes(breaker);
}

static void breaker_init(void *cell, const void *policy)
{
    neap_breaker_init(cell, policy);
}

static struct neap_breaker_policy breaker_of(const uint32_t size[3])
{
    return (struct neap_breaker_policy){
        .window_count = size[0], .window_seconds = size[1], .permits = size[2]};
}

static bool breaker_fits(const uint32_t size[3], size_t bytes)
{
    const struct neap_breaker_policy policy = breaker_of(size);
    return size[2] <= NEAP_BREAKER_PERMITS_MAX && neap_breaker_bytes(&policy) == bytes;
}

static void breaker_reclaim(void *cell, const uint32_t size[3], uint32_t holder)
{
    const struct neap_breaker_policy policy = breaker_of(size);
    neap_breaker_reclaim(cell, &policy, holder);
}

/* ----------------------------------------------------------------------------------- bulkhead */

static size_t bulkhead_measure(const void *policy, uint32_t size[3])
{
    size[0] = ((const struct neap_bulkhead_policy *)policy)->max_concurrent;
    return neap_bulkhead_bytes(policy);
}

static void bulkhead_init(void *cell, const void *policy)
{
    neap_bulkhead_init(cell, policy);
}

static bool bulkhead_fits(const uint32_t size[3], size_t bytes)
{
    const struct neap_bulkhead_policy policy = {.max_concurrent = size[0]};
    return size[0] <= NEAP_BULKHEAD_MAX && neap_bulkhead_bytes(&policy) == bytes;
}

static void bulkhead_reclaim(void *cell, const uint32_t size[3], uint32_t holder)
{
    const struct neap_bulkhead_policy policy = {.max_concurrent = size[0]};
    neap_bulkhead_reclaim(cell, &policy, holder);
}

/* ------------------------------------------------------------------------------- retry budget */

static size_t budget_measure(const void *policy, uint32_t size[3])
{
    size[0] = ((const struct neap_retry_budget_policy *)policy)->ttl_seconds;
    return neap_retry_budget_bytes(policy);
}

static void budget_init(void *cell, const void *policy)
{
    neap_retry_budget_init(cell, policy);
}

/* ------------------------------------------------------------------------------------- alerts */

/* Windows of another length are other windows. */
static size_t alerts_measure(const void *policy, uint32_t size[3])
{
    const struct neap_alert_policy *alerts = policy;
    size[0] = (uint32_t)alerts->window_ns;
    size[1] = (uint32_t)(alerts->window_ns >> 32);
    size[2] = alerts->has[NEAP_ALERT_P99];
    return neap_alerts_bytes(alerts);
}

static void alerts_init(void *cell, const void *policy)
{
    neap_alerts_init(cell, policy);
}

static bool alerts_fit(const uint32_t size[3], size_t bytes)
{
    const struct neap_alert_policy policy = {.has[NEAP_ALERT_P99] = size[2] != 0};
    return neap_alerts_bytes(&policy) == bytes;
}

/* ------------------------------------------------------------------------------ limiter, gate */

static size_t limiter_measure(const void *policy, uint32_t size[3])
{
    (void)policy;
    (void)size;
    return sizeof(struct neap_rate_limiter);
}

static void limiter_init(void *cell, const void *policy)
{
    (void)policy;
    neap_rate_limiter_init(cell);
}

static size_t gate_measure(const void *policy, uint32_t size[3])
{
    (void)policy;
    (void)size;
    return sizeof(struct neap_gate);
}

static void gate_init(void *cell, const void *policy)
{
    (void)policy;
    neap_gate_init(cell);
}

/* -------------------------------------------------------------------------------------- board */

static size_t board_bytes(uint32_t holders)
{
    return sizeof(struct neap_board) + holders * sizeof(struct neap_holding);
}

static size_t board_measure(const void *policy, uint32_t size[3])
{
    size[0] = *(const uint32_t *)policy;
    return board_bytes(size[0]);
}

static void board_init(void *cell, const void *policy)
{
    struct neap_board *board = cell;
    neap_counters_init(&board->counters);
    atomic_init(&board->connections_opened, 0);
    atomic_init(&board->connections_reused, 0);
    atomic_init(&board->chaos_off, false);
    board->holders = *(const uint32_t *)policy;
    for (uint32_t holder = 0; holder < board->holders; holder++) {
        atomic_init(&board->holding[holder].in_flight, 0);
        atomic_init(&board->holding[holder].connections, 0);
    }
}

static bool board_fits(const uint32_t size[3], size_t bytes)
{
    return size[0] <= NEAP_HOLDER_MAX + 1 && board_bytes(size[0]) == bytes;
}

static void board_reclaim(void *cell, const uint32_t size[3], uint32_t holder)
{
    struct neap_board *board = cell;
    if (holder >= size[0])
        return;
    atomic_store(&board->holding[holder].in_flight, 0);
    atomic_store(&board->holding[holder].connections, 0);
}

/* A stranger may have written over the number of holders: no board has more than these. */
static uint32_t holders_of(const struct neap_board *board)
{
    return board->holders <= NEAP_HOLDER_MAX ? board->holders : NEAP_HOLDER_MAX + 1;
}

static uint64_t at_least_0(int64_t sum)
{
    return sum > 0 ? (uint64_t)sum : 0;
}

struct neap_board_sums neap_board_add_up(const struct neap_board *board)
{
    int64_t in_flight = 0, connections = 0;
    uint32_t holders = holders_of(board);
    for (uint32_t holder = 0; holder < holders; holder++) {
        const struct neap_holding *holding = &board->holding[holder];
        in_flight += atomic_load_explicit(&holding->in_flight, memory_order_relaxed);
        connections += atomic_load_explicit(&holding->connections, memory_order_relaxed);
    }
    return (struct neap_board_sums){at_least_0(in_flight), at_least_0(connections)};
}

/* ------------------------------------------------------------------------------------------ all */

const struct neap_cell_layout neap_cell_layouts[NEAP_CELL_KIND_COUNT] = {
    [NEAP_CELL_BREAKER] = {breaker_measure, breaker_init, breaker_reclaim, breaker_fits},
    [NEAP_CELL_LIMITER] = {limiter_measure, limiter_init, NULL, NULL},
    [NEAP_CELL_BULKHEAD] = {bulkhead_measure, bulkhead_init, bulkhead_reclaim, bulkhead_fits},
    [NEAP_CELL_BUDGET] = {budget_measure, budget_init, NULL, NULL},
    [NEAP_CELL_GATE] = {gate_measure, gate_init, NULL, NULL},
    [NEAP_CELL_BOARD] = {board_measure, board_init, board_reclaim, board_fits},
    [NEAP_CELL_ALERTS] = {alerts_measure, alerts_init, NULL, alerts_fit},
};
