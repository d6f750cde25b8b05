#include "client/policy.h"

#include <string.h>

static void free_list(const struct neap_alloc *alloc, char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        neap_free(alloc, list[i]);
    neap_free(alloc, list);
}

/* The settings' texts are const for the transport, which only reads them; they are ours. */
static void free_text(const struct neap_alloc *alloc, const char *text)
{
    neap_free(alloc, (void *)(uintptr_t)text);
}

static void free_headers(const struct neap_alloc *alloc, struct neap_request_header *headers,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free_text(alloc, headers[i].name);
        free_text(alloc, headers[i].value);
    }
    neap_free(alloc, headers);
}

void neap_client_policy_init(struct neap_client_policy *policy, const struct neap_alloc *alloc)
{
    memset(policy, 0, sizeof *policy);
    policy->alloc = alloc;
    policy->max_request_bytes = UINT64_MAX;
    policy->pipeline.hedge_after_ns = INT64_MAX;
    policy->cache.freshness =
        (struct neap_cache_policy){NEAP_CACHE_UNSAID, NEAP_CACHE_UNSAID, NEAP_CACHE_UNSAID};
    policy->cache.fallback_max_stale_ns = NEAP_CACHE_UNSAID;
}

void neap_client_policy_deinit(struct neap_client_policy *policy)
{
    const struct neap_alloc *alloc = policy->alloc;
    struct neap_idempotency_policy *idempotency = &policy->idempotency;
    const struct neap_transport_settings *transport = &policy->transport;

    free_list(alloc, transport->allow_hosts, transport->allow_host_count);
    free_text(alloc, transport->proxy);
    free_text(alloc, transport->key);
    free_text(alloc, transport->cert);
    free_text(alloc, transport->ca_path);
    free_text(alloc, transport->ca_file);
    free_list(alloc, policy->cache.vary, policy->cache.vary_count);
    neap_free(alloc, idempotency->prefix);
    free_list(alloc, idempotency->fields, idempotency->field_count);
    free_list(alloc, idempotency->methods, idempotency->method_count);
    neap_free(alloc, idempotency->header);
    free_headers(alloc, policy->headers, policy->header_count);
    neap_free(alloc, policy->deadline_header);
    neap_free(alloc, policy->base_url);
    neap_free(alloc, policy->name);
    memset(policy, 0, sizeof *policy);
}

bool neap_idempotency_wants_key(const struct neap_idempotency_policy *policy, const char *method)
{
    if (policy->source == NEAP_KEY_SOURCE_NONE)
        return false;
    for (size_t i = 0; i < policy->method_count; i++)
        if (strcmp(policy->methods[i], method) == 0)
            return true;
    return false;
}
