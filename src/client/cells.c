#include "client/cells.h"

#include <stddef.h>
#include <string.h>

#include "base/holder.h"
#include "metrics/alerts.h"
#include "policy/breaker.h"
#include "policy/bulkhead.h"
#include "policy/gate.h"
#include "policy/rate_limiter.h"
#include "policy/retry_budget.h"

/* One kind of cell. A shape holds all of the policy that the layout depends on, so that `reclaim`
 * can do without the policy. NULL: nothing to do. */
struct kind {
    size_t (*measure)(const void *policy, uint32_t size[3]); /* the cell's bytes */
    void (*init)(void *cell, const void *policy);
    void (*reclaim)(void *cell, const uint32_t size[3], uint32_t holder);
    bool (*fits)(const uint32_t size[3], size_t bytes); /* where the policy is done without: the
                                                           shape may have been overwritten */
};

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

/* -------------------------------------------------------------------- limiter, gate, counters */

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

static const struct kind kinds[NEAP_CELL_KIND_COUNT] = {
    [NEAP_CELL_BREAKER] = {breaker_measure, breaker_init, breaker_reclaim, breaker_fits},
    [NEAP_CELL_LIMITER] = {limiter_measure, limiter_init, NULL, NULL},
    [NEAP_CELL_BULKHEAD] = {bulkhead_measure, bulkhead_init, bulkhead_reclaim, bulkhead_fits},
    [NEAP_CELL_BUDGET] = {budget_measure, budget_init, NULL, NULL},
    [NEAP_CELL_GATE] = {gate_measure, gate_init, NULL, NULL},
    [NEAP_CELL_BOARD] = {board_measure, board_init, board_reclaim, board_fits},
    [NEAP_CELL_ALERTS] = {alerts_measure, alerts_init, NULL, alerts_fit},
};

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

/* --------------------------------------------------------------------------------- the region */

/* In the region kinds count from 1: a cell of zeros is of none. The cell's bytes. */
static size_t measure(enum neap_cell_kind kind, const void *policy, struct neap_cell_shape *shape)
{
    *shape = (struct neap_cell_shape){.kind = (uint32_t)kind + 1};
    return kinds[kind].measure(policy, shape->size);
}

static void make(void *cell, const struct neap_cell_shape *shape, const void *policy)
{
    kinds[shape->kind - 1].init(cell, policy);
}

/* NULL where it is none of those that are known without a policy. */
static const struct kind *kind_of(const struct neap_cell_shape *shape, size_t bytes)
{
    bool is_known = shape->kind >= 1 && shape->kind <= NEAP_CELL_KIND_COUNT;
    const struct kind *kind = is_known ? &kinds[shape->kind - 1] : NULL;
    return kind && kind->fits && kind->fits(shape->size, bytes) ? kind : NULL;
}

static void reclaim(void *cell, const struct neap_cell_shape *shape, uint32_t holder,
                    int64_t now_ns, void *context)
{
    const struct neap_region *region = context;
    (void)now_ns;
    const struct kind *kind = kind_of(shape, neap_region_cell_bytes(region, cell));
    if (kind && kind->reclaim)
        kind->reclaim(cell, shape->size, holder);
}

/* ------------------------------------------------------------------------------ private memory */

/* In front of each private cell. */
union head {
    uint32_t holders; /* how many have it */
    max_align_t alignment;
};

static union head *head_of(void *cell)
{
    return (union head *)cell - 1;
}

static void *acquire_private(const struct neap_cells *cells, enum neap_cell_kind kind,
                             const void *policy)
{
    struct neap_cell_shape shape;
    union head *head = neap_alloc(cells->alloc, sizeof *head + measure(kind, policy, &shape));
    if (!head)
        return NULL;
    head->holders = 1;
    kinds[kind].init(head + 1, policy);
    return head + 1;
}

static void release_private(const struct neap_cells *cells, void *cell)
{
    if (--head_of(cell)->holders == 0)
        neap_free(cells->alloc, head_of(cell));
}

void *neap_cells_share(void *cell)
{
    head_of(cell)->holders++;
    return cell;
}

bool neap_cells_fit(enum neap_cell_kind kind, const void *policy, const void *other)
{
    struct neap_cell_shape shape, others;
    return measure(kind, policy, &shape) == measure(kind, other, &others) &&
           memcmp(&shape, &others, sizeof shape) == 0;
}

void *neap_cells_acquire(const struct neap_cells *cells, enum neap_cell_kind kind, const char *name,
                         size_t name_bytes, const void *policy, int64_t now_ns)
{
    if (!cells->region)
        return acquire_private(cells, kind, policy);
    struct neap_cell_shape shape;
    size_t cell_bytes = measure(kind, policy, &shape);
    return neap_region_pin(cells->region, name, name_bytes, &shape, cell_bytes, now_ns, make,
                           policy);
}

void *neap_cells_find(const struct neap_cells *cells, enum neap_cell_kind kind, const char *name,
                      size_t name_bytes, const void *policy, int64_t now_ns)
{
    if (!cells->region)
        return NULL;
    struct neap_cell_shape shape;
    size_t cell_bytes = measure(kind, policy, &shape);
    void *cell = neap_region_find(cells->region, name, name_bytes, &shape);
    if (!cell || neap_region_cell_bytes(cells->region, cell) == cell_bytes)
        return cell;
    neap_region_unpin(cells->region, cell, now_ns); /* overwritten by a stranger */
    return NULL;
}

struct search {
    struct neap_cell_shape shape;
    size_t cell_bytes;
    const char *prefix;
    size_t prefix_bytes;
    neap_cell_look *look;
    void *context;
};

static void look_if_wanted(const void *cell, size_t cell_bytes, const struct neap_cell_shape *shape,
                           const void *key, size_t key_bytes, void *context)
{
    const struct search *search = context;
    bool is_wanted =
        cell_bytes == search->cell_bytes && memcmp(shape, &search->shape, sizeof *shape) == 0 &&
        key_bytes >= search->prefix_bytes && memcmp(key, search->prefix, search->prefix_bytes) == 0;
    if (is_wanted)
        search->look(cell, (const char *)key + search->prefix_bytes,
                     key_bytes - search->prefix_bytes, search->context);
}

bool neap_cells_each(const struct neap_cells *cells, enum neap_cell_kind kind, const char *prefix,
                     size_t prefix_bytes, const void *policy, neap_cell_look *look, void *context)
{
    struct search search = {
        .prefix = prefix, .prefix_bytes = prefix_bytes, .look = look, .context = context};
    search.cell_bytes = measure(kind, policy, &search.shape);
    return !cells->region || neap_region_each(cells->region, look_if_wanted, &search);
}

struct survey {
    neap_cell_survey *survey;
    void *context;
};

static void survey_known(const void *cell, size_t cell_bytes, const struct neap_cell_shape *shape,
                         const void *key, size_t key_bytes, void *context)
{
    const struct survey *survey = context;
    if (kind_of(shape, cell_bytes))
        survey->survey((enum neap_cell_kind)(shape->kind - 1), cell, key, key_bytes,
                       survey->context);
}

bool neap_cells_survey(const struct neap_cells *cells, neap_cell_survey *survey, void *context)
{
    struct survey asked = {survey, context};
    return !cells->region || neap_region_each(cells->region, survey_known, &asked);
}

void neap_cells_release(const struct neap_cells *cells, void *cell, int64_t now_ns)
{
    if (!cell)
        return;
    if (cells->region)
        neap_region_unpin(cells->region, cell, now_ns);
    else
        release_private(cells, cell);
}

uint32_t neap_cells_holder(const struct neap_cells *cells)
{
    return cells->region ? neap_region_holder(cells->region) : NEAP_HOLDER_NONE;
}

void neap_cells_reap(const struct neap_cells *cells, int64_t now_ns)
{
    if (cells->region)
        neap_region_reap(cells->region, now_ns, reclaim, cells->region);
}
