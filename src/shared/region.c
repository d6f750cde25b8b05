#include "shared/region.h"

#include <string.h>

#include "platform/process.h"
#include "shared/region_places.h"

/* ---- the object ---- */

bool neap_region_is_name(const char *name, size_t bytes)
{
    return bytes > 0 && bytes <= NEAP_REGION_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               bytes;
}

static void free_object(struct neap_region *region)
{
    neap_region_unmap(region);
    neap_region_pins_deinit(&region->pins);
    neap_free(region->alloc, region->candidates.one);
    neap_free(region->alloc, region);
}

static enum neap_status fill_object(struct neap_region *region, const char *name, size_t bytes,
                                    char message[NEAP_MESSAGE_BYTES])
{
    memcpy(region->name, name, strlen(name) + 1);
    region->references = 1;
    region->process = neap_process_id();
    neap_region_pins_init(&region->pins, region->alloc);
    return neap_region_map(region, bytes, message);
}

enum neap_status neap_region_open(const struct neap_alloc *alloc, const char *name, size_t bytes,
                                  struct neap_region **region, char message[NEAP_MESSAGE_BYTES])
{
    if (!neap_region_is_name(name, strlen(name)) || bytes < NEAP_REGION_BYTES_MIN ||
        bytes > NEAP_REGION_BYTES_MAX)
        return NEAP_INVALID;
    struct neap_region *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->alloc = alloc;
    enum neap_status status = fill_object(made, name, bytes, message);
    if (status == NEAP_OK)
        *region = made;
    else
        free_object(made);
    return status;
}

struct neap_region *neap_region_hold(struct neap_region *region)
{
    region->references++;
    return region;
}

static struct neap_region_cell *cell_of_pin(const struct neap_region *region,
                                            const struct neap_region_pin *pin)
{
    return neap_region_cell_at(region, pin->link - 1);
}

void neap_region_release(struct neap_region *region)
{
    if (!region || --region->references > 0)
        return;
    neap_region_after_fork(region);
    neap_region_drop_all(region);
    neap_region_leave(region);
    free_object(region);
}

const char *neap_region_name(const struct neap_region *region)
{
    return region->name;
}

void neap_region_after_fork(struct neap_region *region)
{
    int64_t process = neap_process_id();
    if (region->process == process)
        return;
    region->process = process;
    region->holder = 0;
    neap_region_pins_deinit(&region->pins);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void neap_region_read(struct neap_region *region, struct neap_region_stats *stats)
{
    const struct neap_region_header *header = region->header;
    size_t used = least(atomic_load(&header->used_granules), region->granule_count);
    *stats = (struct neap_region_stats){
        .bytes = region->bytes,
        .used_bytes = region->bytes - (region->granule_count - used) * NEAP_GRANULE_BYTES,
        .cells = atomic_load(&header->cells),
        .evicted = atomic_load(&header->evicted),
        .refused = atomic_load(&header->refused),
    };
    for (uint32_t i = 1; i <= NEAP_HOLDER_MAX; i++)
        stats->processes += atomic_load(&header->process[i].state) == NEAP_PROCESS_ATTACHED;
}

size_t neap_region_cell_bytes(const struct neap_region *region, const void *cell)
{
    const struct neap_region_cell *head = neap_region_cell_of(region, cell);
    struct neap_region_place place;
    if (!head || !neap_region_place_at(region, neap_region_granule_of(region, head), &place))
        return 0;
    return place.cell_bytes;
}

/* ---- pins ---- */

/* Strangers may choose keys, and not shapes: these need not be mixed in well. */
static uint32_t hash_of(const struct neap_region *region, const void *key, size_t key_bytes,
                        const struct neap_cell_shape *shape)
{
    return (uint32_t)neap_hash_name(&region->seed, key, key_bytes) + shape->kind;
}

/* A number, and room for one more pin. */
static bool can_pin(struct neap_region *region)
{
    if (region->holder == 0 && neap_region_holder(region) == 0)
        return false;
    return region->pins.full_hands != NEAP_REGION_ALL_HANDS ||
           neap_region_pins_reserve(&region->pins);
}

/* What every way to a pin needs; false where one of it is lacking. */
static bool prepare(struct neap_region *region, const void *key, size_t key_bytes,
                    const struct neap_cell_shape *shape, uint64_t cell_bytes,
                    struct neap_region_wanted *wanted)
{
    if (key_bytes > UINT32_MAX - sizeof *shape || !can_pin(region))
        return false;
    *wanted = (struct neap_region_wanted){
        .shape = shape,
        .key = key_bytes > 0 ? key : "",
        .key_bytes = (uint32_t)key_bytes,
        .cell_bytes = cell_bytes,
        .hash = hash_of(region, key, key_bytes, shape),
    };
    return true;
}

/* What makes a cell, beside who it is. */
struct recipe {
    neap_cell_make *make;
    const void *context;
    int64_t now_ns;
};

static void lay_out(struct neap_region *region, const struct neap_region_wanted *wanted,
                    const struct recipe *recipe, const struct neap_region_place *place)
{
    struct neap_region_cell *cell = place->cell;
    unsigned char *memory = neap_region_memory(cell);
    unsigned char *name = memory + place->cell_bytes;
    memset(cell, 0, (size_t)place->granules * NEAP_GRANULE_BYTES);
    recipe->make(memory, wanted->shape, recipe->context);
    memcpy(name, wanted->shape, sizeof *wanted->shape);
    memcpy(name + sizeof *wanted->shape, wanted->key, wanted->key_bytes);
    atomic_store(&cell->hash, wanted->hash);
    atomic_store(&cell->cell_bytes, place->cell_bytes);
    atomic_store(&cell->name_bytes, place->name_bytes);
    atomic_store(&cell->used_ns, recipe->now_ns);
    atomic_store(&cell->serial, neap_region_new_serial(region));
}

static bool make_cell(struct neap_region *region, const struct neap_region_wanted *wanted,
                      const struct recipe *recipe, struct neap_region_place *place)
{
    uint32_t granule = 0;
    uint32_t name_bytes = (uint32_t)sizeof *wanted->shape + wanted->key_bytes;
    uint32_t granules = neap_region_granules_for(wanted->cell_bytes, name_bytes);
    if (granules > region->granule_count || (!neap_region_take_space(region, granules, &granule) &&
                                             !neap_region_make_room(region, granules, &granule))) {
        atomic_fetch_add(&region->header->refused, 1);
        return false;
    }
    unsigned char *at = region->granule + (size_t)granule * NEAP_GRANULE_BYTES;
    *place = (struct neap_region_place){(void *)at, granule, granules, (uint32_t)wanted->cell_bytes,
                                        name_bytes};
    lay_out(region, wanted, recipe, place);
    neap_region_publish(region, place->cell);
    return true;
}

/* Of another size than its shape says, and in use here: it cannot be made anew. */
static bool is_in_the_way(struct neap_region *region, const struct neap_region_wanted *wanted)
{
    struct neap_region_wanted any = *wanted;
    struct neap_region_place place;
    any.cell_bytes = NEAP_ANY_BYTES;
    return neap_region_lookup(region, &any, &place) &&
           neap_region_pin_of(&region->pins, place.granule + 1) != NULL;
}

/* Without a recipe none is made. */
static struct neap_region_pin *look_or_make(struct neap_region *region,
                                            const struct neap_region_wanted *wanted,
                                            const struct recipe *recipe)
{
    struct neap_region_place place;
    struct neap_region_pin *pin = NULL;
    if (!neap_region_lock(region))
        return NULL;
    if (neap_region_lookup(region, wanted, &place) ||
        (recipe && !is_in_the_way(region, wanted) && make_cell(region, wanted, recipe, &place)))
        pin = neap_region_grasp(region, place.granule);
    neap_region_unlock(region);
    return pin;
}

/* Between the first use and the last unpin the cell's time stands still: while it is pinned, nobody
 * asks for it. */
static void note_use(const struct neap_region *region, struct neap_region_pin *pin, int64_t now_ns)
{
    if (!pin->is_used)
        neap_region_use(cell_of_pin(region, pin), now_ns);
    pin->is_used = true;
}

void *neap_region_pin(struct neap_region *region, const void *key, size_t key_bytes,
                      const struct neap_cell_shape *shape, size_t cell_bytes, int64_t now_ns,
                      neap_cell_make *make, const void *context)
{
    struct neap_region_wanted wanted;
    struct recipe recipe = {make, context, now_ns};
    if (cell_bytes > UINT32_MAX || !prepare(region, key, key_bytes, shape, cell_bytes, &wanted))
        return NULL;
    struct neap_region_pin *pin = neap_region_seek(region, &wanted);
    if (!pin)
        pin = look_or_make(region, &wanted, &recipe);
    if (!pin)
        return NULL;
    note_use(region, pin, now_ns);
    return neap_region_memory(cell_of_pin(region, pin));
}

void *neap_region_find(struct neap_region *region, const void *key, size_t key_bytes,
                       const struct neap_cell_shape *shape)
{
    struct neap_region_wanted wanted;
    if (!prepare(region, key, key_bytes, shape, NEAP_ANY_BYTES, &wanted))
        return NULL;
    struct neap_region_pin *pin = neap_region_seek(region, &wanted);
    if (!pin)
        pin = look_or_make(region, &wanted, NULL);
    return pin ? neap_region_memory(cell_of_pin(region, pin)) : NULL;
}

static struct neap_region_pin *pin_at(struct neap_region *region, const void *memory)
{
    const struct neap_region_cell *cell = neap_region_cell_of(region, memory);
    return cell ? neap_region_pin_of(&region->pins, neap_region_granule_of(region, cell) + 1)
                : NULL;
}

void neap_region_pin_again(struct neap_region *region, void *cell)
{
    struct neap_region_pin *pin = pin_at(region, cell);
    if (pin)
        pin->count++;
}

void neap_region_unpin(struct neap_region *region, void *cell, int64_t now_ns)
{
    struct neap_region_pin *pin = pin_at(region, cell);
    if (!pin || --pin->count > 0)
        return;
    if (pin->is_used)
        neap_region_use(cell_of_pin(region, pin), now_ns);
    neap_region_drop(region, pin);
}

static void visit_place(const struct neap_region_place *place, neap_cell_visit *visit,
                        void *context)
{
    struct neap_cell_shape shape;
    const unsigned char *memory = neap_region_memory(place->cell);
    const unsigned char *name = memory + place->cell_bytes;
    memcpy(&shape, name, sizeof shape);
    visit(memory, place->cell_bytes, &shape, name + sizeof shape, place->name_bytes - sizeof shape,
          context);
}

bool neap_region_each(struct neap_region *region, neap_cell_visit *visit, void *context)
{
    uint32_t from = 0;
    struct neap_region_place place;
    if (!neap_region_lock(region))
        return false;
    while (neap_region_walk(region, &from, &place))
        visit_place(&place, visit, context);
    neap_region_unlock(region);
    return true;
}
