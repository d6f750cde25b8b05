/* Sharing: which requests wait for a connection that another one is making.
 *
 * A stream of HTTP/2 goes over a connection that is there. Where there is none yet, or the server
 * has just ended the only one, as many as begin at once would each make one of their own. So an
 * origin that has answered by HTTP/2 is remembered, and its requests wait for one that is being
 * made. Those of an origin that nobody knows do not: libcurl 7.88 would let them go on one after
 * the other, should it turn out to speak HTTP/1.1 only.
 *
 * To wait for another one's connecting is connecting, and has its limit; to wait for a stream on a
 * connection that is there is not (decision 0003). So the limit is counted from when the last
 * connection to that origin went. */
#include <string.h>

#include "base/hash.h"
#include "transport/transport_internal.h"

struct text {
    const char *data;
    size_t bytes;
};

static struct text origin_of(const struct neap_transfer *transfer)
{
    const char *url = transfer->request.url;
    const size_t scheme_bytes = strlen("https://");
    return (struct text){url, scheme_bytes + strcspn(url + scheme_bytes, "/?#")};
}

/* That two origins have one hash only lets a request wait longer. */
static uint64_t hash_of(struct text origin)
{
    static const struct neap_hash_seed seed;
    uint64_t hash = neap_hash(&seed, origin.data, origin.bytes);
    return hash == 0 ? 1 : hash;
}

static bool is_known(const struct neap_transport *transport, struct text origin)
{
    const char *known = transport->multiplexes;
    return known && strncmp(known, origin.data, origin.bytes) == 0 && known[origin.bytes] == '\0';
}

static bool may_wait(const struct neap_transfer *transfer)
{
    return transfer->transport->multiplexes && neap_shards_may_multiplex(transfer) &&
           is_known(transfer->transport, origin_of(transfer));
}

bool neap_sharing_prepare(struct neap_transfer *transfer)
{
    bool waits = may_wait(transfer);
    if (transfer->waits_for_pipe == waits)
        return true;
    if (curl_easy_setopt(transfer->easy, CURLOPT_PIPEWAIT, waits ? 1L : 0L) != CURLE_OK)
        return false;
    transfer->waits_for_pipe = waits;
    return true;
}

bool neap_sharing_is_connecting(const struct neap_transfer *transfer)
{
    return transfer->waits_for_pipe &&
           !neap_sockets_lead_to(transfer->transport, hash_of(origin_of(transfer)));
}

static void name_origin(const struct neap_transfer *transfer)
{
    struct neap_socket *socket = neap_sockets_find(transfer->transport, transfer->fd);
    if (socket && socket->origin == 0)
        socket->origin = hash_of(origin_of(transfer));
}

/* A hundred may share it before the first answer has come. */
void neap_sharing_note_sent(const struct neap_transfer *transfer)
{
    if (transfer->dialled && transfer->waits_for_pipe)
        name_origin(transfer);
}

void neap_sharing_note_loss(const struct neap_transport *transport, uint64_t origin)
{
    for (struct neap_transfer *one = transport->live; one; one = one->next)
        if (one->waits_for_pipe && one->stage == NEAP_STAGE_WAITING &&
            hash_of(origin_of(one)) == origin)
            neap_stage_progress(one);
}

static void forget(struct neap_transport *transport)
{
    neap_free(transport->alloc, transport->multiplexes);
    transport->multiplexes = NULL;
}

/* Without memory it is not remembered. */
static void remember(struct neap_transport *transport, struct text origin)
{
    forget(transport);
    transport->multiplexes = neap_copy_text(transport->alloc, origin.data, origin.bytes);
}

void neap_sharing_note(const struct neap_transfer *transfer)
{
    struct neap_transport *transport = transfer->transport;
    bool is_http2 = transfer->response->http_version >= 20;
    if (is_http2)
        name_origin(transfer);
    if (!is_http2 && !transport->multiplexes)
        return;
    struct text origin = origin_of(transfer);
    if (is_known(transport, origin) == is_http2)
        return;
    if (is_http2)
        remember(transport, origin);
    else
        forget(transport);
}

void neap_sharing_free(struct neap_transport *transport)
{
    forget(transport);
}
