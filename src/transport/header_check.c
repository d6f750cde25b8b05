/* Checks of what goes into a request's head, made before libcurl sees it. */
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "transport/transport.h"

#define BIT(c) (UINT64_C(1) << ((c) % 64))
#define LETTERS(first) (UINT64_C(0x3ffffff) << ((first) % 64))

/* tchar of RFC 9110 5.6.2: of characters below 64, and of those above. */
static const uint64_t token_chars[2] = {
    BIT('!') | BIT('#') | BIT('$') | BIT('%') | BIT('&') | BIT('\'') | BIT('*') | BIT('+') |
        BIT('-') | BIT('.') | UINT64_C(0x3ff) << '0',
    BIT('^') | BIT('_') | BIT('`') | BIT('|') | BIT('~') | LETTERS('a') | LETTERS('A'),
};

static bool is_token_char(unsigned char c)
{
    return c < 128 && (token_chars[c / 64] >> (c % 64) & 1);
}

static bool is_token(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!is_token_char((unsigned char)text[i]))
            return false;
    return bytes > 0;
}

static bool is_value_char(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Might one of eight characters be below 0x20, or 0x7f? Surely not where it is false. */
static bool is_suspicious(const char *text)
{
    uint64_t word, other;
    memcpy(&word, text, sizeof word);
    other = word ^ EACH(0x7f);
    return (((word - EACH(0x20)) & ~word) | ((other - EACH(1)) & ~other)) & EACH(0x80);
}

static bool is_value(const char *text, size_t bytes)
{
    size_t i = 0;
    while (i < bytes) {
        if (bytes - i >= sizeof(uint64_t) && !is_suspicious(text + i)) {
            i += sizeof(uint64_t);
            continue;
        }
        if (!is_value_char((unsigned char)text[i++]))
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
