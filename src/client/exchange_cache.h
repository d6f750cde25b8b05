/* A call's way through the client's cache: which steps of a store it needs, and what they mean.
 *
 * It touches no store: the driver asks for the next step, performs it wherever the store is, and
 * tells what came of it. In order:
 *
 *     neap_exchange_use_cache                  before the call has begun
 *     neap_cache_next, neap_cache_take         until there is no step left
 *     neap_exchange_begin_by_cache             answers the call, or makes it ready to begin
 *     … the call, which may ask by STORED …
 *     neap_exchange_conclude_cache             when the call is done
 *     neap_cache_next, neap_cache_take         until there is no step left
 *
 * A store that fails is the call's business no longer: it goes on without, and that is counted.
 * The keys, and why no lock is needed: pipeline/cache_key.h. */
#ifndef NEAP_CLIENT_EXCHANGE_CACHE_H
#define NEAP_CLIENT_EXCHANGE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/status.h"
#include "client/exchange.h"
#include "policy/freshness.h"

/* True where the call has anything to do with the cache, and then there may be steps. A `lone` call
 * refreshes what was answered stale: it is not answered by the cache, and nothing stands in for its
 * failure. NEAP_NO_MEMORY leaves the call without a cache. */
NEAP_MUST_CHECK enum neap_status neap_exchange_use_cache(struct neap_exchange *exchange, bool lone,
                                                         bool *uses);
void neap_exchange_leave_cache(struct neap_exchange *exchange);

enum neap_cache_op {
    NEAP_CACHE_OP_NONE,
    NEAP_CACHE_OP_GET,
    NEAP_CACHE_OP_PUT,
    NEAP_CACHE_OP_REMOVE
};

/* Texts stay until the next call of neap_cache_take. */
struct neap_cache_step {
    enum neap_cache_op op;
    struct neap_text key, value;
    int64_t until_ns; /* PUT: wall clock */
};

struct neap_cache_step neap_cache_next(const struct neap_exchange *exchange);

/* What came of the step: of GET the value, or nothing there (`found` false). */
NEAP_MUST_CHECK enum neap_status neap_cache_take(struct neap_exchange *exchange, bool found,
                                                 struct neap_text value);

/* The step failed: there will be no other. */
void neap_cache_fail(struct neap_exchange *exchange);

/* NEAP_CACHE_REVALIDATE: the call is still to be begun; a request that can ask whether the stored
 * answer is still good now does. Else the call was answered, and has attention. */
enum neap_cache_verdict neap_exchange_begin_by_cache(struct neap_exchange *exchange);

/* The answer to NEAP_EFFECT_STORED. */
struct neap_answer neap_exchange_stand_in(struct neap_exchange *exchange,
                                          const struct neap_effect *effect);

/* For a call that is done: a 304 to our own condition becomes the stored answer, and what is to be
 * stored or forgotten has steps. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_exchange_conclude_cache(struct neap_exchange *exchange);

/* The status of the stored answer that the call has asked about; 0: none. */
int neap_exchange_asked_about(const struct neap_exchange *exchange);

/* How old the answer is that the call was given; below 0 where none is stored. */
int64_t neap_exchange_answer_age(const struct neap_exchange *exchange);

/* The key under which its answer is looked for; "" before there is one. */
const char *neap_exchange_cache_key(const struct neap_exchange *exchange);

#endif
