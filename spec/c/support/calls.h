/* Calls for tests of what lies around them: clients without frills, and a host that waits. */
#ifndef NEAP_SPEC_SUPPORT_CALLS_H
#define NEAP_SPEC_SUPPORT_CALLS_H

#include <stdbool.h>

#include "base/duration.h"
#include "client/exchange.h"

#define LIMIT_NS (30 * NEAP_SECOND)

/* Without retry. `places` 0: no bulkhead. `settings` NULL: not for the network; of their texts only
 * ca_file is taken. */
struct neap_client *make_client(struct neap_engine *engine, enum neap_carrier carrier,
                                uint32_t places, const struct neap_transport_settings *settings);

struct neap_exchange *make_exchange(struct neap_client *client, const char *url);
struct neap_exchange *begin_exchange(struct neap_client *client, const char *url);

/* As a host does that waits by itself: polls, and waits at the doorbell where the engine has one.
 * False where it is not so within half a minute. */
bool poll_until(struct neap_engine *engine, bool (*is_so)(const void *), const void *context);

/* The status that the call came to; 0 for an error. Frees it. */
int finish(struct neap_exchange *exchange);

#endif
