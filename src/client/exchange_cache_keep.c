/* What a call that is done leaves in the cache. */
#include <string.h>

#include "base/duration.h"
#include "client/exchange_cache_internal.h"

/* A moment goes to the store as seconds in a double, which may round it down. */
#define ROUNDING_NS NEAP_MS

/* The response's headers as the core takes them; to be freed. NULL without memory. */
static struct neap_stored_header *response_headers(const struct neap_response *response)
{
    struct neap_stored_header *headers =
        neap_alloc_array(response->alloc, (size_t)response->header_count + 1, sizeof *headers);
    for (uint32_t i = 0; headers && i < response->header_count; i++) {
        const struct neap_header_span *span = &response->header[i];
        headers[i] =
            (struct neap_stored_header){{response->head.data + span->name_at, span->name_bytes},
                                        {response->head.data + span->value_at, span->value_bytes}};
    }
    return headers;
}

/* When the last attempt was sent and ended, by the wall clock. */
static void attempt_times(const struct neap_exchange *exchange, int64_t *requested_ns,
                          int64_t *received_ns)
{
    const struct neap_attempt *attempt = &exchange->call.judged;
    int64_t now_ns = neap_loop_now(exchange->client->engine->loop);
    *requested_ns = *received_ns = neap_exchange_wall(exchange);
    if (exchange->call.coalesced) /* the attempt was another call's, and has only just ended */
        return;
    *received_ns -= neap_time_since(now_ns, attempt->ended_ns);
    *requested_ns = *received_ns - neap_time_since(attempt->ended_ns, attempt->started_ns);
}

/* Names beyond the policy's make the answer a variant, and are kept where its entry would be. */
static enum neap_status file_under(struct neap_exchange *exchange, struct neap_cache_use *use,
                                   const struct neap_vary *names)
{
    struct neap_vary own;
    neap_cache_init_names(exchange, &own);
    enum neap_status status = neap_cache_make_entry_key(exchange, use, use->entry_key);
    if (status == NEAP_OK)
        status = neap_cache_make_key(exchange, use, names, use->key);
    if (status != NEAP_OK)
        return status;
    use->state = NEAP_CACHE_KEEP_ANSWER;
    if (neap_vary_equal(&own, names))
        return NEAP_OK;
    use->state = NEAP_CACHE_KEEP_NAMES;
    return neap_vary_write(names, neap_exchange_alloc(exchange), &use->record.at,
                           &use->record.bytes);
}

/* `use->kept` is there. Nothing is stored that is of no use to anybody, and what was stored is no
 * longer what the server says. */
static enum neap_status keep(struct neap_exchange *exchange, struct neap_cache_use *use,
                             const struct neap_vary *names)
{
    const struct neap_client_cache *policy = neap_exchange_cache_policy(exchange);
    struct neap_cached_view view;
    use->state = use->stored.at ? NEAP_CACHE_FORGET : NEAP_CACHE_OVER;
    if (!neap_cached_answer_open(use->kept.at, use->kept.bytes, &view))
        return NEAP_OK;
    int64_t end_ns =
        neap_freshness_end(&view.freshness, &policy->freshness, policy->fallback_max_stale_ns);
    if (end_ns <= neap_exchange_wall(exchange))
        return NEAP_OK;
    use->until_ns = neap_time_add(end_ns, ROUNDING_NS);
    return file_under(exchange, use, names);
}

static enum neap_status keep_response(struct neap_exchange *exchange, struct neap_cache_use *use,
                                      const struct neap_stored_header *headers)
{
    const struct neap_response *response = exchange->response;
    struct neap_cached_answer cached = {
        .http_version = response->http_version,
        .redirected = response->url && strcmp(response->url, exchange->url.text) != 0,
        .url = neap_text_of(response->url ? response->url : exchange->url.text),
        .reason = {response->reason.data, response->reason.bytes},
        .answer = {response->status,
                   headers,
                   response->header_count,
                   {response->body.data, response->body.bytes}},
    };
    if (!neap_cache_may_store(&cached.answer, &use->names)) {
        bool outdated = use->stored.at && response->status < 300;
        use->state = outdated ? NEAP_CACHE_FORGET : NEAP_CACHE_OVER;
        return NEAP_OK;
    }
    attempt_times(exchange, &cached.requested_ns, &cached.received_ns);
    enum neap_status status = neap_cached_answer_write(&cached, neap_exchange_alloc(exchange),
                                                       &use->kept.at, &use->kept.bytes);
    return status == NEAP_OK ? keep(exchange, use, &use->names) : status;
}

/* A 304 that speaks of another answer than ours refreshes nothing; the next call asks for all. */
static enum neap_status keep_refreshed(struct neap_exchange *exchange, struct neap_cache_use *use,
                                       const struct neap_stored_header *headers)
{
    struct neap_cached_view view;
    int64_t requested_ns, received_ns;
    attempt_times(exchange, &requested_ns, &received_ns);
    enum neap_status status = neap_cached_answer_refresh(
        &use->view, headers, exchange->response->header_count, requested_ns, received_ns,
        neap_exchange_alloc(exchange), &use->kept.at, &use->kept.bytes);
    if (status == NEAP_INVALID) {
        use->state = NEAP_CACHE_FORGET;
        return neap_cache_put_in_place(exchange, &use->view);
    }
    if (status != NEAP_OK || !neap_cached_answer_open(use->kept.at, use->kept.bytes, &view))
        return status;
    const struct neap_stored_answer told = {
        use->view.answer.status, headers, exchange->response->header_count, {"", 0}};
    neap_cache_count(exchange, NEAP_CACHE_EVENT_REVALIDATED);
    use->state = NEAP_CACHE_FORGET;
    if (neap_cache_may_store(&told, &use->names))
        status = keep(exchange, use, &use->names);
    return status == NEAP_OK ? neap_cache_put_in_place(exchange, &view) : status;
}

static enum neap_status conclude_answer(struct neap_exchange *exchange, struct neap_cache_use *use)
{
    bool refreshed = exchange->call.revalidated && use->asked_about > 0;
    if (!exchange->response || (use->failed && !refreshed))
        return NEAP_OK;
    struct neap_stored_header *headers = response_headers(exchange->response);
    if (!headers)
        return NEAP_NO_MEMORY;
    enum neap_status status =
        refreshed ? keep_refreshed(exchange, use, headers) : keep_response(exchange, use, headers);
    neap_free(neap_exchange_alloc(exchange), headers);
    return status;
}

/* What another call's attempt has brought is stored by that one. */
static enum neap_status conclude_through(struct neap_exchange *exchange, struct neap_cache_use *use)
{
    enum neap_status status = conclude_answer(exchange, use);
    if (exchange->call.coalesced)
        use->state = NEAP_CACHE_OVER;
    return status;
}

enum neap_status neap_exchange_conclude_cache(struct neap_exchange *exchange)
{
    struct neap_cache_use *use = exchange->cache;
    const struct neap_result *result = &exchange->call.result;
    bool served = result->kind == NEAP_RESULT_STORED && !exchange->call.revalidated;
    if (!use || served || exchange->attention != NEAP_ATTENTION_DONE)
        return NEAP_OK;
    if (result->kind != NEAP_RESULT_RESPONSE && result->kind != NEAP_RESULT_STORED)
        return NEAP_OK;
    if (use->request.way == NEAP_CACHE_THROUGH)
        return conclude_through(exchange, use);
    if (neap_cache_status_changes(result->outcome.status))
        use->state = NEAP_CACHE_CHECK_URL;
    return NEAP_OK;
}
