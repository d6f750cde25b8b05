/* Stock list: what transports of one loop have together, by their settings (stock.c). Zeroed before
 * first use; belongs to the loop's thread, and must outlive the transports. */
#ifndef NEAP_TRANSPORT_STOCK_LIST_H
#define NEAP_TRANSPORT_STOCK_LIST_H

struct neap_stock;

#define NEAP_STOCK_CHAINS 256u /* thousands of settings, one for each tenant, are found soon */

struct neap_stock_list {
    struct neap_stock *chain[NEAP_STOCK_CHAINS];
};

#endif
