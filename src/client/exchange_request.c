/* Prepares what a call sends and what it shares with others: headers, key, breaker, gates. */
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/method.h"
#include "client/exchange_internal.h"
#include "policy/idempotency_key.h"

static enum neap_status copy_header(struct neap_exchange *exchange, const char *name,
                                    const char *value, struct neap_request_header *header)
{
    header->name = neap_arena_copy_text(&exchange->arena, name);
    header->value = neap_arena_copy_text(&exchange->arena, value);
    return header->name && header->value ? NEAP_OK : NEAP_NO_MEMORY;
}

static bool is_replaced(const struct neap_exchange *exchange, const struct neap_draft *draft,
                        const char *name)
{
    if (draft->idempotency_key && strcasecmp(name, neap_client_key_header(exchange->client)) == 0)
        return true;
    return neap_header_find(draft->headers, draft->header_count, name);
}

/* The policy's headers that the request does not replace, the request's, and the key. */
static enum neap_status gather_headers(struct neap_exchange *exchange,
                                       const struct neap_draft *draft)
{
    const struct neap_client_policy *policy = &exchange->client->policy;
    size_t most = policy->header_count + draft->header_count + 2; /* key and deadline */
    exchange->header = neap_arena_take(&exchange->arena, most * sizeof *exchange->header);
    if (!exchange->header)
        return NEAP_NO_MEMORY;

    enum neap_status status = NEAP_OK;
    for (size_t i = 0; i < policy->header_count; i++) /* texts of the policy outlive the call */
        if (!is_replaced(exchange, draft, policy->headers[i].name))
            exchange->header[exchange->header_count++] = policy->headers[i];
    for (size_t i = 0; i < draft->header_count && status == NEAP_OK; i++)
        status = copy_header(exchange, draft->headers[i].name, draft->headers[i].value,
                             &exchange->header[exchange->header_count++]);
    if (status == NEAP_OK && draft->idempotency_key)
        status = copy_header(exchange, neap_client_key_header(exchange->client),
                             draft->idempotency_key, &exchange->header[exchange->header_count++]);
    return status;
}

enum { ORIGIN, CREDENTIAL };

/* The name of a gate: the origin, or the origin and, in a line of its own, a credential. */
struct gate_name {
    struct neap_text origin, credential;
    int kind;
};

static bool begins_with(struct neap_text text, struct neap_text start)
{
    return text.bytes >= start.bytes &&
           (start.bytes == 0 || memcmp(text.text, start.text, start.bytes) == 0);
}

static struct neap_text without_first(struct neap_text text, size_t bytes)
{
    return (struct neap_text){text.text + bytes, text.bytes - bytes};
}

static bool is_named(const struct neap_gate *gate, const struct gate_name *name)
{
    struct neap_text key;
    key.text = neap_keymap_key(gate, &key.bytes);
    if (!begins_with(key, name->origin))
        return false;
    key = without_first(key, name->origin.bytes);
    if (name->kind == ORIGIN)
        return key.bytes == 0;
    return key.bytes == 1 + name->credential.bytes && key.text[0] == '\n' &&
           begins_with(without_first(key, 1), name->credential);
}

/* The gate of that name, where it is the one of the last call; pinned. */
static struct neap_gate *pin_last_gate(struct neap_client *client, const struct gate_name *name)
{
    const struct neap_gate_memo *memo = &client->last_gates;
    struct neap_keymap *gates = &client->engine->gates;
    struct neap_gate *gate = memo->gate[name->kind];
    if (!gate || memo->evictions != gates->evictions || !is_named(gate, name))
        return NULL;
    neap_keymap_pin(gates, gate);
    return gate;
}

static void remember_gate(struct neap_client *client, int kind, struct neap_gate *gate)
{
    struct neap_gate_memo *memo = &client->last_gates;
    uint64_t evictions = client->engine->gates.evictions;
    if (memo->evictions != evictions)
        *memo = (struct neap_gate_memo){.evictions = evictions};
    memo->gate[kind] = gate;
}

static struct neap_gate *pin_gate(struct neap_client *client, int kind, const char *key,
                                  size_t key_bytes)
{
    struct neap_engine *engine = client->engine;
    bool is_new;
    if (client->cells.region)
        return neap_cells_acquire(&client->cells, NEAP_CELL_GATE, key, key_bytes, NULL,
                                  neap_loop_now(engine->loop));
    struct neap_gate *gate = neap_keymap_get(&engine->gates, key, key_bytes, &is_new);
    if (!gate)
        return NULL;
    if (is_new)
        neap_gate_init(gate);
    neap_keymap_pin(&engine->gates, gate);
    remember_gate(client, kind, gate);
    return gate;
}

static void unpin_gate(struct neap_client *client, struct neap_gate *gate)
{
    if (gate && client->cells.region)
        neap_cells_release(&client->cells, gate, neap_loop_now(client->engine->loop));
    else if (gate)
        neap_keymap_unpin(&client->engine->gates, gate);
}

/* Pins the gate whose name has to be put together. NULL too where no gate can be had. */
static enum neap_status pin_credential_gate(struct neap_client *client,
                                            const struct gate_name *name, struct neap_gate **gate)
{
    struct neap_buffer key;
    neap_buffer_init(&key, client->alloc);
    enum neap_status status = neap_buffer_append(&key, name->origin.text, name->origin.bytes);
    if (status == NEAP_OK)
        status = neap_buffer_append(&key, "\n", 1);
    if (status == NEAP_OK)
        status = neap_buffer_append(&key, name->credential.text, name->credential.bytes);
    if (status == NEAP_OK)
        *gate = pin_gate(client, CREDENTIAL, key.data, key.bytes);
    neap_buffer_deinit(&key);
    return status;
}

/* Pins the credential's gate in place of the one that was pinned. The credential itself is never
 * kept: only its digest, or what gate.key returned, stands in the gate's name. */
static enum neap_status pin_credential(struct neap_exchange *exchange, struct neap_text credential)
{
    struct neap_client *client = exchange->client;
    struct gate_name name = {neap_text_of(exchange->url.origin), credential, CREDENTIAL};
    struct neap_gate *gate = pin_last_gate(client, &name);
    if (!gate) {
        enum neap_status status = pin_credential_gate(client, &name, &gate);
        if (status != NEAP_OK)
            return status;
    }
    unpin_gate(client, exchange->gates[CREDENTIAL]);
    exchange->gates[CREDENTIAL] = gate;
    return NEAP_OK;
}

static struct neap_gate *pin_origin(struct neap_client *client, const char *origin)
{
    struct gate_name name = {.origin = neap_text_of(origin), .kind = ORIGIN};
    struct neap_gate *gate = pin_last_gate(client, &name);
    return gate ? gate : pin_gate(client, ORIGIN, origin, name.origin.bytes);
}

/* Most clients have one credential: to hash it as a digest does costs as much as all else here. */
static struct neap_text digest_of(struct neap_client *client, struct neap_text credential)
{
    struct neap_credential_memo *memo = &client->credential;
    uint64_t hash = neap_hash(&client->engine->gates.seed, credential.text, credential.bytes);
    if (!memo->known || memo->hash != hash || memo->bytes != credential.bytes) {
        neap_credential_digest(credential.text, credential.bytes, memo->digest);
        memo->known = true;
        memo->hash = hash;
        memo->bytes = credential.bytes;
    }
    return neap_text_of(memo->digest);
}

static enum neap_status pin_authorization(struct neap_exchange *exchange)
{
    struct neap_text digest = {"", 0};
    const char *authorization =
        neap_header_find(exchange->header, exchange->header_count, "Authorization");
    if (authorization)
        digest = digest_of(exchange->client, neap_text_of(authorization));
    return pin_credential(exchange, digest);
}

/* Where no gate can be had, because all are in use, the call goes without. */
static enum neap_status pin_gates(struct neap_exchange *exchange, const struct neap_draft *draft)
{
    exchange->gates[ORIGIN] = pin_origin(exchange->client, exchange->url.origin);
    exchange->gate_by_authorization = !draft->gate_key;
    if (exchange->gate_by_authorization)
        return pin_authorization(exchange);
    return pin_credential(exchange, (struct neap_text){draft->gate_key, draft->gate_key_bytes});
}

/* What names the breaker among its client's; an empty text where there is but one. */
static enum neap_status name_breaker(struct neap_exchange *exchange, const struct neap_draft *draft)
{
    const char *origin = exchange->url.origin ? exchange->url.origin : "";
    if (exchange->client->policy.breaker_key == NEAP_KEY_CLIENT)
        return NEAP_OK;
    exchange->breaker_key = (struct neap_text){origin, strlen(origin)};
    if (!draft->breaker_key)
        return NEAP_OK;
    char *copy = neap_arena_take(&exchange->arena, draft->breaker_key_bytes + 1);
    if (!copy)
        return NEAP_NO_MEMORY;
    memcpy(copy, draft->breaker_key, draft->breaker_key_bytes);
    exchange->breaker_key = (struct neap_text){copy, draft->breaker_key_bytes};
    return NEAP_OK;
}

static enum neap_status pin_breaker(struct neap_exchange *exchange, const struct neap_draft *draft)
{
    struct neap_text *key = &exchange->breaker_key;
    enum neap_status status = name_breaker(exchange, draft);
    if (status == NEAP_OK)
        exchange->breaker = neap_client_pin_breaker(exchange->client, key->text, key->bytes);
    return status;
}

static bool is_replayable(const struct neap_exchange *exchange, const struct neap_draft *draft)
{
    if (exchange->client->carrier == NEAP_CARRIER_FUNCTION)
        return true;
    return draft->replayable || neap_method_is_idempotent(draft->method) ||
           neap_header_find(exchange->header, exchange->header_count,
                            neap_client_key_header(exchange->client)) ||
           neap_header_find(exchange->header, exchange->header_count, NEAP_KEY_HEADER);
}

enum neap_status neap_exchange_prepare(struct neap_exchange *exchange,
                                       const struct neap_draft *draft)
{
    const struct neap_pipeline *pipeline = &exchange->client->policy.pipeline;
    char *method = neap_arena_copy_text(&exchange->arena, draft->method);
    if (!method)
        return NEAP_NO_MEMORY;
    exchange->request = (struct neap_request){.method = method,
                                              .url = exchange->url.text,
                                              .resolved = &exchange->url,
                                              .body = draft->body,
                                              .body_bytes = draft->body_bytes};
    enum neap_status status = gather_headers(exchange, draft);
    if (status == NEAP_OK && pipeline->has_breaker)
        status = pin_breaker(exchange, draft);
    if (status == NEAP_OK && pipeline->has_gate && exchange->url.origin)
        status = pin_gates(exchange, draft);
    exchange->replayable = status == NEAP_OK && is_replayable(exchange, draft);
    return status;
}

void neap_exchange_unprepare(struct neap_exchange *exchange)
{
    neap_client_unpin_breaker(exchange->client, exchange->breaker);
    for (int i = 0; i < 2; i++)
        unpin_gate(exchange->client, exchange->gates[i]);
}

static enum neap_status replace_header(struct neap_exchange *exchange,
                                       const struct neap_request_header *fresh)
{
    for (size_t i = 0; i < exchange->header_count; i++) {
        if (strcasecmp(exchange->header[i].name, fresh->name) == 0) {
            exchange->header[i] = *fresh;
            return NEAP_OK;
        }
    }
    size_t bytes = exchange->header_count * sizeof *exchange->header;
    struct neap_request_header *more =
        neap_arena_take(&exchange->arena, bytes + 2 * sizeof *more); /* one for the deadline */
    if (!more)
        return NEAP_NO_MEMORY;
    memcpy(more, exchange->header, bytes);
    more[exchange->header_count++] = *fresh;
    exchange->header = more;
    return NEAP_OK;
}

void neap_exchange_drop_header(struct neap_exchange *exchange, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < exchange->header_count; i++)
        if (strcasecmp(exchange->header[i].name, name) != 0)
            exchange->header[kept++] = exchange->header[i];
    exchange->header_count = kept;
}

enum neap_status neap_exchange_set_header(struct neap_exchange *exchange, const char *name,
                                          const char *value)
{
    struct neap_request_header fresh;
    enum neap_status status = copy_header(exchange, name, value, &fresh);
    if (status == NEAP_OK)
        status = replace_header(exchange, &fresh);
    bool new_credential = exchange->gate_by_authorization && strcasecmp(name, "Authorization") == 0;
    if (status == NEAP_OK && new_credential) {
        status = pin_authorization(exchange);
        exchange->call.setup.state.gate_credential = exchange->gates[1];
    }
    return status;
}
