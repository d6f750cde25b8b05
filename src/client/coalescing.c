#include "client/coalescing.h"

#include <string.h>
#include <strings.h>

#include "base/secret.h"
#include "client/exchange_internal.h"

enum neap_status neap_coalescing_new(const struct neap_alloc *alloc,
                                     const struct neap_hash_seed *seed,
                                     struct neap_coalescing **coalescing)
{
    struct neap_coalescing *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->alloc = alloc;
    made->seed = *seed;
    *coalescing = made;
    return NEAP_OK;
}

void neap_coalescing_free(struct neap_coalescing *coalescing)
{
    if (coalescing)
        neap_free(coalescing->alloc, coalescing);
}

/* -------------------------------------------------------------------------------- who is alike */

static bool is_shareable(const struct neap_request *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

/* A sum does not care for the order of the headers. */
static uint64_t hash_of(const struct neap_exchange *exchange)
{
    const struct neap_hash_seed *seed = &exchange->client->coalescing->seed;
    const struct neap_request *request = &exchange->request;
    uint64_t hash = neap_hash(seed, request->url, strlen(request->url));
    for (size_t i = 0; i < exchange->header_count; i++) {
        const char *value = exchange->header[i].value;
        hash += neap_hash(seed, value, strlen(value));
    }
    return hash;
}

static size_t count_header(const struct neap_exchange *exchange,
                           const struct neap_request_header *wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < exchange->header_count; i++) {
        const struct neap_request_header *header = &exchange->header[i];
        if (strcasecmp(header->name, wanted->name) == 0 &&
            neap_is_same_secret_text(header->value, wanted->value))
            count++;
    }
    return count;
}

static bool have_equal_headers(const struct neap_exchange *a, const struct neap_exchange *b)
{
    if (a->header_count != b->header_count)
        return false;
    for (size_t i = 0; i < a->header_count; i++)
        if (count_header(a, &a->header[i]) != count_header(b, &a->header[i]))
            return false;
    return true;
}

static bool have_equal_bodies(const struct neap_request *a, const struct neap_request *b)
{
    return a->body_bytes == b->body_bytes &&
           (a->body_bytes == 0 || memcmp(a->body, b->body, a->body_bytes) == 0);
}

static bool have_equal_limits(const struct neap_timeouts *a, const struct neap_timeouts *b)
{
    return a->connect_ns == b->connect_ns && a->write_ns == b->write_ns &&
           a->read_ns == b->read_ns && a->attempt_ns == b->attempt_ns;
}

/* What a 304 means depends on who asked: the cache, which has the answer that it is about, or the
 * caller. A refresh may have given the leader another credential: then it is not alike any more. */
static bool are_alike(const struct neap_exchange *a, const struct neap_exchange *b)
{
    return a->share.hash == b->share.hash && strcmp(a->request.method, b->request.method) == 0 &&
           strcmp(a->request.url, b->request.url) == 0 && a->breaker == b->breaker &&
           a->request.own_conditions == b->request.own_conditions && a->gates[0] == b->gates[0] &&
           a->gates[1] == b->gates[1] &&
           have_equal_limits(&a->call.setup.timeout, &b->call.setup.timeout) &&
           have_equal_bodies(&a->request, &b->request) && have_equal_headers(a, b);
}

/* --------------------------------------------------------------------------------------- lists */

static struct neap_exchange **bucket_of(const struct neap_exchange *exchange)
{
    return &exchange->client->coalescing->leaders[exchange->share.hash % NEAP_LEADER_BUCKETS];
}

static void on_impatience(struct neap_loop_timer *timer, int64_t now_ns);

static void begin_to_lead(struct neap_exchange *exchange)
{
    struct neap_exchange **bucket = bucket_of(exchange);
    exchange->share.patience.fire = on_impatience;
    exchange->share.leads = true;
    exchange->share.leader = NULL;
    exchange->share.previous = NULL;
    exchange->share.next = *bucket;
    if (*bucket)
        (*bucket)->share.previous = exchange;
    *bucket = exchange;
}

static void follow(struct neap_exchange *exchange, struct neap_exchange *leader)
{
    exchange->share.leader = leader;
    exchange->share.next = NULL;
    exchange->share.previous = leader->share.last;
    if (leader->share.last)
        leader->share.last->share.next = exchange;
    else
        leader->share.first = exchange;
    leader->share.last = exchange;
}

/* Out of the list in which it is, but for the ends of the list. */
static void take_out(struct neap_exchange *exchange)
{
    struct neap_share *share = &exchange->share;
    if (share->previous)
        share->previous->share.next = share->next;
    if (share->next)
        share->next->share.previous = share->previous;
    share->next = share->previous = NULL;
}

static void cease_to_follow(struct neap_exchange *exchange, struct neap_exchange *leader)
{
    if (leader->share.first == exchange)
        leader->share.first = exchange->share.next;
    if (leader->share.last == exchange)
        leader->share.last = exchange->share.previous;
    exchange->share.leader = NULL;
    take_out(exchange);
}

static void cease_to_lead(struct neap_exchange *exchange)
{
    struct neap_exchange **bucket = bucket_of(exchange);
    if (*bucket == exchange)
        *bucket = exchange->share.next;
    exchange->share.leads = false;
    neap_loop_clear(exchange->client->engine->loop, &exchange->share.patience);
    take_out(exchange);
}

static struct neap_exchange *find_leader(const struct neap_exchange *exchange)
{
    for (struct neap_exchange *at = *bucket_of(exchange); at; at = at->share.next)
        if (at->attention == NEAP_ATTENTION_NONE && are_alike(at, exchange))
            return at;
    return NULL;
}

bool neap_coalescing_join(struct neap_exchange *exchange, bool may_follow)
{
    if (!exchange->client->coalescing || !is_shareable(&exchange->request))
        return false;
    exchange->share.hash = hash_of(exchange);
    struct neap_exchange *leader = may_follow ? find_leader(exchange) : NULL;
    if (leader)
        follow(exchange, leader);
    else
        begin_to_lead(exchange);
    return leader != NULL;
}

/* ---------------------------------------------------------------------------- a leader's end */

static void serve(struct neap_exchange *follower, struct neap_exchange *leader)
{
    enum neap_result_kind kind = leader->call.result.kind;
    bool is_response = kind == NEAP_RESULT_RESPONSE || kind == NEAP_RESULT_STORED;
    cease_to_follow(follower, leader);
    follower->response =
        is_response && leader->response ? neap_response_hold(leader->response) : NULL;
    neap_exchange_step(follower,
                       &(struct neap_event){.kind = NEAP_EVENT_SHARE, .leader = &leader->call});
}

static void serve_all(struct neap_exchange *leader)
{
    struct neap_exchange *next;
    for (struct neap_exchange *at = leader->share.first; at; at = next) {
        next = at->share.next;
        if (neap_call_may_share(&leader->call, &at->call))
            serve(at, leader);
    }
}

static struct neap_exchange *last_to_end(struct neap_exchange *first)
{
    struct neap_exchange *last = first;
    for (struct neap_exchange *at = first; at; at = at->share.next)
        if (at->call.deadline_ns > last->call.deadline_ns)
            last = at;
    return last;
}

static void hand_over(struct neap_exchange *leader)
{
    struct neap_engine *engine = leader->client->engine;
    struct neap_exchange *heir = last_to_end(leader->share.first);
    cease_to_follow(heir, leader);
    begin_to_lead(heir);
    while (leader->share.first) {
        struct neap_exchange *other = leader->share.first;
        cease_to_follow(other, leader);
        follow(other, heir);
    }
    neap_engine_post(engine, &heir->job);
    if (engine->helper)
        neap_helper_nudge(engine->helper);
}

static void let_others_go_on(struct neap_exchange *leader)
{
    cease_to_lead(leader);
    if (leader->share.first)
        hand_over(leader);
}

/* Lua may have had its turn and be at it again. */
static void on_impatience(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_share *share = NEAP_OWNER(timer, struct neap_share, patience);
    struct neap_exchange *leader = NEAP_OWNER(share, struct neap_exchange, share);
    struct neap_loop *loop = leader->client->engine->loop;
    int64_t until_ns = neap_time_add(share->in_hands_since_ns, NEAP_PATIENCE_NS);
    if (leader->attention == NEAP_ATTENTION_NONE || !share->first)
        return;
    if (now_ns >= until_ns || neap_loop_set(loop, timer, until_ns) != NEAP_OK)
        let_others_go_on(leader);
}

void neap_coalescing_await_lua(struct neap_exchange *exchange)
{
    struct neap_loop *loop = exchange->client->engine->loop;
    struct neap_share *share = &exchange->share;
    if (!share->leads || !share->first)
        return;
    share->in_hands_since_ns = neap_loop_now(loop);
    int64_t until_ns = neap_time_add(share->in_hands_since_ns, NEAP_PATIENCE_NS);
    if (neap_loop_set(loop, &share->patience, until_ns) != NEAP_OK)
        let_others_go_on(exchange);
}

void neap_coalescing_update(struct neap_exchange *exchange)
{
    bool has_part = exchange->share.leads || exchange->share.leader;
    if (!has_part || !neap_call_has_concluded(&exchange->call))
        return;
    if (exchange->share.leader)
        cease_to_follow(exchange, exchange->share.leader);
    if (!exchange->share.leads)
        return;
    cease_to_lead(exchange);
    serve_all(exchange);
    if (exchange->share.first)
        hand_over(exchange);
}

/* In a forked child those who follow a call of the parent are the parent's too. */
void neap_coalescing_leave(struct neap_exchange *exchange)
{
    if (exchange->share.leader)
        cease_to_follow(exchange, exchange->share.leader);
    if (!exchange->share.leads)
        return;
    cease_to_lead(exchange);
    if (!exchange->share.first)
        return;
    if (!neap_engine_is_inherited(exchange->client->engine)) {
        hand_over(exchange);
        return;
    }
    while (exchange->share.first)
        cease_to_follow(exchange->share.first, exchange);
}
