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

/* A part as libcurl has it, or `otherwise` where it has none, copied into our memory. */
static enum neap_url_error copy_part(const struct neap_alloc *alloc, CURLU *handle, CURLUPart part,
                                     unsigned flags, const char *otherwise, char **copy)
{
    char *text = NULL;
    enum neap_url_error error = error_of(curl_url_get(handle, part, &text, flags));
    if (error == NEAP_URL_NO_MEMORY || (error != NEAP_URL_OK && !otherwise))
        return error;
    const char *source = error == NEAP_URL_OK ? text : otherwise;
    *copy = neap_copy_text(alloc, source, strlen(source));
    curl_free(text);
    return *copy ? NEAP_URL_OK : NEAP_URL_NO_MEMORY;
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
}

static enum neap_url_error check_scheme(const char *scheme)
{
    bool web = strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0;
    return web ? NEAP_URL_OK : NEAP_URL_SCHEME;
}

struct origin_parts {
    char *scheme, *host, *port;
};

static enum neap_url_error join_origin(const struct neap_alloc *alloc,
                                       const struct origin_parts *parts, char **origin)
{
    struct neap_buffer buffer;
    neap_buffer_init(&buffer, alloc);
    if (!is_ascii(parts->host) || !is_printable(parts->host))
        return NEAP_URL_MALFORMED;
    if (neap_buffer_append_format(&buffer, "%s://%s:%s", parts->scheme, parts->host, parts->port) !=
        NEAP_OK) {
        neap_buffer_deinit(&buffer);
        return NEAP_URL_NO_MEMORY;
    }
    lower(buffer.data);
    *origin = buffer.data;
    return NEAP_URL_OK;
}

static enum neap_url_error make_origin(const struct neap_alloc *alloc, CURLU *handle, char **origin)
{
    struct origin_parts parts = {NULL, NULL, NULL};
    enum neap_url_error error = copy_part(alloc, handle, CURLUPART_SCHEME, 0, NULL, &parts.scheme);
    if (error == NEAP_URL_OK)
        error = check_scheme(parts.scheme);
    if (error == NEAP_URL_OK)
        error = copy_part(alloc, handle, CURLUPART_HOST, 0, NULL, &parts.host);
    if (error == NEAP_URL_OK)
        error = copy_part(alloc, handle, CURLUPART_PORT, CURLU_DEFAULT_PORT, "0", &parts.port);
    if (error == NEAP_URL_OK)
        error = join_origin(alloc, &parts, origin);
    neap_free(alloc, parts.port);
    neap_free(alloc, parts.host);
    neap_free(alloc, parts.scheme);
    return error;
}

static enum neap_url_error check_stay(const struct neap_alloc *alloc, const char *base,
                                      const char *origin)
{
    char *home = NULL;
    CURLU *handle = curl_url();
    if (!handle)
        return NEAP_URL_NO_MEMORY;
    enum neap_url_error error = parse(handle, NULL, base);
    if (error == NEAP_URL_OK)
        error = make_origin(alloc, handle, &home);
    if (error == NEAP_URL_OK && strcmp(home, origin) != 0)
        error = NEAP_URL_LEAVES_BASE;
    neap_free(alloc, home);
    curl_url_cleanup(handle);
    return error;
}

static enum neap_url_error fill(const struct neap_alloc *alloc, CURLU *handle, struct neap_url *url)
{
    enum neap_url_error error = error_of(curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0));
    if (error == NEAP_URL_OK)
        error = make_origin(alloc, handle, &url->origin);
    if (error == NEAP_URL_OK)
        error = copy_part(alloc, handle, CURLUPART_PATH, 0, "/", &url->path);
    if (error == NEAP_URL_OK)
        error = copy_part(alloc, handle, CURLUPART_QUERY, 0, "", &url->query);
    if (error == NEAP_URL_OK)
        error = copy_part(alloc, handle, CURLUPART_URL, 0, NULL, &url->text);
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

static enum neap_url_error resolve(const struct neap_alloc *alloc, CURLU *handle, const char *base,
                                   const char *reference, const char *query, int stay,
                                   struct neap_url *url)
{
    enum neap_url_error error = parse_with_query(alloc, handle, base, reference, query);
    if (error == NEAP_URL_OK)
        error = fill(alloc, handle, url);
    if (error == NEAP_URL_OK && base && stay)
        error = check_stay(alloc, base, url->origin);
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
    struct neap_url made = {.alloc = alloc};
    CURLU *handle = curl_url();
    if (!handle)
        return NEAP_URL_NO_MEMORY;
    enum neap_url_error error = resolve(alloc, handle, base, reference, query, stay, &made);
    curl_url_cleanup(handle);
    if (error != NEAP_URL_OK) {
        neap_url_deinit(&made);
        return as_leaving(error, base, reference, stay);
    }
    *url = made;
    return NEAP_URL_OK;
}

void neap_url_deinit(struct neap_url *url)
{
    neap_free(url->alloc, url->text);
    neap_free(url->alloc, url->origin);
    neap_free(url->alloc, url->path);
    neap_free(url->alloc, url->query);
    *url = (struct neap_url){.alloc = url->alloc};
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
