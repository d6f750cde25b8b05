/* Scrape: what clients have counted, as the text that Prometheus reads. docs/watching.md has the
 * table of all metrics.
 *
 * Each client is read once, then families are written one after the other, in each all clients in
 * the order given. Where a client's state is shared by processes, its samples are those of all of
 * them. How many samples a client has is bounded: values of labels are words of neap's own, and of
 * keys of breakers at most NEAP_BREAKERS_NAMED are named. */
#ifndef NEAP_CLIENT_SCRAPE_H
#define NEAP_CLIENT_SCRAPE_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/status.h"
#include "client/client.h"
#include "metrics/exposition.h"

struct neap_scrape {
    struct neap_client *const *clients; /* no two of one name */
    size_t count;
    /* What tells this process's figures from those of others that are asked at the same address:
     * one more label on the samples of clients that share nothing; a NULL name: none. */
    struct neap_label process;
};

/* Appends to the text. In the thread of the clients' engines. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_scrape_write(const struct neap_scrape *scrape,
                                                   const struct neap_alloc *alloc,
                                                   struct neap_buffer *text);

#endif
