#include "binding/request_fields.h"

#include <string.h>

#include "binding/options.h"

#define TYPE(type) (1u << (type))

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

static const struct neap_option request_rows[NEAP_REQUEST_FIELD_COUNT] = {
    [NEAP_REQUEST_METHOD] = VALUE("method", TYPE(LUA_TSTRING), "a method, such as \"GET\""),
    [NEAP_REQUEST_PATH] = VALUE("path", TYPE(LUA_TSTRING), "a path to be joined with base_url"),
    [NEAP_REQUEST_URL] = VALUE("url", TYPE(LUA_TSTRING), "an absolute http or https URL"),
    [NEAP_REQUEST_QUERY] = SECRETS("query"),
    [NEAP_REQUEST_HEADERS] = SECRETS("headers"),
    [NEAP_REQUEST_BODY] = VALUE("body", TYPE(LUA_TSTRING), "a string"),
    [NEAP_REQUEST_JSON] = VALUE("json",
                                TYPE(LUA_TTABLE) | TYPE(LUA_TSTRING) | TYPE(LUA_TNUMBER) |
                                    TYPE(LUA_TBOOLEAN) | TYPE(LUA_TLIGHTUSERDATA),
                                "a value that can be written as JSON"),
    [NEAP_REQUEST_FORM] = SECRETS("form"),
    [NEAP_REQUEST_TIMEOUT] = VALUE("timeout", TYPE(LUA_TTABLE), "a table of limits in seconds"),
    [NEAP_REQUEST_DEADLINE] =
        VALUE("deadline", TYPE(LUA_TNUMBER), "a moment of neap.now(), in seconds"),
    [NEAP_REQUEST_IDEMPOTENCY_KEY] =
        VALUE("idempotency_key", TYPE(LUA_TSTRING), "1 to 255 characters of printable ASCII"),
    [NEAP_REQUEST_REPLAYABLE] = VALUE("replayable", TYPE(LUA_TBOOLEAN), "a boolean"),
    [NEAP_REQUEST_TAGS] = VALUE("tags", TYPE(LUA_TTABLE), "a table"),
};

static const struct neap_option_table request_table = NEAP_OPTION_ROWS(request_rows);

static enum neap_request_field field_named(const char *name, size_t bytes)
{
    enum neap_request_field field = NEAP_REQUEST_METHOD;
    while (field < NEAP_REQUEST_FIELD_COUNT &&
           (request_rows[field].name[0] != name[0] || strcmp(request_rows[field].name, name) != 0))
        field++;
    return strlen(name) == bytes ? field : NEAP_REQUEST_FIELD_COUNT;
}

/* The key and the value on top; what is none of a request's is left for the options to complain
 * about. */
static bool take_field(lua_State *L, int index[NEAP_REQUEST_FIELD_COUNT])
{
    size_t bytes;
    if (lua_type(L, -2) != LUA_TSTRING)
        return false;
    const char *name = lua_tolstring(L, -2, &bytes);
    enum neap_request_field field = field_named(name, bytes);
    luaL_checkstack(L, 4, "request");
    if (field == NEAP_REQUEST_FIELD_COUNT || !(request_rows[field].types & TYPE(lua_type(L, -1))))
        return false;
    lua_insert(L, -2);
    index[field] = lua_gettop(L) - 1;
    return true;
}

bool neap_request_take_fields(lua_State *L, int request, int index[NEAP_REQUEST_FIELD_COUNT])
{
    int top = lua_gettop(L);
    bool is_good = lua_istable(L, request);
    if (lua_isnil(L, request))
        return true;
    lua_pushnil(L);
    while (is_good && lua_next(L, request))
        is_good = take_field(L, index);
    if (is_good)
        return true;
    lua_settop(L, top);
    return neap_options_read(L, request, "request", &request_table, NULL, NULL, 0);
}
