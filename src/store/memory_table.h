/* A hash table whose nodes lie inside the records they lead to: unlike base/keymap.h it lets a
 * record be removed, and never evicts by itself. One thread at a time. */
#ifndef NEAP_STORE_MEMORY_TABLE_H
#define NEAP_STORE_MEMORY_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/hash.h"
#include "store/store.h"

struct neap_table_node {
    struct neap_table_node *next; /* in its bucket */
    uint64_t hash;
    struct neap_bytes key; /* the record's, and stays as long as the node is inside */
};

struct neap_table {
    const struct neap_alloc *alloc;
    struct neap_hash_seed seed;
    struct neap_table_node **bucket;
    size_t bucket_count; /* 0 or a power of two */
    size_t count;
};

/* Allocates nothing. */
void neap_table_init(struct neap_table *table, const struct neap_alloc *alloc,
                     struct neap_hash_seed seed);

/* The nodes are the caller's to free. */
void neap_table_deinit(struct neap_table *table);

/* Makes sure that the next add cannot fail; false without memory. */
NEAP_MUST_CHECK bool neap_table_reserve(struct neap_table *table);

/* After a reserve; no node of that key may be inside. */
void neap_table_add(struct neap_table *table, struct neap_table_node *node, struct neap_bytes key);
void neap_table_remove(struct neap_table *table, struct neap_table_node *node);

/* NULL where there is none. */
struct neap_table_node *neap_table_find(const struct neap_table *table, struct neap_bytes key);

/* Every node once, beginning with NULL and ending with NULL. The one before may be freed when the
 * next one has been asked for; nothing else may change. */
struct neap_table_node *neap_table_next(const struct neap_table *table,
                                        const struct neap_table_node *previous);

#endif
