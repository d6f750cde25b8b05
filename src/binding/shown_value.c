#include "binding/shown_value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 32u

static size_t escape(unsigned char byte, char out[5])
{
    if (byte == '"' || byte == '\\')
        return (size_t)snprintf(out, 5, "\\%c", byte);
    if (byte == '\n')
        return (size_t)snprintf(out, 5, "\\n");
    if (byte < 0x20 || byte == 0x7f)
        return (size_t)snprintf(out, 5, "\\%03d", byte);
    out[0] = (char)byte;
    return 1;
}

/* Where the first of these bytes ends from `at` on, or the text. */
static size_t end_of_first(const char *stops, const char *text, size_t bytes, size_t at)
{
    while (at < bytes && !(text[at] && strchr(stops, text[at])))
        at++;
    return at < bytes ? at + 1 : bytes;
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Where the host begins of a text that is a URL from its first byte on; 0 where it is none. */
static size_t host_of_url(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && (is_letter(text[at]) ||
                          (at > 0 && text[at] != '\0' && strchr("0123456789+.-", text[at]))))
        at++;
    return at > 0 && bytes - at >= 3 && memcmp(text + at, "://", 3) == 0 ? at + 3 : 0;
}

/* A text in a wrong place may hold a secret: a URL its password, or a path that only its owner
 * should know, a header its value. Of a URL scheme and host are shown, of others what stands before
 * such a value. A password may hold what should end the host. */
static size_t harmless_bytes(const char *text, size_t bytes)
{
    size_t host = host_of_url(text, bytes);
    if (host == 0)
        return end_of_first(":=@", text, bytes, 0);
    if (memchr(text + host, '@', bytes - host))
        return host;
    return end_of_first("/?#", text, bytes, host);
}

/* No more than NEAP_SHOWN_BYTES, and no half of a UTF-8 character. */
static size_t shown_bytes(const char *text, size_t all_bytes)
{
    size_t bytes = harmless_bytes(text, all_bytes);
    if (bytes <= NEAP_SHOWN_BYTES)
        return bytes;
    size_t shown = NEAP_SHOWN_BYTES;
    while (shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80)
        shown--;
    return shown;
}

void neap_push_quoted(lua_State *L, const char *text, size_t bytes)
{
    char quoted[NEAP_SHOWN_BYTES * 4 + 8] = "\"";
    size_t length = 1;
    size_t shown = shown_bytes(text, bytes);
    for (size_t i = 0; i < shown; i++)
        length += escape((unsigned char)text[i], quoted + length);
    length += (size_t)snprintf(quoted + length, sizeof quoted - length, "%s\"",
                               shown < bytes ? "..." : "");
    lua_pushlstring(L, quoted, length);
}

static void push_number(lua_State *L, int index)
{
    int64_t integer;
    char text[NUMBER_BYTES];
    double number = lua_tonumber(L, index);
    if (neap_lua_integer(L, index, &integer))
        snprintf(text, sizeof text, "%lld", (long long)integer);
    else if (isnan(number))
        snprintf(text, sizeof text, "nan");
    else
        snprintf(text, sizeof text, "%.14g", number);
    lua_pushstring(L, text);
}

static void push_text(lua_State *L, int index)
{
    size_t bytes;
    const char *text = lua_tolstring(L, index, &bytes);
    neap_push_quoted(L, text, bytes);
    lua_pushfstring(L, "a string (%s)", lua_tostring(L, -1));
    lua_remove(L, -2);
}

void neap_push_shown(lua_State *L, int index, bool is_secret)
{
    int type = lua_type(L, index);
    index = lua_absindex(L, index);
    if (type == LUA_TNIL || type == LUA_TNONE)
        lua_pushliteral(L, "nil");
    else if (type == LUA_TBOOLEAN)
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
    else if (type == LUA_TNUMBER)
        push_number(L, index);
    else if (type == LUA_TSTRING && !is_secret)
        push_text(L, index);
    else
        lua_pushfstring(L, "a %s", lua_typename(L, type));
}
