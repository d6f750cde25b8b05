#include "shared/region.h"

#include <string.h>

#include "platform/process.h"
#include "shared/region_internal.h"

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
    neap_region_view_deinit(&region->view);
    neap_buffer_deinit(&region->name_wanted);
    neap_free(region->alloc, region->candidates.one);
    neap_free(region->alloc, region);
}

static enum neap_status fill_object(struct neap_region *region, const char *name, size_t bytes,
                                    char message[NEAP_MESSAGE_BYTES])
{
    struct neap_hash_seed seed = {{0}};
    memcpy(region->name, name, strlen(name) + 1);
    region->references = 1;
    region->process = neap_process_id();
    neap_buffer_init(&region->name_wanted, region->alloc);
    enum neap_status status = neap_region_map(region, bytes, message);
    if (status == NEAP_OK)
        seed = region->seed;
    neap_region_view_init(&region->view, region->alloc, seed);
    return status;
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

static void unpin_all(struct neap_region *region)
{
    struct neap_region_known *known = neap_keymap_next(&region->view.by_name, NULL);
    for (; known; known = neap_keymap_next(&region->view.by_name, known))
        if (known->pins > 0)
            neap_region_clear_bit(region, known->cell);
}

void neap_region_release(struct neap_region *region)
{
    if (!region || --region->references > 0)
        return;
    neap_region_after_fork(region);
    unpin_all(region);
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
    neap_region_view_deinit(&region->view);
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

/* The name lies in region->name_wanted until the next one is put together. */
static bool describe(struct neap_region *region, const void *key, size_t key_bytes,
                     const struct neap_cell_shape *shape, uint64_t cell_bytes,
                     struct neap_region_wanted *wanted)
{
    struct neap_buffer *name = &region->name_wanted;
    if (key_bytes > UINT32_MAX - sizeof *shape)
        return false;
    neap_buffer_clear(name);
    if (neap_buffer_append(name, shape, sizeof *shape) != NEAP_OK ||
        neap_buffer_append(name, key, key_bytes) != NEAP_OK)
        return false;
    *wanted = (struct neap_region_wanted){
        .name = name->data,
        .name_bytes = (uint32_t)name->bytes,
        .cell_bytes = cell_bytes,
    };
    return true;
}

/* Under the lock, where what is remembered does not lead to the cell. */
static bool look_up(struct neap_region *region, struct neap_region_wanted *wanted,
                    struct neap_region_place *place)
{
    wanted->hash = (uint32_t)neap_hash(&region->seed, wanted->name, wanted->name_bytes);
    return neap_region_lookup(region, wanted, place);
}

static void pin_first(struct neap_region *region, struct neap_region_known *known)
{
    neap_keymap_pin(&region->view.by_name, known);
    known->pins = 1;
    known->is_used = false;
}

/* Without the lock: NULL where the cell has to be looked for. */
static struct neap_region_known *pin_remembered(struct neap_region *region,
                                                const struct neap_region_wanted *wanted)
{
    struct neap_region_known *known =
        neap_region_view_find(&region->view, wanted->name, wanted->name_bytes);
    if (!known || !known->cell ||
        (wanted->cell_bytes != NEAP_ANY_BYTES && wanted->cell_bytes != known->cell_bytes))
        return NULL;
    if (known->pins > 0)
        known->pins++;
    else if (neap_region_pin_known(region, known))
        pin_first(region, known);
    else
        return NULL;
    return known;
}

/* Under the lock. */
static struct neap_region_known *pin_found(struct neap_region *region,
                                           struct neap_region_known *known,
                                           const struct neap_region_place *place)
{
    neap_region_set_bit(region, place->cell);
    neap_region_view_place(&region->view, known, place);
    pin_first(region, known);
    return known;
}

/* What makes a cell, beside who it is. */
struct recipe {
    const struct neap_cell_shape *shape;
    neap_cell_make *make;
    const void *context;
    int64_t now_ns;
};

static void lay_out(struct neap_region *region, const struct neap_region_wanted *wanted,
                    const struct recipe *recipe, const struct neap_region_place *place)
{
    struct neap_region_cell *cell = place->cell;
    unsigned char *memory = neap_region_memory(cell);
    memset(cell, 0, (size_t)place->granules * NEAP_GRANULE_BYTES);
    recipe->make(memory, recipe->shape, recipe->context);
    memcpy(memory + place->cell_bytes, wanted->name, wanted->name_bytes);
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
    uint32_t granules = neap_region_granules_for(wanted->cell_bytes, wanted->name_bytes);
    if (granules > region->granule_count || (!neap_region_take_space(region, granules, &granule) &&
                                             !neap_region_make_room(region, granules, &granule))) {
        atomic_fetch_add(&region->header->refused, 1);
        return false;
    }
    unsigned char *at = region->granule + (size_t)granule * NEAP_GRANULE_BYTES;
    *place = (struct neap_region_place){(void *)at, granule, granules, (uint32_t)wanted->cell_bytes,
                                        wanted->name_bytes};
    lay_out(region, wanted, recipe, place);
    neap_region_set_bit(region, place->cell);
    neap_region_publish(region, place->cell);
    return true;
}

static struct neap_region_known *look_or_make(struct neap_region *region,
                                              struct neap_region_wanted *wanted,
                                              const struct recipe *recipe)
{
    struct neap_region_place place;
    struct neap_region_known *pinned = NULL;
    struct neap_region_known *known =
        neap_region_view_get(&region->view, wanted->name, wanted->name_bytes);
    if (!known || known->pins > 0 || !neap_region_lock(region))
        return NULL;
    if (look_up(region, wanted, &place) || make_cell(region, wanted, recipe, &place))
        pinned = pin_found(region, known, &place);
    neap_region_unlock(region);
    return pinned;
}

/* A name is remembered only where there is a cell of it. */
static struct neap_region_known *look(struct neap_region *region, struct neap_region_wanted *wanted)
{
    struct neap_region_place place;
    struct neap_region_known *known = NULL;
    if (!neap_region_lock(region))
        return NULL;
    if (look_up(region, wanted, &place))
        known = neap_region_view_get(&region->view, wanted->name, wanted->name_bytes);
    if (known)
        known = pin_found(region, known, &place);
    neap_region_unlock(region);
    return known;
}

/* Between the first use and the last unpin the cell's time stands still: while it is pinned, nobody
 * asks for it. */
static void note_use(struct neap_region_known *known, int64_t now_ns)
{
    if (!known->is_used)
        neap_region_use(known->cell, now_ns);
    known->is_used = true;
}

void *neap_region_pin(struct neap_region *region, const void *key, size_t key_bytes,
                      const struct neap_cell_shape *shape, size_t cell_bytes, int64_t now_ns,
                      neap_cell_make *make, const void *context)
{
    struct neap_region_wanted wanted;
    struct recipe recipe = {shape, make, context, now_ns};
    if (cell_bytes > UINT32_MAX || neap_region_holder(region) == 0 ||
        !describe(region, key, key_bytes, shape, cell_bytes, &wanted))
        return NULL;
    struct neap_region_known *known = pin_remembered(region, &wanted);
    if (!known)
        known = look_or_make(region, &wanted, &recipe);
    if (!known)
        return NULL;
    note_use(known, now_ns);
    return neap_region_memory(known->cell);
}

void *neap_region_find(struct neap_region *region, const void *key, size_t key_bytes,
                       const struct neap_cell_shape *shape)
{
    struct neap_region_wanted wanted;
    if (neap_region_holder(region) == 0 ||
        !describe(region, key, key_bytes, shape, NEAP_ANY_BYTES, &wanted))
        return NULL;
    struct neap_region_known *known = pin_remembered(region, &wanted);
    if (!known)
        known = look(region, &wanted);
    return known ? neap_region_memory(known->cell) : NULL;
}

static struct neap_region_known *pinned_at(const struct neap_region *region, const void *memory)
{
    return neap_region_view_pinned(&region->view, neap_region_cell_of(region, memory));
}

void neap_region_pin_again(struct neap_region *region, void *cell)
{
    struct neap_region_known *known = pinned_at(region, cell);
    if (known)
        known->pins++;
}

void neap_region_unpin(struct neap_region *region, void *cell, int64_t now_ns)
{
    struct neap_region_known *known = pinned_at(region, cell);
    if (!known || --known->pins > 0)
        return;
    if (known->is_used)
        neap_region_use(known->cell, now_ns);
    neap_keymap_unpin(&region->view.by_name, known);
    neap_region_clear_bit(region, known->cell);
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
