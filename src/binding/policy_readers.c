#include "binding/policy_readers.h"

#include <string.h>
#include <strings.h>

#include "binding/option_message.h"
#include "binding/option_unknown.h"
#include "binding/pair_list.h"
#include "client/policy.h"
#include "policy/idempotency_key.h"
#include "transport/url.h"

#define TYPE(name) (1u << LUA_T##name)

/* --------------------------------------------------------------------------------------- texts */

/* The length of the UTF-8 character there, of no control character; 0 where there is none. Lengths
 * are told by the first byte (RFC 3629 4). */
static size_t printable_bytes(const unsigned char *text, size_t bytes)
{
    if (text[0] < 0x80)
        return text[0] >= 0x20 && text[0] != 0x7f;
    size_t length = text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
    if (text[0] < 0xC2 || text[0] > 0xF4 || length > bytes)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

bool neap_is_policy_name(const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    while (bytes > 0) {
        size_t length = printable_bytes(at, bytes);
        if (length == 0)
            return false;
        at += length;
        bytes -= length;
    }
    return true;
}

bool neap_is_header_name(const char *text, size_t bytes)
{
    return neap_header_is_safe(text, bytes, "", 0);
}

/* A whole key has at most 255 characters, and behind the prefix comes a digest at the longest. */
bool neap_is_key_prefix(const char *text, size_t bytes)
{
    if (bytes > NEAP_IDEMPOTENCY_KEY_MAX - (NEAP_DIGEST_BYTES - 1) || text[0] == ' ')
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return true;
}

bool neap_check_base_url(struct neap_option_reader *reader, void *target)
{
    const struct neap_client_policy *policy = target;
    struct neap_url url;
    enum neap_url_error error =
        neap_url_resolve(policy->alloc, NULL, policy->base_url, NULL, 0, &url);
    if (error == NEAP_URL_NO_MEMORY)
        luaL_error(reader->L, "not enough memory");
    if (error != NEAP_URL_OK)
        return neap_option_fail(reader, "%s", neap_url_error_text(error));
    neap_url_deinit(&url);
    return true;
}

bool neap_check_allow_hosts(struct neap_option_reader *reader, void *target)
{
    const struct neap_client_policy *policy = target;
    struct neap_url url;
    if (!policy->base_url)
        return true;
    enum neap_url_error error =
        neap_url_resolve(policy->alloc, NULL, policy->base_url, NULL, 0, &url);
    if (error != NEAP_URL_OK)
        luaL_error(reader->L, "not enough memory"); /* it has been read and checked before */
    bool allowed = neap_reach_allows_host(&policy->transport, url.origin);
    neap_url_deinit(&url);
    return allowed || neap_option_fail(reader, "expected the host of base_url among them");
}

bool neap_check_deny_private(struct neap_option_reader *reader, void *target)
{
    const struct neap_client_policy *policy = target;
    const struct neap_transport_settings *transport = &policy->transport;
    if (!transport->deny_private || !(transport->proxy || transport->proxy_environment))
        return true;
    return neap_option_fail(reader, "expected no proxy beside it, which connects to addresses that "
                                    "nobody here can check");
}

/* What libcurl takes for a proxy. Its user name and password may stand in the URL. */
static bool is_proxy_url(const char *text, size_t bytes)
{
    static const char *const schemes[] = {"http://",    "https://",  "socks4://",
                                          "socks4a://", "socks5://", "socks5h://"};
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
            return false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t length = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], length) == 0)
            return bytes > length;
    }
    return false;
}

bool neap_read_proxy(struct neap_option_reader *reader, void *target)
{
    struct neap_client_policy *policy = target;
    size_t bytes;
    const char *text = lua_tolstring(reader->L, -1, &bytes);
    if (strcmp(text, "environment") == 0) {
        policy->transport.proxy_environment = true;
        return true;
    }
    if (!is_proxy_url(text, bytes))
        return neap_option_fail(reader, "expected a URL (http, https, socks4, socks4a, socks5, "
                                        "socks5h) or \"environment\"");
    policy->transport.proxy = neap_option_copy_text(reader, text, bytes);
    return true;
}

/* ------------------------------------------------------------------------------------- headers */

static const struct neap_option header_value = {.kind = NEAP_OPTION_VALUE,
                                                .flags = NEAP_OPTION_SECRET,
                                                .types = TYPE(STRING) | TYPE(NUMBER) | TYPE(TABLE),
                                                .expected = "a string, a number or a list"};
static const struct neap_option listed_value = {.kind = NEAP_OPTION_VALUE,
                                                .flags = NEAP_OPTION_SECRET,
                                                .types = TYPE(STRING) | TYPE(NUMBER),
                                                .expected = "a string or a number"};

struct header_target {
    struct neap_client_policy *policy;
    const char *name;
    size_t name_bytes;
};

/* Room first, then name and value one by one: at each moment the policy owns what there is. */
static void append_header(struct neap_option_reader *reader, const struct header_target *target,
                          const char *value, size_t value_bytes)
{
    struct neap_client_policy *policy = target->policy;
    size_t bytes = (policy->header_count + 1) * sizeof *policy->headers;
    struct neap_request_header *headers = neap_resize(policy->alloc, policy->headers, bytes);
    if (!headers) {
        luaL_error(reader->L, "not enough memory");
        return;
    }
    policy->headers = headers;
    struct neap_request_header *header = &headers[policy->header_count++];
    *header = (struct neap_request_header){NULL, NULL};
    header->name = neap_option_copy_text(reader, target->name, target->name_bytes);
    header->value = neap_option_copy_text(reader, value, value_bytes);
}

static bool read_number_value(struct neap_option_reader *reader, const struct header_target *header)
{
    char text[NEAP_NUMBER_BYTES];
    if (!neap_write_number(reader->L, -1, text))
        return neap_option_fail_expected(reader, &listed_value);
    append_header(reader, header, text, strlen(text));
    return true;
}

static bool read_header_value(struct neap_option_reader *reader, void *target)
{
    const struct header_target *header = target;
    if (!neap_option_read_row(reader, &listed_value, target))
        return false;
    if (lua_type(reader->L, -1) == LUA_TNUMBER)
        return read_number_value(reader, header);
    size_t bytes;
    const char *value = lua_tolstring(reader->L, -1, &bytes);
    if (!neap_header_is_safe(header->name, header->name_bytes, value, bytes))
        return neap_option_fail(reader, "a control character is in the value");
    append_header(reader, header, value, bytes);
    return true;
}

static bool read_header(struct neap_option_reader *reader, struct header_target *header)
{
    if (!neap_option_read_row(reader, &header_value, header))
        return false;
    if (lua_type(reader->L, -1) == LUA_TTABLE)
        return neap_option_read_list(reader, read_header_value, header);
    return read_header_value(reader, header);
}

/* The key is at -2, its value on top. */
static bool read_header_key(struct neap_option_reader *reader, struct neap_client_policy *policy)
{
    struct neap_option_path here = {.parent = reader->path};
    if (lua_type(reader->L, -2) == LUA_TSTRING)
        here.name = lua_tolstring(reader->L, -2, &here.name_bytes);
    if (!here.name || !neap_is_header_name(here.name, here.name_bytes))
        return neap_option_fail_key(reader, "a header name");
    struct header_target header = {policy, here.name, here.name_bytes};
    reader->path = &here;
    bool ok = read_header(reader, &header);
    reader->path = here.parent;
    return ok;
}

static bool comes_before(const struct neap_request_header *a, const struct neap_request_header *b)
{
    int order = strcasecmp(a->name, b->name);
    return order != 0 ? order < 0 : strcmp(a->name, b->name) < 0;
}

/* Lua's order of keys differs from run to run. Insertion keeps the values of one list in order. */
static void sort_headers(struct neap_client_policy *policy)
{
    struct neap_request_header *headers = policy->headers;
    for (size_t i = 1; i < policy->header_count; i++) {
        struct neap_request_header header = headers[i];
        size_t to = i;
        for (; to > 0 && comes_before(&header, &headers[to - 1]); to--)
            headers[to] = headers[to - 1];
        headers[to] = header;
    }
}

bool neap_read_headers(struct neap_option_reader *reader, void *target)
{
    luaL_checkstack(reader->L, 8, "headers");
    lua_pushnil(reader->L);
    while (lua_next(reader->L, -2)) {
        if (!read_header_key(reader, target))
            return false;
        lua_pop(reader->L, 1);
    }
    sort_headers(target);
    return true;
}

/* ------------------------------------------------------------------------------------ statuses */

static bool read_status_rule(struct neap_option_reader *reader, uint8_t *rule)
{
    static const struct neap_option row = {.kind = NEAP_OPTION_VALUE,
                                           .flags = NEAP_OPTION_WORD,
                                           .expected = "true, \"once\" or false"};
    lua_State *L = reader->L;
    if (lua_type(L, -1) == LUA_TBOOLEAN)
        *rule = lua_toboolean(L, -1) ? NEAP_STATUS_RETRY : NEAP_STATUS_NEVER;
    else if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "once") == 0)
        *rule = NEAP_STATUS_ONCE;
    else
        return neap_option_fail_expected(reader, &row);
    return true;
}

static bool read_status(struct neap_option_reader *reader, struct neap_client_policy *policy)
{
    int64_t status;
    if (!neap_lua_integer(reader->L, -2, &status) || status < 100 || status >= NEAP_STATUS_COUNT)
        return neap_option_fail_key(reader, "a status from 100 to 599");
    struct neap_option_path here = {.parent = reader->path, .position = (int)status};
    reader->path = &here;
    bool ok = read_status_rule(reader, &policy->pipeline.retry.status_rule[status]);
    reader->path = here.parent;
    return ok;
}

bool neap_read_statuses(struct neap_option_reader *reader, void *target)
{
    luaL_checkstack(reader->L, 8, "statuses");
    lua_pushnil(reader->L);
    while (lua_next(reader->L, -2)) {
        if (!read_status(reader, target))
            return false;
        lua_pop(reader->L, 1);
    }
    return true;
}
