/* Metrics whose labels hold any bytes, as names of clients and hosts may: what is written is read
 * back by a reader of Prometheus' text format.
 *
 * Promised: each line is a comment or a sample; names, labels and numbers are as the format says;
 * the text is UTF-8 without control characters but its line feeds; and the value of a label that is
 * ASCII without NUL is read back as it was given. Short run: 6000. */
#include "fuzz/fuzz.h"
#include "metrics/exposition.h"
#include "platform/memory.h"

#define LABELS_MAX 3u

static const struct neap_family families[] = {
    {"neap_calls_total", NEAP_METRIC_COUNTER, "Calls."},
    {"neap_in_flight", NEAP_METRIC_GAUGE, "Calls in flight."},
    {"neap_latency_seconds", NEAP_METRIC_HISTOGRAM, "How long calls took."},
};

static const char *const names[LABELS_MAX] = {"client", "host", "kind"};

static struct neap_label given[LABELS_MAX];
static size_t given_count;

/* ---- reading */

static const char *skip(const char *at, const char *text)
{
    promise(strncmp(at, text, strlen(text)) == 0);
    return at + strlen(text);
}

static const char *skip_name(const char *at)
{
    size_t bytes = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
    promise(bytes > 0);
    return at + bytes;
}

static char unescaped(const char *at)
{
    promise(at[1] == '\\' || at[1] == '"' || at[1] == 'n');
    return at[1] == 'n' ? '\n' : at[1];
}

/* The value behind its quote, into `value`; the place behind the closing quote. */
static const char *read_value(const char *at, char *value, size_t *bytes)
{
    *bytes = 0;
    while (*at != '"') {
        promise(*at != '\0' && *at != '\n');
        bool is_escaped = *at == '\\';
        value[(*bytes)++] = is_escaped ? unescaped(at) : *at;
        at += is_escaped ? 2 : 1;
    }
    return at + 1;
}

/* What the reader cannot have changed: `\xNN` stands for what is no UTF-8, and for NUL. */
static void check_value(const char *value, size_t bytes, const struct neap_label *label)
{
    bool is_ascii = true;
    for (size_t i = 0; i < label->value_bytes; i++)
        is_ascii = is_ascii && label->value[i] > 0;
    promise(bytes >= label->value_bytes);
    if (is_ascii)
        promise(bytes == label->value_bytes &&
                (bytes == 0 || memcmp(value, label->value, bytes) == 0));
}

static const char *read_labels(const char *at, char *value)
{
    for (size_t i = 0; i < given_count; i++) {
        size_t bytes;
        at = skip(skip(skip(at, i == 0 ? "{" : ","), names[i]), "=\"");
        at = read_value(at, value, &bytes);
        check_value(value, bytes, &given[i]);
    }
    if (strncmp(at, ",le=\"", 5) == 0 || strncmp(at, "{le=\"", 5) == 0) {
        size_t bytes;
        at = read_value(at + 5, value, &bytes);
        return skip(at, "}");
    }
    return given_count > 0 ? skip(at, "}") : at;
}

static const char *read_number(const char *at)
{
    size_t bytes = strspn(at, "-0123456789.");
    promise(bytes > 0);
    return skip(at + bytes, "\n");
}

static void read_all(const char *at, char *value)
{
    while (*at) {
        if (*at != '#') {
            at = read_number(skip(read_labels(skip_name(at), value), " "));
            continue;
        }
        promise(strncmp(at, "# HELP neap_", 12) == 0 || strncmp(at, "# TYPE neap_", 12) == 0);
        at = strchr(at, '\n');
        promise(at);
        at++;
    }
}

/* RFC 3629: well enough for what a writer could get wrong. */
static void check_utf8(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        size_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        promise(c < 0x80 || (c >= 0xC2 && c <= 0xF4));
        promise(c != '\0');
        for (; more > 0; more--)
            promise(++i < bytes && ((unsigned char)text[i] & 0xC0) == 0x80);
    }
}

/* ---- writing */

static void write_family(struct neap_exposition *exposition, const struct neap_family *family,
                         struct fuzz_input *input)
{
    static struct neap_histogram histogram;
    neap_exposition_family(exposition, family);
    if (family->type == NEAP_METRIC_COUNTER)
        neap_exposition_count(exposition, given, given_count, fuzz_number(input, 8));
    else if (family->type == NEAP_METRIC_GAUGE)
        neap_exposition_millionths(exposition, given, given_count, (int64_t)fuzz_number(input, 8));
    else
        neap_exposition_histogram(exposition, given, given_count, &histogram);
}

/* A number of families, a number of labels, a line for each label's value, numbers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = {data, data + bytes};
    struct neap_exposition exposition;
    struct neap_buffer text;
    uint8_t draw = fuzz_byte(&input);
    given_count = draw / 8 % (LABELS_MAX + 1);
    for (size_t i = 0; i < given_count; i++) {
        given[i] = (struct neap_label){.name = names[i]};
        size_t wanted = fuzz_byte(&input), left = fuzz_left(&input);
        given[i].value = (const char *)input.at;
        given[i].value_bytes = wanted < left ? wanted : left;
        input.at += given[i].value_bytes;
    }
    neap_buffer_init(&text, neap_platform_alloc());
    neap_exposition_begin(&exposition, &text);
    for (size_t i = 0; i < 3; i++)
        if (draw >> i & 1)
            write_family(&exposition, &families[i], &input);
    promise(neap_exposition_end(&exposition) == NEAP_OK);
    char *value = malloc(text.bytes + 1);
    promise(value);
    check_utf8(text.data ? text.data : "", text.bytes);
    read_all(text.data ? text.data : "", value);
    free(value);
    neap_buffer_deinit(&text);
    return 0;
}
