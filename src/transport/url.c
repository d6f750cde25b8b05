#include "transport/url.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char *const error_texts[] = {
    [NEAP_URL_OK] = "",
    [NEAP_URL_NO_MEMORY] = "not enough memory",
    [NEAP_URL_MALFORMED] = "expected a URL, without control characters or spaces",
    [NEAP_URL_NOT_ABSOLUTE] = "expected an absolute http or https URL",
    [NEAP_URL_SCHEME] = "expected the scheme http or https",
    [NEAP_URL_USERINFO] = "expected a URL without user and password; a header can carry them",
    [NEAP_URL_LEAVES_BASE] = "expected a path on the same scheme, host and port as the base",
};

const char *neap_url_error_text(enum neap_url_error error)
{
    return error_texts[error];
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

/* RFC 3986 3.1 and 4.1: a reference is absolute if it begins with a scheme and a colon. */
static bool has_scheme(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789+-.");
    bool letter = (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z');
    return letter && text[length] == ':';
}

static enum neap_url_error error_of(CURLUcode code)
{
    switch ((int)code) {
    case CURLUE_OK:
        return NEAP_URL_OK;
    case CURLUE_OUT_OF_MEMORY:
        return NEAP_URL_NO_MEMORY;
    case CURLUE_UNSUPPORTED_SCHEME:
        return NEAP_URL_SCHEME;
    case CURLUE_USER_NOT_ALLOWED:
        return NEAP_URL_USERINFO;
    default:
        return NEAP_URL_MALFORMED;
    }
}

static enum neap_url_error set(CURLU *handle, CURLUPart part, const char *text)
{
    return error_of(curl_url_set(handle, part, text, CURLU_URLENCODE | CURLU_DISALLOW_USER));
}

/* libcurl takes an empty reference for an error; to RFC 3986 5.2.2 it is the base. */
static enum neap_url_error parse(CURLU *handle, const char *base, const char *reference)
{
    if (!is_printable(reference) || (base && !is_printable(base)))
        return NEAP_URL_MALFORMED;
    if (!base)
        return has_scheme(reference) ? set(handle, CURLUPART_URL, reference)
                                     : NEAP_URL_NOT_ABSOLUTE;
    if (!has_scheme(base))
        return NEAP_URL_NOT_ABSOLUTE;
    enum neap_url_error error = set(handle, CURLUPART_URL, base);
    if (error != NEAP_URL_OK || reference[0] == '\0' || reference[0] == '#')
        return error;
    return set(handle, CURLUPART_URL, reference);
}

enum part { SCHEME, HOST, PORT, PATH, QUERY, WHOLE, PART_COUNT };

static const struct {
    CURLUPart part;
    unsigned flags;
    const char *otherwise; /* where there is none; NULL: there has to be one */
} wanted[PART_COUNT] = {
    [SCHEME] = {CURLUPART_SCHEME, 0, NULL},
    [HOST] = {CURLUPART_HOST, 0, NULL},
    [PORT] = {CURLUPART_PORT, CURLU_DEFAULT_PORT, "0"},
    [PATH] = {CURLUPART_PATH, 0, "/"},
    [QUERY] = {CURLUPART_QUERY, 0, ""},
    [WHOLE] = {CURLUPART_URL, 0, NULL},
};

struct parts {
    char *given[PART_COUNT]; /* libcurl's memory */
    const char *text[PART_COUNT];
};

/* The texts of a URL in one piece, counted. */
struct neap_url_block {
    unsigned others; /* who hold it besides the first */
    CURLU *parsed;
    char texts[];
};

static enum neap_url_error check_part(enum part part, const char *text)
{
    if (part == SCHEME && strcasecmp(text, "http") != 0 && strcasecmp(text, "https") != 0)
        return NEAP_URL_SCHEME;
    if (part == HOST && !(is_ascii(text) && is_printable(text)))
        return NEAP_URL_MALFORMED;
    return NEAP_URL_OK;
}

static enum neap_url_error get_part(CURLU *handle, enum part part, struct parts *parts)
{
    const char *otherwise = wanted[part].otherwise;
    enum neap_url_error error =
        error_of(curl_url_get(handle, wanted[part].part, &parts->given[part], wanted[part].flags));
    if (error == NEAP_URL_NO_MEMORY || (error != NEAP_URL_OK && !otherwise))
        return error;
    parts->text[part] = error == NEAP_URL_OK ? parts->given[part] : otherwise;
    return check_part(part, parts->text[part]);
}

static enum neap_url_error get_parts(CURLU *handle, struct parts *parts)
{
    enum neap_url_error error = NEAP_URL_OK;
    for (int part = 0; part < PART_COUNT && error == NEAP_URL_OK; part++)
        error = get_part(handle, (enum part)part, parts);
    return error;
}

static void free_parts(struct parts *parts)
{
    for (int part = 0; part < PART_COUNT; part++)
        curl_free(parts->given[part]);
}

static void append_lower(char **at, const char *text)
{
    for (; *text; text++)
        *(*at)++ = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
}

static const char *append_origin(char **at, const struct parts *parts)
{
    const char *origin = *at;
    append_lower(at, parts->text[SCHEME]);
    append_lower(at, "://");
    append_lower(at, parts->text[HOST]);
    append_lower(at, ":");
    append_lower(at, parts->text[PORT]);
    *(*at)++ = '\0';
    return origin;
}

static const char *append_text(char **at, const char *text)
{
    const char *copy = *at;
    *at = stpcpy(*at, text) + 1;
    return copy;
}

/* On success the handle is the block's. */
static enum neap_url_error fill(const struct neap_alloc *alloc, CURLU *handle,
                                const struct parts *parts, struct neap_url *url)
{
    size_t bytes = sizeof "://:" + PART_COUNT;
    for (int part = 0; part < PART_COUNT; part++)
        bytes += strlen(parts->text[part]);
    struct neap_url_block *block = neap_alloc(alloc, sizeof *block + bytes);
    if (!block)
        return NEAP_URL_NO_MEMORY;
    char *at = block->texts;
    block->others = 0;
    block->parsed = handle;
    url->alloc = alloc;
    url->block = block;
    url->origin = append_origin(&at, parts);
    url->path = append_text(&at, parts->text[PATH]);
    url->query = append_text(&at, parts->text[QUERY]);
    url->text = append_text(&at, parts->text[WHOLE]);
    return NEAP_URL_OK;
}

/* Takes the handle over in every case. */
static enum neap_url_error make(const struct neap_alloc *alloc, CURLU *handle, struct neap_url *url)
{
    struct parts parts = {{NULL}, {NULL}};
    enum neap_url_error error = error_of(curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0));
    if (error == NEAP_URL_OK)
        error = get_parts(handle, &parts);
    if (error == NEAP_URL_OK)
        error = fill(alloc, handle, &parts, url);
    free_parts(&parts);
    if (error != NEAP_URL_OK)
        curl_url_cleanup(handle);
    return error;
}

/* Joined before libcurl parses it, because a part that is set afterwards has its percent-encoding
 * rewritten. */
enum neap_url_error neap_url_join_query(struct neap_buffer *joined, const char *text,
                                        const char *query)
{
    size_t bytes = strcspn(text, "#");
    const char *mark = memchr(text, '?', bytes);
    const char *between = !mark ? "?" : mark + 1 == text + bytes ? "" : "&";
    if (!is_printable(query) || strchr(query, '#'))
        return NEAP_URL_MALFORMED;
    enum neap_status status =
        neap_buffer_append_format(joined, "%.*s%s%s", (int)bytes, text, between, query);
    return status == NEAP_OK ? NEAP_URL_OK : NEAP_URL_NO_MEMORY;
}

static enum neap_url_error parse_with_query(const struct neap_alloc *alloc, CURLU *handle,
                                            const char *base, const char *reference,
                                            const char *query)
{
    struct neap_buffer joined;
    bool is_base = base && (reference[0] == '\0' || reference[0] == '#');
    if (!query || query[0] == '\0')
        return parse(handle, base, reference);
    neap_buffer_init(&joined, alloc);
    enum neap_url_error error = neap_url_join_query(&joined, is_base ? base : reference, query);
    if (error == NEAP_URL_OK && is_base)
        error = parse(handle, joined.data, "");
    else if (error == NEAP_URL_OK)
        error = parse(handle, base, joined.data);
    neap_buffer_deinit(&joined);
    return error;
}

static enum neap_url_error resolve(const struct neap_alloc *alloc, const char *base,
                                   const char *reference, const char *query, struct neap_url *url)
{
    CURLU *handle = curl_url();
    if (!handle)
        return NEAP_URL_NO_MEMORY;
    enum neap_url_error error = parse_with_query(alloc, handle, base, reference, query);
    if (error == NEAP_URL_OK)
        return make(alloc, handle, url);
    curl_url_cleanup(handle);
    return error;
}

static enum neap_url_error check_stay(const struct neap_alloc *alloc, const char *base,
                                      const char *origin)
{
    struct neap_url home;
    enum neap_url_error error = resolve(alloc, NULL, base, NULL, &home);
    if (error != NEAP_URL_OK)
        return error;
    if (strcmp(home.origin, origin) != 0)
        error = NEAP_URL_LEAVES_BASE;
    neap_url_deinit(&home);
    return error;
}

/* A path that leads away is told as such, even where what it leads to is no http or malformed. */
static enum neap_url_error as_leaving(enum neap_url_error error, const char *base,
                                      const char *reference, int stay)
{
    bool leads_away = base && stay && has_scheme(reference);
    return leads_away && error == NEAP_URL_SCHEME ? NEAP_URL_LEAVES_BASE : error;
}

enum neap_url_error neap_url_resolve(const struct neap_alloc *alloc, const char *base,
                                     const char *reference, const char *query, int stay,
                                     struct neap_url *url)
{
    struct neap_url made;
    enum neap_url_error error = resolve(alloc, base, reference, query, &made);
    if (error != NEAP_URL_OK)
        return as_leaving(error, base, reference, stay);
    if (base && stay)
        error = check_stay(alloc, base, made.origin);
    if (error == NEAP_URL_OK)
        *url = made;
    else
        neap_url_deinit(&made);
    return error;
}

void neap_url_deinit(struct neap_url *url)
{
    struct neap_url_block *block = url->block;
    if (block && block->others > 0) {
        block->others--;
    } else if (block) {
        curl_url_cleanup(block->parsed);
        neap_free(url->alloc, block);
    }
    *url = (struct neap_url){.alloc = url->alloc};
}

struct neap_url neap_url_hold(const struct neap_url *url)
{
    if (url->block)
        url->block->others++;
    return *url;
}

void *neap_url_parsed(const struct neap_url *url)
{
    return url->block ? url->block->parsed : NULL;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static enum neap_status append_encoded(struct neap_buffer *buffer, const char *text, size_t bytes,
                                       int form)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
        enum neap_status status;
        if (is_unreserved(c))
            status = neap_buffer_append(buffer, text + i, 1);
        else if (form && c == ' ')
            status = neap_buffer_append(buffer, "+", 1);
        else
            status = neap_buffer_append(buffer, escaped, 3);
        if (status != NEAP_OK)
            return status;
    }
    return NEAP_OK;
}

static enum neap_status append_pair(struct neap_buffer *buffer, const char *name, size_t name_bytes,
                                    const char *value, size_t value_bytes, int form)
{
    if (buffer->bytes > 0 && neap_buffer_append(buffer, "&", 1) != NEAP_OK)
        return NEAP_NO_MEMORY;
    if (append_encoded(buffer, name, name_bytes, form) != NEAP_OK ||
        neap_buffer_append(buffer, "=", 1) != NEAP_OK)
        return NEAP_NO_MEMORY;
    return append_encoded(buffer, value, value_bytes, form);
}

enum neap_status neap_url_append_pair(struct neap_buffer *buffer, const char *name,
                                      size_t name_bytes, const char *value, size_t value_bytes,
                                      int form)
{
    size_t before = buffer->bytes;
    enum neap_status status = append_pair(buffer, name, name_bytes, value, value_bytes, form);
    if (status != NEAP_OK && buffer->data) {
        buffer->bytes = before;
        buffer->data[before] = '\0';
    }
    return status;
}
