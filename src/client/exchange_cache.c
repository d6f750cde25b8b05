#include "client/exchange_cache.h"

#include <string.h>

#include "base/duration.h"
#include "client/exchange_cache_internal.h"

/* Generations and lists of names: what is lost with them is only fetched once more. */
#define RECORD_NS (30 * 86400 * NEAP_SECOND)

static void free_block(const struct neap_exchange *exchange, struct neap_cache_block *block)
{
    neap_free(neap_exchange_alloc(exchange), block->at);
    *block = (struct neap_cache_block){NULL, 0};
}

/* The request's headers as the core takes them; to be freed. NULL without memory. */
static struct neap_stored_header *headers_of(const struct neap_exchange *exchange)
{
    struct neap_stored_header *headers = neap_alloc_array(
        neap_exchange_alloc(exchange), exchange->header_count + 1, sizeof *headers);
    for (size_t i = 0; headers && i < exchange->header_count; i++)
        headers[i] = (struct neap_stored_header){neap_text_of(exchange->header[i].name),
                                                 neap_text_of(exchange->header[i].value)};
    return headers;
}

/* ---- going in */

static enum neap_status read_request(struct neap_exchange *exchange, struct neap_cache_use *use)
{
    struct neap_stored_header *headers = headers_of(exchange);
    if (!headers)
        return NEAP_NO_MEMORY;
    use->request = neap_cache_read_request(
        neap_text_of(exchange->request.method), headers, exchange->header_count,
        exchange->request.body && exchange->request.body_bytes > 0);
    neap_free(neap_exchange_alloc(exchange), headers);
    return neap_cache_url_key(neap_text_of(exchange->client->policy.name),
                              neap_text_of(exchange->url.text), neap_exchange_alloc(exchange),
                              use->url_key);
}

void neap_cache_init_names(const struct neap_exchange *exchange, struct neap_vary *names)
{
    const struct neap_client_cache *policy = neap_exchange_cache_policy(exchange);
    neap_vary_init(names);
    for (size_t i = 0; i < policy->vary_count; i++)
        neap_vary_add(names, policy->vary[i], strlen(policy->vary[i]));
}

enum neap_status neap_exchange_use_cache(struct neap_exchange *exchange, bool lone, bool *uses)
{
    const struct neap_client_cache *policy = neap_exchange_cache_policy(exchange);
    struct neap_cache_use *use = neap_alloc_zeroed(neap_exchange_alloc(exchange), sizeof *use);
    exchange->call.setup.without_fallbacks |= lone;
    if (!use)
        return NEAP_NO_MEMORY;
    exchange->cache = use;
    use->answers = policy->enabled;
    use->lone = lone;
    use->age_ns = -1;
    enum neap_status status = read_request(exchange, use);
    if (status != NEAP_OK || use->request.way == NEAP_CACHE_ROUND) {
        neap_exchange_leave_cache(exchange);
        *uses = false;
        return status;
    }
    neap_cache_init_names(exchange, &use->names);
    use->state = use->request.way == NEAP_CACHE_THROUGH ? NEAP_CACHE_LOOK_URL : NEAP_CACHE_READY;
    exchange->call.setup.has_cache = use->answers;
    *uses = true;
    return NEAP_OK;
}

void neap_exchange_leave_cache(struct neap_exchange *exchange)
{
    struct neap_cache_use *use = exchange->cache;
    if (!use)
        return;
    free_block(exchange, &use->stored);
    free_block(exchange, &use->record);
    free_block(exchange, &use->kept);
    neap_free(neap_exchange_alloc(exchange), use);
    exchange->cache = NULL;
}

/* ---- steps */

static struct neap_cache_step get(const char *key)
{
    return (struct neap_cache_step){.op = NEAP_CACHE_OP_GET, .key = neap_text_of(key)};
}

static struct neap_cache_step put(const char *key, const void *value, size_t bytes,
                                  int64_t until_ns)
{
    return (struct neap_cache_step){.op = NEAP_CACHE_OP_PUT,
                                    .key = neap_text_of(key),
                                    .value = {value, bytes},
                                    .until_ns = until_ns};
}

static struct neap_cache_step put_record(const struct neap_exchange *exchange, const char *key,
                                         const void *value, size_t bytes)
{
    return put(key, value, bytes, neap_time_add(neap_exchange_wall(exchange), RECORD_NS));
}

struct neap_cache_step neap_cache_next(const struct neap_exchange *exchange)
{
    const struct neap_cache_use *use = exchange->cache;
    if (!use || use->failed)
        return (struct neap_cache_step){.op = NEAP_CACHE_OP_NONE};
    switch (use->state) {
    case NEAP_CACHE_LOOK_URL:
    case NEAP_CACHE_CHECK_URL:
        return get(use->url_key);
    case NEAP_CACHE_MAKE_URL:
    case NEAP_CACHE_CHANGE_URL:
        return put_record(exchange, use->url_key, use->generation, sizeof use->generation);
    case NEAP_CACHE_LOOK_ENTRY:
    case NEAP_CACHE_LOOK_VARIANT:
        return get(use->key);
    case NEAP_CACHE_KEEP_NAMES:
        return put_record(exchange, use->entry_key, use->record.at, use->record.bytes);
    case NEAP_CACHE_KEEP_ANSWER:
        return put(use->key, use->kept.at, use->kept.bytes, use->until_ns);
    case NEAP_CACHE_FORGET:
        return (struct neap_cache_step){.op = NEAP_CACHE_OP_REMOVE, .key = neap_text_of(use->key)};
    case NEAP_CACHE_READY:
    case NEAP_CACHE_OVER:
        break;
    }
    return (struct neap_cache_step){.op = NEAP_CACHE_OP_NONE};
}

void neap_cache_fail(struct neap_exchange *exchange)
{
    if (!exchange->cache || exchange->cache->failed)
        return;
    exchange->cache->failed = true;
    neap_cache_count(exchange, NEAP_CACHE_EVENT_ERROR);
}

enum neap_status neap_cache_make_key(const struct neap_exchange *exchange,
                                     const struct neap_cache_use *use,
                                     const struct neap_vary *names, char key[NEAP_CACHE_KEY_BYTES])
{
    struct neap_stored_header *headers = headers_of(exchange);
    if (!headers)
        return NEAP_NO_MEMORY;
    const struct neap_cache_request_parts parts = {
        .client = neap_text_of(exchange->client->policy.name),
        .method = neap_text_of(exchange->request.method),
        .url = neap_text_of(exchange->url.text),
        .generation = use->generation,
        .headers = headers,
        .header_count = exchange->header_count,
    };
    enum neap_status status =
        neap_cache_entry_key(&parts, names, neap_exchange_alloc(exchange), key);
    neap_free(neap_exchange_alloc(exchange), headers);
    return status;
}

enum neap_status neap_cache_make_entry_key(const struct neap_exchange *exchange,
                                           const struct neap_cache_use *use,
                                           char key[NEAP_CACHE_KEY_BYTES])
{
    struct neap_vary names;
    neap_cache_init_names(exchange, &names);
    return neap_cache_make_key(exchange, use, &names, key);
}

static enum neap_status enter_entry(struct neap_exchange *exchange, struct neap_cache_use *use)
{
    use->state = NEAP_CACHE_LOOK_ENTRY;
    return neap_cache_make_entry_key(exchange, use, use->key);
}

static enum neap_status take_url(struct neap_exchange *exchange, struct neap_cache_use *use,
                                 bool found, struct neap_text value)
{
    if (found && value.bytes == sizeof use->generation) {
        memcpy(use->generation, value.text, sizeof use->generation);
        return enter_entry(exchange, use);
    }
    use->state = NEAP_CACHE_MAKE_URL;
    return neap_engine_random_bytes(exchange->client->engine, use->generation);
}

/* A block that cannot be read is as good as none: it is written over. */
static enum neap_status take_answer(struct neap_exchange *exchange, struct neap_cache_use *use,
                                    struct neap_text value)
{
    struct neap_cached_view view;
    use->state = NEAP_CACHE_READY;
    if (!neap_cached_answer_open(value.text, value.bytes, &view))
        return NEAP_OK;
    use->stored.at = neap_copy_text(neap_exchange_alloc(exchange), value.text, value.bytes);
    if (!use->stored.at)
        return NEAP_NO_MEMORY;
    use->stored.bytes = value.bytes;
    (void)neap_cached_answer_open(use->stored.at, use->stored.bytes, &use->view);
    return NEAP_OK;
}

static enum neap_status take_entry(struct neap_exchange *exchange, struct neap_cache_use *use,
                                   bool found, struct neap_text value)
{
    if (!found) {
        use->state = NEAP_CACHE_READY;
        return NEAP_OK;
    }
    if (use->state == NEAP_CACHE_LOOK_ENTRY &&
        neap_vary_read(&use->names, value.text, value.bytes)) {
        use->state = NEAP_CACHE_LOOK_VARIANT;
        return neap_cache_make_key(exchange, use, &use->names, use->key);
    }
    return take_answer(exchange, use, value);
}

static enum neap_status check_url(struct neap_exchange *exchange, struct neap_cache_use *use,
                                  bool found)
{
    use->state = found ? NEAP_CACHE_CHANGE_URL : NEAP_CACHE_OVER;
    return found ? neap_engine_random_bytes(exchange->client->engine, use->generation) : NEAP_OK;
}

enum neap_status neap_cache_take(struct neap_exchange *exchange, bool found, struct neap_text value)
{
    struct neap_cache_use *use = exchange->cache;
    if (!use || use->failed)
        return NEAP_OK;
    switch (use->state) {
    case NEAP_CACHE_LOOK_URL:
        return take_url(exchange, use, found, value);
    case NEAP_CACHE_MAKE_URL:
        return enter_entry(exchange, use);
    case NEAP_CACHE_LOOK_ENTRY:
    case NEAP_CACHE_LOOK_VARIANT:
        return take_entry(exchange, use, found, value);
    case NEAP_CACHE_CHECK_URL:
        return check_url(exchange, use, found);
    case NEAP_CACHE_KEEP_NAMES:
        use->state = NEAP_CACHE_KEEP_ANSWER;
        return NEAP_OK;
    case NEAP_CACHE_KEEP_ANSWER:
    case NEAP_CACHE_FORGET:
    case NEAP_CACHE_CHANGE_URL:
        use->state = NEAP_CACHE_OVER;
        return NEAP_OK;
    case NEAP_CACHE_READY:
    case NEAP_CACHE_OVER:
        break;
    }
    return NEAP_OK;
}

/* ---- what others ask */

int neap_exchange_asked_about(const struct neap_exchange *exchange)
{
    return exchange->cache ? exchange->cache->asked_about : 0;
}

int64_t neap_exchange_answer_age(const struct neap_exchange *exchange)
{
    return exchange->cache ? exchange->cache->age_ns : -1;
}

const char *neap_exchange_cache_key(const struct neap_exchange *exchange)
{
    return exchange->cache ? exchange->cache->key : "";
}
