/* Which granules of a region are in use, and where cells begin.
 *
 * The bitmap of those in use is searched from where the last search ended (next fit; D. Knuth, The
 * Art of Computer Programming, volume 1, 2.5). Runs that are free side by side are one run by
 * themselves. */
#include "shared/region_internal.h"

#define NONE UINT32_MAX

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- single words of 64 granules ---- */

static _Atomic uint64_t *word_of(const struct neap_region *region, uint32_t granule)
{
    return &region->in_use[granule / 64];
}

static bool is_in_use(const struct neap_region *region, uint32_t granule)
{
    return atomic_load_explicit(word_of(region, granule), memory_order_relaxed) >> granule % 64 & 1;
}

/* Bits of the word that holds `granule`, from it on, at most so many. */
static uint64_t mask_from(uint32_t granule, uint32_t granules, uint32_t *covered)
{
    *covered = least(granules, 64 - granule % 64);
    uint64_t ones = *covered < 64 ? (UINT64_C(1) << *covered) - 1 : UINT64_MAX;
    return ones << granule % 64;
}

/* How many of the next granules, at most `most`, are alike in being in use or free. */
static uint32_t alike_from(const struct neap_region *region, uint32_t granule, uint32_t most,
                           bool in_use)
{
    uint64_t word = atomic_load_explicit(word_of(region, granule), memory_order_relaxed);
    uint64_t differing = (in_use ? ~word : word) >> granule % 64;
    uint32_t count = differing != 0 ? (uint32_t)__builtin_ctzll(differing) : 64;
    return least(least(count, 64 - granule % 64), most);
}

/* ---- runs ---- */

static bool is_free(const struct neap_region *region, struct neap_region_run run)
{
    uint32_t covered;
    for (; run.granules > 0; run.first += covered, run.granules -= covered)
        if (atomic_load(word_of(region, run.first)) & mask_from(run.first, run.granules, &covered))
            return false;
    return true;
}

static void set_in_use(struct neap_region *region, struct neap_region_run run, bool in_use)
{
    uint32_t covered;
    for (; run.granules > 0; run.first += covered, run.granules -= covered) {
        _Atomic uint64_t *word = word_of(region, run.first);
        uint64_t mask = mask_from(run.first, run.granules, &covered);
        uint64_t others = atomic_load(word) & ~mask;
        atomic_store(word, in_use ? others | mask : others);
    }
}

/* The first free run of so many between two granules. */
static uint32_t find_run(const struct neap_region *region, uint32_t granules, uint32_t from,
                         uint32_t to)
{
    uint32_t length = 0;
    for (uint32_t at = from; at < to;) {
        uint32_t in_use = alike_from(region, at, to - at, true);
        if (in_use > 0)
            length = 0;
        at += in_use;
        uint32_t unused = at < to ? alike_from(region, at, to - at, false) : 0;
        at += unused;
        length += unused;
        if (length >= granules)
            return at - length;
    }
    return NONE;
}

static uint32_t search(const struct neap_region *region, uint32_t granules)
{
    uint32_t start = least(region->next_granule, region->granule_count);
    uint32_t first = find_run(region, granules, start, region->granule_count);
    if (first != NONE)
        return first;
    uint32_t end = least(region->granule_count - start, granules) + start;
    return find_run(region, granules, 0, end);
}

bool neap_region_take_run(struct neap_region *region, struct neap_region_run run)
{
    if (!is_free(region, run))
        return false;
    set_in_use(region, run, true);
    atomic_fetch_add(&region->header->used_granules, run.granules);
    region->next_granule = run.first + run.granules;
    return true;
}

/* Where a search found nothing, none is made for as much before something has been given back. */
bool neap_region_take_space(struct neap_region *region, uint32_t granules, uint32_t *first)
{
    if (granules >= atomic_load(&region->header->no_run_of))
        return false;
    uint32_t found = search(region, granules);
    if (found == NONE) {
        atomic_store(&region->header->no_run_of, granules);
        return false;
    }
    *first = found;
    return neap_region_take_run(region, (struct neap_region_run){found, granules});
}

static struct neap_region_run widen(const struct neap_region *region, struct neap_region_run run)
{
    uint32_t end = run.first + run.granules;
    while (run.first > 0 && !is_in_use(region, run.first - 1))
        run.first--;
    while (end < region->granule_count && !is_in_use(region, end))
        end++;
    run.granules = end - run.first;
    return run;
}

struct neap_region_run neap_region_give_run(struct neap_region *region, struct neap_region_run run)
{
    set_in_use(region, run, false);
    atomic_fetch_sub(&region->header->used_granules, run.granules);
    struct neap_region_run whole = widen(region, run);
    if (whole.granules >= atomic_load(&region->header->no_run_of))
        atomic_store(&region->header->no_run_of, whole.granules + 1);
    return whole;
}

bool neap_region_take_freed(struct neap_region *region, struct neap_region_run run,
                            uint32_t granules, uint32_t bound)
{
    uint32_t rest = run.granules - granules;
    if (!neap_region_take_run(region, (struct neap_region_run){run.first, granules}))
        return false;
    atomic_store(&region->header->no_run_of, rest < bound ? bound : rest + 1);
    return true;
}

void neap_region_clear_space(struct neap_region *region)
{
    for (uint32_t i = 0; i < region->granule_count; i += 64) {
        atomic_store(&region->in_use[i / 64], 0);
        atomic_store(&region->begins[i / 64], 0);
    }
    atomic_store(&region->header->used_granules, 0);
    atomic_store(&region->header->no_run_of, UINT32_MAX);
}

/* ---- where cells begin ---- */

void neap_region_set_begin(struct neap_region *region, uint32_t granule, bool begins)
{
    _Atomic uint64_t *word = &region->begins[granule / 64];
    uint64_t bit = UINT64_C(1) << granule % 64;
    uint64_t others = atomic_load(word) & ~bit;
    atomic_store(word, begins ? others | bit : others);
}

uint32_t neap_region_next_begin(const struct neap_region *region, uint32_t from)
{
    while (from < region->granule_count) {
        uint64_t word = atomic_load(&region->begins[from / 64]) >> from % 64;
        if (word != 0)
            return least(from + (uint32_t)__builtin_ctzll(word), region->granule_count);
        from = (from / 64 + 1) * 64;
    }
    return region->granule_count;
}
