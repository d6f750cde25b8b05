#include "transport/remote.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/owner.h"

struct neap_remote {
    const struct neap_alloc *alloc;
    struct neap_helper *helper;
    struct neap_transport *transport; /* the helper's thread alone uses it */
    struct neap_errand closing;
    struct neap_response_shelf *shelf; /* the owner's; NULL: none */
    uint32_t in_flight;                /* the owner's count */
    _Atomic uint64_t opened, reused;   /* copies of the transport's, made whenever one ends */
    _Atomic uint32_t open;             /* likewise */
};

/* What both sides race for: the first byte goes only where nobody has recalled the parcel, and who
 * recalls it learns whether that byte had gone. */
enum fate { FATE_WAITING, FATE_SENT, FATE_RECALLED };

struct neap_parcel {
    struct neap_errand errand; /* goes out to be sent, comes back when it has ended */
    struct neap_errand recall; /* goes after it; the parcel ends when this one comes back */
    struct neap_remote *remote;
    _Atomic int fate;
    bool recalled; /* the owner's: nobody is to be told any more */

    struct neap_limits limits;
    struct neap_transfer *transfer; /* while it is under way over there */
    struct neap_outcome outcome;
    struct neap_response *response; /* out: an empty one, or NULL; back: what came */
    neap_transfer_done *done;
    void *context;

    struct neap_url url;         /* held by the owner's thread, read over there */
    struct neap_request request; /* its texts stand behind the headers, in `copy` */
    struct neap_request_header copy[];
};

/* ------------------------------------------------------------------------- the helper's thread */

static void return_parcel(struct neap_parcel *parcel)
{
    struct neap_remote *remote = parcel->remote;
    struct neap_transport_stats stats;
    neap_transport_read(remote->transport, &stats);
    atomic_store_explicit(&remote->opened, stats.opened, memory_order_relaxed);
    atomic_store_explicit(&remote->reused, stats.reused, memory_order_relaxed);
    atomic_store_explicit(&remote->open, stats.open, memory_order_relaxed);
    neap_helper_return(remote->helper, &parcel->errand);
}

static void on_ended(void *context, const struct neap_outcome *outcome,
                     struct neap_response *response)
{
    struct neap_parcel *parcel = context;
    parcel->transfer = NULL;
    parcel->outcome = *outcome;
    parcel->response = response;
    return_parcel(parcel);
}

static bool may_send(void *context)
{
    struct neap_parcel *parcel = context;
    int fate = FATE_WAITING;
    return atomic_compare_exchange_strong(&parcel->fate, &fate, FATE_SENT) || fate == FATE_SENT;
}

static void fail(struct neap_parcel *parcel, enum neap_status status)
{
    bool ours = status == NEAP_NO_MEMORY;
    neap_response_free(parcel->response);
    parcel->response = NULL;
    parcel->outcome = (struct neap_outcome){
        .kind = ours ? NEAP_KIND_ERROR : NEAP_KIND_CONNECT, .unsent = true, .ours = ours};
    neap_outcome_say(&parcel->outcome,
                     ours ? "not enough memory for another transfer"
                          : "libcurl refuses the transfer",
                     NEAP_MESSAGE_BYTES);
    return_parcel(parcel);
}

static void run_send(struct neap_errand *errand)
{
    struct neap_parcel *parcel = NEAP_OWNER(errand, struct neap_parcel, errand);
    struct neap_remote *remote = parcel->remote;
    if (atomic_load(&parcel->fate) == FATE_RECALLED)
        return;
    neap_loop_update(neap_helper_loop(remote->helper));
    enum neap_status status = neap_transport_send(
        remote->transport, &parcel->request, &parcel->limits, on_ended, parcel, &parcel->transfer);
    if (status != NEAP_OK) {
        fail(parcel, status);
        return;
    }
    neap_transfer_ask_before_sending(parcel->transfer, may_send);
    neap_transfer_give_response(parcel->transfer, parcel->response);
    parcel->response = NULL;
}

static void run_recall(struct neap_errand *errand)
{
    struct neap_parcel *parcel = NEAP_OWNER(errand, struct neap_parcel, recall);
    if (parcel->transfer)
        neap_transport_cancel(parcel->remote->transport, parcel->transfer);
    parcel->transfer = NULL;
    neap_helper_return(parcel->remote->helper, errand);
}

static void run_close(struct neap_errand *errand)
{
    struct neap_remote *remote = NEAP_OWNER(errand, struct neap_remote, closing);
    neap_transport_free(remote->transport);
    neap_helper_return(remote->helper, errand);
}

/* ------------------------------------------------------------------------- the owner's thread */

static void free_parcel(struct neap_parcel *parcel)
{
    neap_response_free(parcel->response);
    neap_url_deinit(&parcel->url);
    neap_free(parcel->remote->alloc, parcel);
}

static void back_sent(struct neap_errand *errand)
{
    struct neap_parcel *parcel = NEAP_OWNER(errand, struct neap_parcel, errand);
    struct neap_remote *remote = parcel->remote;
    if (parcel->recalled) { /* its recall is on the way, and needs the parcel */
        neap_response_free(parcel->response);
        parcel->response = NULL;
        return;
    }
    struct neap_outcome outcome = parcel->outcome;
    struct neap_response *response = parcel->response;
    parcel->response = NULL;
    if (response)
        response->shelf = remote->shelf;
    neap_transfer_done *done = parcel->done;
    void *context = parcel->context;
    remote->in_flight--;
    free_parcel(parcel);
    done(context, &outcome, response);
}

static void back_recalled(struct neap_errand *errand)
{
    free_parcel(NEAP_OWNER(errand, struct neap_parcel, recall));
}

static void back_closed(struct neap_errand *errand)
{
    struct neap_remote *remote = NEAP_OWNER(errand, struct neap_remote, closing);
    neap_free(remote->alloc, remote);
}

/* The transport first: exit() undoes things in the reverse order, and the thread must have ended
 * before what libcurl has set up for itself is torn down. */
static enum neap_status set_up(struct neap_remote *remote,
                               const struct neap_transport_settings *settings,
                               char message[NEAP_MESSAGE_BYTES])
{
    enum neap_status status = neap_transport_new(remote->alloc, neap_helper_loop(remote->helper),
                                                 settings, NULL, &remote->transport, message);
    if (status != NEAP_OK || neap_helper_start(remote->helper) == NEAP_OK)
        return status;
    neap_transport_free(remote->transport);
    if (message)
        snprintf(message, NEAP_MESSAGE_BYTES, "the system gives no thread");
    return NEAP_NO_MEMORY;
}

enum neap_status neap_remote_new(const struct neap_alloc *alloc, struct neap_helper *helper,
                                 const struct neap_transport_settings *settings,
                                 struct neap_remote **remote, char message[NEAP_MESSAGE_BYTES])
{
    struct neap_remote *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    made->alloc = alloc;
    made->helper = helper;
    made->closing = (struct neap_errand){.run = run_close, .back = back_closed};
    enum neap_status status = set_up(made, settings, message);
    if (status == NEAP_OK)
        *remote = made;
    else
        neap_free(alloc, made);
    return status;
}

void neap_remote_free(struct neap_remote *remote)
{
    if (remote)
        neap_helper_post(remote->helper, &remote->closing);
}

void neap_remote_use_shelf(struct neap_remote *remote, struct neap_response_shelf *shelf)
{
    remote->shelf = shelf;
}

void neap_remote_forsake(struct neap_remote *remote)
{
    neap_transport_forsake(remote->transport);
}

static size_t text_bytes(const struct neap_request *request)
{
    size_t bytes = strlen(request->method) + 1 + request->body_bytes;
    if (!request->resolved)
        bytes += strlen(request->url) + 1;
    for (size_t i = 0; i < request->header_count; i++)
        bytes += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 2;
    return bytes;
}

static const char *copy_bytes(char **at, const char *from, size_t bytes)
{
    char *copy = *at;
    memcpy(copy, from, bytes);
    *at += bytes;
    return copy;
}

static const char *copy_text(char **at, const char *from)
{
    return copy_bytes(at, from, strlen(from) + 1);
}

static void take_url(struct neap_parcel *parcel, const struct neap_request *request, char **at)
{
    if (!request->resolved) {
        parcel->request.url = copy_text(at, request->url);
        return;
    }
    parcel->url = neap_url_hold(request->resolved);
    parcel->request.resolved = &parcel->url;
    parcel->request.url = parcel->url.text;
}

static void copy_request(struct neap_parcel *parcel, const struct neap_request *request)
{
    char *at = (char *)&parcel->copy[request->header_count];
    parcel->request = *request;
    parcel->request.method = copy_text(&at, request->method);
    take_url(parcel, request, &at);
    for (size_t i = 0; i < request->header_count; i++) {
        parcel->copy[i].name = copy_text(&at, request->headers[i].name);
        parcel->copy[i].value = copy_text(&at, request->headers[i].value);
    }
    parcel->request.headers = parcel->copy;
    if (request->body)
        parcel->request.body = copy_bytes(&at, request->body, request->body_bytes);
}

enum neap_status neap_remote_send(struct neap_remote *remote, const struct neap_request *request,
                                  const struct neap_limits *limits, neap_transfer_done *done,
                                  void *context, struct neap_parcel **parcel)
{
    size_t header_bytes = request->header_count * sizeof *request->headers;
    struct neap_parcel *made =
        neap_alloc(remote->alloc, sizeof *made + header_bytes + text_bytes(request));
    if (!made)
        return NEAP_NO_MEMORY;
    *made = (struct neap_parcel){.errand = {.run = run_send, .back = back_sent},
                                 .recall = {.run = run_recall, .back = back_recalled},
                                 .remote = remote,
                                 .limits = *limits,
                                 .done = done,
                                 .context = context};
    copy_request(made, request);
    if (remote->shelf)
        made->response = neap_response_shelf_take(remote->shelf);
    remote->in_flight++;
    neap_helper_post_soon(remote->helper, &made->errand);
    *parcel = made;
    return NEAP_OK;
}

bool neap_remote_cancel(struct neap_remote *remote, struct neap_parcel *parcel)
{
    parcel->recalled = true;
    remote->in_flight--;
    bool unsent = atomic_exchange(&parcel->fate, FATE_RECALLED) == FATE_WAITING;
    neap_helper_post(remote->helper, &parcel->recall);
    return unsent;
}

void neap_remote_read(const struct neap_remote *remote, struct neap_transport_stats *stats)
{
    *stats = (struct neap_transport_stats){
        .opened = atomic_load_explicit(&remote->opened, memory_order_relaxed),
        .reused = atomic_load_explicit(&remote->reused, memory_order_relaxed),
        .in_flight = remote->in_flight,
        .open = atomic_load_explicit(&remote->open, memory_order_relaxed),
    };
}
