/* The state of a client's policies and its counters: what is made with the client and lives as long
 * as it. client.c is its only user. */
#ifndef NEAP_CLIENT_CLIENT_STATE_H
#define NEAP_CLIENT_CLIENT_STATE_H

#include "base/attributes.h"
#include "base/status.h"

struct neap_client;

/* Only the parts that the policy has are made; what is NULL is not looked at by the pipeline. Of
 * the client `before` (NULL: none) it goes on with what fits: counters, the rate limit, breakers
 * and windows of the same size, connections of the same settings. NEAP_NO_MEMORY; NEAP_NOT_FOUND
 * where the region has no room. What was made stays for neap_client_drop_state. */
NEAP_MUST_CHECK enum neap_status neap_client_make_state(struct neap_client *client,
                                                        const struct neap_client *before);

/* Once the client makes calls: its windows of alerts begin. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_client_start_state(struct neap_client *client);

void neap_client_drop_state(struct neap_client *client);

/* In a forked child: takes the same cells of the region in this process's own name. NEAP_NOT_FOUND
 * where the region has no room for another process; to be tried again then. */
NEAP_MUST_CHECK enum neap_status neap_client_adopt_state(struct neap_client *client);

#endif
