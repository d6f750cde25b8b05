/* What the steps of the SQLite kind's outboxes share. */
#ifndef NEAP_STORE_SQLITE_OUTBOX_H
#define NEAP_STORE_SQLITE_OUTBOX_H

#include "store/sqlite_store.h"

/* As they stand in the file. */
enum neap_sqlite_state { NEAP_SQLITE_WAITING = 0, NEAP_SQLITE_TAKEN = 1, NEAP_SQLITE_DEAD = 2 };

/* Of an entry that was given to that token last; else LOST. */
NEAP_MUST_CHECK enum neap_store_status neap_sqlite_owned_state(struct neap_sqlite *sqlite,
                                                               struct neap_outbox_owner owner,
                                                               enum neap_sqlite_state *state);

/* Carries out a statement whose only parameter is an id. */
NEAP_MUST_CHECK enum neap_store_status neap_sqlite_run_on(struct neap_sqlite *sqlite,
                                                          enum neap_statement which, uint64_t id);

#endif
