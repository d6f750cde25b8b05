#include "binding/shown_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES 60u   /* of a name at most */
#define FEW_BYTES 3u      /* no secret is as short */
#define PART_LETTERS 16u  /* of a name: "authorization" */
#define PART_DIGITS 3u    /* behind them: "sha256" */
#define PART_CHANGES 3u   /* of the letters' case: "TraceId" */
#define WORD_BYTES 12u    /* "decorrelated" */
#define AMOUNT_DIGITS 4u  /* "1.5s", "5000 ms" */
#define AMOUNT_LETTERS 3u /* of its unit */
#define PORT_DIGITS 5u
#define NUMBER_BYTES 32u

/* ------------------------------------------------------------------------------ what is plain */

static bool is_lower(char byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_letter(char byte)
{
    return is_lower(byte) || (byte >= 'A' && byte <= 'Z');
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_one_of(const char *bytes, char byte)
{
    return byte != '\0' && strchr(bytes, byte) != NULL;
}

/* Where the run of letters, or of digits, ends that begins at `at`. */
static size_t end_of_run(const char *text, size_t bytes, size_t at, bool is_member(char byte))
{
    while (at < bytes && is_member(text[at]))
        at++;
    return at;
}

static size_t count_changes(const char *text, size_t begin, size_t end)
{
    size_t changes = 0;
    for (size_t i = begin + 1; i < end; i++)
        changes += is_lower(text[i]) != is_lower(text[i - 1]);
    return changes;
}

/* Behind a part of a name that begins at `at`, which may be empty; `bytes` + 1 where it is none. */
static size_t end_of_part(const char *text, size_t bytes, size_t at)
{
    size_t letters = end_of_run(text, bytes, at, is_letter);
    size_t end = end_of_run(text, bytes, letters, is_digit);
    bool is_plain = letters - at <= PART_LETTERS && end - letters <= PART_DIGITS &&
                    count_changes(text, at, letters) <= PART_CHANGES;
    return is_plain ? end : bytes + 1;
}

/* The name that a text begins with, and the sign of a value behind it; 0 where what is there may be
 * anything. */
static size_t name_bytes(const char *text, size_t bytes)
{
    size_t at = 0;
    for (;;) {
        at = end_of_part(text, bytes, at);
        if (at >= bytes)
            return at == bytes ? bytes : 0;
        if (is_one_of(":=@", text[at]))
            return at + 1;
        if (!is_one_of("-_.", text[at]) && (unsigned char)text[at] >= ' ')
            return 0;
        at++;
    }
}

static bool is_scheme(char byte)
{
    return is_letter(byte) || is_digit(byte) || is_one_of("+.-", byte);
}

static bool is_host(char byte)
{
    return is_letter(byte) || is_digit(byte) || is_one_of(".-", byte);
}

/* Scheme and host of a text that is a URL from its first byte on; 0 where it is none. A password
 * may hold what should end the host. */
static size_t origin_bytes(const char *text, size_t bytes)
{
    size_t at = bytes > 0 && is_letter(text[0]) ? end_of_run(text, bytes, 0, is_scheme) : 0;
    if (at == 0 || bytes - at < 3 || memcmp(text + at, "://", 3) != 0)
        return 0;
    size_t host = at + 3;
    if (memchr(text + host, '@', bytes - host))
        return host;
    size_t end = end_of_run(text, bytes, host, is_host);
    if (end < bytes && text[end] == ':') {
        size_t port = end_of_run(text, bytes, end + 1, is_digit);
        bool is_port =
            port - end - 1 <= PORT_DIGITS && (port == bytes || is_one_of("/?#", text[port]));
        return is_port ? port + (port < bytes) : host;
    }
    return end == bytes || is_one_of("/?#", text[end]) ? end + (end < bytes) : host;
}

/* "30s", "1.5 MB" */
static bool is_amount(const char *text, size_t bytes)
{
    size_t at = bytes > 0 && is_one_of("+-", text[0]), digits = 0;
    for (; at < bytes && (is_digit(text[at]) || text[at] == '.'); at++)
        digits += is_digit(text[at]);
    if (digits == 0 || digits > AMOUNT_DIGITS)
        return false;
    at += at < bytes && text[at] == ' ';
    return end_of_run(text, bytes, at, is_letter) == bytes && bytes - at <= AMOUNT_LETTERS;
}

static bool is_short_word(const char *text, size_t bytes)
{
    return bytes <= WORD_BYTES && end_of_run(text, bytes, 0, is_lower) == bytes;
}

static size_t value_bytes(const char *text, size_t bytes, bool is_word)
{
    bool is_plain =
        bytes <= FEW_BYTES || is_amount(text, bytes) || (is_word && is_short_word(text, bytes));
    return is_plain ? bytes : origin_bytes(text, bytes);
}

static size_t key_bytes(const char *text, size_t bytes)
{
    size_t origin = origin_bytes(text, bytes);
    if (bytes <= FEW_BYTES)
        return bytes;
    return origin > 0 ? origin : name_bytes(text, bytes);
}

bool neap_is_plain_name(const char *text, size_t bytes)
{
    return bytes <= SHOWN_BYTES && key_bytes(text, bytes) == bytes;
}

/* -------------------------------------------------------------------------------- how it looks */

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

/* What is shown is ASCII, or so short that no character of it is cut. */
static void push_between_quotes(lua_State *L, const char *text, size_t bytes, size_t shown)
{
    char quoted[SHOWN_BYTES * 4 + 8] = "\"";
    size_t length = 1;
    if (shown > SHOWN_BYTES)
        shown = SHOWN_BYTES;
    for (size_t i = 0; i < shown; i++)
        length += escape((unsigned char)text[i], quoted + length);
    length += (size_t)snprintf(quoted + length, sizeof quoted - length, "%s\"",
                               shown < bytes ? "..." : "");
    lua_pushlstring(L, quoted, length);
}

void neap_push_quoted(lua_State *L, const char *text, size_t bytes)
{
    push_between_quotes(L, text, bytes, key_bytes(text, bytes));
}

static void push_number(lua_State *L, int index)
{
    int64_t integer;
    char text[NUMBER_BYTES];
    double number = lua_tonumber(L, index);
    if (neap_lua_integer(L, index, &integer))
        snprintf(text, sizeof text, "%" PRId64, integer);
    else if (isnan(number))
        snprintf(text, sizeof text, "nan");
    else
        snprintf(text, sizeof text, "%.14g", number);
    lua_pushstring(L, text);
}

static void push_text(lua_State *L, int index, bool is_word)
{
    size_t bytes;
    const char *text = lua_tolstring(L, index, &bytes);
    size_t shown = value_bytes(text, bytes, is_word);
    if (shown == 0 && bytes > 0) {
        lua_pushliteral(L, "a string");
        return;
    }
    push_between_quotes(L, text, bytes, shown);
    lua_pushfstring(L, "a string (%s)", lua_tostring(L, -1));
    lua_remove(L, -2);
}

void neap_push_shown(lua_State *L, int index, bool is_word)
{
    int type = lua_type(L, index);
    index = lua_absindex(L, index);
    if (type == LUA_TNIL || type == LUA_TNONE)
        lua_pushliteral(L, "nil");
    else if (type == LUA_TBOOLEAN)
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
    else if (type == LUA_TNUMBER)
        push_number(L, index);
    else if (type == LUA_TSTRING)
        push_text(L, index, is_word);
    else
        lua_pushfstring(L, "a %s", lua_typename(L, type));
}

static int shown(lua_State *L)
{
    lua_settop(L, 1);
    neap_push_shown(L, 1, false);
    return 1;
}

static int shown_key(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_type(L, 1) != LUA_TSTRING) {
        neap_push_shown(L, 1, false);
        return 1;
    }
    size_t bytes;
    const char *name = lua_tolstring(L, 1, &bytes);
    if (!neap_is_plain_name(name, bytes))
        neap_push_quoted(L, name, bytes);
    return 1;
}

void neap_binding_add_shown(lua_State *L)
{
    lua_pushcfunction(L, shown_key);
    lua_setfield(L, -2, "shown_key");
    lua_pushcfunction(L, shown);
    lua_setfield(L, -2, "shown");
}
