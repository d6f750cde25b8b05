/* Claims of the memory kind. */
#include "store/memory_store.h"

#include <string.h>

#include "base/owner.h"
#include "store/claim_rules.h"

struct neap_memory_claim {
    struct neap_table_node node; /* the key lies behind the struct */
    struct neap_timer end;
    struct neap_claim_record record;
    char *result;
    size_t result_bytes;
};

static struct neap_memory_claim *of_node(struct neap_table_node *node)
{
    return (struct neap_memory_claim *)node;
}

static struct neap_memory_claim *of_timer(struct neap_timer *timer)
{
    return NEAP_OWNER(timer, struct neap_memory_claim, end);
}

static struct neap_memory_claim *find(struct neap_memory *memory, struct neap_bytes key)
{
    return of_node(neap_table_find(&memory->claims, key));
}

static size_t record_cost(size_t key_bytes)
{
    return sizeof(struct neap_memory_claim) + key_bytes + NEAP_MEMORY_BLOCK_BYTES +
           NEAP_MEMORY_INDEX_BYTES;
}

static size_t result_cost(size_t bytes)
{
    return bytes + 1 + NEAP_MEMORY_BLOCK_BYTES;
}

/* ----------------------------------------------------------------------------------- records */

static void drop_result(struct neap_memory *memory, struct neap_memory_claim *claim)
{
    if (!claim->result)
        return;
    neap_memory_refund(memory, result_cost(claim->result_bytes));
    neap_free(memory->store.alloc, claim->result);
    claim->result = NULL;
}

static void free_record(const struct neap_alloc *alloc, struct neap_memory_claim *claim)
{
    neap_free(alloc, claim->result);
    neap_free(alloc, claim);
}

void neap_memory_drop_claim(struct neap_memory *memory, struct neap_memory_claim *claim)
{
    drop_result(memory, claim);
    neap_memory_refund(memory, record_cost(claim->node.key.bytes));
    neap_heap_remove(&memory->claim_ends, &claim->end);
    neap_table_remove(&memory->claims, &claim->node);
    free_record(memory->store.alloc, claim);
}

struct neap_memory_claim *neap_memory_expired_claim(struct neap_memory *memory, int64_t now_ns)
{
    struct neap_timer *first = neap_heap_first(&memory->claim_ends);
    return first && first->when_ns <= now_ns ? of_timer(first) : NULL;
}

void neap_memory_free_claims(struct neap_memory *memory)
{
    neap_heap_deinit(&memory->claim_ends); /* while the timers in the records are there */
    struct neap_table_node *node = neap_table_next(&memory->claims, NULL);
    while (node) {
        struct neap_table_node *next = neap_table_next(&memory->claims, node);
        free_record(memory->store.alloc, of_node(node));
        node = next;
    }
    neap_table_deinit(&memory->claims);
}

/* ----------------------------------------------------------------------------------- claiming */

/* Doubles, so that a reservation for each claim costs little. */
static bool reserve_end(struct neap_heap *heap)
{
    size_t wanted = heap->count < heap->capacity ? heap->capacity : heap->capacity * 2 + 16;
    return neap_heap_reserve(heap, wanted) == NEAP_OK;
}

static enum neap_store_status
add(struct neap_memory *memory, const struct neap_claim_request *request, struct neap_claim *claim)
{
    size_t cost = record_cost(request->key.bytes);
    if (!neap_memory_fits(memory, cost, request->now_ns))
        return NEAP_STORE_FULL;
    if (!neap_table_reserve(&memory->claims) || !reserve_end(&memory->claim_ends))
        return NEAP_STORE_NO_MEMORY;
    struct neap_memory_claim *made =
        neap_alloc_zeroed(memory->store.alloc, sizeof *made + request->key.bytes);
    if (!made)
        return NEAP_STORE_NO_MEMORY;
    neap_memory_charge(memory, cost);
    if (request->key.bytes > 0)
        memcpy(made + 1, request->key.at, request->key.bytes);
    neap_table_add(&memory->claims, &made->node, (struct neap_bytes){made + 1, request->key.bytes});
    (void)neap_claim_judge(&made->record, false, request, claim);
    return neap_heap_set(&memory->claim_ends, &made->end, made->record.expires_ns) == NEAP_OK
               ? NEAP_STORE_OK
               : NEAP_STORE_NO_MEMORY;
}

static enum neap_store_status claim_again(struct neap_memory *memory,
                                          struct neap_memory_claim *known,
                                          const struct neap_claim_request *request,
                                          struct neap_claim *claim)
{
    struct neap_claim_record record = known->record;
    struct neap_claim judged;
    (void)neap_claim_judge(&record, true, request, &judged);
    if (judged.state == NEAP_CLAIM_DONE && !judged.other_work &&
        !neap_blob_copy(memory->store.alloc, known->result, known->result_bytes, &judged.result))
        return NEAP_STORE_NO_MEMORY;
    known->record = record;
    *claim = judged;
    return NEAP_STORE_OK;
}

enum neap_store_status neap_memory_claim(struct neap_store *store,
                                         const struct neap_claim_request *request,
                                         struct neap_claim *claim)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_claim *known = find(memory, request->key);
    if (known && request->now_ns < known->record.expires_ns)
        return claim_again(memory, known, request, claim);
    if (known)
        neap_memory_drop_claim(memory, known);
    (void)neap_memory_expire_one(memory, request->now_ns);
    return add(memory, request, claim);
}

/* ------------------------------------------------------------------------------------- owners */

static struct neap_memory_claim *find_owned(struct neap_memory *memory, struct neap_bytes key,
                                            const uint8_t *token, int64_t now_ns)
{
    struct neap_memory_claim *claim = find(memory, key);
    return claim && neap_claim_is_of(&claim->record, token, now_ns) ? claim : NULL;
}

enum neap_store_status neap_memory_renew(struct neap_store *store, struct neap_bytes key,
                                         const uint8_t *token, int64_t now_ns, int64_t lease_end_ns)
{
    struct neap_memory_claim *claim = find_owned(neap_memory_of(store), key, token, now_ns);
    if (!claim || claim->record.done)
        return NEAP_STORE_LOST;
    claim->record.lease_end_ns = lease_end_ns;
    return NEAP_STORE_OK;
}

enum neap_store_status neap_memory_finish(struct neap_store *store, struct neap_bytes key,
                                          const uint8_t *token, struct neap_bytes result,
                                          int64_t now_ns)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_claim *claim = find_owned(memory, key, token, now_ns);
    if (!claim)
        return NEAP_STORE_LOST;
    if (claim->record.done)
        return NEAP_STORE_OK;
    if (!neap_memory_fits(memory, result_cost(result.bytes), now_ns))
        return NEAP_STORE_FULL;
    const char *at = result.at ? result.at : "";
    claim->result = neap_copy_text(store->alloc, at, result.bytes);
    if (!claim->result)
        return NEAP_STORE_NO_MEMORY;
    neap_memory_charge(memory, result_cost(result.bytes));
    claim->result_bytes = result.bytes;
    claim->record.done = true;
    return NEAP_STORE_OK;
}

enum neap_store_status neap_memory_release(struct neap_store *store, struct neap_bytes key,
                                           const uint8_t *token, int64_t now_ns)
{
    struct neap_memory *memory = neap_memory_of(store);
    struct neap_memory_claim *claim = find_owned(memory, key, token, now_ns);
    if (!claim || claim->record.done)
        return NEAP_STORE_LOST;
    neap_memory_drop_claim(memory, claim);
    return NEAP_STORE_OK;
}
