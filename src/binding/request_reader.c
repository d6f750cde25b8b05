#include "binding/request_reader.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "base/method.h"
#include "binding/options.h"
#include "binding/pair_list.h"
#include "binding/policy_options.h"
#include "binding/request_fields.h"
#include "binding/request_key.h"
#include "binding/shown_value.h"

/* Room for what is left on the stack beside the values of a request, and with lists and texts that
 * are made of it. The stack of each task grows by what is asked for here, and stays so. */
#define STACK_SLOTS 20
#define STACK_SLOTS_OF_LISTS 40

struct reader {
    lua_State *L;
    const struct neap_request_source *source;
    struct neap_client *client;
    struct neap_exchange_object *object;
    int keeper;
    struct neap_draft *draft;
    int field[NEAP_REQUEST_FIELD_COUNT]; /* stack index of each value that is given; 0: it is not */
};

static bool fail(struct reader *reader, const char *path, const char *text)
{
    lua_pushfstring(reader->L, "%s: %s", path, text);
    return false;
}

/* NULL where there is none. */
static const char *text_of(const struct reader *reader, enum neap_request_field field,
                           size_t *bytes)
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
    const char *own = text_of(reader, NEAP_REQUEST_METHOD, &bytes);
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
static const char *encode(struct reader *reader, enum neap_request_field field, const char *path,
                          int form, size_t *bytes)
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

NEAP_INLINE const char *safe_text_of(const struct reader *reader, enum neap_request_field field)
{
    size_t bytes = 0;
    const char *text = text_of(reader, field, &bytes);
    return without_nul(text, bytes);
}

static void tell_target(const struct neap_request_source *source, const char *path, const char *url,
                        const char *query)
{
    const char *reference = url ? url : path ? path : "";
    if (source->target)
        *source->target = (struct neap_request_target){
            .reference = reference, .query = query, .is_absolute = url};
}

static bool resolve_path(struct reader *reader, const char *path, const char *query)
{
    const char *base = reader->client->policy.base_url;
    if (base)
        return resolve(reader, base, path ? path : "", "request.path", query);
    if (path)
        return fail(reader, "request.path", "the policy has no base_url to join it with");
    return fail(reader, "request.url", "required, a string");
}

static bool read_url(struct reader *reader)
{
    size_t query_bytes;
    const char *own_path = safe_text_of(reader, NEAP_REQUEST_PATH);
    const char *url = safe_text_of(reader, NEAP_REQUEST_URL);
    const char *path = without_nul(reader->source->path, reader->source->path_bytes);
    const char *query = encode(reader, NEAP_REQUEST_QUERY, "request.query", 0, &query_bytes);
    if (!query)
        return false;
    if (own_path && path && strcmp(path, own_path) != 0)
        return fail(reader, "request.path", "there is a path already, before the request");
    if (!path)
        path = own_path;
    if (url && path)
        return fail(reader, "request.url", "there is a path already; give one of both");
    tell_target(reader->source, path, url, query);
    return url ? resolve(reader, NULL, url, "request.url", query)
               : resolve_path(reader, path, query);
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
    if (reader->field[NEAP_REQUEST_HEADERS] &&
        !neap_read_pairs(L, reader->field[NEAP_REQUEST_HEADERS], "request.headers", false, &list))
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
    return (reader->field[NEAP_REQUEST_BODY] != 0) + (reader->field[NEAP_REQUEST_JSON] != 0) +
           (reader->field[NEAP_REQUEST_FORM] != 0);
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
    if (reader->field[NEAP_REQUEST_BODY])
        return keep_body(reader, reader->field[NEAP_REQUEST_BODY]);
    if (extra_text(reader, "body", &bytes)) {
        set_content_type(reader, "application/json");
        return keep_body(reader, lua_gettop(reader->L));
    }
    const char *form = encode(reader, NEAP_REQUEST_FORM, "request.form", 1, &bytes);
    if (!form)
        return false;
    if (bytes == 0)
        return true;
    set_content_type(reader, "application/x-www-form-urlencoded");
    return keep_body(reader, lua_gettop(reader->L));
}

static bool read_deadline(struct reader *reader)
{
    if (!reader->field[NEAP_REQUEST_DEADLINE])
        return true;
    double seconds = lua_tonumber(reader->L, reader->field[NEAP_REQUEST_DEADLINE]);
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
    if (reader->field[NEAP_REQUEST_TIMEOUT] &&
        !neap_options_read(L, reader->field[NEAP_REQUEST_TIMEOUT], "request.timeout",
                           &neap_timeout_options, &draft->timeout, NULL, 0))
        return false;
    draft->replayable = reader->field[NEAP_REQUEST_REPLAYABLE] &&
                        lua_toboolean(L, reader->field[NEAP_REQUEST_REPLAYABLE]);
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
    return reader->field[NEAP_REQUEST_QUERY] || reader->field[NEAP_REQUEST_HEADERS] ||
           reader->field[NEAP_REQUEST_FORM] || reader->field[NEAP_REQUEST_TIMEOUT] ||
           lua_istable(reader->L, reader->source->extras);
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
    if (!neap_request_take_fields(L, source->request, reader.field))
        return false;
    luaL_checkstack(L, has_lists(&reader) ? STACK_SLOTS_OF_LISTS : STACK_SLOTS, "request");
    if (!read_method(&reader) || !read_url(&reader) || !read_headers(&reader) ||
        !read_body(&reader) || !read_times(&reader))
        return false;
    read_extras(&reader);
    return neap_read_request_key(L, source, reader.field[NEAP_REQUEST_IDEMPOTENCY_KEY], client,
                                 object, keeper, draft);
}
