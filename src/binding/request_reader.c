#include "binding/request_reader.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "base/method.h"
#include "binding/options.h"
#include "binding/pair_list.h"
#include "binding/policy_options.h"
#include "binding/request_key.h"
#include "binding/shown_value.h"

/* Room for what is left on the stack beside the values of a request, and with lists and texts that
 * are made of it. The stack of each task grows by what is asked for here, and stays so. */
#define STACK_SLOTS 20
#define STACK_SLOTS_OF_LISTS 40

#define TYPE(type) (1u << (type))

/* The keys of a request. */
enum field {
    METHOD,
    PATH,
    URL,
    QUERY,
    HEADERS,
    BODY,
    JSON,
    FORM,
    TIMEOUT,
    DEADLINE,
    IDEMPOTENCY_KEY,
    REPLAYABLE,
    TAGS,
    FIELD_COUNT
};

#define VALUE(key, lua_types, what)                                                                \
    {                                                                                              \
        .name = (key), .kind = NEAP_OPTION_VALUE, .types = (lua_types), .expected = (what)         \
    }

/* Who writes them as one text has the values in it. */
#define SECRETS(key)                                                                               \
    {                                                                                              \
        .name = (key), .kind = NEAP_OPTION_VALUE, .flags = NEAP_OPTION_SECRET,                     \
        .types = TYPE(LUA_TTABLE), .expected = "a table of names and values"                       \
    }

static const struct neap_option request_rows[FIELD_COUNT] = {
    [METHOD] = VALUE("method", TYPE(LUA_TSTRING), "a method, such as \"GET\""),
    [PATH] = VALUE("path", TYPE(LUA_TSTRING), "a path to be joined with base_url"),
    [URL] = VALUE("url", TYPE(LUA_TSTRING), "an absolute http or https URL"),
    [QUERY] = SECRETS("query"),
    [HEADERS] = SECRETS("headers"),
    [BODY] = VALUE("body", TYPE(LUA_TSTRING), "a string"),
    [JSON] = VALUE("json",
                   TYPE(LUA_TTABLE) | TYPE(LUA_TSTRING) | TYPE(LUA_TNUMBER) | TYPE(LUA_TBOOLEAN) |
                       TYPE(LUA_TLIGHTUSERDATA),
                   "a value that can be written as JSON"),
    [FORM] = SECRETS("form"),
    [TIMEOUT] = VALUE("timeout", TYPE(LUA_TTABLE), "a table of limits in seconds"),
    [DEADLINE] = VALUE("deadline", TYPE(LUA_TNUMBER), "a moment of neap.now(), in seconds"),
    [IDEMPOTENCY_KEY] =
        VALUE("idempotency_key", TYPE(LUA_TSTRING), "1 to 255 characters of printable ASCII"),
    [REPLAYABLE] = VALUE("replayable", TYPE(LUA_TBOOLEAN), "a boolean"),
    [TAGS] = VALUE("tags", TYPE(LUA_TTABLE), "a table"),
};

static const struct neap_option_table request_table = NEAP_OPTION_ROWS(request_rows);

struct reader {
    lua_State *L;
    const struct neap_request_source *source;
    struct neap_client *client;
    struct neap_exchange_object *object;
    int keeper;
    struct neap_draft *draft;
    int field[FIELD_COUNT]; /* stack index of each value that is given; 0: it is not */
};

static bool fail(struct reader *reader, const char *path, const char *text)
{
    lua_pushfstring(reader->L, "%s: %s", path, text);
    return false;
}

static enum field field_named(const char *name, size_t bytes)
{
    enum field field = METHOD;
    while (field < FIELD_COUNT &&
           (request_rows[field].name[0] != name[0] || strcmp(request_rows[field].name, name) != 0))
        field++;
    return strlen(name) == bytes ? field : FIELD_COUNT;
}

/* The key and the value on top; what is none of a request's is left for the options to complain
 * about. */
static bool take_field(struct reader *reader)
{
    lua_State *L = reader->L;
    size_t bytes;
    if (lua_type(L, -2) != LUA_TSTRING)
        return false;
    const char *name = lua_tolstring(L, -2, &bytes);
    enum field field = field_named(name, bytes);
    luaL_checkstack(L, 4, "request");
    if (field == FIELD_COUNT || !(request_rows[field].types & TYPE(lua_type(L, -1))))
        return false;
    lua_insert(L, -2);
    reader->field[field] = lua_gettop(L) - 1;
    return true;
}

/* Leaves the values on the stack, so that their texts stay. */
static bool take_fields(struct reader *reader)
{
    lua_State *L = reader->L;
    int request = reader->source->request, top = lua_gettop(L);
    bool is_good = lua_istable(L, request);
    if (lua_isnil(L, request))
        return true;
    lua_pushnil(L);
    while (is_good && lua_next(L, request))
        is_good = take_field(reader);
    if (is_good)
        return true;
    lua_settop(L, top);
    return neap_options_read(L, request, "request", &request_table, NULL, NULL, 0);
}

/* NULL where there is none. */
static const char *text_of(const struct reader *reader, enum field field, size_t *bytes)
{
    int index = reader->field[field];
    return index ? lua_tolstring(reader->L, index, bytes) : NULL;
}

/* Of the extras, on the stack. */
static const char *extra_text(struct reader *reader, const char *name, size_t *bytes)
{
    lua_State *L = reader->L;
    if (!lua_istable(L, reader->source->extras))
        return NULL;
    lua_pushstring(L, name);
    lua_rawget(L, reader->source->extras);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, bytes) : NULL;
}

static bool read_method(struct reader *reader)
{
    size_t bytes = 0;
    const char *own = text_of(reader, METHOD, &bytes);
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
static const char *encode(struct reader *reader, enum field field, const char *path, int form,
                          size_t *bytes)
{
    lua_State *L = reader->L;
    struct neap_pair_list list;
    struct neap_buffer *scratch = &reader->object->scratch;
    *bytes = 0;
    if (!reader->field[field])
        return "";
    if (!neap_read_pairs(L, reader->field[field], path, true, &list))
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
    const char *own_path = text_of(reader, PATH, &bytes);
    own_path = without_nul(own_path, bytes);
    const char *url = text_of(reader, URL, &bytes);
    url = without_nul(url, bytes);
    const char *path = without_nul(reader->source->path, reader->source->path_bytes);
    if (!path)
        path = own_path;
    const char *base = reader->client->policy.base_url;
    const char *query = encode(reader, QUERY, "request.query", 0, &query_bytes);
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
        neap_push_quoted(reader->L, pair->name.text, pair->name.bytes);
        lua_pushfstring(reader->L,
                        "request.headers[%s]: expected a header name of RFC 9110 and a value "
                        "without control characters",
                        lua_tostring(reader->L, -1));
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
    struct neap_pair_list list;
    struct neap_request_header *headers = reader->draft->few_headers;
    list.count = 0;
    if (reader->field[HEADERS] &&
        !neap_read_pairs(L, reader->field[HEADERS], "request.headers", false, &list))
        return false;
    if (list.count >= NEAP_FEW_HEADERS)
        headers = lua_newuserdata(L, (list.count + 1) * sizeof *headers);
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

static int count_bodies(const struct reader *reader)
{
    return (reader->field[BODY] != 0) + (reader->field[JSON] != 0) + (reader->field[FORM] != 0);
}

/* A string on the stack; the exchange does not copy it. */
static bool keep_body(struct reader *reader, int index)
{
    lua_State *L = reader->L;
    uint64_t most = reader->client->policy.max_request_bytes;
    reader->draft->body = lua_tolstring(L, index, &reader->draft->body_bytes);
    neap_keep_for_call(L, reader->keeper, "body", index);
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
    if (reader->field[BODY])
        return keep_body(reader, reader->field[BODY]);
    if (extra_text(reader, "body", &bytes)) {
        set_content_type(reader, "application/json");
        return keep_body(reader, lua_gettop(reader->L));
    }
    const char *form = encode(reader, FORM, "request.form", 1, &bytes);
    if (!form)
        return false;
    if (bytes == 0)
        return true;
    set_content_type(reader, "application/x-www-form-urlencoded");
    return keep_body(reader, lua_gettop(reader->L));
}

static bool read_deadline(struct reader *reader)
{
    if (!reader->field[DEADLINE])
        return true;
    double seconds = lua_tonumber(reader->L, reader->field[DEADLINE]);
    if (isnan(seconds))
        return fail(reader, "request.deadline",
                    "expected a moment of neap.now(), in seconds, got nan");
    reader->draft->deadline_ns = neap_ns_from_seconds(seconds);
    return true;
}

static bool read_times(struct reader *reader)
{
    lua_State *L = reader->L;
    struct neap_draft *draft = reader->draft;
    draft->timeout = reader->client->policy.pipeline.timeout;
    draft->deadline_ns = NEAP_NEVER;
    if (reader->field[TIMEOUT] &&
        !neap_options_read(L, reader->field[TIMEOUT], "request.timeout", &neap_timeout_options,
                           &draft->timeout, NULL, 0))
        return false;
    draft->replayable = reader->field[REPLAYABLE] && lua_toboolean(L, reader->field[REPLAYABLE]);
    return read_deadline(reader);
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
    draft->breaker_key = extra_text(reader, "breaker_key", &draft->breaker_key_bytes);
    draft->gate_key = extra_text(reader, "gate_key", &draft->gate_key_bytes);
}

static bool has_lists(const struct reader *reader)
{
    return reader->field[QUERY] || reader->field[HEADERS] || reader->field[FORM] ||
           reader->field[TIMEOUT] || lua_istable(reader->L, reader->source->extras);
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
    memset(draft, 0, sizeof *draft);
    if (!take_fields(&reader))
        return false;
    luaL_checkstack(L, has_lists(&reader) ? STACK_SLOTS_OF_LISTS : STACK_SLOTS, "request");
    if (!read_method(&reader) || !read_url(&reader) || !read_headers(&reader) ||
        !read_body(&reader) || !read_times(&reader))
        return false;
    read_extras(&reader);
    return neap_read_request_key(L, source, reader.field[IDEMPOTENCY_KEY], client, object, keeper,
                                 draft);
}
