#include "client/scrape_samples.h"

size_t neap_sample_labels(const struct neap_scraped *scraped, const struct neap_label *more,
                          size_t more_count, struct neap_label all[NEAP_SAMPLE_LABELS])
{
    for (size_t i = 0; i < scraped->label_count; i++)
        all[i] = scraped->label[i];
    for (size_t i = 0; i < more_count; i++)
        all[scraped->label_count + i] = more[i];
    return scraped->label_count + more_count;
}

void neap_sample_count(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                       uint64_t value)
{
    neap_exposition_count(exposition, scraped->label, scraped->label_count, value);
}

void neap_sample_counter(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                         const _Atomic uint64_t *counter)
{
    neap_sample_count(exposition, scraped, atomic_load_explicit(counter, memory_order_relaxed));
}

void neap_sample_labelled(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                          const char *name, const char *word, uint64_t value)
{
    struct neap_label all[NEAP_SAMPLE_LABELS];
    const struct neap_label more = neap_label(name, word);
    neap_exposition_count(exposition, all, neap_sample_labels(scraped, &more, 1, all), value);
}

void neap_sample_expected(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                          const char *name, const char *word, const _Atomic uint64_t *counter,
                          bool is_expected)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    if (is_expected || value > 0)
        neap_sample_labelled(exposition, scraped, name, word, value);
}
