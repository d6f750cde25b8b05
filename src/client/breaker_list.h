/* What there is to tell of a client's breakers of keys, however many there are: a few by their
 * keys, and how many of the others are in each state.
 *
 * Up to `most` keys are all named. Of more only those are whose breaker is not closed, the first
 * `most` of them in the order of their bytes: so the keys that are named do not change with who
 * happened to call last. */
#ifndef NEAP_CLIENT_BREAKER_LIST_H
#define NEAP_CLIENT_BREAKER_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "client/client.h"
#include "policy/breaker.h"

#define NEAP_BREAKERS_NAMED 100u

struct neap_named_breaker {
    char *key; /* any bytes, and a NUL behind them */
    size_t key_bytes;
    struct neap_breaker_snapshot snapshot;
};

struct neap_breaker_list {
    const struct neap_alloc *alloc;
    struct neap_named_breaker *named; /* in the order of their keys */
    size_t named_count, most;
    uint64_t count;                              /* named and others */
    uint64_t in_state[NEAP_BREAKER_STATE_COUNT]; /* the same by state */
};

/* How many there are in that state whose keys are not named. */
uint64_t neap_breaker_list_rest(const struct neap_breaker_list *list,
                                enum neap_breaker_state state);

/* NEAP_NO_MEMORY; NEAP_SYSTEM where a shared region's lock cannot be had in time. To be given back
 * by neap_breaker_list_deinit also after a failure. */
NEAP_MUST_CHECK enum neap_status neap_breaker_list_read(struct neap_breaker_list *list,
                                                        const struct neap_alloc *alloc,
                                                        struct neap_client *client, size_t most,
                                                        int64_t now_ns);
void neap_breaker_list_deinit(struct neap_breaker_list *list);

#endif
