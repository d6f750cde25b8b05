/* A shared region that a stranger writes into, at any place and between any two uses: nobody
 * crashes, nothing is touched outside of it, no holder's number is out of range, and what is pinned
 * can be written to. The lock's own bytes are left alone: what a mutex of the C library makes of
 * damage is not ours to promise. Numbers of processes and their start times lie in the region, so
 * that two runs from one seed go their ways after some thousand inputs.
 *
 * Short run: 4000. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/duration.h"
#include "fuzz/fuzz.h"
#include "platform/memory.h"
#include "shared/region_internal.h"

#define REGION_BYTES NEAP_REGION_BYTES_MIN
#define CELL_BYTES 64u
#define PINS 8u

static const struct neap_cell_shape shape = {.kind = 1, .size = {CELL_BYTES, 0, 0}};
static struct neap_region *region;
static void *pinned[PINS];
static int64_t now_ns;
static char name[NEAP_REGION_NAME_MAX + 1], path[NEAP_REGION_NAME_MAX + 16];

static void make_cell(void *cell, const struct neap_cell_shape *of, const void *context)
{
    (void)of;
    memcpy(cell, context, sizeof(uint64_t));
}

static void reclaim(void *cell, const struct neap_cell_shape *of, uint32_t holder, int64_t at_ns,
                    void *context)
{
    (void)of, (void)at_ns;
    promise(holder >= 1 && holder <= NEAP_HOLDER_MAX);
    memset(cell, 0x5a, neap_region_cell_bytes(context, cell));
}

static void look(const void *cell, size_t cell_bytes, const struct neap_cell_shape *of,
                 const void *key, size_t key_bytes, void *context)
{
    (void)of;
    uint64_t *sum = context;
    const unsigned char *bytes = cell, *key_text = key;
    for (size_t i = 0; i < cell_bytes; i++)
        *sum += bytes[i];
    for (size_t i = 0; i < key_bytes; i++)
        *sum += key_text[i];
}

static bool open_region(struct neap_region **opened)
{
    char message[NEAP_MESSAGE_BYTES];
    return neap_region_open(neap_platform_alloc(), name, REGION_BYTES, opened, message) == NEAP_OK;
}

static void *pin(uint64_t key)
{
    return neap_region_pin(region, &key, sizeof key, &shape, CELL_BYTES, now_ns, make_cell, &key);
}

static void *find(uint64_t key)
{
    return neap_region_find(region, &key, sizeof key, &shape);
}

static void keep(size_t place, void *cell)
{
    neap_region_unpin(region, pinned[place], now_ns);
    pinned[place] = cell;
    if (cell)
        memset(cell, 1, neap_region_cell_bytes(region, cell));
}

static void damage(struct fuzz_input *input)
{
    size_t at = (size_t)fuzz_number(input, 2) % REGION_BYTES;
    size_t lock = offsetof(struct neap_region_header, lock);
    if (at < lock || at >= lock + sizeof(struct neap_shared_lock))
        ((unsigned char *)region->header)[at] = fuzz_byte(input);
}

static void join_and_leave(void)
{
    struct neap_region *other;
    uint64_t key = 3;
    if (!open_region(&other))
        return;
    void *cell = neap_region_find(other, &key, sizeof key, &shape);
    neap_region_unpin(other, cell, now_ns);
    neap_region_release(other);
}

static void check_all(void)
{
    struct neap_region_stats seen;
    uint64_t sum = 0;
    neap_region_read(region, &seen);
    promise(seen.used_bytes <= seen.bytes);
    (void)!neap_region_each(region, look, &sum);
}

static void use(struct fuzz_input *input)
{
    uint8_t draw = fuzz_byte(input);
    switch (draw % 8) {
    case 0:
    case 1:
        damage(input);
        break;
    case 2:
        keep(draw / 8 % PINS, pin(fuzz_byte(input)));
        break;
    case 3:
        keep(draw / 8 % PINS, find(fuzz_byte(input)));
        break;
    case 4:
        keep(draw / 8 % PINS, NULL);
        break;
    case 5:
        now_ns += NEAP_REAP_EVERY_NS;
        (void)neap_region_reap(region, now_ns, reclaim, region);
        break;
    case 6:
        join_and_leave();
        break;
    case 7:
        check_all();
        break;
    }
}

/* Commands of a byte, with what they need behind them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    (void)snprintf(name, sizeof name, "fuzz-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "/neap-%s", name);
    (void)shm_unlink(path);
    now_ns = 1000 * NEAP_SECOND;
    memset(pinned, 0, sizeof pinned);
    promise(open_region(&region));
    region->header->seed = region->seed = (struct neap_hash_seed){{1, 2}}; /* the same each time */
    for (uint64_t key = 0; key < 30; key++)
        neap_region_unpin(region, pin(key), now_ns);
    for (int steps = 0; steps < 200 && fuzz_left(&input) > 0; steps++)
        use(&input);
    neap_region_reclaim_own(region, now_ns, reclaim, region);
    for (size_t i = 0; i < PINS; i++)
        neap_region_unpin(region, pinned[i], now_ns);
    neap_region_release(region);
    (void)shm_unlink(path);
    return 0;
}
