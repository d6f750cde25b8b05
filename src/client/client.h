/* Client: one API with its policy, the state of its policies, its connections and its counters.
 *
 * Belongs to its engine's thread. References are counted: the owner and each exchange hold one. */
#ifndef NEAP_CLIENT_CLIENT_H
#define NEAP_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "client/cells.h"
#include "client/client_alerts.h"
#include "client/client_parts.h"
#include "client/coalescing.h"
#include "client/engine.h"
#include "client/policy.h"
#include "pipeline/call.h"
#include "policy/idempotency_key.h"
#include "transport/url_memo.h"

/* What carries an attempt. */
enum neap_carrier {
    NEAP_CARRIER_NETWORK, /* libcurl */
    NEAP_CARRIER_SCRIPT,  /* a script of the testing kit */
    NEAP_CARRIER_FUNCTION /* a wrapped Lua function */
};

/* Of a client whose policy is changed, only one at a time makes calls. */
enum neap_client_role { NEAP_CLIENT_IN_CHARGE, NEAP_CLIENT_CANDIDATE, NEAP_CLIENT_SUCCEEDED };

#define NEAP_KEY_HEADER "Idempotency-Key"

struct neap_exchange;

/* The digest of the last credential. It is known again by a hash under the engine's secret seed and
 * by its length: the credential itself is not kept. */
struct neap_credential_memo {
    bool known;
    uint64_t hash;
    size_t bytes;
    char digest[NEAP_DIGEST_BYTES];
};

/* The gates that the last call had, as long as the engine's map has evicted nothing: origin,
 * credential. */
struct neap_gate_memo {
    struct neap_gate *gate[2];
    uint64_t evictions;
};

struct neap_client {
    const struct neap_alloc *alloc;
    struct neap_engine *engine;
    struct neap_member member;
    struct neap_client_policy policy; /* owned */
    enum neap_carrier carrier;
    struct neap_cells cells;   /* where the state below comes from */
    uint32_t holder;           /* in whose name permits are out */
    struct neap_board *board;  /* counters */
    struct neap_url_memo urls; /* resolved against the policy's base */
    struct neap_credential_memo credential;
    struct neap_gate_memo last_gates; /* private ones */
    struct neap_connections *connections;

    struct neap_breaker *breaker; /* the one of the client; NULL if keyed or off */
    struct neap_keyed_breakers *keyed_breakers;
    struct neap_buffer cell_name; /* of the last breaker of a key that the region was asked for */
    size_t cell_prefix_bytes;     /* of the client's name in it; 0 before the first one */
    struct neap_rate_limiter *limiter;
    struct neap_bulkhead *bulkhead;
    struct neap_retry_budget *budget;
    struct neap_alerts *alerts;           /* NULL: off */
    struct neap_alert_watch *alert_watch; /* where there are alerts */

    struct neap_queue *queue;           /* for a place in the bulkhead */
    struct neap_exchange *exchanges;    /* all that live */
    struct neap_coalescing *coalescing; /* NULL: off */
    uint32_t watched;                   /* bits of enum neap_notice_kind that have listeners */
    bool closed;
    enum neap_client_role role;
    struct neap_client *before; /* has calls that go on under another policy; NULL: none */
    uint32_t references;
};

/* Its state is shared where the engine's is. Takes over what *policy owns, also on failure.
 * NEAP_NO_MEMORY; NEAP_NOT_FOUND where the engine's region has no room for it. */
NEAP_MUST_CHECK enum neap_status neap_client_new(struct neap_engine *engine,
                                                 struct neap_client_policy *policy,
                                                 enum neap_carrier carrier,
                                                 struct neap_client **client);

/* A candidate with another policy and the same name that shares the state of `before` as far as it
 * fits: see neap_client_make_state. It is to be released, or to take over, before it makes a call.
 * Else as neap_client_new. */
NEAP_MUST_CHECK enum neap_status neap_client_propose(struct neap_client *before,
                                                     struct neap_client_policy *policy,
                                                     struct neap_client **candidate);

/* From now on the candidate makes the calls. Those of `before` end under their own policy, and
 * closing the candidate closes them too. NEAP_NO_MEMORY: nothing has changed. */
NEAP_MUST_CHECK enum neap_status neap_client_take_over(struct neap_client *candidate,
                                                       struct neap_client *before);

struct neap_client *neap_client_hold(struct neap_client *client);
void neap_client_release(struct neap_client *client);

/* Calls in flight end as cancelled, connections are closed; waits for nothing. A second time
 * changes nothing. Where the engine is inherited, calls and connections of the parent are left as
 * they are. */
void neap_client_close(struct neap_client *client);

/* Adds to the board what has become of the connections since the last time. */
void neap_client_publish_pool(struct neap_client *client);

/* What every call of the client is made with; requests add their gates, a breaker of their key and
 * limits of their own. */
void neap_client_call_setup(struct neap_client *client, struct neap_call_setup *setup);

/* The name under which a key is sent: the policy's own, or the standard one. */
const char *neap_client_key_header(const struct neap_client *client);

/* The breaker for a key (NULL: the client's own, if it has one), pinned until
 * neap_client_unpin_breaker. NULL where there is no memory, or where max_keys breakers are all in
 * use: the call then goes without, since refusing it would make an outage of ours. */
struct neap_breaker *neap_client_pin_breaker(struct neap_client *client, const char *key,
                                             size_t key_bytes);

/* The same if it is there already, without making one; NULL else. */
struct neap_breaker *neap_client_find_breaker(struct neap_client *client, const char *key,
                                              size_t key_bytes);
/* Has it a breaker for each key, and not one for all? */
bool neap_client_has_keys(const struct neap_client *client);

/* Has each breaker of a key looked at, in no order; none is made or counted as used. In a region
 * the one that looks calls nothing of it. False where the region's lock cannot be had in time. */
NEAP_MUST_CHECK bool neap_client_each_breaker(struct neap_client *client, neap_cell_look *look,
                                              void *context);
void neap_client_unpin_breaker(struct neap_client *client, struct neap_breaker *breaker);

#endif
