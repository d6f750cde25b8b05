/* What the files of a call's way through the cache share: exchange_cache.c takes the steps,
 * exchange_cache_answer.c answers with what is stored, exchange_cache_keep.c stores. */
#ifndef NEAP_CLIENT_EXCHANGE_CACHE_INTERNAL_H
#define NEAP_CLIENT_EXCHANGE_CACHE_INTERNAL_H

#include "client/exchange_cache.h"
#include "client/exchange_internal.h"
#include "pipeline/cache_key.h"
#include "pipeline/cached_answer.h"

/* What the next step of the store is about.
 *
 *     LOOK_URL     -> MAKE_URL, LOOK_ENTRY    is there a generation?
 *     MAKE_URL     -> LOOK_ENTRY              a new one is put, before the request is sent
 *     LOOK_ENTRY   -> LOOK_VARIANT, READY     an answer, names, or nothing
 *     LOOK_VARIANT -> READY
 *     READY        -> KEEP_NAMES, KEEP_ANSWER, FORGET, CHECK_URL, OVER   when the call is done
 *     KEEP_NAMES   -> KEEP_ANSWER
 *     CHECK_URL    -> CHANGE_URL, OVER        without a generation nothing is stored
 *     KEEP_ANSWER, FORGET, CHANGE_URL -> OVER */
enum neap_cache_state {
    NEAP_CACHE_LOOK_URL,
    NEAP_CACHE_MAKE_URL,
    NEAP_CACHE_LOOK_ENTRY,
    NEAP_CACHE_LOOK_VARIANT,
    NEAP_CACHE_READY,
    NEAP_CACHE_KEEP_NAMES,
    NEAP_CACHE_KEEP_ANSWER,
    NEAP_CACHE_FORGET,
    NEAP_CACHE_CHECK_URL,
    NEAP_CACHE_CHANGE_URL,
    NEAP_CACHE_OVER
};

struct neap_cache_block {
    char *at; /* NULL: none */
    size_t bytes;
};

struct neap_cache_use {
    enum neap_cache_state state;
    bool answers; /* by its policy; else it only stands in */
    bool lone, failed;
    struct neap_cache_request request;
    uint8_t generation[NEAP_CACHE_GENERATION_BYTES];
    struct neap_vary names; /* that the key of the stored answer was made with */
    char url_key[NEAP_CACHE_KEY_BYTES], entry_key[NEAP_CACHE_KEY_BYTES], key[NEAP_CACHE_KEY_BYTES];
    struct neap_cache_block stored;
    struct neap_cached_view view; /* of `stored`, where there is one */
    int asked_about;
    int64_t age_ns;
    struct neap_cache_block record, kept;
    int64_t until_ns;
};

static inline const struct neap_alloc *neap_exchange_alloc(const struct neap_exchange *exchange)
{
    return exchange->client->alloc;
}

static inline int64_t neap_exchange_wall(const struct neap_exchange *exchange)
{
    return neap_loop_wall(exchange->client->engine->loop);
}

static inline const struct neap_client_cache *
neap_exchange_cache_policy(const struct neap_exchange *exchange)
{
    return &exchange->client->policy.cache;
}

static inline void neap_cache_count(const struct neap_exchange *exchange,
                                    enum neap_cache_event event)
{
    neap_count(&exchange->client->board->counters.cache[event]);
}

/* The names of the policy. */
void neap_cache_init_names(const struct neap_exchange *exchange, struct neap_vary *names);

/* The key of the request as it stands, under these names; under those of the policy. */
NEAP_MUST_CHECK enum neap_status neap_cache_make_key(const struct neap_exchange *exchange,
                                                     const struct neap_cache_use *use,
                                                     const struct neap_vary *names,
                                                     char key[NEAP_CACHE_KEY_BYTES]);
NEAP_MUST_CHECK enum neap_status neap_cache_make_entry_key(const struct neap_exchange *exchange,
                                                           const struct neap_cache_use *use,
                                                           char key[NEAP_CACHE_KEY_BYTES]);

/* The stored answer takes the place of whatever response there was. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_cache_put_in_place(struct neap_exchange *exchange,
                                                         const struct neap_cached_view *view);

#endif
