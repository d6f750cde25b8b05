/* Exposition: metrics as text, in the format that Prometheus scrapes (text/plain; version=0.0.4,
 * https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Families one after the other, each with all of its samples; HELP and TYPE are written before its
 * first one, so a family without samples leaves no trace. Names and helps are the caller's
 * constants; the values of labels may be any bytes: backslash, quote and line feed are escaped as
 * the format says, and what is no UTF-8, which would make Prometheus refuse the whole text, stands
 * as \xNN. Numbers are whole, or whole millionths, so that the host's locale cannot get at them.
 *
 * Failures are kept: what is written after one is lost, and neap_exposition_end tells. One thread
 * at a time. */
#ifndef NEAP_METRICS_EXPOSITION_H
#define NEAP_METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/status.h"
#include "metrics/histogram.h"

enum neap_metric_type { NEAP_METRIC_COUNTER, NEAP_METRIC_GAUGE, NEAP_METRIC_HISTOGRAM };

struct neap_family {
    const char *name; /* with its unit: seconds, bytes; a counter's ends in _total */
    enum neap_metric_type type;
    const char *help; /* without backslash and line feed */
};

struct neap_label {
    const char *name;
    const char *value;
    size_t value_bytes;
};

/* To be filled by neap_exposition_begin. */
struct neap_exposition {
    struct neap_buffer *text;
    const struct neap_family *family;
    bool is_headed; /* HELP and TYPE of the family are there */
    enum neap_status status;
};

/* Appends to the text, which must outlive it. */
void neap_exposition_begin(struct neap_exposition *exposition, struct neap_buffer *text);

/* NEAP_NO_MEMORY; the text is of no use then. */
NEAP_MUST_CHECK enum neap_status neap_exposition_end(const struct neap_exposition *exposition);

/* What is written from now on is of this family, which has not been written before. */
void neap_exposition_family(struct neap_exposition *exposition, const struct neap_family *family);

/* A sample of the family. No two of one family have equal labels. */
void neap_exposition_count(struct neap_exposition *exposition, const struct neap_label *labels,
                           size_t label_count, uint64_t value);
void neap_exposition_millionths(struct neap_exposition *exposition, const struct neap_label *labels,
                                size_t label_count, int64_t millionths);

/* All samples of one histogram, in seconds: a bucket for each of its edges, and sum and count. */
void neap_exposition_histogram(struct neap_exposition *exposition, const struct neap_label *labels,
                               size_t label_count, const struct neap_histogram *histogram);

/* The label of a text that ends at its NUL. */
struct neap_label neap_label(const char *name, const char *value);

#endif
