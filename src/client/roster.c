#include "client/roster.h"

#include <string.h>

static struct neap_rostered *entry_of(struct neap_roster *roster, const char *name,
                                      size_t name_bytes)
{
    struct neap_keymap *names = &roster->names;
    struct neap_rostered *entry = neap_keymap_find(names, name, name_bytes);
    if (entry || names->count == NEAP_ROSTER_MAX)
        return entry;
    entry = neap_keymap_get(names, name, name_bytes, NULL);
    if (!entry)
        roster->status = NEAP_NO_MEMORY;
    return entry;
}

/* Others may write meanwhile, strangers too. */
static void add_breaker(struct neap_rostered *entry, const struct neap_breaker *breaker,
                        bool is_keyed)
{
    enum neap_breaker_state state = neap_breaker_state(breaker);
    if ((int)state >= NEAP_BREAKER_STATE_COUNT)
        return;
    entry->in_state[state]++;
    entry->breakers++;
    entry->keyed += is_keyed;
}

/* Where processes have several layouts, any of them may fire. */
static void add_alerts(struct neap_rostered *entry, const struct neap_alerts *alerts)
{
    uint32_t firing = neap_alerts_firing(alerts) & ((1u << NEAP_ALERT_COUNT) - 1);
    entry->has_alerts = true;
    for (int alert = 0; alert < NEAP_ALERT_COUNT; alert++) {
        if (!(firing >> alert & 1u))
            continue;
        entry->since_ns[alert] = neap_alerts_since(alerts, (enum neap_alert)alert);
        entry->value[alert] = neap_alerts_value(alerts, (enum neap_alert)alert);
    }
    entry->firing |= firing;
}

/* A breaker of a key has the client's name, a NUL and the key for its name. */
static void survey(enum neap_cell_kind kind, const void *cell, const char *key, size_t key_bytes,
                   void *context)
{
    struct neap_roster *roster = context;
    const char *end = key_bytes > 0 ? memchr(key, '\0', key_bytes) : NULL;
    bool is_of_client =
        kind == NEAP_CELL_BOARD || kind == NEAP_CELL_BREAKER || kind == NEAP_CELL_ALERTS;
    if (!is_of_client || roster->status != NEAP_OK)
        return;
    struct neap_rostered *entry = entry_of(roster, key, end ? (size_t)(end - key) : key_bytes);
    if (!entry)
        return;
    if (kind == NEAP_CELL_BOARD)
        entry->has_board = true;
    else if (kind == NEAP_CELL_BREAKER)
        add_breaker(entry, cell, end != NULL);
    else
        add_alerts(entry, cell);
}

enum neap_status neap_roster_read(struct neap_roster *roster, const struct neap_alloc *alloc,
                                  struct neap_region *region)
{
    *roster = (struct neap_roster){.cells = {.alloc = alloc, .region = region}, .status = NEAP_OK};
    neap_keymap_init(&roster->names, alloc, sizeof(struct neap_rostered), NEAP_ROSTER_MAX);
    if (!neap_cells_survey(&roster->cells, survey, roster))
        return NEAP_SYSTEM;
    return roster->status;
}

void neap_roster_deinit(struct neap_roster *roster)
{
    neap_keymap_deinit(&roster->names);
}

const struct neap_rostered *neap_roster_next(const struct neap_roster *roster,
                                             const struct neap_rostered *previous,
                                             const char **name, size_t *name_bytes)
{
    struct neap_rostered *entry = (struct neap_rostered *)previous;
    do
        entry = neap_keymap_next(&roster->names, entry);
    while (entry && !entry->has_board);
    if (entry)
        *name = neap_keymap_key(entry, name_bytes);
    return entry;
}

struct neap_board *neap_roster_board(const struct neap_roster *roster, const char *name,
                                     size_t name_bytes, int64_t now_ns)
{
    const uint32_t holders = NEAP_HOLDER_MAX + 1;
    return neap_cells_find(&roster->cells, NEAP_CELL_BOARD, name, name_bytes, &holders, now_ns);
}
