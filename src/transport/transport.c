/* Transport: the order of things in a transfer's life. See transport_internal.h for its parts. */
#include "transport/transport.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/owner.h"
#include "platform/blocks.h"
#include "transport/curl_compat.h"
#include "transport/transport_internal.h"

/* ------------------------------------------------------------------------- calls into libcurl */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

/* Where somebody else in the process has set libcurl up before, it keeps the memory that it has. */
static void start_curl(void)
{
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, neap_blocks_take, neap_blocks_give_back,
                         neap_blocks_resize, neap_blocks_copy_text, neap_blocks_take_zeroed);
}

void neap_transport_hold_sigpipe(const struct neap_transport *transport, struct neap_sigpipe *guard)
{
    guard->held = false;
    if (transport->guard_sigpipe)
        neap_sigpipe_hold(guard);
}

static void act(struct neap_shard *shard, int fd, int curl_events)
{
    struct neap_sigpipe guard;
    int running;
    neap_transport_hold_sigpipe(shard->transport, &guard);
    if (curl_multi_socket_action(shard->multi, fd, curl_events, &running) != CURLM_OK)
        shard->transport->broken = true;
    neap_sigpipe_release(&guard);
}

static void detach(struct neap_transfer *transfer)
{
    neap_shards_take(transfer);
    neap_transfer_unlink(transfer);
    transfer->transport->stats.in_flight--;
    neap_transfer_give_back(transfer);
}

static struct neap_response *take_response(struct neap_transfer *transfer)
{
    struct neap_response *response = transfer->response;
    const char *url = transfer->request.url;
    neap_settings_note_response(transfer);
    response->foreign = transfer->foreign;
    if (transfer->hops > 0)
        response->url = neap_copy_text(response->alloc, url, strlen(url));
    response->shelf = transfer->transport->shelf;
    transfer->response = NULL;
    return response;
}

/* The last act: the transfer is given back before the receiver hears of it, so that it may send,
 * cancel or free. */
static void conclude(struct neap_transfer *transfer, CURLcode code)
{
    struct neap_outcome outcome;
    struct neap_response *response = NULL;
    neap_transfer_done *done = transfer->done;
    void *context = transfer->context;
    neap_verdict_of(transfer, code, &outcome);
    if (outcome.kind == NEAP_KIND_NONE)
        response = take_response(transfer);
    detach(transfer);
    done(context, &outcome, response);
}

static enum neap_status start_hop(struct neap_transfer *transfer)
{
    enum neap_status status = neap_hop_prepare(transfer);
    if (status == NEAP_OK)
        status = neap_stage_begin(transfer);
    return status == NEAP_OK ? neap_shards_put(transfer) : status;
}

static void follow(struct neap_transfer *transfer)
{
    neap_shards_take(transfer);
    enum neap_status status = neap_redirect_advance(transfer);
    if (status == NEAP_OK)
        status = start_hop(transfer);
    if (status == NEAP_OK)
        return;
    if (status == NEAP_NO_MEMORY)
        neap_verdict_starve(transfer, "not enough memory");
    else
        neap_verdict_fail(transfer, NEAP_KIND_ERROR, NEAP_PHASE_NONE,
                          "the redirect could not be sent");
    conclude(transfer, CURLE_OK);
}

/* --------------------------------------------------------------------------------- collecting */

static void destroy(struct neap_transport *transport);

static void enter(struct neap_transport *transport)
{
    transport->depth++;
}

static void leave(struct neap_transport *transport)
{
    transport->depth--;
    if (transport->depth == 0 && transport->closed)
        destroy(transport);
}

static void collect_one(const CURLMsg *message)
{
    struct neap_transfer *transfer = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
    if (code == CURLE_OK && transfer->redirects_to_next)
        follow(transfer);
    else
        conclude(transfer, code);
}

/* libcurl's multi handle is dead and comes back to life when it is empty. What the receivers send
 * meanwhile is not among the doomed. */
static void fail_all(struct neap_transport *transport)
{
    transport->broken = false;
    while (transport->live) {
        struct neap_transfer *transfer = transport->live;
        neap_transfer_unlink(transfer);
        neap_transfer_link(&transport->doomed, transfer);
    }
    while (!transport->closed && transport->doomed) {
        neap_verdict_starve(transport->doomed, "the event loop is out of memory or descriptors");
        conclude(transport->doomed, CURLE_OK);
    }
}

static void collect(struct neap_shard *shard)
{
    struct neap_transport *transport = shard->transport;
    int left;
    while (!transport->closed && !transport->broken) {
        const CURLMsg *message = curl_multi_info_read(shard->multi, &left);
        if (!message)
            return;
        if (message->msg == CURLMSG_DONE)
            collect_one(message);
    }
    if (!transport->closed)
        fail_all(transport);
}

void neap_transport_act(struct neap_shard *shard, int fd, int curl_events)
{
    struct neap_transport *transport = shard->transport;
    enter(transport);
    act(shard, fd, curl_events);
    collect(shard);
    leave(transport);
}

/* Less than a reset needs to come after the response. */
#define SEEN_LATELY_NS (NEAP_MS / 40)

/* Has libcurl something to do now, and could the loop have nothing to tell it? */
static bool may_hurry(const struct neap_shard *shard, int64_t now_ns)
{
    const struct neap_timer *timer = &shard->timer.node;
    return timer->index != 0 && timer->when_ns <= now_ns &&
           now_ns - shard->used_ns < SEEN_LATELY_NS;
}

/* What ends here has taken until now, not until the loop last looked at the clock. */
void neap_transfer_hurry(struct neap_transfer *transfer)
{
    struct neap_transport *transport = transfer->transport;
    struct neap_shard *shard = transfer->shard;
    if (!shard || !may_hurry(shard, neap_loop_now(transport->loop)))
        return;
    neap_loop_clear(transport->loop, &shard->timer);
    enter(transport);
    act(shard, CURL_SOCKET_TIMEOUT, 0);
    neap_loop_update(transport->loop);
    collect(shard);
    leave(transport);
}

void neap_transport_end(struct neap_transfer *transfer)
{
    struct neap_transport *transport = transfer->transport;
    enter(transport);
    conclude(transfer, CURLE_OK);
    leave(transport);
}

/* ------------------------------------------------------------------------------------- public */

static enum neap_status put_at_rest(struct neap_transfer *transfer)
{
    const struct neap_alloc *alloc = transfer->transport->alloc;
    if (!neap_stock_put_back(transfer->transport->stock, transfer))
        neap_transfer_free(alloc, transfer);
    return NEAP_OK;
}

/* It shows whether libcurl takes the settings. */
static enum neap_status make_first_handle(struct neap_transport *transport,
                                          char message[NEAP_MESSAGE_BYTES])
{
    const char *refused;
    struct neap_transfer *transfer = neap_transfer_new(transport, &refused);
    if (transfer)
        return put_at_rest(transfer);
    if (!refused)
        return NEAP_NO_MEMORY;
    if (message)
        snprintf(message, NEAP_MESSAGE_BYTES, "libcurl refuses `%s`", refused);
    return NEAP_SYSTEM;
}

static enum neap_status set_up(struct neap_transport *transport,
                               const struct neap_transport_settings *settings,
                               struct neap_stock_list *stocks, char message[NEAP_MESSAGE_BYTES])
{
    transport->stock = neap_stock_get(transport->alloc, stocks, settings);
    if (!transport->stock || neap_shards_init(transport) != NEAP_OK)
        return NEAP_NO_MEMORY;
    neap_settings_forget_responses(transport);
    bool is_first = transport->stock->transports == 1;
    return is_first ? make_first_handle(transport, message) : NEAP_OK;
}

static void destroy(struct neap_transport *transport)
{
    if (transport->stock)
        neap_stock_leave(transport->stock, transport);
    neap_shards_free(transport);
    curl_share_cleanup(transport->sessions);
    neap_sockets_free(transport);
    neap_sharing_free(transport);
    neap_stock_release(transport->stock);
    neap_free(transport->alloc, transport);
}

enum neap_status neap_transport_new(const struct neap_alloc *alloc, struct neap_loop *loop,
                                    const struct neap_transport_settings *settings,
                                    struct neap_stock_list *stocks,
                                    struct neap_transport **transport,
                                    char message[NEAP_MESSAGE_BYTES])
{
    pthread_once(&curl_once, start_curl);
    struct neap_transport *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->alloc = alloc;
    made->loop = loop;
    made->sockets.next_expiry_ns = NEAP_NEVER;
    made->guard_sigpipe = neap_curl_can_raise_sigpipe();
    enum neap_status status = set_up(made, settings, stocks, message);
    if (status == NEAP_OK)
        *transport = made;
    else
        destroy(made);
    return status;
}

void neap_transport_free(struct neap_transport *transport)
{
    if (!transport)
        return;
    while (transport->live)
        detach(transport->live);
    while (transport->doomed)
        detach(transport->doomed);
    transport->closed = true;
    if (transport->depth == 0)
        destroy(transport);
}

enum neap_status neap_transport_send(struct neap_transport *transport,
                                     const struct neap_request *request,
                                     const struct neap_limits *limits, neap_transfer_done *done,
                                     void *context, struct neap_transfer **transfer)
{
    neap_sockets_expire(transport);
    if (transport->depth == 0)
        neap_shards_expire(transport);
    struct neap_transfer *made = neap_transfer_acquire(transport);
    if (!made)
        return NEAP_NO_MEMORY;
    made->request = *request;
    made->limits = *limits;
    made->done = done;
    made->context = context;
    enum neap_status status = start_hop(made);
    if (status != NEAP_OK) {
        neap_transfer_give_back(made);
        return status;
    }
    neap_transfer_link(&transport->live, made);
    transport->stats.in_flight++;
    *transfer = made;
    return NEAP_OK;
}

void neap_transport_cancel(struct neap_transport *transport, struct neap_transfer *transfer)
{
    (void)transport;
    detach(transfer);
}

void neap_transport_forsake(struct neap_transport *transport)
{
    neap_stock_hide(transport->stock);
    neap_sockets_forsake(transport);
}

void neap_transfer_ask_before_sending(struct neap_transfer *transfer, neap_transfer_may_send *ask)
{
    transfer->may_send = ask;
}

void neap_transfer_give_response(struct neap_transfer *transfer, struct neap_response *response)
{
    transfer->given = response;
}

void neap_transport_use_shelf(struct neap_transport *transport, struct neap_response_shelf *shelf)
{
    transport->shelf = shelf;
}

bool neap_transfer_is_unsent(const struct neap_transfer *transfer)
{
    return !transfer->sent_before && (!transfer->sent || transfer->refused);
}

void neap_transport_read(const struct neap_transport *transport, struct neap_transport_stats *stats)
{
    *stats = transport->stats;
}
