/* The families of metrics, each with how it is written for one client. */
#ifndef NEAP_CLIENT_SCRAPE_FAMILIES_H
#define NEAP_CLIENT_SCRAPE_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>

#include "client/breaker_list.h"
#include "client/client.h"
#include "metrics/exposition.h"

/* One client as it was read; what its samples say belongs together as far as it was read once. */
struct neap_scraped {
    const struct neap_client *client;
    struct neap_label label[2]; /* of each of its samples */
    size_t label_count;
    struct neap_board_sums sums;
    bool has_breaker;
    struct neap_breaker_snapshot breaker; /* where it has one for all calls */
    bool has_keys;
    struct neap_breaker_list keys; /* where it has one for each key */
    bool is_first_of_region;       /* its region is no earlier client's too */
    struct neap_region_stats region;
};

typedef void neap_write_family(struct neap_exposition *exposition,
                               const struct neap_scraped *scraped);

struct neap_client_family {
    struct neap_family family;
    neap_write_family *write; /* writes nothing where the client has no such thing */
};

extern const struct neap_client_family neap_client_families[];
extern const size_t neap_client_family_count;

#endif
