/* Stored answers as a call's answer: before it begins, and in place of its failure. */
#include <string.h>

#include "base/duration.h"
#include "client/exchange_cache_internal.h"

static enum neap_status add_headers(struct neap_response *response,
                                    const struct neap_cached_view *view)
{
    struct neap_stored_reader reader = view->answer;
    enum neap_status status = NEAP_OK;
    while (reader.headers_left > 0 && status == NEAP_OK) {
        struct neap_stored_header header = neap_stored_answer_next(&reader);
        status = neap_response_add_header(response, header.name.text, header.name.bytes,
                                          header.value.text, header.value.bytes);
    }
    return status;
}

static char *copy_or_null(const struct neap_alloc *alloc, struct neap_text text,
                          enum neap_status *status)
{
    if (text.bytes == 0)
        return NULL;
    char *copy = neap_copy_text(alloc, text.text, text.bytes);
    if (!copy)
        *status = NEAP_NO_MEMORY;
    return copy;
}

enum neap_status neap_cache_put_in_place(struct neap_exchange *exchange,
                                         const struct neap_cached_view *view)
{
    struct neap_response *response;
    enum neap_status status = neap_response_new(neap_exchange_alloc(exchange), &response);
    if (status != NEAP_OK)
        return status;
    response->status = view->answer.status;
    response->http_version = view->http_version;
    response->url = copy_or_null(neap_exchange_alloc(exchange), view->url, &status);
    if (status == NEAP_OK && view->reason.bytes > 0)
        status = neap_buffer_append(&response->reason, view->reason.text, view->reason.bytes);
    if (status == NEAP_OK)
        status = add_headers(response, view);
    if (status == NEAP_OK)
        status =
            neap_buffer_append(&response->body, view->answer.body.text, view->answer.body.bytes);
    if (status != NEAP_OK) {
        neap_response_free(response);
        return status;
    }
    neap_response_free(exchange->response);
    exchange->response = response;
    exchange->cache->age_ns = neap_freshness_age(&view->freshness, neap_exchange_wall(exchange));
    return NEAP_OK;
}

static struct neap_answer answer_with(const struct neap_cached_view *view,
                                      enum neap_cache_verdict verdict)
{
    int status = view->answer.status;
    return (struct neap_answer){.answered = true,
                                .ok = status >= 200 && status < 400,
                                .status = status,
                                .source = verdict == NEAP_CACHE_FRESH ? NEAP_SOURCE_CACHE
                                                                      : NEAP_SOURCE_STALE};
}

struct neap_answer neap_exchange_stand_in(struct neap_exchange *exchange,
                                          const struct neap_effect *effect)
{
    const struct neap_cache_use *use = exchange->cache;
    const struct neap_answer none = {.source = NEAP_SOURCE_STALE};
    if (!use || !use->stored.at)
        return none;
    const struct neap_freshness *freshness = &use->view.freshness;
    const struct neap_cache_policy *policy = &neap_exchange_cache_policy(exchange)->freshness;
    int64_t now_ns = neap_exchange_wall(exchange);
    enum neap_cache_verdict verdict =
        effect->max_stale_ns == NEAP_CACHE_UNSAID
            ? neap_freshness_judge_error(freshness, policy, &use->request.control, now_ns)
            : neap_freshness_judge_fallback(freshness, policy, effect->max_stale_ns, now_ns);
    if (verdict == NEAP_CACHE_REVALIDATE ||
        neap_cache_put_in_place(exchange, &use->view) != NEAP_OK)
        return none;
    return answer_with(&use->view, verdict);
}

/* A value that could not be sent safely is not sent. */
static bool add_condition(struct neap_exchange *exchange, const char *name, struct neap_text value)
{
    char *copy;
    if (value.bytes == 0 || !neap_header_is_safe(name, strlen(name), value.text, value.bytes))
        return false;
    copy = neap_copy_text(neap_exchange_alloc(exchange), value.text, value.bytes);
    bool added = copy && neap_exchange_set_header(exchange, name, copy) == NEAP_OK;
    neap_free(neap_exchange_alloc(exchange), copy);
    return added;
}

static void ask_about_stored(struct neap_exchange *exchange, struct neap_cache_use *use)
{
    const struct neap_cached_view *view = &use->view;
    if (!use->stored.at || !use->answers || !view->freshness.can_revalidate || view->redirected)
        return;
    bool by_tag = add_condition(exchange, "If-None-Match", view->etag);
    bool by_date = add_condition(exchange, "If-Modified-Since", view->last_modified);
    if (by_tag || by_date)
        use->asked_about = view->answer.status;
    exchange->request.own_conditions = by_tag || by_date;
}

static enum neap_cache_verdict judge(const struct neap_exchange *exchange,
                                     const struct neap_cache_use *use)
{
    bool may_answer = use->answers && !use->lone && use->stored.at && !exchange->client->closed;
    if (!may_answer)
        return NEAP_CACHE_REVALIDATE;
    return neap_freshness_judge(&use->view.freshness,
                                &neap_exchange_cache_policy(exchange)->freshness,
                                &use->request.control, neap_exchange_wall(exchange));
}

enum neap_cache_verdict neap_exchange_begin_by_cache(struct neap_exchange *exchange)
{
    struct neap_cache_use *use = exchange->cache;
    if (!use || use->request.way != NEAP_CACHE_THROUGH)
        return NEAP_CACHE_REVALIDATE;
    neap_loop_update(exchange->client->engine->loop);
    enum neap_cache_verdict verdict = judge(exchange, use);
    if (verdict == NEAP_CACHE_REVALIDATE ||
        neap_cache_put_in_place(exchange, &use->view) != NEAP_OK) {
        ask_about_stored(exchange, use);
        if (use->answers && !use->lone && !use->failed)
            neap_cache_count(exchange, NEAP_CACHE_EVENT_MISS);
        return NEAP_CACHE_REVALIDATE;
    }
    neap_cache_count(exchange,
                     verdict == NEAP_CACHE_FRESH ? NEAP_CACHE_EVENT_HIT : NEAP_CACHE_EVENT_STALE);
    struct neap_answer answer = answer_with(&use->view, verdict);
    neap_exchange_serve(exchange, &answer);
    return verdict;
}
