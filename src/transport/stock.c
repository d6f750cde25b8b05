/* Stock: what transports of the same settings have together: the settings, and the handles of
 * transfers at rest.
 *
 * A client that calls now and then finds whatever a call needs in the memory, not in the
 * processor's caches, and a handle of libcurl is the most of it. So the one that has ended last
 * goes to whoever is next. A handle knows no connection while it rests; names that were looked up
 * and sessions of TLS are in a share of each transport's own. */
#include "transport/transport_internal.h"

static struct neap_stock *find(const struct neap_stock_list *list,
                               const struct neap_transport_settings *settings)
{
    struct neap_stock *stock = list ? list->first : NULL;
    while (stock && !neap_transport_settings_equal(&stock->settings, settings))
        stock = stock->next;
    return stock;
}

static void enlist(struct neap_stock *stock, struct neap_stock_list *list)
{
    stock->next = list->first;
    stock->link = &list->first;
    if (stock->next)
        stock->next->link = &stock->next;
    list->first = stock;
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

static void destroy(struct neap_stock *stock)
{
    neap_stock_hide(stock);
    neap_settings_free(stock->alloc, &stock->settings);
    neap_free(stock->alloc, stock);
}

static struct neap_stock *make(const struct neap_alloc *alloc,
                               const struct neap_transport_settings *settings)
{
    struct neap_stock *stock = neap_alloc_zeroed(alloc, sizeof *stock);
    if (!stock)
        return NULL;
    stock->alloc = alloc;
    neap_header_list_init(stock);
    if (neap_settings_copy(alloc, &stock->settings, settings) == NEAP_OK)
        return stock;
    destroy(stock);
    return NULL;
}

struct neap_stock *neap_stock_get(const struct neap_alloc *alloc, struct neap_stock_list *list,
                                  const struct neap_transport_settings *settings)
{
    struct neap_stock *stock = find(list, settings);
    if (!stock) {
        stock = make(alloc, settings);
        if (stock && list)
            enlist(stock, list);
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

struct neap_transfer *neap_stock_take(struct neap_transport *transport)
{
    struct neap_transfer *transfer = take_spare(transport->stock);
    if (transfer && transfer->transport != transport)
        neap_settings_bind(transfer, transport);
    return transfer;
}

void neap_stock_leave(struct neap_stock *stock, const struct neap_transport *transport)
{
    for (struct neap_transfer *one = stock->spare; one; one = one->next)
        if (one->transport == transport)
            neap_settings_bind(one, NULL);
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
