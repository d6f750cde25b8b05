/* Shards: the multi handles of one transport.
 *
 * libcurl looks for a free connection to a host by going through all that it has to that host, one
 * after the other; from about 200 on that costs more than the rest of a transfer. So where a policy
 * allows that many, what is above FEWEST_PLACES transfers at a time goes to a second multi handle,
 * and so on: they are filled in order, and a client that has fewer under way never has a second
 * one.
 *
 * The limits of the pool hold over all of them. libcurl sees to them within one multi handle, so a
 * further shard is given its places of both limits, and the first one keeps what is left. Of that
 * the total is libcurl's to see to. What goes to one host is held to it by putting no more there:
 * there are never more connections than there were transfers at a time, and no further shard is
 * made once the first has had more of them than would be left.
 *
 * While all shards are full, connections that are not for one host have no shard to be in. So there
 * is only one where more than a tenth could be meant for others.
 *
 * What may share a connection stays together: all that HTTP/2 could carry goes to the first shard,
 * and is not counted here. Names that were looked up and TLS sessions are common to all shards. A
 * further shard that has been idle for as long as a connection may be is closed. */
#include "base/duration.h"
#include "base/owner.h"
#include "transport/transport_internal.h"

#define FEWEST_PLACES 100u

static uint32_t most_to_one_host(const struct neap_transport *transport)
{
    const struct neap_transport_settings *settings = &transport->stock->settings;
    return settings->per_host < settings->max_connections ? settings->per_host
                                                          : settings->max_connections;
}

static uint32_t given_away(const struct neap_shards *shards)
{
    return (shards->count - 1) * shards->places;
}

static void set_limits(struct neap_shard *shard, uint32_t connections, uint32_t per_host)
{
    curl_multi_setopt(shard->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections);
    curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)connections);
    curl_multi_setopt(shard->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)per_host);
}

static void limit_first(struct neap_transport *transport)
{
    const struct neap_transport_settings *settings = &transport->stock->settings;
    set_limits(transport->shards.at[0], settings->max_connections - given_away(&transport->shards),
               settings->per_host);
}

static void fire(struct neap_loop_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    neap_transport_act(NEAP_OWNER(timer, struct neap_shard, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long wait_ms, void *context)
{
    struct neap_shard *shard = context;
    struct neap_transport *transport = shard->transport;
    int64_t now_ns = neap_loop_now(transport->loop);
    int64_t when_ns = wait_ms < 0 ? NEAP_NEVER : neap_time_add(now_ns, wait_ms * NEAP_MS);
    (void)multi;
    if (neap_loop_set(transport->loop, &shard->timer, when_ns) == NEAP_OK)
        return 0;
    transport->broken = true;
    return -1;
}

/* Looks at no clock: the first one may be made beside the thread that will work it. */
static struct neap_shard *make(struct neap_transport *transport)
{
    struct neap_shard *shard = neap_alloc_zeroed(transport->alloc, sizeof *shard);
    if (!shard)
        return NULL;
    shard->multi = curl_multi_init();
    if (!shard->multi) {
        neap_free(transport->alloc, shard);
        return NULL;
    }
    shard->transport = transport;
    shard->timer.fire = fire;
    curl_multi_setopt(shard->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    neap_sockets_install(shard);
    return shard;
}

static void destroy(struct neap_transport *transport, struct neap_shard *shard)
{
    struct neap_sigpipe guard;
    neap_transport_hold_sigpipe(transport, &guard);
    curl_multi_cleanup(shard->multi);
    neap_sigpipe_release(&guard);
    neap_loop_clear(transport->loop, &shard->timer);
    neap_free(transport->alloc, shard);
}

static bool is_for_one_host(const struct neap_transport_settings *settings)
{
    uint64_t connections = settings->max_connections, one = settings->per_host;
    return connections <= one + one / 10;
}

enum neap_status neap_shards_init(struct neap_transport *transport)
{
    struct neap_shards *shards = &transport->shards;
    uint32_t most = most_to_one_host(transport);
    shards->places = most / NEAP_SHARDS_MAX + 1;
    if (shards->places < FEWEST_PLACES)
        shards->places = FEWEST_PLACES;
    shards->max = is_for_one_host(&transport->stock->settings) ? most / shards->places : 0;
    if (shards->max == 0)
        shards->max = 1;
    shards->at[0] = make(transport);
    if (!shards->at[0])
        return NEAP_NO_MEMORY;
    shards->count = 1;
    limit_first(transport);
    return NEAP_OK;
}

void neap_shards_free(struct neap_transport *transport)
{
    struct neap_shards *shards = &transport->shards;
    while (shards->count > 0)
        destroy(transport, shards->at[--shards->count]);
}

/* Would the first shard stay within what were left to it? */
static bool may_add(const struct neap_transport *transport)
{
    const struct neap_shards *shards = &transport->shards;
    uint32_t gone = given_away(shards) + shards->places;
    return shards->count < shards->max && gone < transport->stock->settings.per_host &&
           gone < transport->stock->settings.max_connections &&
           shards->at[0]->most <= transport->stock->settings.per_host - gone &&
           shards->at[0]->open <= transport->stock->settings.max_connections - gone;
}

static struct neap_shard *add(struct neap_transport *transport)
{
    struct neap_shards *shards = &transport->shards;
    struct neap_shard *made = may_add(transport) ? make(transport) : NULL;
    if (!made)
        return NULL;
    made->used_ns = neap_loop_now(transport->loop);
    set_limits(made, transport->shards.places, transport->shards.places);
    shards->at[shards->count++] = made;
    limit_first(transport);
    return made;
}

/* One with a place and, where there is any, with a connection that nobody uses. */
static struct neap_shard *find_place(const struct neap_shards *shards)
{
    struct neap_shard *found = NULL;
    for (uint32_t i = 0; i < shards->count; i++) {
        struct neap_shard *shard = shards->at[i];
        if (shard->in_flight >= shards->places)
            continue;
        if (shard->open > shard->in_flight)
            return shard;
        if (!found)
            found = shard;
    }
    return found;
}

/* Who finds no place anywhere waits in libcurl's queue, but not in the first shard's, which would
 * hold to the limit of a host without what the others were given. */
static struct neap_shard *find_least(const struct neap_transport *transport)
{
    const struct neap_shards *shards = &transport->shards;
    uint32_t left = transport->stock->settings.per_host - given_away(shards);
    struct neap_shard *first = shards->at[0];
    if (shards->count == 1 || first->in_flight < left)
        return first;
    struct neap_shard *least = shards->at[1];
    for (uint32_t i = 2; i < shards->count; i++)
        if (shards->at[i]->in_flight < least->in_flight)
            least = shards->at[i];
    return least;
}

bool neap_shards_may_multiplex(const struct neap_transfer *transfer)
{
    return transfer->transport->stock->settings.http2 && neap_transfer_has_tls(transfer);
}

static struct neap_shard *choose(struct neap_transport *transport)
{
    struct neap_shard *shard = NULL;
    if (transport->shards.max > 1)
        shard = find_place(&transport->shards);
    if (!shard && transport->shards.max > 1)
        shard = add(transport);
    return shard ? shard : find_least(transport);
}

enum neap_status neap_shards_put(struct neap_transfer *transfer)
{
    struct neap_transport *transport = transfer->transport;
    bool counted = !neap_shards_may_multiplex(transfer);
    struct neap_shard *shard = counted ? choose(transport) : transport->shards.at[0];
    transfer->shard = shard;
    CURLMcode code = curl_multi_add_handle(shard->multi, transfer->easy);
    if (code != CURLM_OK) {
        transfer->shard = NULL;
        return code == CURLM_OUT_OF_MEMORY ? NEAP_NO_MEMORY : NEAP_SYSTEM;
    }
    transfer->counted = counted;
    shard->in_flight += counted;
    if (shard->in_flight > shard->most)
        shard->most = shard->in_flight;
    return NEAP_OK;
}

void neap_shards_take(struct neap_transfer *transfer)
{
    struct neap_shard *shard = transfer->shard;
    struct neap_sigpipe guard;
    if (!shard)
        return;
    neap_transport_hold_sigpipe(transfer->transport, &guard);
    curl_multi_remove_handle(shard->multi, transfer->easy);
    neap_sigpipe_release(&guard);
    shard->in_flight -= transfer->counted;
    shard->used_ns = neap_loop_now(transfer->transport->loop);
    transfer->shard = NULL;
}

/* The last ones are filled last, and are idle first. */
void neap_shards_expire(struct neap_transport *transport)
{
    struct neap_shards *shards = &transport->shards;
    int64_t now_ns = neap_loop_now(transport->loop);
    while (shards->count > 1) {
        struct neap_shard *last = shards->at[shards->count - 1];
        if (last->in_flight > 0 ||
            now_ns < neap_time_add(last->used_ns, transport->stock->settings.idle_ns))
            return;
        shards->count--;
        destroy(transport, last);
        limit_first(transport);
    }
}
