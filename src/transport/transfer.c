/* Transfer: the memory of one, with its easy handle, from the first use to the next. */
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "transport/transport_internal.h"

bool neap_transfer_has_tls(const struct neap_transfer *transfer)
{
    return strncasecmp(transfer->request.url, "https:", 6) == 0;
}

void neap_transfer_link(struct neap_transfer **list, struct neap_transfer *transfer)
{
    transfer->next = *list;
    transfer->link = list;
    if (*list)
        (*list)->link = &transfer->next;
    *list = transfer;
}

void neap_transfer_unlink(struct neap_transfer *transfer)
{
    *transfer->link = transfer->next;
    if (transfer->next)
        transfer->next->link = transfer->link;
}

void neap_transfer_free(const struct neap_alloc *alloc, struct neap_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    neap_free(alloc, transfer->header_block);
    neap_free(alloc, transfer);
}

struct neap_transfer *neap_transfer_new(struct neap_transport *transport, const char **refused)
{
    struct neap_transfer *transfer = neap_alloc_zeroed(transport->alloc, sizeof *transfer);
    *refused = NULL;
    if (!transfer)
        return NULL;
    transfer->plain_connect_ns = -1;
    transfer->easy = neap_settings_make_easy(transport, refused);
    if (!transfer->easy) {
        neap_free(transport->alloc, transfer);
        return NULL;
    }
    transfer->transport = transport;
    neap_sockets_bind(transport, transfer->easy);
    neap_receive_install(transfer);
    neap_notice_install(transfer);
    return transfer;
}

/* What belongs to the easy handle stays, what belonged to its last transfer goes. */
static void make_blank(struct neap_transfer *transfer)
{
    const size_t first = offsetof(struct neap_transfer, shard);
    memset((char *)transfer + first, 0, offsetof(struct neap_transfer, error_text) + 1 - first);
    transfer->url.alloc = transfer->next_url.alloc = transfer->transport->alloc;
}

struct neap_transfer *neap_transfer_acquire(struct neap_transport *transport)
{
    const char *refused;
    struct neap_transfer *transfer = neap_stock_take(transport);
    if (!transfer)
        transfer = neap_transfer_new(transport, &refused);
    if (transfer)
        make_blank(transfer);
    return transfer;
}

void neap_transfer_give_back(struct neap_transfer *transfer)
{
    struct neap_transport *transport = transfer->transport;
    neap_loop_clear(transport->loop, &transfer->stage_timer);
    neap_url_deinit(&transfer->url);
    neap_url_deinit(&transfer->next_url);
    neap_response_free(transfer->given);
    neap_response_free(transfer->response);
    if (transfer->worn || !neap_stock_put_back(transport->stock, transfer))
        neap_transfer_free(transport->alloc, transfer);
}
