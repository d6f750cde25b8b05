/* What neap decides in memory that workers share, without Lua: nanoseconds a decision. A decision
 * is a breaker's, both halves of it: to admit a call and to record its result. The moment is passed
 * in, as the pipeline does it, so no clock is in it.
 *   one   a key that is pinned
 *   keys  each of 1000 keys in turn: found by its name, asked, let go of
 *   uuid  an idempotency key out of the pool of random bytes
 * With a CORE, another process decides there at the same time, on the one key.
 * Usage: decisions one|keys|uuid COUNT [CORE] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/duration.h"
#include "client/cells.h"
#include "platform/entropy.h"
#include "platform/memory.h"
#include "policy/breaker.h"
#include "policy/idempotency_key.h"
#include "result.h"
#include "rival.h"
#include "shared/region.h"

#define KEYS 1000
#define REGION_BYTES ((size_t)8 << 20)

static const struct neap_breaker_policy policy = {
    .window_count = 100,
    .min_calls = 10,
    .failure_rate = 0.5,
    .slow_call_ns = NEAP_NEVER,
    .slow_call_rate = 1,
    .open_base_s = 30,
    .open_factor = 1,
    .open_max_s = 300,
    .permits = 5,
    .lease_ns = 60 * NEAP_SECOND,
    .ramp_from = 0.1,
};

static struct neap_cells cells;
static uint32_t holder;
static int64_t now_ns;

static void decide(struct neap_breaker *breaker)
{
    struct neap_breaker_change change;
    now_ns += NEAP_MS;
    struct neap_admission admission =
        neap_breaker_acquire(breaker, &policy, holder, now_ns, 0, &change);
    if (admission.decision != NEAP_ADMIT)
        bench_fail("decisions: refused");
    neap_breaker_record(breaker, &policy, admission.permit, NEAP_VERDICT_SUCCESS, NEAP_MS, now_ns,
                        0);
}

static struct neap_breaker *pinned(const char *name)
{
    void *cell = neap_cells_acquire(&cells, NEAP_CELL_BREAKER, name, strlen(name), &policy, now_ns);
    if (!cell)
        bench_fail("decisions: no cell");
    return cell;
}

static void decide_for_one(long count)
{
    struct neap_breaker *breaker = pinned("bench");
    for (long i = 0; i < count; i++)
        decide(breaker);
    neap_cells_release(&cells, breaker, now_ns);
}

static void decide_for_keys(long count)
{
    static char names[KEYS][16];
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "key %d", i);
    for (long i = 0; i < count; i++) {
        struct neap_breaker *breaker = pinned(names[i % KEYS]);
        decide(breaker);
        neap_cells_release(&cells, breaker, now_ns);
    }
}

static void make_keys(long count)
{
    static struct neap_entropy_pool pool;
    uint8_t random[16];
    char key[NEAP_UUID_BYTES];
    neap_entropy_pool_init(&pool);
    for (long i = 0; i < count; i++) {
        if (neap_entropy_pool_take(&pool, random, sizeof random) != NEAP_OK)
            bench_fail("decisions: no random bytes");
        neap_uuid4_format(random, key);
    }
}

static const struct operation {
    const char *name;
    void (*repeat)(long count);
} operations[] = {
    {"one", decide_for_one},
    {"keys", decide_for_keys},
    {"uuid", make_keys},
};

static const struct operation *find(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    bench_fail("decisions: unknown operation '%s'", name);
}

static void decide_forever(void)
{
    neap_region_after_fork(cells.region);
    holder = neap_cells_holder(&cells);
    struct neap_breaker *breaker = pinned("bench");
    bench_rival_is_ready();
    for (;;)
        decide(breaker);
}

static void open_region(void)
{
    char name[NEAP_REGION_NAME_MAX], message[NEAP_MESSAGE_BYTES];
    snprintf(name, sizeof name, "bench-%ld", (long)getpid());
    cells.alloc = neap_platform_alloc();
    if (neap_region_open(cells.alloc, name, REGION_BYTES, &cells.region, message) != NEAP_OK)
        bench_fail("decisions: %s", message);
    /* It lives on while it is mapped, and is gone whatever happens to this program. */
    char path[sizeof name + 8];
    snprintf(path, sizeof path, "/neap-%s", name);
    shm_unlink(path);
    holder = neap_cells_holder(&cells);
}

int main(int count, char **words)
{
    if (count < 3)
        bench_fail("usage: decisions one|keys|uuid COUNT [CORE]");
    const struct operation *operation = find(words[1]);
    long repetitions = strtol(words[2], NULL, 10);
    open_region();
    pid_t rival = count > 3 ? bench_rival_start(strtoul(words[3], NULL, 10), decide_forever) : 0;
    operation->repeat(repetitions / 10);
    struct bench_begun begun = bench_begin();
    operation->repeat(repetitions);
    bench_print_operations("ns", begun, repetitions);
    if (rival > 0)
        bench_rival_stop(rival);
    neap_region_release(cells.region);
    return 0;
}
