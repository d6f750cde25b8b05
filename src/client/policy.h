/* Client policy: everything that a policy table says, compiled once and immutable from then on.
 *
 * The binding's option reader fills it; texts are copies owned by the struct. */
#ifndef NEAP_CLIENT_POLICY_H
#define NEAP_CLIENT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "metrics/alerts.h"
#include "pipeline/pipeline.h"
#include "policy/freshness.h"
#include "transport/transport.h"

/* One breaker for the client, one for each origin, or one for each text that a function returns. */
enum neap_key_choice { NEAP_KEY_CLIENT, NEAP_KEY_HOST, NEAP_KEY_FUNCTION };

/* Where an idempotency key comes from: a UUID, named fields of the request, or a function. */
enum neap_key_source { NEAP_KEY_SOURCE_NONE, NEAP_KEY_UUID, NEAP_KEY_FIELDS, NEAP_KEY_CUSTOM };

struct neap_idempotency_policy {
    enum neap_key_source source; /* NONE: off */
    char *header;
    char **methods; /* upper case */
    size_t method_count;
    char **fields; /* NEAP_KEY_FIELDS */
    size_t field_count;
    bool quoted;
    char *prefix; /* NULL: none */
};

struct neap_client_cache {
    bool enabled; /* else answers are kept for the fallback alone */
    struct neap_cache_policy freshness;
    uint32_t max_entries; /* of memory of its own, where no store is given */
    uint64_t max_bytes;
    char **vary;
    size_t vary_count;
    /* the longest of the fallbacks that are the cache; NEAP_CACHE_UNSAID: there is none */
    int64_t fallback_max_stale_ns;
};

struct neap_client_policy {
    const struct neap_alloc *alloc;
    char *name;
    char *base_url;                      /* NULL: none */
    struct neap_request_header *headers; /* of the policy's `headers`; texts owned */
    size_t header_count;
    struct neap_pipeline pipeline;
    struct neap_transport_settings transport; /* texts owned */
    enum neap_key_choice breaker_key;
    uint32_t breaker_max_keys;
    bool gate_key_is_function;
    struct neap_idempotency_policy idempotency;
    bool coalesce;
    bool asks_trace; /* a function gives each attempt headers that say what it belongs to */
    struct neap_client_cache cache;
    struct neap_alert_policy alerts;
    bool has_alerts;
    uint64_t max_request_bytes; /* UINT64_MAX: no limit */
    char *deadline_header;      /* NULL: none */
};

/* Everything off and empty; the defaults are the option tables' matter. */
void neap_client_policy_init(struct neap_client_policy *policy, const struct neap_alloc *alloc);

/* Releases the texts; an initialised policy may be released at any stage of its filling. */
void neap_client_policy_deinit(struct neap_client_policy *policy);

/* Does a request of that method, in upper case, get a key by itself? */
bool neap_idempotency_wants_key(const struct neap_idempotency_policy *policy, const char *method);

#endif
