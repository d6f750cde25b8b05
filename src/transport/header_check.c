/* Checks of what goes into a request's head, made before libcurl sees it. */
#include <string.h>
#include <strings.h>

#include "transport/transport.h"

/* tchar of RFC 9110 5.6.2. */
static bool is_token_char(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!is_token_char((unsigned char)text[i]))
            return false;
    return bytes > 0;
}

static bool is_value(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool neap_header_is_safe(const char *name, size_t name_bytes, const char *value, size_t value_bytes)
{
    return is_token(name, name_bytes) && is_value(value, value_bytes);
}

bool neap_method_is_safe(const char *method, size_t bytes)
{
    return is_token(method, bytes);
}

bool neap_header_is_harmless(const char *name)
{
    static const char *const harmless[] = {"Accept",           "Accept-Language", "Content-Type",
                                           "Content-Language", "User-Agent",      "Traceparent",
                                           "Tracestate",       "Idempotency-Key"};
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strcasecmp(name, harmless[i]) == 0)
            return true;
    return false;
}

const char *neap_header_find(const struct neap_request_header *headers, size_t count,
                             const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(headers[i].name, name) == 0)
            return headers[i].value;
    return NULL;
}
