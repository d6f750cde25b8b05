#include "metrics/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MILLION INT64_C(1000000)

static const char *const type_words[] = {
    [NEAP_METRIC_COUNTER] = "counter",
    [NEAP_METRIC_GAUGE] = "gauge",
    [NEAP_METRIC_HISTOGRAM] = "histogram",
};

static void put(struct neap_exposition *exposition, const char *bytes, size_t count)
{
    if (exposition->status == NEAP_OK)
        exposition->status = neap_buffer_append(exposition->text, bytes, count);
}

static void put_text(struct neap_exposition *exposition, const char *text)
{
    put(exposition, text, strlen(text));
}

/* ---- labels ---- */

static bool is_within(unsigned char byte, unsigned low, unsigned high)
{
    return byte >= low && byte <= high;
}

/* RFC 3629, section 4: how many bytes the character has that begins here, 0 where none does. */
static size_t character_bytes(const unsigned char *at, size_t left)
{
    size_t bytes = at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (at[0] < 0x80)
        return 1;
    if (!is_within(at[0], 0xC2, 0xF4) || bytes > left)
        return 0;
    unsigned low = at[0] == 0xE0 ? 0xA0 : at[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = at[0] == 0xED ? 0x9F : at[0] == 0xF4 ? 0x8F : 0xBF;
    if (!is_within(at[1], low, high))
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if (!is_within(at[i], 0x80, 0xBF))
            return 0;
    return bytes;
}

static void put_byte(struct neap_exposition *exposition, unsigned char byte)
{
    char hexadecimal[sizeof "\\\\xNN"];
    snprintf(hexadecimal, sizeof hexadecimal, "\\\\x%02x", byte);
    put_text(exposition, hexadecimal);
}

/* NUL is a character of UTF-8, but few readers of this format are at ease with it. */
static size_t put_character(struct neap_exposition *exposition, const char *at, size_t left)
{
    const unsigned char first = (unsigned char)at[0];
    size_t bytes = first == 0 ? 0 : character_bytes((const unsigned char *)at, left);
    if (first == '\\')
        put_text(exposition, "\\\\");
    else if (first == '"')
        put_text(exposition, "\\\"");
    else if (first == '\n')
        put_text(exposition, "\\n");
    else if (bytes == 0)
        put_byte(exposition, first);
    else
        put(exposition, at, bytes);
    return bytes > 0 ? bytes : 1;
}

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~' && c != '\\' && c != '"';
}

static void put_value(struct neap_exposition *exposition, const char *value, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        size_t plain = at;
        while (plain < bytes && is_plain(value[plain]))
            plain++;
        put(exposition, value + at, plain - at);
        at = plain;
        if (at < bytes)
            at += put_character(exposition, value + at, bytes - at);
    }
}

static void put_label(struct neap_exposition *exposition, const struct neap_label *label,
                      bool is_first)
{
    put_text(exposition, is_first ? "{" : ",");
    put_text(exposition, label->name);
    put_text(exposition, "=\"");
    put_value(exposition, label->value, label->value_bytes);
    put_text(exposition, "\"");
}

struct neap_label neap_label(const char *name, const char *value)
{
    return (struct neap_label){name, value, strlen(value)};
}

/* ---- numbers ---- */

#define NUMBER_BYTES 32

static const char *whole(char text[NUMBER_BYTES], uint64_t value)
{
    snprintf(text, NUMBER_BYTES, "%" PRIu64, value);
    return text;
}

/* Without zeros at the end. */
static const char *decimal(char text[NUMBER_BYTES], int64_t millionths)
{
    uint64_t size = millionths < 0 ? 0 - (uint64_t)millionths : (uint64_t)millionths;
    int length = snprintf(text, NUMBER_BYTES, "%s%" PRIu64 ".%06" PRIu64, millionths < 0 ? "-" : "",
                          size / (uint64_t)MILLION, size % (uint64_t)MILLION);
    while (text[length - 1] == '0')
        text[--length] = '\0';
    if (text[length - 1] == '.')
        text[length - 1] = '\0';
    return text;
}

/* ---- samples ---- */

static void put_head(struct neap_exposition *exposition)
{
    const struct neap_family *family = exposition->family;
    const char *const parts[] = {"# HELP ",   family->name, " ", family->help,
                                 "\n# TYPE ", family->name, " ", type_words[family->type],
                                 "\n"};
    for (size_t i = 0; !exposition->is_headed && i < sizeof parts / sizeof parts[0]; i++)
        put_text(exposition, parts[i]);
    exposition->is_headed = true;
}

/* `more` may be NULL: a label behind the others. */
static void put_sample(struct neap_exposition *exposition, const char *suffix,
                       const struct neap_label *labels, size_t label_count,
                       const struct neap_label *more, const char *number)
{
    put_head(exposition);
    put_text(exposition, exposition->family->name);
    put_text(exposition, suffix);
    for (size_t i = 0; i < label_count; i++)
        put_label(exposition, &labels[i], i == 0);
    if (more)
        put_label(exposition, more, label_count == 0);
    put_text(exposition, label_count > 0 || more ? "} " : " ");
    put_text(exposition, number);
    put_text(exposition, "\n");
}

void neap_exposition_begin(struct neap_exposition *exposition, struct neap_buffer *text)
{
    *exposition = (struct neap_exposition){.text = text};
}

enum neap_status neap_exposition_end(const struct neap_exposition *exposition)
{
    return exposition->status;
}

void neap_exposition_family(struct neap_exposition *exposition, const struct neap_family *family)
{
    exposition->family = family;
    exposition->is_headed = false;
}

void neap_exposition_count(struct neap_exposition *exposition, const struct neap_label *labels,
                           size_t label_count, uint64_t value)
{
    char number[NUMBER_BYTES];
    put_sample(exposition, "", labels, label_count, NULL, whole(number, value));
}

void neap_exposition_millionths(struct neap_exposition *exposition, const struct neap_label *labels,
                                size_t label_count, int64_t millionths)
{
    char number[NUMBER_BYTES];
    put_sample(exposition, "", labels, label_count, NULL, decimal(number, millionths));
}

void neap_exposition_histogram(struct neap_exposition *exposition, const struct neap_label *labels,
                               size_t label_count, const struct neap_histogram *histogram)
{
    struct neap_histogram_cumulative cumulative;
    char number[NUMBER_BYTES], edge[NUMBER_BYTES];
    neap_histogram_accumulate(histogram, &cumulative);
    for (uint32_t i = 0; i <= NEAP_HISTOGRAM_EDGES; i++) {
        bool is_last = i == NEAP_HISTOGRAM_EDGES;
        uint64_t below = is_last ? cumulative.count : cumulative.below[i];
        struct neap_label le =
            neap_label("le", is_last ? "+Inf" : decimal(edge, neap_histogram_edge_us(i)));
        put_sample(exposition, "_bucket", labels, label_count, &le, whole(number, below));
    }
    put_sample(exposition, "_sum", labels, label_count, NULL, decimal(number, cumulative.sum_us));
    put_sample(exposition, "_count", labels, label_count, NULL, whole(number, cumulative.count));
}
