/* Which cells this process has pinned, and how often: a few in its hands, the others in an open
 * table by their places (linear probing; D. Knuth, The Art of Computer Programming, volume 3, 6.4,
 * algorithms L and R). It is as large as what is pinned at once, however many cells there are. */
#include "shared/region_places.h"

#define FIRST_SLOTS 16u

void neap_region_pins_init(struct neap_region_pins *pins, const struct neap_alloc *alloc)
{
    *pins = (struct neap_region_pins){.alloc = alloc};
}

void neap_region_pins_deinit(struct neap_region_pins *pins)
{
    neap_free(pins->alloc, pins->slot);
    neap_region_pins_init(pins, pins->alloc);
}

static uint32_t home_of(const struct neap_region_pins *pins, uint32_t link)
{
    return (uint32_t)(link * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (pins->slots - 1);
}

static uint32_t next_of(const struct neap_region_pins *pins, uint32_t slot)
{
    return (slot + 1) & (pins->slots - 1);
}

/* The slot of that link, or the free one where it belongs. */
static struct neap_region_pin *slot_for(const struct neap_region_pins *pins, uint32_t link)
{
    uint32_t i = home_of(pins, link);
    while (pins->slot[i].link != 0 && pins->slot[i].link != link)
        i = next_of(pins, i);
    return &pins->slot[i];
}

static void move_all(const struct neap_region_pins *from, const struct neap_region_pins *to)
{
    for (uint32_t i = 0; i < from->slots; i++)
        if (from->slot[i].link != 0)
            *slot_for(to, from->slot[i].link) = from->slot[i];
}

/* Never more than half full. */
bool neap_region_pins_reserve(struct neap_region_pins *pins)
{
    struct neap_region_pins larger = *pins;
    if (pins->taken < pins->slots / 2)
        return true;
    larger.slots = pins->slots > 0 ? pins->slots * 2 : FIRST_SLOTS;
    larger.slot = neap_alloc_array(pins->alloc, larger.slots, sizeof *larger.slot);
    if (!larger.slot)
        return false;
    move_all(pins, &larger);
    neap_free(pins->alloc, pins->slot);
    *pins = larger;
    return true;
}

struct neap_region_pin *neap_region_pins_in_table(const struct neap_region_pins *pins,
                                                  uint32_t link)
{
    struct neap_region_pin *pin = pins->taken > 0 && link != 0 ? slot_for(pins, link) : NULL;
    return pin && pin->link != 0 ? pin : NULL;
}

struct neap_region_pin *neap_region_pins_add(struct neap_region_pins *pins, uint32_t link)
{
    struct neap_region_pin *pin = slot_for(pins, link);
    *pin = (struct neap_region_pin){.link = link};
    pins->taken++;
    return pin;
}

/* What was put behind it for want of its place moves up. */
void neap_region_pins_remove(struct neap_region_pins *pins, struct neap_region_pin *pin)
{
    uint32_t mask = pins->slots - 1;
    uint32_t hole = (uint32_t)(pin - pins->slot);
    for (uint32_t i = next_of(pins, hole); pins->slot[i].link != 0; i = next_of(pins, i)) {
        uint32_t way = i - home_of(pins, pins->slot[i].link);
        if ((way & mask) < ((i - hole) & mask))
            continue;
        pins->slot[hole] = pins->slot[i];
        hole = i;
    }
    pins->slot[hole] = (struct neap_region_pin){.link = 0};
    pins->taken--;
}

struct neap_region_pin *neap_region_pins_next(struct neap_region_pins *pins, uint32_t *number)
{
    for (uint32_t i = *number; i < NEAP_REGION_HANDS + pins->slots; i++) {
        struct neap_region_pin *pin =
            i < NEAP_REGION_HANDS ? &pins->hand[i] : &pins->slot[i - NEAP_REGION_HANDS];
        *number = i + 1;
        if (pin->link != 0)
            return pin;
    }
    return NULL;
}
