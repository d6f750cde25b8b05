#include "client/breaker_list.h"

#include <string.h>

/* While it is being read. */
struct reading {
    struct neap_breaker_list *list;
    const struct neap_breaker_policy *policy;
    int64_t now_ns;
    bool only_others; /* than closed ones are named from now on */
    enum neap_status status;
};

static int compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    size_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
    int order = common > 0 ? memcmp(a, b, common) : 0;
    if (order == 0)
        order = (a_bytes > b_bytes) - (a_bytes < b_bytes);
    return order;
}

/* Where the key belongs: before the first that is greater. */
static size_t place_of(const struct neap_breaker_list *list, const char *key, size_t key_bytes)
{
    size_t low = 0, high = list->named_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct neap_named_breaker *at = &list->named[middle];
        if (compare(at->key, at->key_bytes, key, key_bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void forget(struct neap_breaker_list *list, size_t index)
{
    struct neap_named_breaker *at = &list->named[index];
    neap_free(list->alloc, at->key);
    memmove(at, at + 1, (list->named_count - index - 1) * sizeof *at);
    list->named_count--;
}

static void forget_closed(struct neap_breaker_list *list)
{
    for (size_t i = list->named_count; i > 0; i--)
        if (list->named[i - 1].snapshot.state == NEAP_BREAKER_CLOSED)
            forget(list, i - 1);
}

static enum neap_status insert(struct neap_breaker_list *list, size_t index, const char *key,
                               size_t key_bytes, const struct neap_breaker_snapshot *snapshot)
{
    char *copy = neap_copy_text(list->alloc, key, key_bytes);
    if (!copy)
        return NEAP_NO_MEMORY;
    if (list->named_count == list->most)
        forget(list, list->most - 1);
    struct neap_named_breaker *at = &list->named[index];
    memmove(at + 1, at, (list->named_count - index) * sizeof *at);
    *at = (struct neap_named_breaker){copy, key_bytes, *snapshot};
    list->named_count++;
    return NEAP_OK;
}

static void look(const void *cell, const char *key, size_t key_bytes, void *context)
{
    struct reading *reading = context;
    struct neap_breaker_list *list = reading->list;
    struct neap_breaker_snapshot snapshot;
    if (reading->status != NEAP_OK)
        return;
    enum neap_breaker_state state = neap_breaker_state(cell);
    list->count++;
    list->in_state[state]++;
    if (list->count > list->most && !reading->only_others) {
        reading->only_others = true;
        forget_closed(list);
    }
    size_t index = place_of(list, key, key_bytes);
    if (index == list->most || (reading->only_others && state == NEAP_BREAKER_CLOSED))
        return;
    neap_breaker_read(cell, reading->policy, reading->now_ns, &snapshot);
    snapshot.state = state; /* the one that was counted */
    reading->status = insert(list, index, key, key_bytes, &snapshot);
}

enum neap_status neap_breaker_list_read(struct neap_breaker_list *list,
                                        const struct neap_alloc *alloc, struct neap_client *client,
                                        size_t most, int64_t now_ns)
{
    struct reading reading = {
        .list = list, .policy = &client->policy.pipeline.breaker, .now_ns = now_ns};
    *list = (struct neap_breaker_list){.alloc = alloc, .most = most};
    list->named = neap_alloc_array(alloc, most, sizeof *list->named);
    if (!list->named)
        return NEAP_NO_MEMORY;
    if (!neap_client_each_breaker(client, look, &reading))
        return NEAP_SYSTEM;
    return reading.status;
}

uint64_t neap_breaker_list_rest(const struct neap_breaker_list *list, enum neap_breaker_state state)
{
    uint64_t rest = list->in_state[state];
    for (size_t i = 0; i < list->named_count; i++)
        rest -= list->named[i].snapshot.state == state;
    return rest;
}

void neap_breaker_list_deinit(struct neap_breaker_list *list)
{
    while (list->named_count > 0)
        forget(list, list->named_count - 1);
    neap_free(list->alloc, list->named);
    *list = (struct neap_breaker_list){.alloc = list->alloc};
}
