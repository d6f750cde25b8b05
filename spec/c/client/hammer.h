/* Hammers one breaker, limiter and bulkhead, and keeps books beside them, each worker its own.
 *
 * A worker may be killed at any moment. So it notes a place after it has taken it and strikes it
 * off before it gives it back: the books may say less than there is, never more. A count it notes
 * twice, before and after: the truth lies between. What a killed worker has noted as held is struck
 * off before anybody gives it back in its name. */
#ifndef NEAP_SPEC_CLIENT_HAMMER_H
#define NEAP_SPEC_CLIENT_HAMMER_H

#include <stdatomic.h>

#include "client/cells_fixture.h"
#include "platform/clock.h"
#include "policy/slices.h"

#define WORKERS 2
#define PLACES 3u
#define HAMMER_NS (2 * NEAP_SECOND)
#define RESULTS_MAX                                                                                \
    (NEAP_SLICE_MAX / WORKERS / 2) /* of a worker: more would not fit in a second                  \
                                    */

struct books {
    _Atomic uint32_t inside, probing; /* held now */
    _Atomic uint64_t begun, done;     /* results */
    _Atomic uint64_t failures_begun, failures_done;
    _Atomic uint64_t admitted, probes, refused;
    _Atomic uint64_t violations;
};

/* Never opens, and forgets nothing while it is hammered. */
static const struct neap_breaker_policy counting_policy = {
    .window_seconds = 60,
    .min_calls = UINT32_MAX,
    .failure_rate = 1,
    .slow_call_ns = NEAP_NEVER,
    .slow_call_rate = 1,
    .open_base_s = 1,
    .open_factor = 1,
    .open_max_s = 1,
    .permits = 1,
    .lease_ns = NEAP_SECOND,
};

/* Once it is open every call that goes is a probe, the only one at that time, and fails. */
static const struct neap_breaker_policy probing_policy = {
    .window_count = 4,
    .min_calls = 1,
    .failure_rate = 0.5,
    .slow_call_ns = NEAP_NEVER,
    .slow_call_rate = 1,
    .open_base_s = 1e-4,
    .open_factor = 1,
    .open_max_s = 1e-4,
    .permits = 1,
    .lease_ns = 3600 * NEAP_SECOND,
};

static const struct neap_bulkhead_policy places_policy = {.max_concurrent = PLACES};
static const struct neap_rate_limiter_policy rate_policy = {.interval_s = 1e-3, .burst = 20};

struct anvil {
    struct neap_breaker *counting, *probing;
    struct neap_rate_limiter *limiter;
    struct neap_bulkhead *bulkhead;
    uint32_t holder;
};

static inline void *anvil_cell(const struct neap_cells *cells, enum neap_cell_kind kind,
                               const char *called, const void *policy)
{
    return neap_cells_acquire(cells, kind, called, strlen(called), policy,
                              neap_clock_monotonic_ns());
}

/* False where a cell is lacking. */
static inline bool take_anvil(const struct neap_cells *cells, struct anvil *anvil)
{
    anvil->counting = anvil_cell(cells, NEAP_CELL_BREAKER, "anvil", &counting_policy);
    anvil->probing = anvil_cell(cells, NEAP_CELL_BREAKER, "anvil", &probing_policy);
    anvil->limiter = anvil_cell(cells, NEAP_CELL_LIMITER, "anvil", NULL);
    anvil->bulkhead = anvil_cell(cells, NEAP_CELL_BULKHEAD, "anvil", &places_policy);
    anvil->holder = neap_cells_holder(cells);
    return anvil->counting && anvil->probing && anvil->limiter && anvil->bulkhead;
}

static inline void drop_anvil(const struct neap_cells *cells, const struct anvil *anvil)
{
    void *const all[] = {anvil->counting, anvil->probing, anvil->limiter, anvil->bulkhead};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        neap_cells_release(cells, all[i], neap_clock_monotonic_ns());
}

static inline void start_probing(const struct anvil *anvil)
{
    struct neap_breaker_change change;
    int64_t now_ns = neap_clock_monotonic_ns();
    struct neap_admission answer =
        neap_breaker_acquire(anvil->probing, &probing_policy, anvil->holder, now_ns, 0, &change);
    (void)neap_breaker_record(anvil->probing, &probing_policy, answer.permit, NEAP_VERDICT_FAILURE,
                              0, now_ns, 0);
    assert_int_equal(neap_breaker_state(anvil->probing), NEAP_BREAKER_OPEN);
}

static inline void note(_Atomic uint64_t *count, bool happened)
{
    if (happened)
        atomic_fetch_add(count, 1);
}

static inline uint32_t sum_of(struct books *books, bool inside)
{
    uint32_t sum = 0;
    for (int i = 0; i < WORKERS; i++)
        sum += atomic_load(inside ? &books[i].inside : &books[i].probing);
    return sum;
}

/* As many places as there are, all held at once. */
static inline void hammer_bulkhead(const struct anvil *anvil, struct books *books,
                                   struct books *own)
{
    int64_t permit[PLACES + 1];
    int count = 0;
    while (count <= (int)PLACES) {
        permit[count] =
            neap_bulkhead_acquire(anvil->bulkhead, &places_policy, anvil->holder, 0).permit;
        if (permit[count] == 0)
            break;
        count++;
        atomic_fetch_add(&own->inside, 1);
        note(&own->violations, sum_of(books, true) > PLACES);
    }
    note(&own->refused, count <= (int)PLACES);
    while (count > 0) {
        atomic_fetch_sub(&own->inside, 1);
        note(&own->violations,
             !neap_bulkhead_release(anvil->bulkhead, &places_policy, permit[--count]));
    }
}

static inline void hammer_limiter(const struct anvil *anvil, struct books *own)
{
    struct neap_admission answer =
        neap_rate_limiter_acquire(anvil->limiter, &rate_policy, 1, 0, neap_clock_monotonic_ns());
    note(&own->admitted, answer.decision == NEAP_ADMIT);
}

static inline void hammer_counting(const struct anvil *anvil, struct books *own, bool fails)
{
    struct neap_breaker_change change;
    int64_t now_ns = neap_clock_monotonic_ns();
    if (atomic_load(&own->begun) >= RESULTS_MAX)
        return;
    int64_t permit =
        neap_breaker_acquire(anvil->counting, &counting_policy, anvil->holder, now_ns, 0, &change)
            .permit;
    note(&own->violations, permit == 0);
    note(&own->failures_begun, fails);
    note(&own->begun, true);
    (void)neap_breaker_record(anvil->counting, &counting_policy, permit,
                              fails ? NEAP_VERDICT_FAILURE : NEAP_VERDICT_SUCCESS, 0, now_ns, 0);
    note(&own->done, true);
    note(&own->failures_done, fails);
}

static inline void hammer_probing(const struct anvil *anvil, struct books *books, struct books *own)
{
    struct neap_breaker_change change;
    int64_t now_ns = neap_clock_monotonic_ns();
    int64_t permit =
        neap_breaker_acquire(anvil->probing, &probing_policy, anvil->holder, now_ns, 0, &change)
            .permit;
    if (permit == 0)
        return;
    atomic_fetch_add(&own->probing, 1);
    note(&own->violations, sum_of(books, false) > 1);
    atomic_fetch_sub(&own->probing, 1);
    (void)neap_breaker_record(anvil->probing, &probing_policy, permit, NEAP_VERDICT_FAILURE, 0,
                              now_ns, 0);
    note(&own->probes, true);
}

static inline void hammer_once(const struct anvil *anvil, struct books *books, int worker,
                               uint64_t round)
{
    struct books *own = &books[worker];
    hammer_bulkhead(anvil, books, own);
    hammer_limiter(anvil, own);
    if (round % 8 == 0)
        hammer_counting(anvil, own, round % 24 == 0);
    hammer_probing(anvil, books, own);
}

static inline uint64_t total(struct books *books, size_t offset)
{
    uint64_t sum = 0;
    for (int i = 0; i < WORKERS; i++)
        sum += atomic_load((_Atomic uint64_t *)(void *)((char *)&books[i] + offset));
    return sum;
}
#define TOTAL(books, field) total(books, offsetof(struct books, field))

/* In so much time never more than rate and burst allow; and a good part of it where somebody asked
 * as often as a busy machine let him. */
static inline void check_limiter(struct books *books, int64_t elapsed_ns, bool asked_always)
{
    double most = rate_policy.burst + (double)elapsed_ns / 1e9 / rate_policy.interval_s;
    double admitted = (double)TOTAL(books, admitted);
    assert_true(admitted <= most);
    if (asked_always)
        assert_true(admitted >= most / 20);
}

static inline void check_counts(const struct anvil *anvil, struct books *books)
{
    struct neap_breaker_snapshot seen;
    neap_breaker_read(anvil->counting, &counting_policy, neap_clock_monotonic_ns(), &seen);
    assert_in_range(seen.calls, TOTAL(books, done), TOTAL(books, begun));
    assert_in_range(seen.failures, TOTAL(books, failures_done), TOTAL(books, failures_begun));
}

static inline bool probe_goes(const struct anvil *anvil, int64_t now_ns)
{
    struct neap_breaker_change change;
    return neap_breaker_acquire(anvil->probing, &probing_policy, 0, now_ns, 0, &change).decision ==
           NEAP_ADMIT;
}

/* Nobody lives any more who holds anything, and all was given back. Who was killed after the result
 * of his probe was counted, and before it was acted upon, leaves that to the first who asks, who
 * then has to wait. */
static inline void check_nothing_is_out(const struct anvil *anvil)
{
    int64_t later_ns = neap_clock_monotonic_ns() + NEAP_SECOND;
    assert_int_equal(neap_bulkhead_in_use(anvil->bulkhead, &places_policy), 0);
    for (uint32_t i = 0; i < PLACES; i++)
        assert_true(neap_bulkhead_acquire(anvil->bulkhead, &places_policy, 0, 0).permit > 0);
    assert_int_equal(neap_bulkhead_acquire(anvil->bulkhead, &places_policy, 0, 0).permit, 0);
    assert_true(probe_goes(anvil, later_ns) || probe_goes(anvil, later_ns + NEAP_SECOND));
}

#endif
