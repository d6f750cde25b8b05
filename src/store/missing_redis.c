/* In place of the Redis kind, where neap is built without Redis. */
#include <stdio.h>

#include "store/store.h"

const bool neap_store_has_redis = false;

enum neap_store_status neap_store_open_redis(const struct neap_alloc *alloc,
                                             const struct neap_redis_settings *settings,
                                             struct neap_store **store,
                                             char message[NEAP_MESSAGE_BYTES])
{
    (void)alloc;
    (void)settings;
    (void)store;
    (void)snprintf(message, NEAP_MESSAGE_BYTES,
                   "neap was built without Redis (Debian: libhiredis-dev)");
    return NEAP_STORE_UNAVAILABLE;
}
