/* A map from strings to values: a chained hash that remembers the order of arrival. */
#include "map.h"

#include "base.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t hash(const char *key)
{
    uint64_t value = 14695981039346656037u; /* FNV-1a */
    for (; *key != '\0'; key++)
        value = (value ^ (unsigned char)*key) * 1099511628211u;
    return (size_t)value;
}

static struct map_entry *find(const struct map *map, const char *key)
{
    if (map->bucket_count == 0)
        return NULL;
    struct map_entry *entry = map->buckets[hash(key) % map->bucket_count];
    while (entry != NULL && strcmp(entry->key, key) != 0)
        entry = entry->next_in_bucket;
    return entry;
}

static void put_into_bucket(struct map *map, struct map_entry *entry)
{
    struct map_entry **bucket = &map->buckets[hash(entry->key) % map->bucket_count];
    entry->next_in_bucket = *bucket;
    *bucket = entry;
}

static void grow(struct map *map)
{
    free(map->buckets);
    map->bucket_count = map->bucket_count > 0 ? map->bucket_count * 2 : 64;
    map->buckets = memory_get(map->bucket_count * sizeof *map->buckets);
    for (struct map_entry *entry = map->first; entry != NULL; entry = entry->next)
        put_into_bucket(map, entry);
}

void *map_get(const struct map *map, const char *key)
{
    struct map_entry *entry = find(map, key);
    return entry != NULL ? entry->value : NULL;
}

void *map_make(struct map *map, const char *key, size_t bytes)
{
    struct map_entry *entry = find(map, key);
    if (entry != NULL)
        return entry->value;
    if (map->count >= map->bucket_count)
        grow(map);
    entry = memory_get(sizeof *entry);
    entry->key = memory_string(key, strlen(key));
    entry->value = memory_get(bytes);
    if (map->last != NULL)
        map->last->next = entry;
    else
        map->first = entry;
    map->last = entry;
    map->count++;
    put_into_bucket(map, entry);
    return entry->value;
}

void map_clear(struct map *map, void (*release)(void *value))
{
    struct map_entry *entry = map->first;
    while (entry != NULL) {
        struct map_entry *next = entry->next;
        if (release != NULL)
            release(entry->value);
        free(entry->value);
        free(entry->key);
        free(entry);
        entry = next;
    }
    free(map->buckets);
    *map = (struct map){0};
}
