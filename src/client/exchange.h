/* Exchange: one call on its way. It drives the call's state machine: performs each effect, and
 * comes to Lua's attention only for what Lua must say or know.
 *
 * Belongs to the engine's thread. Life: neap_exchange_new (a request is prepared), _begin, then
 * whenever `attention` is not NONE the driver serves it:
 *
 *     ATTEMPT   carry an attempt out            -> neap_exchange_reply or _deliver
 *     ASK       effect.question                 -> neap_exchange_answer
 *     FALLBACK  effect.fallback                 -> neap_exchange_answer
 *     NOTICE    call.notice[] for listeners     -> neap_exchange_resume
 *     TRACE     headers of effect.attempt       -> neap_exchange_resume
 *     DONE      call.result, response           -> neap_exchange_free, at any time
 *
 * The waiter is woken when attention appears. Freeing an exchange that is not done cancels it. */
#ifndef NEAP_CLIENT_EXCHANGE_H
#define NEAP_CLIENT_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "client/client.h"
#include "client/tie.h"
#include "pipeline/call.h"
#include "policy/idempotency_key.h"
#include "transport/response.h"
#include "transport/url.h"

enum neap_attention {
    NEAP_ATTENTION_NONE,
    NEAP_ATTENTION_ATTEMPT,
    NEAP_ATTENTION_ASK,
    NEAP_ATTENTION_FALLBACK,
    NEAP_ATTENTION_NOTICE,
    NEAP_ATTENTION_TRACE,
    NEAP_ATTENTION_DONE
};

/* One live attempt on its carrier. */
struct neap_flight {
    struct neap_exchange *exchange;
    uint32_t attempt; /* 0: free */
    struct neap_wire wire;
    struct neap_loop_timer timer; /* when a scripted reply, or a failure to send, is due */
    struct neap_outcome outcome;
    struct neap_response *response;
    bool delayed; /* by chaos: what `timer` brings is the sending */
    bool landed;  /* ended while Lua was busy, see neap_exchange_resume; to be told next */
};

#define NEAP_FEW_HEADERS 16

/* What a caller asks for. Texts are copied by neap_exchange_new, but for the body, which must
 * outlive the exchange. */
struct neap_draft {
    const char *method;
    struct neap_url url; /* taken over */
    const struct neap_request_header *headers;
    size_t header_count;
    struct neap_request_header few_headers[NEAP_FEW_HEADERS]; /* room for most requests' */
    const char *body;
    size_t body_bytes;
    struct neap_timeouts timeout;
    int64_t deadline_ns;
    const char *idempotency_key; /* ready to be sent, prefix and quotes included; NULL: none */
    bool replayable;             /* the request says so */
    bool without_fallbacks;
    bool without_chaos;      /* chaos.only said no */
    const char *breaker_key; /* what breaker.key returned; NULL: by policy */
    size_t breaker_key_bytes;
    const char *gate_key; /* what gate.key returned; NULL: by the Authorization header */
    size_t gate_key_bytes;
};

struct neap_cache_use;

struct neap_exchange {
    struct neap_waiter waiter; /* first */
    struct neap_client *client;
    struct neap_exchange *next_of_client, *previous_of_client;
    struct neap_listed in_queue; /* while `queued` */
    bool queued;
    struct neap_tied tied;

    struct neap_arena arena;
    struct neap_url url;
    struct neap_request request;
    struct neap_request_header *header; /* with room for one more: the deadline's */
    size_t header_count;
    bool replayable, gate_by_authorization;
    struct neap_breaker *breaker; /* pinned; NULL: none */
    struct neap_text breaker_key; /* where the breaker is one of many */
    struct neap_gate *gates[2];   /* pinned: origin, credential */

    struct neap_share share; /* with calls that are alike */
    struct neap_loop_timer timer;
    struct neap_job job;
    struct neap_flight flight[NEAP_LIVE_MAX];
    struct neap_response *response; /* the last one that came, or what was stored in its place */
    struct neap_cache_use *cache;   /* client/exchange_cache.h; NULL: it goes round the cache */
    struct neap_effect effect;      /* what attention is about */
    enum neap_attention attention;
    uint32_t traced; /* the last attempt that headers were asked for */
    char deadline_text[24];
    bool begun, given_up;
    /* CANCEL or REFUSE, asked for while Lua was busy; BEGIN: nobody asked */
    enum neap_event_kind end_asked;

    struct neap_call call; /* last: it is large, and cleared by itself */
};

/* NEAP_NO_MEMORY. The draft's URL is taken over in every case. */
NEAP_MUST_CHECK enum neap_status neap_exchange_new(struct neap_client *client,
                                                   struct neap_draft *draft,
                                                   struct neap_exchange **exchange);
void neap_exchange_free(struct neap_exchange *exchange);

/* A place in the bulkhead may be free: the first in the queue asks again, from a step of its own,
 * unless it is `but`. */
void neap_exchange_wake_first(struct neap_client *client, const struct neap_exchange *but);

/* An engine keeps the memory of so many for the next ones: of as many as end in one turn of a busy
 * loop, nginx's with 64 connections among them, before others begin. malloc has no quick way to so
 * large a block, and Lua's collector has more to do for an object that is freed by a function. */
#define NEAP_SPARE_EXCHANGES_MAX 64

/* For the end of an engine: what its exchanges have left for the next ones. */
void neap_exchange_free_spares(struct neap_engine *engine);

/* The call is given up when the tie ends. */
void neap_exchange_tie(struct neap_exchange *exchange, struct neap_tie *tie);

/* Ends the call where it stands, telling nobody: its transfer is cancelled and its permits are
 * free. Only neap_exchange_free may follow; a second time changes nothing. */
void neap_exchange_give_up(struct neap_exchange *exchange);

/* First step. A client that was closed ends the call as cancelled. With `may_follow` the call may
 * wait for another one's attempts instead of its own, where the policy coalesces: only for a host
 * that goes on with the other one meanwhile. */
void neap_exchange_begin(struct neap_exchange *exchange, bool may_follow);

/* In place of neap_exchange_begin: a call of the same client that has gone on without an exchange
 * so far, and the effect that is to be performed now. */
void neap_exchange_take_over(struct neap_exchange *exchange, struct neap_call *call,
                             const struct neap_effect *effect);

/* Turns the engine until there is attention: the whole of a blocking call. False where nothing can
 * happen any more. */
bool neap_exchange_run(struct neap_exchange *exchange);

/* When the exchange will do something by itself at the latest, by the loop's clock; NEAP_NEVER
 * where it waits for somebody else. */
int64_t neap_exchange_next_wakeup(const struct neap_exchange *exchange);

void neap_exchange_answer(struct neap_exchange *exchange, const struct neap_answer *answer);

/* After NOTICE and TRACE, during which nothing else has happened to the call: outcomes, limits and
 * cancelling have waited. */
void neap_exchange_resume(struct neap_exchange *exchange);

/* Both end the call at once, unless it is done; neap_exchange_refuse with an error of kind "phase",
 * since the host cannot wait where the call was made, and also before it has begun. */
void neap_exchange_cancel(struct neap_exchange *exchange);
void neap_exchange_refuse(struct neap_exchange *exchange);

/* Replaces or adds headers for the attempts that follow (a token refresh, a trace).
 * NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_exchange_set_header(struct neap_exchange *exchange,
                                                          const char *name, const char *value);

/* The attempts that follow go without it. */
void neap_exchange_drop_header(struct neap_exchange *exchange, const char *name);

/* That attempt has come to this, now. Of one that was given up meanwhile nothing is taken but the
 * response, which is released. */
void neap_exchange_deliver(struct neap_exchange *exchange, uint32_t attempt,
                           const struct neap_outcome *outcome, struct neap_response *response);

/* The same after `after_ns` of the loop's time, or earlier with a timeout if that passes the limit
 * of the phase: connect for resolve, connect and tls errors, read for the rest. Below 0: at once,
 * or for a timeout after the limit of its own phase. NEAP_NO_MEMORY: the response is released. */
NEAP_MUST_CHECK enum neap_status neap_exchange_reply(struct neap_exchange *exchange,
                                                     uint32_t attempt, int64_t after_ns,
                                                     const struct neap_outcome *outcome,
                                                     struct neap_response *response);

#endif
