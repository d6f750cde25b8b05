/* What a stranger writes into a region loses cells and nothing else. */
#include "shared/region_fixture.h"

/* Whoever gives back may touch what neap_region_cell_bytes says. */
static void reclaim_blindly(void *cell, const struct neap_cell_shape *of, uint32_t holder,
                            int64_t now_ns, void *context)
{
    (void)of, (void)now_ns;
    assert_in_range(holder, 1, NEAP_HOLDER_MAX);
    memset(cell, 0x5a, neap_region_cell_bytes(context, cell));
}

static void live_on(struct neap_region *in, unsigned rounds)
{
    void *kept[8] = {0};
    struct neap_region_stats seen;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t which = dice(8);
        neap_region_unpin(in, kept[which], now);
        now += (int64_t)dice(NEAP_SECOND);
        kept[which] = dice(4) ? pin_in(in, dice(600)) : find_in(in, dice(600));
        if (kept[which])
            memset(kept[which], 0, neap_region_cell_bytes(in, kept[which]));
        neap_region_pin_again(in, kept[which]);
        neap_region_unpin(in, kept[which], now);
        if (dice(20) == 0)
            (void)neap_region_reap(in, now, reclaim_blindly, in);
        neap_region_read(in, &seen);
        assert_true(seen.used_bytes <= seen.bytes);
    }
    neap_region_reclaim_own(in, now, reclaim_blindly, in);
    for (int i = 0; i < 8; i++)
        neap_region_unpin(in, kept[i], now);
}

static void damage(unsigned char *bytes, size_t count, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        bytes[dice(count)] ^= (unsigned char)(1u << dice(8));
}

static void live_with_damage(size_t from, size_t to, unsigned times, unsigned rounds)
{
    struct neap_region *other = NULL;
    (void)shm_unlink(path);
    region = join(SMALL);
    for (uint64_t key = 0; key < 500; key++)
        use(key);
    (void)!pin(3);
    damage((unsigned char *)region->header + from, to - from, times);
    live_on(region, rounds);
    if (neap_region_open(&memory.alloc, name, SMALL, &other, message) == NEAP_OK)
        live_on(other, rounds);
    damage((unsigned char *)region->header + from, to - from, times);
    live_on(region, rounds);
    neap_region_release(other);
    neap_region_release(region);
    region = NULL;
}

static void damage_to_the_header_crashes_nobody(void **state)
{
    (void)state;
    dice_seed = 11;
    for (unsigned round = 0; round < 60; round++)
        live_with_damage(0, offsetof(struct neap_region_header, process), 1 + round % 8, 40);
}

static void damage_to_the_table_of_processes_crashes_nobody(void **state)
{
    (void)state;
    dice_seed = 12;
    for (unsigned round = 0; round < 60; round++)
        live_with_damage(offsetof(struct neap_region_header, process),
                         sizeof(struct neap_region_header), 1 + round % 200, 200);
}

static void damage_to_the_tables_crashes_nobody(void **state)
{
    (void)state;
    dice_seed = 13;
    for (unsigned round = 0; round < 200; round++)
        live_with_damage(sizeof(struct neap_region_header), sizeof(struct neap_region_header) + 512,
                         1 + round % 100, 400);
}

static void damage_to_the_cells_crashes_nobody(void **state)
{
    (void)state;
    dice_seed = 14;
    for (unsigned round = 0; round < 200; round++)
        live_with_damage(sizeof(struct neap_region_header), SMALL, 1 + round * 5, 400);
}

static _Atomic uint32_t *next_of(struct counter *cell)
{
    return &neap_region_cell_of(region, cell)->next;
}

static void a_chain_bent_into_a_ring_ends(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    uint32_t own = neap_region_granule_of(region, neap_region_cell_of(region, cell)) + 1;
    for (uint32_t i = 0; i < region->bucket_count; i++)
        atomic_store(&region->bucket[i], own);
    atomic_store(next_of(cell), own);
    unpin(cell);
    for (uint64_t key = 2; key < 2000; key++) {
        struct counter *other = pin(key);
        if (other)
            unpin(other);
    }
}

static void links_that_lead_outside_end_the_chain(void **state)
{
    (void)state;
    begin();
    const uint32_t links[] = {UINT32_MAX, region->granule_count + 1, region->granule_count, 5};
    for (size_t k = 0; k < sizeof links / sizeof *links; k++) {
        for (uint32_t i = 0; i < region->bucket_count; i++)
            atomic_store(&region->bucket[i], links[k]);
        assert_false(is_there(k));
        use(k);
        assert_true(is_there(k));
    }
}

static void a_cell_that_claims_more_than_there_is_is_none(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    struct neap_region_cell *head = neap_region_cell_of(region, cell);
    uint32_t first = neap_region_granule_of(region, head);
    uint32_t most = (region->granule_count - first - 1) * NEAP_GRANULE_BYTES - 24;
    unpin(cell);
    atomic_store(&head->cell_bytes, most);
    assert_int_equal(neap_region_cell_bytes(region, cell), most);
    const uint32_t sizes[] = {most + 1, UINT32_MAX, UINT32_MAX - 24, UINT32_MAX / 2};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct neap_region *other = join(SMALL);
        atomic_store(&head->cell_bytes, sizes[i]);
        assert_int_equal(neap_region_cell_bytes(region, cell), 0);
        assert_null(find_in(other, 1));
        neap_region_release(other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(damage_to_the_header_crashes_nobody),
        SPEC(damage_to_the_table_of_processes_crashes_nobody),
        SPEC(damage_to_the_tables_crashes_nobody),
        SPEC(damage_to_the_cells_crashes_nobody),
        SPEC(a_chain_bent_into_a_ring_ends),
        SPEC(links_that_lead_outside_end_the_chain),
        SPEC(a_cell_that_claims_more_than_there_is_is_none),
    };
    return cmocka_run_group_tests_name("region, damaged", tests, NULL, NULL);
}
