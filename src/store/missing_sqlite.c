/* In place of the SQLite kind, where neap is built without SQLite. */
#include <stdio.h>

#include "store/store.h"

const bool neap_store_has_sqlite = false;

enum neap_store_status neap_store_open_sqlite(const struct neap_alloc *alloc,
                                              const struct neap_sqlite_settings *settings,
                                              struct neap_store **store,
                                              char message[NEAP_MESSAGE_BYTES])
{
    (void)alloc;
    (void)settings;
    (void)store;
    (void)snprintf(message, NEAP_MESSAGE_BYTES,
                   "neap was built without SQLite (Debian: libsqlite3-dev)");
    return NEAP_STORE_UNAVAILABLE;
}
