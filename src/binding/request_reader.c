#include "binding/request_reader.h"

#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "base/method.h"
#include "binding/options.h"
#include "binding/pair_list.h"
#include "binding/policy_options.h"
#include "binding/request_key.h"

/* Room for the values that a request leaves on the stack. */
#define STACK_SLOTS 60

#define TYPE(type) (1u << (type))

static const struct neap_option request_rows[] = {
    {.name = "method",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TSTRING),
     .expected = "a method, such as \"GET\""},
    {.name = "path",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TSTRING),
     .expected = "a path to be joined with base_url"},
    {.name = "url",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TSTRING),
     .expected = "an absolute http or https URL"},
    {.name = "query",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TTABLE),
     .expected = "a table of names and values"},
    {.name = "headers",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TTABLE),
     .expected = "a table of names and values"},
    {.name = "body", .kind = NEAP_OPTION_VALUE, .types = TYPE(LUA_TSTRING), .expected = "a string"},
    {.name = "json",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TTABLE) | TYPE(LUA_TSTRING) | TYPE(LUA_TNUMBER) | TYPE(LUA_TBOOLEAN) |
              TYPE(LUA_TLIGHTUSERDATA),
     .expected = "a value that can be written as JSON"},
    {.name = "form",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TTABLE),
     .expected = "a table of names and values"},
    {.name = "timeout",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TTABLE),
     .expected = "a table of limits in seconds"},
    {.name = "deadline",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TNUMBER),
     .expected = "a moment of neap.now(), in seconds"},
    {.name = "idempotency_key",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TSTRING),
     .expected = "1 to 255 characters of printable ASCII"},
    {.name = "replayable",
     .kind = NEAP_OPTION_VALUE,
     .types = TYPE(LUA_TBOOLEAN),
     .expected = "a boolean"},
    {.name = "tags", .kind = NEAP_OPTION_VALUE, .types = TYPE(LUA_TTABLE), .expected = "a table"},
};

static const struct neap_option_table request_table = NEAP_OPTION_ROWS(request_rows);

struct reader {
    lua_State *L;
    const struct neap_request_source *source;
    struct neap_client *client;
    struct neap_exchange_object *object;
    int keeper;
    struct neap_draft *draft;
};

static bool fail(struct reader *reader, const char *path, const char *text)
{
    lua_pushfstring(reader->L, "%s: %s", path, text);
    return false;
}

/* Leaves the value on the stack, so that its text stays. NULL where there is none. */
static const char *text_field(struct reader *reader, int table, const char *name, size_t *bytes)
{
    lua_State *L = reader->L;
    if (!lua_istable(L, table))
        return NULL;
    lua_pushstring(L, name);
    lua_rawget(L, table);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, bytes) : NULL;
}

static bool read_method(struct reader *reader)
{
    size_t bytes = 0;
    const char *own = text_field(reader, reader->source->request, "method", &bytes);
    const char *method = reader->source->method;
    if (own && strlen(own) == bytes && neap_method_standard(own))
        own = neap_method_standard(own);
    if (method && own && strcmp(method, own) != 0)
        return fail(reader, "request.method", "another method than the one that was called");
    if (!method)
        method = own ? own : "GET";
    else
        bytes = strlen(method);
    if (own && !neap_method_is_safe(own, bytes))
        return fail(reader, "request.method", "expected a method, such as \"GET\"");
    reader->draft->method = method;
    return true;
}

/* A NUL would end the text for libcurl, which then asks for something else than was checked. */
static const char *without_nul(const char *text, size_t bytes)
{
    return text && memchr(text, '\0', bytes) ? "\n" : text;
}

static enum neap_status append_pairs(struct neap_buffer *buffer, const struct neap_pair_list *list,
                                     int form)
{
    enum neap_status status = NEAP_OK;
    for (size_t i = 0; i < list->count && status == NEAP_OK; i++)
        status = neap_url_append_pair(buffer, list->pair[i].name.text, list->pair[i].name.bytes,
                                      list->pair[i].value.text, list->pair[i].value.bytes, form);
    return status;
}

/* The encoded pairs of a table stay as a Lua string on the stack; NULL on failure. */
static const char *encode(struct reader *reader, const char *name, const char *path, int form,
                          size_t *bytes)
{
    lua_State *L = reader->L;
    struct neap_pair_list list;
    struct neap_buffer *scratch = &reader->object->scratch;
    *bytes = 0;
    if (!lua_istable(L, reader->source->request))
        return "";
    lua_pushstring(L, name);
    lua_rawget(L, reader->source->request);
    if (lua_isnil(L, -1))
        return "";
    if (!neap_read_pairs(L, -1, path, true, &list))
        return NULL;
    neap_buffer_clear(scratch);
    if (append_pairs(scratch, &list, form) != NEAP_OK)
        neap_raise_memory(L);
    lua_pushlstring(L, scratch->bytes > 0 ? scratch->data : "", scratch->bytes);
    return lua_tolstring(L, -1, bytes);
}

static bool resolve(struct reader *reader, const char *base, const char *reference,
                    const char *path, const char *query)
{
    enum neap_url_error error =
        neap_url_memo_resolve(&reader->client->urls, base, reference, query, &reader->object->url);
    if (error == NEAP_URL_NO_MEMORY)
        neap_raise_memory(reader->L);
    return error == NEAP_URL_OK || fail(reader, path, neap_url_error_text(error));
}

static bool read_url(struct reader *reader)
{
    size_t bytes = 0, query_bytes;
    const char *own_path = text_field(reader, reader->source->request, "path", &bytes);
    own_path = without_nul(own_path, bytes);
    const char *url = text_field(reader, reader->source->request, "url", &bytes);
    url = without_nul(url, bytes);
    const char *path = without_nul(reader->source->path, reader->source->path_bytes);
    if (!path)
        path = own_path;
    const char *base = reader->client->policy.base_url;
    const char *query = encode(reader, "query", "request.query", 0, &query_bytes);
    if (!query)
        return false;
    if (own_path && path != own_path)
        return fail(reader, "request.path", "there is a path already, before the request");
    if (url && path)
        return fail(reader, "request.url", "there is a path already; give one of both");
    if (reader->source->target)
        *reader->source->target = (struct neap_request_target){.reference = url    ? url
                                                                            : path ? path
                                                                                   : "",
                                                               .query = query,
                                                               .is_absolute = url};
    if (url)
        return resolve(reader, NULL, url, "request.url", query);
    if (!base)
        return fail(reader, path ? "request.path" : "request.url",
                    path ? "the policy has no base_url to join it with" : "required, a string");
    return resolve(reader, base, path ? path : "", "request.path", query);
}

static bool add_header(struct reader *reader, struct neap_request_header *headers,
                       const struct neap_pair *pair)
{
    if (!neap_header_is_safe(pair->name.text, pair->name.bytes, pair->value.text,
                             pair->value.bytes)) {
        lua_pushfstring(reader->L,
                        "request.headers[\"%s\"]: expected a header name of RFC 9110 and a value "
                        "without control characters",
                        pair->name.text);
        return false;
    }
    headers[reader->draft->header_count++] =
        (struct neap_request_header){pair->name.text, pair->value.text};
    return true;
}

/* One place is kept free for the Content-Type of `json` and `form`. */
static bool read_headers(struct reader *reader)
{
    lua_State *L = reader->L;
    struct neap_pair_list list = {0};
    if (lua_istable(L, reader->source->request)) {
        lua_pushliteral(L, "headers");
        lua_rawget(L, reader->source->request);
        if (lua_istable(L, -1) && !neap_read_pairs(L, -1, "request.headers", false, &list))
            return false;
    }
    struct neap_request_header *headers = lua_newuserdata(L, (list.count + 1) * sizeof *headers);
    reader->draft->headers = headers;
    for (size_t i = 0; i < list.count; i++)
        if (!add_header(reader, headers, &list.pair[i]))
            return false;
    return true;
}

static void set_content_type(struct reader *reader, const char *type)
{
    struct neap_draft *draft = reader->draft;
    const struct neap_client_policy *policy = &reader->client->policy;
    if (neap_header_find(draft->headers, draft->header_count, "Content-Type") ||
        neap_header_find(policy->headers, policy->header_count, "Content-Type"))
        return;
    struct neap_request_header *headers =
        (struct neap_request_header *)(uintptr_t)draft->headers; /* made by read_headers */
    headers[draft->header_count++] = (struct neap_request_header){"Content-Type", type};
}

static int count_bodies(struct reader *reader)
{
    static const char *const names[] = {"body", "json", "form"};
    lua_State *L = reader->L;
    int count = 0;
    if (!lua_istable(L, reader->source->request))
        return 0;
    for (int i = 0; i < 3; i++) {
        lua_pushstring(L, names[i]);
        lua_rawget(L, reader->source->request);
        count += !lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    return count;
}

/* The string on top is the body: it is kept, since the exchange does not copy it. */
static bool keep_body(struct reader *reader)
{
    lua_State *L = reader->L;
    uint64_t most = reader->client->policy.max_request_bytes;
    reader->draft->body = lua_tolstring(L, -1, &reader->draft->body_bytes);
    if (reader->keeper != NEAP_NOT_KEPT) {
        lua_pushliteral(L, "body");
        lua_pushvalue(L, -2);
        lua_rawset(L, reader->keeper);
    }
    if (reader->draft->body_bytes <= most)
        return true;
    lua_pushfstring(L, "request.body: longer than policy.max_request_bytes allows");
    return false;
}

static bool read_body(struct reader *reader)
{
    size_t bytes = 0;
    if (count_bodies(reader) > 1)
        return fail(reader, "request.body", "give one of body, json and form");
    if (text_field(reader, reader->source->request, "body", &bytes))
        return keep_body(reader);
    if (text_field(reader, reader->source->extras, "body", &bytes)) {
        set_content_type(reader, "application/json");
        return keep_body(reader);
    }
    const char *form = encode(reader, "form", "request.form", 1, &bytes);
    if (!form)
        return false;
    if (bytes == 0)
        return true;
    set_content_type(reader, "application/x-www-form-urlencoded");
    return keep_body(reader);
}

static bool read_times(struct reader *reader)
{
    lua_State *L = reader->L;
    struct neap_draft *draft = reader->draft;
    draft->timeout = reader->client->policy.pipeline.timeout;
    draft->deadline_ns = NEAP_NEVER;
    if (!lua_istable(L, reader->source->request))
        return true;
    lua_pushliteral(L, "timeout");
    lua_rawget(L, reader->source->request);
    if (lua_istable(L, -1) && !neap_options_read(L, -1, "request.timeout", &neap_timeout_options,
                                                 &draft->timeout, NULL, 0))
        return false;
    lua_pushliteral(L, "deadline");
    lua_rawget(L, reader->source->request);
    if (lua_isnumber(L, -1))
        draft->deadline_ns = neap_ns_from_seconds(lua_tonumber(L, -1));
    lua_pushliteral(L, "replayable");
    lua_rawget(L, reader->source->request);
    draft->replayable = lua_toboolean(L, -1);
    return true;
}

static void read_extras(struct reader *reader)
{
    lua_State *L = reader->L;
    struct neap_draft *draft = reader->draft;
    int extras = reader->source->extras;
    if (!lua_istable(L, extras))
        return;
    lua_getfield(L, extras, "without_fallbacks");
    draft->without_fallbacks = lua_toboolean(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, extras, "without_chaos");
    draft->without_chaos = lua_toboolean(L, -1);
    lua_pop(L, 1);
    draft->breaker_key = text_field(reader, extras, "breaker_key", &draft->breaker_key_bytes);
    draft->gate_key = text_field(reader, extras, "gate_key", &draft->gate_key_bytes);
}

bool neap_read_request(lua_State *L, const struct neap_request_source *source,
                       struct neap_client *client, struct neap_exchange_object *object, int keeper,
                       struct neap_draft *draft)
{
    struct reader reader = {.L = L,
                            .source = source,
                            .client = client,
                            .object = object,
                            .keeper = keeper,
                            .draft = draft};
    luaL_checkstack(L, STACK_SLOTS, "request");
    memset(draft, 0, sizeof *draft);
    if (!lua_isnil(L, source->request) &&
        !neap_options_read(L, source->request, "request", &request_table, NULL, NULL, 0))
        return false;
    if (!read_method(&reader) || !read_url(&reader) || !read_headers(&reader) ||
        !read_body(&reader) || !read_times(&reader))
        return false;
    read_extras(&reader);
    return neap_read_request_key(L, source, client, object, keeper, draft);
}
