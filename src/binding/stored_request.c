/* Requests of the outbox for Lua: from a request table to the block that is stored, and back. */
#include "pipeline/stored_request.h"
#include "base/duration.h"
#include "binding/objects.h"
#include "binding/pair_list.h"
#include "binding/request_reader.h"
#include "platform/memory.h"

static const char *const limit_names[NEAP_STORED_LIMITS] = {
    [NEAP_STORED_CONNECT] = "connect", [NEAP_STORED_WRITE] = "write", [NEAP_STORED_READ] = "read",
    [NEAP_STORED_ATTEMPT] = "attempt", [NEAP_STORED_TOTAL] = "total",
};

/* ------------------------------------------------------------------------------- to the block */

/* A request that was read; texts on the stack. */
struct source {
    struct neap_request_source request;
    struct neap_request_target target;
    struct neap_exchange_object *object;
    struct neap_draft draft;
    int keeper;
};

static int refuse(lua_State *L, const char *message)
{
    lua_pushnil(L);
    if (message)
        lua_pushstring(L, message);
    else
        lua_insert(L, -2);
    return 2;
}

/* The limits that the request has for itself; the reader has checked them. */
static void read_limits(lua_State *L, int request, struct neap_stored_request *stored)
{
    if (!lua_istable(L, request))
        return;
    lua_getfield(L, request, "timeout");
    for (int i = 0; lua_istable(L, -1) && i < NEAP_STORED_LIMITS; i++) {
        lua_getfield(L, -1, limit_names[i]);
        if (lua_type(L, -1) == LUA_TNUMBER)
            stored->limit_ns[i] = neap_ns_from_seconds(lua_tonumber(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The path with its query as one reference, which resolves to the URL that was checked. */
static struct neap_text join_target(lua_State *L, struct source *source)
{
    const struct neap_request_target *target = &source->target;
    struct neap_buffer *scratch = &source->object->scratch;
    bool is_base = target->reference[0] == '\0' || target->reference[0] == '#';
    if (target->query[0] == '\0')
        return neap_text_of(target->reference);
    neap_buffer_clear(scratch);
    /* Alone, a query would take the place of the one that base_url has. */
    const char *query = is_base ? source->object->url.query : target->query;
    if (neap_url_join_query(scratch, is_base ? "" : target->reference, query) != NEAP_URL_OK)
        neap_raise_memory(L); /* the text has passed the same check before */
    return (struct neap_text){scratch->data, scratch->bytes};
}

static struct neap_text key_of(lua_State *L, const struct source *source)
{
    struct neap_text key = {NULL, 0};
    lua_getfield(L, source->keeper, "idempotency_key");
    if (lua_type(L, -1) == LUA_TSTRING)
        key.text = lua_tolstring(L, -1, &key.bytes);
    return key;
}

/* The pairs live in a userdata on the stack. */
static struct neap_stored_header *new_pairs(lua_State *L, size_t count)
{
    return lua_newuserdata(L, (count + 1) * sizeof(struct neap_stored_header));
}

static struct neap_stored_part headers_of(lua_State *L, const struct neap_draft *draft)
{
    struct neap_stored_header *pairs = new_pairs(L, draft->header_count);
    for (size_t i = 0; i < draft->header_count; i++)
        pairs[i] = (struct neap_stored_header){neap_text_of(draft->headers[i].name),
                                               neap_text_of(draft->headers[i].value)};
    return (struct neap_stored_part){pairs, draft->header_count};
}

/* The face has made texts of them. False with a message pushed. */
static bool read_tags(lua_State *L, int extras, struct neap_stored_part *tags)
{
    struct neap_pair_list list = {0};
    if (lua_istable(L, extras)) {
        lua_getfield(L, extras, "tags");
        if (lua_istable(L, -1) && !neap_read_pairs(L, -1, "request.tags", false, &list))
            return false;
    }
    struct neap_stored_header *pairs = new_pairs(L, list.count);
    for (size_t i = 0; i < list.count; i++)
        pairs[i] = (struct neap_stored_header){list.pair[i].name, list.pair[i].value};
    *tags = (struct neap_stored_part){pairs, list.count};
    return true;
}

/* The buffer owns the block while Lua makes a string of it, which may raise. */
static int push_block(lua_State *L, const struct neap_stored_request *stored,
                      struct neap_buffer *scratch)
{
    char *blob;
    size_t bytes;
    enum neap_status status = neap_stored_request_write(stored, scratch->alloc, &blob, &bytes);
    if (status == NEAP_NO_MEMORY)
        return neap_raise_memory(L);
    if (status != NEAP_OK)
        return refuse(L, "request: too long to be stored");
    neap_buffer_deinit(scratch);
    *scratch = (struct neap_buffer){scratch->alloc, blob, bytes, bytes};
    lua_pushlstring(L, blob, bytes);
    neap_buffer_deinit(scratch);
    return 1;
}

/* stored_request(client, method, path, request, extras): the block of a request that this client
 * could send, with the key that it was given or that was made for it (nil: a header has it); or nil
 * and what is wrong with the request. extras as for an exchange, and `tags`: names and texts. */
static int store_request(lua_State *L)
{
    struct neap_client *client = neap_check_client(L, 1);
    lua_settop(L, 5);
    struct source source = {
        .request = {
            .request = 4, .method = lua_tostring(L, 2), .must_have_key = true, .extras = 5}};
    source.request.path = lua_tolstring(L, 3, &source.request.path_bytes);
    source.request.target = &source.target;
    source.object = neap_push_exchange(L);
    lua_newtable(L);
    source.keeper = lua_gettop(L);
    if (!neap_read_request(L, &source.request, client, source.object, source.keeper, &source.draft))
        return refuse(L, NULL);
    struct neap_stored_request stored = {.method = neap_text_of(source.draft.method),
                                         .target = join_target(L, &source),
                                         .is_absolute = source.target.is_absolute,
                                         .has_body = source.draft.body != NULL,
                                         .key = key_of(L, &source),
                                         .headers = headers_of(L, &source.draft),
                                         .body = {source.draft.body, source.draft.body_bytes}};
    read_limits(L, 4, &stored);
    if (!read_tags(L, 5, &stored.tags))
        return refuse(L, NULL);
    if (push_block(L, &stored, &source.object->scratch) != 1)
        return 2;
    lua_getfield(L, source.keeper, "idempotency_key");
    return 2;
}

/* ------------------------------------------------------------------------------- from the block */

/* Adds to the table on top: a name that is there already gets a list of its values. */
static void add_header(lua_State *L, struct neap_stored_header header)
{
    neap_push_text(L, header.name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        neap_push_text(L, header.value);
    } else {
        if (!lua_istable(L, -1)) {
            lua_createtable(L, 2, 0);
            lua_insert(L, -2);
            lua_rawseti(L, -2, 1);
        }
        neap_push_text(L, header.value);
        lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    }
    lua_rawset(L, -3);
}

static void set_headers(lua_State *L, struct neap_stored_request_reader *reader)
{
    lua_newtable(L);
    while (reader->headers_left > 0)
        add_header(L, neap_stored_request_header(reader));
    lua_setfield(L, -2, "headers");
}

static void set_tags(lua_State *L, struct neap_stored_request_reader *reader)
{
    if (reader->tags_left == 0)
        return;
    lua_newtable(L);
    while (reader->tags_left > 0) {
        struct neap_stored_header tag = neap_stored_request_tag(reader);
        neap_push_text(L, tag.name);
        neap_push_text(L, tag.value);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "tags");
}

static void set_limits(lua_State *L, const struct neap_stored_request_reader *reader)
{
    bool is_any = false;
    lua_newtable(L);
    for (int i = 0; i < NEAP_STORED_LIMITS; i++) {
        if (reader->limit_ns[i] == 0)
            continue;
        neap_set_seconds(L, limit_names[i], reader->limit_ns[i]);
        is_any = true;
    }
    if (is_any)
        lua_setfield(L, -2, "timeout");
    else
        lua_pop(L, 1);
}

/* read_stored_request(block): a request table, whose tags are texts; or nil and what is wrong with
 * the block. */
static int read_request(lua_State *L)
{
    size_t bytes;
    struct neap_stored_request_reader reader;
    const char *block = luaL_checklstring(L, 1, &bytes);
    const char *fault = neap_stored_request_open(block, bytes, &reader);
    if (fault)
        return refuse(L, fault);
    lua_createtable(L, 0, 8);
    neap_set_bytes(L, "method", reader.method);
    neap_set_bytes(L, reader.is_absolute ? "url" : "path", reader.target);
    if (reader.key.bytes > 0)
        neap_set_bytes(L, "idempotency_key", reader.key);
    if (reader.has_body)
        neap_set_bytes(L, "body", reader.body);
    set_headers(L, &reader);
    set_tags(L, &reader);
    set_limits(L, &reader);
    return 1;
}

void neap_binding_add_stored_requests(lua_State *L)
{
    lua_pushcfunction(L, store_request);
    lua_setfield(L, -2, "stored_request");
    lua_pushcfunction(L, read_request);
    lua_setfield(L, -2, "read_stored_request");
}
