/* Roster: the clients that share a region, those that only other processes have included, as far as
 * the region itself tells: their policies are not there.
 *
 * A client is known by its board; one that no process has any more stays until its memory is
 * needed. Belongs to the thread of the region. */
#ifndef NEAP_CLIENT_ROSTER_H
#define NEAP_CLIENT_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/keymap.h"
#include "base/status.h"
#include "client/cells.h"
#include "metrics/alerts.h"
#include "policy/breaker.h"

/* Of more names the rest is left out. */
#define NEAP_ROSTER_MAX 65536u

struct neap_rostered {
    bool has_board;                              /* else it is a stand-alone policy's name */
    uint64_t in_state[NEAP_BREAKER_STATE_COUNT]; /* its breakers, those of keys included; more than
                                                    one too where processes differ in layout */
    uint64_t breakers, keyed;                    /* all of them, and those of keys */
    bool has_alerts;
    uint32_t firing; /* bit 1 << alert, as of the last judgement */
    int64_t since_ns[NEAP_ALERT_COUNT];
    double value[NEAP_ALERT_COUNT];
};

struct neap_roster {
    struct neap_cells cells;
    struct neap_keymap names; /* a cell is a struct neap_rostered */
    enum neap_status status;
};

/* To be given back by neap_roster_deinit, also after a failure. NEAP_NO_MEMORY; NEAP_SYSTEM where
 * the region's lock cannot be had in time. The region must not be NULL, and outlive the roster. */
NEAP_MUST_CHECK enum neap_status neap_roster_read(struct neap_roster *roster,
                                                  const struct neap_alloc *alloc,
                                                  struct neap_region *region);
void neap_roster_deinit(struct neap_roster *roster);

/* One after the other, in no order, beginning with NULL and ending with NULL; only those that have
 * a board. The name is valid as long as the roster. */
const struct neap_rostered *neap_roster_next(const struct neap_roster *roster,
                                             const struct neap_rostered *previous,
                                             const char **name, size_t *name_bytes);

/* The board of that name, pinned until neap_cells_release; NULL where it has gone meanwhile. */
NEAP_MUST_CHECK struct neap_board *neap_roster_board(const struct neap_roster *roster,
                                                     const char *name, size_t name_bytes,
                                                     int64_t now_ns);

#endif
