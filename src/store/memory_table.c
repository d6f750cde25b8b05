#include "store/memory_table.h"

#include <string.h>

#define FIRST_BUCKETS 16u

void neap_table_init(struct neap_table *table, const struct neap_alloc *alloc,
                     struct neap_hash_seed seed)
{
    *table = (struct neap_table){.alloc = alloc, .seed = seed};
}

void neap_table_deinit(struct neap_table *table)
{
    neap_free(table->alloc, table->bucket);
    neap_table_init(table, table->alloc, table->seed);
}

static struct neap_table_node **bucket_of(const struct neap_table *table, uint64_t hash)
{
    return &table->bucket[hash & (table->bucket_count - 1)];
}

static void link_node(struct neap_table *table, struct neap_table_node *node)
{
    struct neap_table_node **bucket = bucket_of(table, node->hash);
    node->next = *bucket;
    *bucket = node;
}

static void link_all(struct neap_table *table, struct neap_table_node **bucket, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (struct neap_table_node *node = bucket[i], *next; node; node = next) {
            next = node->next;
            link_node(table, node);
        }
}

/* Fewer buckets than nodes only cost time, so a failure counts only where there are none at all. */
bool neap_table_reserve(struct neap_table *table)
{
    if (table->count < table->bucket_count)
        return true;
    struct neap_table_node **old = table->bucket;
    size_t old_count = table->bucket_count;
    size_t wanted = old_count > 0 ? old_count * 2 : FIRST_BUCKETS;
    struct neap_table_node **bucket = neap_alloc_array(table->alloc, wanted, sizeof(void *));
    if (!bucket)
        return old_count > 0;
    table->bucket = bucket;
    table->bucket_count = wanted;
    link_all(table, old, old_count);
    neap_free(table->alloc, old);
    return true;
}

void neap_table_add(struct neap_table *table, struct neap_table_node *node, struct neap_bytes key)
{
    node->key = key;
    node->hash = neap_hash(&table->seed, key.at, key.bytes);
    link_node(table, node);
    table->count++;
}

void neap_table_remove(struct neap_table *table, struct neap_table_node *node)
{
    struct neap_table_node **link = bucket_of(table, node->hash);
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    table->count--;
}

static bool has_key(const struct neap_table_node *node, uint64_t hash, struct neap_bytes key)
{
    return node->hash == hash && node->key.bytes == key.bytes &&
           (key.bytes == 0 || memcmp(node->key.at, key.at, key.bytes) == 0);
}

struct neap_table_node *neap_table_find(const struct neap_table *table, struct neap_bytes key)
{
    if (table->count == 0)
        return NULL;
    uint64_t hash = neap_hash(&table->seed, key.at, key.bytes);
    struct neap_table_node *node = *bucket_of(table, hash);
    while (node && !has_key(node, hash, key))
        node = node->next;
    return node;
}

struct neap_table_node *neap_table_next(const struct neap_table *table,
                                        const struct neap_table_node *previous)
{
    if (previous && previous->next)
        return previous->next;
    size_t i = previous ? (previous->hash & (table->bucket_count - 1)) + 1 : 0;
    while (i < table->bucket_count && !table->bucket[i])
        i++;
    return i < table->bucket_count ? table->bucket[i] : NULL;
}
