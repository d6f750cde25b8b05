#include "base/keymap.h"

#include <stdint.h>
#include <string.h>

#include "base/owner.h"

#define FIRST_BUCKETS 16u
#define SHORT_KEY_BYTES 24u /* with its NUL */
#define LINE_BYTES 64u

struct neap_keymap_entry {
    struct neap_listed listed;
    struct neap_keymap_entry *next_in_bucket;
    uint32_t hash, pins;
    char *key; /* a short one behind the cell, others in memory of their own */
    size_t key_bytes;
    _Alignas(8) unsigned char cell[];
};

static size_t entry_bytes(size_t cell_bytes)
{
    const size_t others = offsetof(struct neap_keymap_entry, cell) + SHORT_KEY_BYTES;
    return cell_bytes <= SIZE_MAX - others ? cell_bytes + others : SIZE_MAX;
}

static struct neap_keymap_entry *entry_of(const void *cell)
{
    return (struct neap_keymap_entry *)((uintptr_t)cell - offsetof(struct neap_keymap_entry, cell));
}

static struct neap_keymap_entry *entry_at(struct neap_listed *listed)
{
    return NEAP_OWNER(listed, struct neap_keymap_entry, listed);
}

static struct neap_list *list_of(struct neap_keymap *map, const struct neap_keymap_entry *entry)
{
    return entry->pins > 0 ? &map->pinned : &map->idle;
}

void neap_keymap_init(struct neap_keymap *map, const struct neap_alloc *alloc, size_t cell_bytes,
                      size_t max_keys)
{
    *map = (struct neap_keymap){.alloc = alloc, .cell_bytes = cell_bytes, .max_keys = max_keys};
    neap_pool_init(&map->entries, alloc, entry_bytes(cell_bytes));
}

static void free_key(const struct neap_keymap *map, const struct neap_keymap_entry *entry)
{
    if (entry->key_bytes >= SHORT_KEY_BYTES)
        neap_free(map->alloc, entry->key);
}

static void free_keys(const struct neap_keymap *map, struct neap_listed *listed)
{
    for (; listed; listed = listed->next)
        free_key(map, entry_at(listed));
}

void neap_keymap_deinit(struct neap_keymap *map)
{
    free_keys(map, map->idle.first);
    free_keys(map, map->pinned.first);
    neap_pool_deinit(&map->entries);
    neap_free(map->alloc, map->bucket);
    neap_keymap_init(map, map->alloc, map->cell_bytes, map->max_keys);
}

void neap_keymap_seed(struct neap_keymap *map, struct neap_hash_seed seed)
{
    if (map->count == 0)
        map->seed = seed;
}

static uint32_t hash_of(const struct neap_keymap *map, const void *key, size_t key_bytes)
{
    return (uint32_t)neap_hash(&map->seed, key, key_bytes);
}

static struct neap_keymap_entry **bucket_of(const struct neap_keymap *map, uint32_t hash)
{
    return &map->bucket[hash & (map->bucket_count - 1)];
}

static void put_into_bucket(struct neap_keymap *map, struct neap_keymap_entry *entry)
{
    struct neap_keymap_entry **bucket = bucket_of(map, entry->hash);
    entry->next_in_bucket = *bucket;
    *bucket = entry;
}

static void take_from_bucket(struct neap_keymap *map, const struct neap_keymap_entry *entry)
{
    struct neap_keymap_entry **link = bucket_of(map, entry->hash);
    while (*link != entry)
        link = &(*link)->next_in_bucket;
    *link = entry->next_in_bucket;
}

/* Where there are many keys no cache has the entry: its lines are fetched at once, and not one
 * after the other. */
static void fetch(const struct neap_keymap *map, const struct neap_keymap_entry *entry)
{
    const char *at = (const char *)entry;
    for (size_t i = LINE_BYTES; i < map->entries.block_bytes && i <= 4 * LINE_BYTES;
         i += LINE_BYTES)
        __builtin_prefetch(at + i);
}

static struct neap_keymap_entry *search(const struct neap_keymap *map, uint32_t hash,
                                        const void *key, size_t key_bytes)
{
    if (map->bucket_count == 0)
        return NULL;
    struct neap_keymap_entry *entry = *bucket_of(map, hash);
    for (; entry; entry = entry->next_in_bucket) {
        fetch(map, entry);
        if (entry->hash == hash && entry->key_bytes == key_bytes &&
            (key_bytes == 0 || memcmp(entry->key, key, key_bytes) == 0))
            return entry;
    }
    return NULL;
}

static void rehash_list(struct neap_keymap *map, struct neap_listed *listed)
{
    for (; listed; listed = listed->next)
        put_into_bucket(map, entry_at(listed));
}

/* Fewer buckets than keys only cost time, so a failure counts only where there are none at all. */
static bool make_buckets(struct neap_keymap *map)
{
    if (map->count < map->bucket_count / 2)
        return true;
    size_t wanted = map->bucket_count > 0 ? map->bucket_count * 2 : FIRST_BUCKETS;
    struct neap_keymap_entry **bucket = neap_alloc_array(map->alloc, wanted, sizeof *bucket);
    if (!bucket)
        return map->bucket_count > 0;
    neap_free(map->alloc, map->bucket);
    map->bucket = bucket;
    map->bucket_count = wanted;
    rehash_list(map, map->idle.first);
    rehash_list(map, map->pinned.first);
    return true;
}

/* NULL without memory. */
static char *copy_key(const struct neap_keymap *map, struct neap_keymap_entry *entry,
                      const void *key, size_t key_bytes)
{
    if (key_bytes >= SHORT_KEY_BYTES)
        return neap_copy_text(map->alloc, key, key_bytes);
    char *copy = (char *)entry->cell + map->cell_bytes;
    if (key_bytes > 0)
        memcpy(copy, key, key_bytes);
    return copy;
}

static struct neap_keymap_entry *make_entry(struct neap_keymap *map, uint32_t hash, const void *key,
                                            size_t key_bytes)
{
    struct neap_keymap_entry *entry = neap_pool_take(&map->entries);
    if (!entry)
        return NULL;
    memset(entry, 0, map->entries.block_bytes);
    entry->hash = hash;
    entry->key = copy_key(map, entry, key, key_bytes);
    entry->key_bytes = key_bytes;
    if (entry->key)
        return entry;
    neap_pool_give(&map->entries, entry);
    return NULL;
}

static void evict(struct neap_keymap *map, struct neap_keymap_entry *entry)
{
    neap_list_take_out(&map->idle, &entry->listed);
    take_from_bucket(map, entry);
    map->count--;
    map->evictions++;
    free_key(map, entry);
    neap_pool_give(&map->entries, entry);
}

static struct neap_keymap_entry *insert(struct neap_keymap *map, uint32_t hash, const void *key,
                                        size_t key_bytes)
{
    bool is_full = map->count >= map->max_keys;
    if (is_full && !map->idle.first)
        return NULL;
    if (!is_full && !make_buckets(map))
        return NULL;
    struct neap_keymap_entry *entry = make_entry(map, hash, key, key_bytes);
    if (!entry)
        return NULL;
    if (is_full)
        evict(map, entry_at(map->idle.first));
    put_into_bucket(map, entry);
    neap_list_append(&map->idle, &entry->listed);
    map->count++;
    return entry;
}

static void touch(struct neap_keymap *map, struct neap_keymap_entry *entry)
{
    struct neap_list *list = list_of(map, entry);
    neap_list_take_out(list, &entry->listed);
    neap_list_append(list, &entry->listed);
}

void *neap_keymap_get(struct neap_keymap *map, const void *key, size_t key_bytes, bool *is_new)
{
    uint32_t hash = hash_of(map, key, key_bytes);
    struct neap_keymap_entry *entry = search(map, hash, key, key_bytes);
    bool found = entry != NULL;
    if (found)
        touch(map, entry);
    else
        entry = insert(map, hash, key, key_bytes);
    if (!entry)
        return NULL;
    if (is_new)
        *is_new = !found;
    return entry->cell;
}

void *neap_keymap_find(const struct neap_keymap *map, const void *key, size_t key_bytes)
{
    uint32_t hash = hash_of(map, key, key_bytes);
    struct neap_keymap_entry *entry = search(map, hash, key, key_bytes);
    return entry ? entry->cell : NULL;
}

void neap_keymap_pin(struct neap_keymap *map, void *cell)
{
    struct neap_keymap_entry *entry = entry_of(cell);
    neap_list_take_out(list_of(map, entry), &entry->listed);
    entry->pins++;
    neap_list_append(&map->pinned, &entry->listed);
}

void neap_keymap_unpin(struct neap_keymap *map, void *cell)
{
    struct neap_keymap_entry *entry = entry_of(cell);
    if (entry->pins == 0)
        return;
    neap_list_take_out(&map->pinned, &entry->listed);
    entry->pins--;
    neap_list_append(list_of(map, entry), &entry->listed);
}

void *neap_keymap_next(const struct neap_keymap *map, const void *previous_cell)
{
    const struct neap_keymap_entry *previous = previous_cell ? entry_of(previous_cell) : NULL;
    struct neap_listed *next = previous ? previous->listed.next : map->idle.first;
    bool idle_is_over = !previous || previous->pins == 0;
    if (!next && idle_is_over)
        next = map->pinned.first;
    return next ? entry_at(next)->cell : NULL;
}

const char *neap_keymap_key(const void *cell, size_t *bytes)
{
    const struct neap_keymap_entry *entry = entry_of(cell);
    *bytes = entry->key_bytes;
    return entry->key;
}
