/* Cells of a region of the test's own, with a small policy for each kind. Whether permits are out
 * is seen by asking for more. */
#ifndef NEAP_SPEC_CLIENT_CELLS_FIXTURE_H
#define NEAP_SPEC_CLIENT_CELLS_FIXTURE_H

#include "shared/region_fixture.h"

#include "client/cells.h"
#include "metrics/alerts.h"
#include "policy/breaker.h"
#include "policy/bulkhead.h"
#include "policy/gate.h"
#include "policy/rate_limiter.h"
#include "policy/retry_budget.h"

/* Opens at the first failure, and lets one probe go a second later. */
static const struct neap_breaker_policy breaker_policy = {
    .window_count = 4,
    .min_calls = 1,
    .failure_rate = 0.5,
    .slow_call_ns = NEAP_NEVER,
    .slow_call_rate = 1,
    .open_base_s = 1,
    .open_factor = 1,
    .open_max_s = 1,
    .permits = 1,
    .lease_ns = 3600 * NEAP_SECOND,
};
static const struct neap_bulkhead_policy bulkhead_policy = {.max_concurrent = 2};
static const struct neap_rate_limiter_policy limiter_policy = {.interval_s = 1, .burst = 1};
static const struct neap_retry_budget_policy budget_policy = {
    .ratio = 0, .min_per_second = 1, .ttl_seconds = 5};
static const struct neap_gate_policy gate_policy = {.max_wait_ns = 0};
static const uint32_t board_holders = NEAP_HOLDER_MAX + 1;

static const struct neap_alert_policy alert_policy = {
    .window_ns = 60 * NEAP_SECOND, .min_calls = 1, .has = {[NEAP_ALERT_P99] = true}};

static const void *const policy_of[NEAP_CELL_KIND_COUNT] = {
    [NEAP_CELL_BREAKER] = &breaker_policy,
    [NEAP_CELL_LIMITER] = &limiter_policy,
    [NEAP_CELL_BULKHEAD] = &bulkhead_policy,
    [NEAP_CELL_BUDGET] = &budget_policy,
    [NEAP_CELL_GATE] = NULL,
    [NEAP_CELL_BOARD] = &board_holders,
    [NEAP_CELL_ALERTS] = &alert_policy,
};

static inline struct neap_cells cells_in(struct neap_region *in)
{
    return (struct neap_cells){.alloc = &memory.alloc, .region = in};
}

static inline void *cell_of(struct neap_region *in, enum neap_cell_kind kind)
{
    struct neap_cells cells = cells_in(in);
    return neap_cells_acquire(&cells, kind, "api", 3, policy_of[kind], now);
}

static inline void release_cell(struct neap_region *in, void *cell)
{
    struct neap_cells cells = cells_in(in);
    neap_cells_release(&cells, cell, now);
}

/* A place of the bulkhead; 0 where all are taken. */
static inline int64_t take_place(struct neap_bulkhead *bulkhead, uint32_t holder)
{
    return neap_bulkhead_acquire(bulkhead, &bulkhead_policy, holder, now).permit;
}

static inline int64_t ask_breaker(struct neap_breaker *breaker, uint32_t holder)
{
    struct neap_breaker_change change;
    return neap_breaker_acquire(breaker, &breaker_policy, holder, now, 0, &change).permit;
}

static inline void open_breaker(struct neap_breaker *breaker)
{
    int64_t permit = ask_breaker(breaker, 0);
    assert_true(permit > 0);
    (void)neap_breaker_record(breaker, &breaker_policy, permit, NEAP_VERDICT_FAILURE, 0, now, 0);
    assert_int_equal(neap_breaker_state(breaker), NEAP_BREAKER_OPEN);
}

/* Half open, and the one probe is out. */
static inline int64_t take_probe(struct neap_breaker *breaker, uint32_t holder)
{
    open_breaker(breaker);
    now += NEAP_SECOND;
    return ask_breaker(breaker, holder);
}

/* The duty is due again. */
static inline void reap_cells(struct neap_region *in)
{
    struct neap_cells cells = cells_in(in);
    now += NEAP_REAP_EVERY_NS;
    neap_cells_reap(&cells, now);
}

#endif
