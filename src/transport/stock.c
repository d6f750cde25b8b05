/* Stock: what transports of the same settings have together: the settings, and the handles of
 * transfers at rest.
 *
 * A client that calls now and then finds whatever a call needs in the memory, not in the
 * processor's caches, and a handle of libcurl is the most of it. So the one that has ended last
 * goes to whoever is next. A handle knows no connection while it rests.
 *
 * Names that were looked up are all transports' too: libcurl goes through its table of them after
 * each transfer. Sessions of TLS with who is called are each transport's own, since libcurl keeps
 * eight in a share. A handle has one share, so where TLS is needed the names come with the
 * sessions; and sessions with a proxy, on the way to who has no TLS, with the names. */
#include "transport/transport_internal.h"

static struct neap_stock *find(struct neap_stock *chain, uint64_t hash,
                               const struct neap_transport_settings *settings)
{
    struct neap_stock *stock = chain;
    while (stock &&
           (stock->hash != hash || !neap_transport_settings_equal(&stock->settings, settings)))
        stock = stock->next;
    return stock;
}

static void enlist(struct neap_stock *stock, struct neap_stock **chain)
{
    stock->next = *chain;
    stock->link = chain;
    if (stock->next)
        stock->next->link = &stock->next;
    *chain = stock;
}

void neap_stock_hide(struct neap_stock *stock)
{
    if (!stock->link)
        return;
    *stock->link = stock->next;
    if (stock->next)
        stock->next->link = stock->link;
    stock->link = NULL;
}

/* Each has room for sessions: a handle without makes some of its own at its first transfer, which
 * libcurl (7.88) forgets to free when it is given others. */
static CURLSH *make_share(void)
{
    CURLSH *share = curl_share_init();
    if (!share)
        return NULL;
    if (curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK)
        return share;
    curl_share_cleanup(share);
    return NULL;
}

static void destroy(struct neap_stock *stock)
{
    neap_stock_hide(stock);
    curl_share_cleanup(stock->names);
    neap_settings_free(stock->alloc, &stock->settings);
    neap_free(stock->alloc, stock);
}

static struct neap_stock *make(const struct neap_alloc *alloc,
                               const struct neap_transport_settings *settings, uint64_t hash)
{
    struct neap_stock *stock = neap_alloc_zeroed(alloc, sizeof *stock);
    if (!stock)
        return NULL;
    stock->alloc = alloc;
    stock->hash = hash;
    neap_header_list_init(stock);
    stock->names = make_share();
    if (neap_settings_copy(alloc, &stock->settings, settings) == NEAP_OK && stock->names)
        return stock;
    destroy(stock);
    return NULL;
}

struct neap_stock *neap_stock_get(const struct neap_alloc *alloc, struct neap_stock_list *list,
                                  const struct neap_transport_settings *settings)
{
    uint64_t hash = neap_settings_hash(settings);
    struct neap_stock **chain = list ? &list->chain[hash % NEAP_STOCK_CHAINS] : NULL;
    struct neap_stock *stock = chain ? find(*chain, hash, settings) : NULL;
    if (!stock) {
        stock = make(alloc, settings, hash);
        if (stock && chain)
            enlist(stock, chain);
    }
    if (stock)
        stock->transports++;
    return stock;
}

/* More idle handles than connections would never be of use at once. */
static uint64_t most_spares(const struct neap_stock *stock)
{
    return (uint64_t)stock->settings.max_connections * stock->transports;
}

bool neap_stock_put_back(struct neap_stock *stock, struct neap_transfer *transfer)
{
    if (stock->spare_count >= most_spares(stock))
        return false;
    neap_transfer_link(&stock->spare, transfer);
    stock->spare_count++;
    return true;
}

static struct neap_transfer *take_spare(struct neap_stock *stock)
{
    struct neap_transfer *transfer = stock->spare;
    if (!transfer)
        return NULL;
    neap_transfer_unlink(transfer);
    stock->spare_count--;
    return transfer;
}

/* To one transport; to none, where it is NULL. */
static void hand_to(struct neap_transfer *transfer, struct neap_transport *transport)
{
    transfer->transport = transport;
    neap_sockets_bind(transport, transfer->easy);
}

struct neap_transfer *neap_stock_take(struct neap_transport *transport)
{
    struct neap_transfer *transfer = take_spare(transport->stock);
    if (transfer && transfer->transport != transport)
        hand_to(transfer, transport);
    return transfer;
}

static void set_share(struct neap_transfer *transfer, CURLSH *share)
{
    curl_easy_setopt(transfer->easy, CURLOPT_SHARE, share);
    transfer->share = share;
}

bool neap_stock_share(struct neap_transfer *transfer)
{
    struct neap_transport *transport = transfer->transport;
    bool has_tls = neap_transfer_has_tls(transfer);
    if (has_tls && !transport->sessions)
        transport->sessions = make_share();
    CURLSH *share = has_tls ? transport->sessions : transport->stock->names;
    if (transfer->share != share && share)
        set_share(transfer, share);
    return share != NULL;
}

void neap_stock_leave(struct neap_stock *stock, struct neap_transport *transport)
{
    for (struct neap_transfer *one = stock->spare; one; one = one->next) {
        if (one->transport == transport)
            hand_to(one, NULL);
        if (one->share && one->share == transport->sessions)
            set_share(one, NULL);
    }
}

void neap_stock_release(struct neap_stock *stock)
{
    if (!stock)
        return;
    stock->transports--;
    while (stock->spare_count > most_spares(stock))
        neap_transfer_free(stock->alloc, take_spare(stock));
    if (stock->transports == 0)
        destroy(stock);
}
