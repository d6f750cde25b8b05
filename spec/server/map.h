/* A map from strings to the caller's values. Not thread-safe: its owner locks. */
#ifndef MISBEHAVE_MAP_H
#define MISBEHAVE_MAP_H

#include <stddef.h>

struct map_entry {
    struct map_entry *next_in_bucket;
    struct map_entry *next; /* in order of arrival */
    char *key;
    void *value;
};

struct map {
    struct map_entry **buckets;
    size_t bucket_count;
    size_t count;
    struct map_entry *first;
    struct map_entry *last;
};

/* The value of `key`, NULL if there is none. */
void *map_get(const struct map *map, const char *key);
/* The value of `key`, made (zeroed, `bytes` long) if there is none. The map owns it. */
void *map_make(struct map *map, const char *key, size_t bytes);
/* Empties the map; `release` (may be NULL) is called for each value before it is freed. */
void map_clear(struct map *map, void (*release)(void *value));

#endif
