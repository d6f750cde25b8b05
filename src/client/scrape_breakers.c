#include "client/scrape_breakers.h"

#include <math.h>

#include "client/scrape_samples.h"

/* `key` NULL: none. */
static void write_state(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                        const struct neap_label *key, enum neap_breaker_state state, uint64_t value)
{
    struct neap_label more[2], all[NEAP_SAMPLE_LABELS];
    size_t count = 0;
    if (key)
        more[count++] = *key;
    more[count++] = neap_label("state", neap_breaker_state_name(state));
    neap_exposition_count(exposition, all, neap_sample_labels(scraped, more, count, all), value);
}

static struct neap_label key_label(const struct neap_named_breaker *named)
{
    return (struct neap_label){"key", named->key, named->key_bytes};
}

/* To Prometheus an empty label is none: the breaker of the key "" would have the series of those
 * that are not named. */
static bool has_label(const struct neap_named_breaker *named)
{
    return named->key_bytes > 0;
}

static void write_states_of_keys(struct neap_exposition *exposition,
                                 const struct neap_scraped *scraped)
{
    uint64_t nameless[NEAP_BREAKER_STATE_COUNT] = {0};
    for (size_t i = 0; i < scraped->keys.named_count; i++) {
        const struct neap_named_breaker *named = &scraped->keys.named[i];
        struct neap_label key = key_label(named);
        if (!has_label(named)) {
            nameless[named->snapshot.state]++;
            continue;
        }
        for (int state = 0; state < NEAP_BREAKER_STATE_COUNT; state++)
            write_state(exposition, scraped, &key, (enum neap_breaker_state)state,
                        (int)named->snapshot.state == state);
    }
    for (int state = 0; state < NEAP_BREAKER_STATE_COUNT; state++)
        write_state(exposition, scraped, NULL, (enum neap_breaker_state)state,
                    nameless[state] +
                        neap_breaker_list_rest(&scraped->keys, (enum neap_breaker_state)state));
}

void neap_write_breaker_states(struct neap_exposition *exposition,
                               const struct neap_scraped *scraped)
{
    for (int state = 0; scraped->has_breaker && state < NEAP_BREAKER_STATE_COUNT; state++)
        write_state(exposition, scraped, NULL, (enum neap_breaker_state)state,
                    (int)scraped->breaker.state == state);
    if (scraped->has_keys)
        write_states_of_keys(exposition, scraped);
}

static void write_ratio(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                        const struct neap_label *key, const struct neap_breaker_snapshot *snapshot)
{
    struct neap_label all[NEAP_SAMPLE_LABELS];
    if (snapshot->has_rate)
        neap_exposition_millionths(exposition, all,
                                   neap_sample_labels(scraped, key, key ? 1 : 0, all),
                                   llround(snapshot->failure_rate * 1e6));
}

void neap_write_breaker_ratios(struct neap_exposition *exposition,
                               const struct neap_scraped *scraped)
{
    if (scraped->has_breaker)
        write_ratio(exposition, scraped, NULL, &scraped->breaker);
    for (size_t i = 0; scraped->has_keys && i < scraped->keys.named_count; i++) {
        const struct neap_named_breaker *named = &scraped->keys.named[i];
        struct neap_label key = key_label(named);
        if (has_label(named))
            write_ratio(exposition, scraped, &key, &named->snapshot);
    }
}
