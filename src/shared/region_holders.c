/* The table of the processes attached to a region: who pins what, and who has died. */
#include <string.h>

#include "base/duration.h"
#include "platform/process.h"
#include "shared/region_places.h"

static uint64_t bit_of(uint32_t holder)
{
    return UINT64_C(1) << holder % 64;
}

static bool is_attached(const struct neap_region_process *entry)
{
    return atomic_load(&entry->state) == NEAP_PROCESS_ATTACHED;
}

/* ---- pins ---- */

static _Atomic uint32_t *shared_hand(const struct neap_region *region, uint32_t hand)
{
    return &neap_region_entry_of(region, region->holder)->hand[hand];
}

static _Atomic uint64_t *shared_bits(const struct neap_region *region, uint32_t link)
{
    return &neap_region_cell_at(region, link - 1)->holders[region->holder / 64];
}

static struct neap_region_pin *hold(struct neap_region *region, uint32_t link)
{
    struct neap_region_pins *pins = &region->pins;
    uint32_t free_hands = ~pins->full_hands & NEAP_REGION_ALL_HANDS;
    if (free_hands == 0) {
        atomic_fetch_or(shared_bits(region, link), bit_of(region->holder));
        return neap_region_pins_add(pins, link);
    }
    uint32_t hand = (uint32_t)__builtin_ctz(free_hands);
    pins->full_hands |= 1u << hand;
    atomic_store_explicit(shared_hand(region, hand), link, memory_order_release);
    pins->hand[hand] = (struct neap_region_pin){.link = link};
    return &pins->hand[hand];
}

struct neap_region_pin *neap_region_grasp(struct neap_region *region, uint32_t granule)
{
    struct neap_region_pin *pin = neap_region_pin_of(&region->pins, granule + 1);
    if (!pin)
        pin = hold(region, granule + 1);
    pin->count++;
    return pin;
}

/* By their numbers: pointers into different objects do not compare. */
static bool is_in_hand(const struct neap_region_pins *pins, const struct neap_region_pin *pin)
{
    return (uintptr_t)pin - (uintptr_t)pins->hand < sizeof pins->hand;
}

static void give_up(const struct neap_region *region, const struct neap_region_pin *pin)
{
    if (is_in_hand(&region->pins, pin))
        atomic_store_explicit(shared_hand(region, (uint32_t)(pin - region->pins.hand)), 0,
                              memory_order_release);
    else
        atomic_fetch_and(shared_bits(region, pin->link), ~bit_of(region->holder));
}

void neap_region_drop(struct neap_region *region, struct neap_region_pin *pin)
{
    struct neap_region_pins *pins = &region->pins;
    give_up(region, pin);
    if (is_in_hand(pins, pin)) {
        pins->full_hands &= ~(1u << (pin - pins->hand));
        pin->link = 0;
    } else {
        neap_region_pins_remove(pins, pin);
    }
}

void neap_region_drop_all(struct neap_region *region)
{
    const struct neap_region_pin *pin;
    for (uint32_t number = 0; (pin = neap_region_pins_next(&region->pins, &number)) != NULL;)
        give_up(region, pin);
    neap_region_pins_deinit(&region->pins);
}

bool neap_region_is_pinned(const struct neap_region_cell *cell)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < NEAP_HOLDER_WORDS; i++)
        bits |= atomic_load(&cell->holders[i]);
    return bits != 0;
}

/* In this order: a hand closes before `touching` is taken back. */
static bool is_touched_by(const struct neap_region_process *entry, uint32_t link)
{
    if (atomic_load(&entry->touching) == link)
        return true;
    for (uint32_t i = 0; i < NEAP_REGION_HANDS; i++)
        if (atomic_load(&entry->hand[i]) == link)
            return true;
    return false;
}

static bool is_touched(const struct neap_region *region, uint32_t granule)
{
    for (uint32_t holder = 1; holder <= NEAP_HOLDER_MAX; holder++)
        if (is_touched_by(neap_region_entry_of(region, holder), granule + 1))
            return true;
    return false;
}

/* In this order: whoever touches a cell sets his bit before he takes his hand away. */
bool neap_region_is_held(const struct neap_region *region, const struct neap_region_place *place)
{
    return is_touched(region, place->granule) || neap_region_is_pinned(place->cell);
}

/* ---- coming and going ---- */

static void empty_hands(struct neap_region_process *entry)
{
    atomic_store(&entry->touching, 0);
    for (uint32_t i = 0; i < NEAP_REGION_HANDS; i++)
        atomic_store(&entry->hand[i], 0);
}

static void attach(struct neap_region_process *entry, const struct neap_process *process)
{
    atomic_store(&entry->pid, process->pid);
    atomic_store(&entry->start, process->start);
    atomic_store(&entry->pid_namespace, process->pid_namespace);
    empty_hands(entry);
    atomic_store(&entry->state, NEAP_PROCESS_ATTACHED);
}

static uint32_t claim(struct neap_region *region, const struct neap_process *self)
{
    for (uint32_t holder = 1; holder <= NEAP_HOLDER_MAX; holder++)
        if (!is_attached(neap_region_entry_of(region, holder))) {
            attach(neap_region_entry_of(region, holder), self);
            return holder;
        }
    return 0;
}

uint32_t neap_region_holder(struct neap_region *region)
{
    if (region->holder > 0)
        return region->holder;
    struct neap_process self = neap_process_self();
    if (neap_region_lock(region)) {
        region->holder = claim(region, &self);
        neap_region_unlock(region);
    }
    return region->holder;
}

void neap_region_leave(struct neap_region *region)
{
    if (region->holder > 0)
        atomic_store(&neap_region_entry_of(region, region->holder)->state, NEAP_PROCESS_FREE);
    region->holder = 0;
}

/* ---- the dead ---- */

/* Entries of processes that have died, as they were when that was found out. */
struct dead {
    uint32_t count;
    uint64_t bits[NEAP_HOLDER_WORDS];
    struct neap_process process[NEAP_HOLDER_MAX + 1];
};

static struct neap_process process_of(const struct neap_region_process *entry)
{
    return (struct neap_process){atomic_load(&entry->pid), atomic_load(&entry->start),
                                 atomic_load(&entry->pid_namespace)};
}

static void find_dead(const struct neap_region *region, struct dead *dead)
{
    for (uint32_t holder = 1; holder <= NEAP_HOLDER_MAX; holder++) {
        const struct neap_region_process *entry = neap_region_entry_of(region, holder);
        if (holder == region->holder || !is_attached(entry))
            continue;
        dead->process[holder] = process_of(entry);
        if (neap_process_lives(&dead->process[holder]))
            continue;
        dead->bits[holder / 64] |= bit_of(holder);
        dead->count++;
    }
}

static bool is_dead(const struct dead *dead, uint32_t holder)
{
    return (dead->bits[holder / 64] & bit_of(holder)) != 0;
}

/* Before the lock was had, another one may have done the duty, and the number be somebody else's.
 */
static void drop_changed(const struct neap_region *region, struct dead *dead)
{
    for (uint32_t holder = 1; holder <= NEAP_HOLDER_MAX; holder++) {
        const struct neap_region_process *entry = neap_region_entry_of(region, holder);
        struct neap_process now = process_of(entry);
        const struct neap_process *then = &dead->process[holder];
        bool is_same = is_attached(entry) && now.pid == then->pid && now.start == then->start &&
                       now.pid_namespace == then->pid_namespace;
        if (!is_dead(dead, holder) || is_same)
            continue;
        dead->bits[holder / 64] &= ~bit_of(holder);
        dead->count--;
    }
}

static void reclaim_of(const struct neap_region_place *place, uint32_t holder, int64_t now_ns,
                       neap_cell_reclaim *reclaim, void *context)
{
    struct neap_cell_shape shape;
    unsigned char *memory = neap_region_memory(place->cell);
    memcpy(&shape, memory + place->cell_bytes, sizeof shape);
    reclaim(memory, &shape, holder, now_ns, context);
}

/* A bit is cleared after what it stands for has been given back: who dies in between leaves it to
 * the next one. */
static void give_back(const struct neap_region_place *place, const struct dead *dead,
                      int64_t now_ns, neap_cell_reclaim *reclaim, void *context)
{
    struct neap_region_cell *cell = place->cell;
    for (uint32_t i = 0; i < NEAP_HOLDER_WORDS; i++) {
        uint64_t bits = atomic_load(&cell->holders[i]) & dead->bits[i];
        if (bits == 0)
            continue;
        for (uint64_t left = bits; left != 0; left &= left - 1)
            reclaim_of(place, i * 64 + (uint32_t)__builtin_ctzll(left), now_ns, reclaim, context);
        neap_region_use(cell, now_ns);
        atomic_fetch_and(&cell->holders[i], ~bits);
    }
}

static void give_back_from_hands(const struct neap_region *region, uint32_t holder, int64_t now_ns,
                                 neap_cell_reclaim *reclaim, void *context)
{
    struct neap_region_place place;
    for (uint32_t i = 0; i < NEAP_REGION_HANDS; i++) {
        uint32_t link = atomic_load(&neap_region_entry_of(region, holder)->hand[i]);
        if (link == 0 || !neap_region_place_at(region, link - 1, &place) ||
            !neap_region_begins(region, link - 1))
            continue;
        reclaim_of(&place, holder, now_ns, reclaim, context);
        neap_region_use(place.cell, now_ns);
    }
}

static void bury(struct neap_region *region, const struct dead *dead, int64_t now_ns,
                 neap_cell_reclaim *reclaim, void *context)
{
    uint32_t from = 0;
    struct neap_region_place place;
    while (neap_region_walk(region, &from, &place))
        give_back(&place, dead, now_ns, reclaim, context);
    for (uint32_t holder = 1; holder <= NEAP_HOLDER_MAX; holder++)
        if (is_dead(dead, holder)) {
            give_back_from_hands(region, holder, now_ns, reclaim, context);
            empty_hands(neap_region_entry_of(region, holder));
            atomic_store(&neap_region_entry_of(region, holder)->state, NEAP_PROCESS_FREE);
        }
}

/* One process has the duty at a time. A moment too far ahead is one that nobody set by a clock that
 * agrees with ours. */
static bool is_due(struct neap_region *region, int64_t now_ns)
{
    int64_t due_ns = atomic_load(&region->header->next_reap_ns);
    int64_t left_ns = neap_time_since(due_ns, now_ns);
    if (left_ns > 0 && left_ns <= NEAP_REAP_EVERY_NS)
        return false;
    return atomic_compare_exchange_strong(&region->header->next_reap_ns, &due_ns,
                                          neap_time_add(now_ns, NEAP_REAP_EVERY_NS));
}

uint32_t neap_region_reap(struct neap_region *region, int64_t now_ns, neap_cell_reclaim *reclaim,
                          void *context)
{
    struct dead dead = {0};
    if (!is_due(region, now_ns))
        return 0;
    find_dead(region, &dead);
    if (dead.count == 0 || !neap_region_lock(region))
        return 0;
    drop_changed(region, &dead);
    if (dead.count > 0)
        bury(region, &dead, now_ns, reclaim, context);
    neap_region_unlock(region);
    return dead.count;
}

void neap_region_reclaim_own(struct neap_region *region, int64_t now_ns, neap_cell_reclaim *reclaim,
                             void *context)
{
    struct neap_region_place place;
    struct neap_region_pin *pin;
    uint32_t number = 0;
    if (region->holder == 0 || !neap_region_lock(region))
        return;
    while ((pin = neap_region_pins_next(&region->pins, &number)) != NULL)
        if (neap_region_place_at(region, pin->link - 1, &place))
            reclaim_of(&place, region->holder, now_ns, reclaim, context);
    neap_region_unlock(region);
}
