/* Stores for Lua: `neap.store.memory`, `.sqlite` and `.redis`, each a desk with its store. */
#include <stdio.h>
#include <string.h>

#include "binding/error_object.h"
#include "binding/objects.h"
#include "binding/option_tables.h"
#include "binding/options.h"
#include "platform/memory.h"

#define STORE_NAME "neap.store"
#define TYPE(name) (1u << LUA_T##name)

/* What was read, each kind using its part, and the desk that came of it, so that an error in
 * between leaks nothing. */
struct store_object {
    char *path, *host, *user, *password, *prefix, *ca_file;
    uint64_t max_bytes;
    uint32_t max_entries;
    int64_t busy_ns, connect_ns, step_ns;
    uint32_t port, db;
    bool tls;
    struct neap_desk *desk;
};

#define STORE(member) offsetof(struct store_object, member)

/* Read by the face. */
#define ENV_ROW                                                                                    \
    {                                                                                              \
        "env", .kind = NEAP_OPTION_VALUE, .types = TYPE(TABLE), .expected = "a table",             \
               .about = "the clock of a [testing kit](testing.md) for guards that work on the "    \
                        "store and have none of their own; an outbox takes its own `env`, a "      \
                        "cache its client's clock"                                                 \
    }

static const struct neap_option memory_rows[] = {
    ENV_ROW,
    {"max_bytes", .kind = NEAP_OPTION_BYTES, .offset = STORE(max_bytes), .min = 1024,
     .number = 67108864, .about = "keys, values, and all that belongs to them"},
    {"max_entries", .kind = NEAP_OPTION_INTEGER, .offset = STORE(max_entries), .min = 1,
     .number = 0, .about = "cached answers at most; claims and entries of an outbox do not count",
     .otherwise = "none"},
};

static const struct neap_option sqlite_rows[] = {
    ENV_ROW,
    {"path", .kind = NEAP_OPTION_TEXT, .flags = NEAP_OPTION_REQUIRED, .offset = STORE(path),
     .about = "of the file; its directory must be there"},
    {"busy_timeout", .kind = NEAP_OPTION_SECONDS, .offset = STORE(busy_ns), .number = 5,
     .about = "how long a step waits for another process's write"},
};

static const struct neap_option redis_rows[] = {
    ENV_ROW,
    {"host", .kind = NEAP_OPTION_TEXT, .offset = STORE(host), .text = "127.0.0.1",
     .about = "or the path of a unix socket"},
    {"port", .kind = NEAP_OPTION_INTEGER, .offset = STORE(port), .min = 1, .max = 65535,
     .number = 6379, .about = "of the server"},
    {"db", .kind = NEAP_OPTION_INTEGER, .offset = STORE(db), .max = 1000000, .number = 0,
     .about = "number of the database"},
    {"user", .kind = NEAP_OPTION_TEXT, .offset = STORE(user),
     .about = "of an access list; only together with `password`"},
    {"password", .kind = NEAP_OPTION_TEXT, .flags = NEAP_OPTION_SECRET, .offset = STORE(password),
     .about = "never shown in an error"},
    {"prefix", .kind = NEAP_OPTION_TEXT, .offset = STORE(prefix),
     .text = "neap:", .about = "in front of every key"},
    {"tls", .kind = NEAP_OPTION_BOOLEAN, .offset = STORE(tls),
     .about = "the certificate must be valid for `host`, which is no path then"},
    {"ca_file", .kind = NEAP_OPTION_TEXT, .offset = STORE(ca_file),
     .about = "certificates to trust, instead of the system's"},
    {"connect_timeout", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE,
     .offset = STORE(connect_ns), .number = 2,
     .about = "for connecting and logging in; not for looking up a name"},
    {"timeout", .kind = NEAP_OPTION_SECONDS, .flags = NEAP_OPTION_ABOVE, .offset = STORE(step_ns),
     .number = 2, .about = "for each of the two tries of a step"},
};

const struct neap_option_table neap_memory_store_options = NEAP_OPTION_ROWS(memory_rows);
const struct neap_option_table neap_sqlite_store_options = NEAP_OPTION_ROWS(sqlite_rows);
const struct neap_option_table neap_redis_store_options = NEAP_OPTION_ROWS(redis_rows);

static enum neap_store_status open_memory(const struct store_object *object,
                                          struct neap_store **store, char *message)
{
    struct neap_memory_settings settings = {.max_bytes = object->max_bytes,
                                            .max_entries = object->max_entries};
    enum neap_store_status status = neap_store_open_memory(neap_platform_alloc(), &settings, store);
    if (status == NEAP_STORE_UNAVAILABLE)
        snprintf(message, NEAP_MESSAGE_BYTES, "the system gives no random bytes");
    return status;
}

static enum neap_store_status open_sqlite(const struct store_object *object,
                                          struct neap_store **store, char *message)
{
    struct neap_sqlite_settings settings = {.path = object->path, .busy_ns = object->busy_ns};
    return neap_store_open_sqlite(neap_platform_alloc(), &settings, store, message);
}

static enum neap_store_status open_redis(const struct store_object *object,
                                         struct neap_store **store, char *message)
{
    struct neap_redis_settings settings = {
        .host = object->host,
        .port = (int)object->port,
        .db = (int)object->db,
        .user = object->user,
        .password = object->password,
        .prefix = object->prefix,
        .tls = object->tls,
        .ca_file = object->ca_file,
        .connect_ns = object->connect_ns,
        .step_ns = object->step_ns,
    };
    return neap_store_open_redis(neap_platform_alloc(), &settings, store, message);
}

/* The one of that name; `is_there` is NULL where no library is needed. */
static const struct kind {
    const char *name;
    const struct neap_option_table *table;
    enum neap_store_status (*open)(const struct store_object *object, struct neap_store **store,
                                   char *message);
    bool is_quick;
    const bool *is_there;
} kinds[] = {
    {"memory", &neap_memory_store_options, open_memory, true, NULL},
    {"sqlite", &neap_sqlite_store_options, open_sqlite, false, &neap_store_has_sqlite},
    {"redis", &neap_redis_store_options, open_redis, false, &neap_store_has_redis},
};

static void free_texts(struct store_object *object)
{
    char **texts[] = {&object->path,     &object->host,   &object->user,
                      &object->password, &object->prefix, &object->ca_file};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        neap_free(neap_platform_alloc(), *texts[i]);
        *texts[i] = NULL;
    }
}

struct neap_desk *neap_check_store(lua_State *L, int index)
{
    struct store_object *object = luaL_checkudata(L, index, STORE_NAME);
    luaL_argcheck(L, object->desk, index, "the store is closed");
    return object->desk;
}

static int store_collect(lua_State *L)
{
    struct store_object *object = luaL_checkudata(L, 1, STORE_NAME);
    neap_desk_release(object->desk);
    object->desk = NULL;
    free_texts(object);
    return 0;
}

static const struct kind *check_kind(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    luaL_argerror(L, 1, "no such kind of store");
    return NULL;
}

static struct store_object *push_store(lua_State *L)
{
    struct store_object *object = neap_lua_new_userdata(L, sizeof *object);
    *object = (struct store_object){.desk = NULL};
    luaL_setmetatable(L, STORE_NAME);
    return object;
}

/* Of options that are right one by one; NULL where they fit together. A URL for a host may hold the
 * password, and errors of the connection name the host. */
static const char *find_contradiction(const struct store_object *object)
{
    if (object->user && !object->password)
        return "options.user: expected only together with password";
    bool is_socket = object->host && object->host[0] == '/';
    if (object->host && !is_socket && strpbrk(object->host, "/@"))
        return "options.host: expected the name or address of a host, or the path of a socket, "
               "not a URL";
    if (object->tls && is_socket)
        return "options.tls: expected only where host is not the path of a socket";
    return NULL;
}

/* The options at index 2; false with a message pushed. */
static bool read_options(lua_State *L, const struct kind *kind, struct store_object *object)
{
    const struct neap_alloc *alloc = neap_platform_alloc();
    neap_options_defaults(L, kind->table, object, alloc);
    if (!neap_options_read(L, 2, "options", kind->table, object, alloc, 0))
        return false;
    const char *contradiction = find_contradiction(object);
    if (contradiction)
        lua_pushstring(L, contradiction);
    return !contradiction;
}

/* store(kind, options): a store of that kind; nil and an error where the world has none for us; nil
 * and a text for a user's mistake. */
static int store_new(lua_State *L)
{
    char message[NEAP_MESSAGE_BYTES] = "";
    struct neap_store *store;
    const struct kind *kind = check_kind(L);
    lua_settop(L, 2);
    struct store_object *object = push_store(L);
    if (!read_options(L, kind, object)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    enum neap_store_status status = kind->open(object, &store, message);
    if (status == NEAP_STORE_UNAVAILABLE)
        return neap_binding_refuse(L, NEAP_KIND_STORE, message);
    if (status != NEAP_STORE_OK)
        return neap_raise_memory(L);
    if (neap_desk_new(neap_platform_alloc(), store, kind->is_quick, &object->desk) != NEAP_OK)
        return neap_raise_memory(L);
    return 1;
}

/* has_store(kind): was neap built with what it needs? */
static int has_store(lua_State *L)
{
    const bool *is_there = check_kind(L)->is_there;
    lua_pushboolean(L, !is_there || *is_there);
    return 1;
}

/* is_quick(): its steps never wait for anything. */
static int store_is_quick(lua_State *L)
{
    lua_pushboolean(L, neap_desk_is_quick(neap_check_store(L, 1)));
    return 1;
}

void neap_binding_add_stores(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"is_quick", store_is_quick},
        {NULL, NULL},
    };
    neap_new_metatable(L, STORE_NAME, methods, store_collect);
    lua_pop(L, 1);
    lua_pushcfunction(L, store_new);
    lua_setfield(L, -2, "store");
    lua_pushcfunction(L, has_store);
    lua_setfield(L, -2, "has_store");
}
