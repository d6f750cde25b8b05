/* Samples of one client, each with the client's own labels in front of those given. */
#ifndef NEAP_CLIENT_SCRAPE_SAMPLES_H
#define NEAP_CLIENT_SCRAPE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/scrape_families.h"
#include "metrics/exposition.h"

#define NEAP_SAMPLE_LABELS 4

/* The client's own labels, and these behind them, at most two. Returns how many there are. */
size_t neap_sample_labels(const struct neap_scraped *scraped, const struct neap_label *more,
                          size_t more_count, struct neap_label all[NEAP_SAMPLE_LABELS]);

void neap_sample_count(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                       uint64_t value);

void neap_sample_counter(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                         const _Atomic uint64_t *counter);

/* With one more label. */
void neap_sample_labelled(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                          const char *name, const char *word, uint64_t value);

/* A counter that can move stands there from the start, as 0: Prometheus cannot see the first step
 * of one that appears with it. What should not move stands there once it has. */
void neap_sample_expected(struct neap_exposition *exposition, const struct neap_scraped *scraped,
                          const char *name, const char *word, const _Atomic uint64_t *counter,
                          bool is_expected);

#endif
