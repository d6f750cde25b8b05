#include "transport/reach.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "transport/transport.h"

/* ----------------------------------------------------------------------------------------- hosts
 */

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_made_of(const char *text, size_t bytes, const char *others)
{
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == '\0' || !(is_alphanumeric(text[i]) || strchr(others, text[i])))
            return false;
    return bytes > 0;
}

bool neap_is_host_pattern(const char *text, size_t bytes)
{
    if (bytes > 2 && text[0] == '[' && text[bytes - 1] == ']')
        return is_made_of(text + 1, bytes - 2, ":.");
    if (bytes > 2 && text[0] == '*' && text[1] == '.') {
        text += 2;
        bytes -= 2;
    }
    return is_made_of(text, bytes, "-._") && text[0] != '.' && text[bytes - 1] != '.';
}

static bool is_same(const char *host, size_t bytes, const char *text)
{
    return strlen(text) == bytes && strncasecmp(host, text, bytes) == 0;
}

static bool fits(const char *host, size_t bytes, const char *pattern)
{
    if (pattern[0] != '*')
        return is_same(host, bytes, pattern);
    const char *ending = pattern + 1;
    size_t ending_bytes = strlen(ending);
    return bytes > ending_bytes && host[0] != '.' &&
           is_same(host + bytes - ending_bytes, ending_bytes, ending);
}

bool neap_reach_allows_host(const struct neap_transport_settings *settings, const char *origin)
{
    if (settings->allow_host_count == 0 || !origin)
        return true;
    const char *host = strstr(origin, "://") + 3; /* an origin has both a scheme and a port */
    size_t bytes = (size_t)(strrchr(host, ':') - host);
    for (size_t i = 0; i < settings->allow_host_count; i++)
        if (fits(host, bytes, settings->allow_hosts[i]))
            return true;
    return false;
}

/* ------------------------------------------------------------------------------------- addresses
 */

struct range {
    uint8_t first[16];
    unsigned bits;
};

static const struct range inner_v4[] = {
    {{0}, 8},         {{10}, 8},       {{100, 64}, 10},   {{127}, 8},
    {{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24}, {{192, 168}, 16},
    {{198, 18}, 15},  {{224}, 4},      {{240}, 4},
};

static const struct range inner_v6[] = {
    {{0}, 80},          {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48},
    {{0x20, 0x01}, 32}, {{0xfc}, 7},
    {{0xfe, 0x80}, 10}, {{0xfe, 0xc0}, 10},
    {{0xff}, 8},
};

static const struct range nat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};
static const struct range translated = {{[8] = 0xff, [9] = 0xff}, 96};
static const struct range six_to_four = {{0x20, 0x02}, 16};

static bool is_in(const struct range *range, const uint8_t *address)
{
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    if (memcmp(range->first, address, whole) != 0)
        return false;
    return rest == 0 || (range->first[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool is_in_any(const struct range *ranges, size_t count, const uint8_t *address)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(&ranges[i], address))
            return true;
    return false;
}

static bool is_inner_v4(const uint8_t *address)
{
    return is_in_any(inner_v4, sizeof inner_v4 / sizeof *inner_v4, address);
}

static bool is_inner_v6(const uint8_t *address)
{
    if (is_in(&nat64, address) || is_in(&translated, address))
        return is_inner_v4(address + 12);
    if (is_in(&six_to_four, address))
        return is_inner_v4(address + 2);
    return is_in_any(inner_v6, sizeof inner_v6 / sizeof *inner_v6, address);
}

bool neap_reach_is_inner(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        return is_inner_v4((const uint8_t *)&v4.sin_addr);
    }
    if (address->sa_family != AF_INET6)
        return true;
    memcpy(&v6, address, sizeof v6);
    return is_inner_v6(v6.sin6_addr.s6_addr);
}
