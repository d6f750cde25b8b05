#include "binding/policy_fallback.h"

#include "binding/fields.h"
#include "binding/option_message.h"
#include "client/policy.h"

#define TYPE(name) (1u << LUA_T##name)

/* What one entry comes to in C; the rest of it stays in Lua. */
struct entry {
    uint32_t kinds;
    int64_t max_stale_ns;
};

static bool read_kind(struct neap_option_reader *reader, void *target)
{
    static const struct neap_option row = {
        .kind = NEAP_OPTION_VALUE, .flags = NEAP_OPTION_WORD, .expected = "a kind of error"};
    struct entry *entry = target;
    enum neap_kind kind = NEAP_KIND_NONE;
    if (lua_type(reader->L, -1) == LUA_TSTRING)
        kind = neap_kind_from_name(lua_tostring(reader->L, -1));
    if (kind == NEAP_KIND_NONE)
        return neap_option_fail_expected(reader, &row);
    entry->kinds |= UINT32_C(1) << kind;
    return true;
}

static bool read_kinds(struct neap_option_reader *reader, void *target)
{
    const struct entry *entry = target;
    if (!neap_option_read_list(reader, read_kind, target))
        return false;
    if (entry->kinds == 0)
        return neap_option_fail(reader, "expected a list of kinds of error, got an empty one");
    return true;
}

static bool read_cache(struct neap_option_reader *reader, void *target)
{
    static const struct neap_option row = {.kind = NEAP_OPTION_VALUE, .expected = "true"};
    (void)target;
    if (!lua_toboolean(reader->L, -1))
        return neap_option_fail_expected(reader, &row);
    return true;
}

static const struct neap_option entry_rows[] = {
    {.position = 1, .kind = NEAP_OPTION_VALUE, .types = TYPE(FUNCTION), .expected = "a function"},
    {"service", .kind = NEAP_OPTION_VALUE, .types = TYPE(TABLE) | TYPE(USERDATA),
     .expected = "a client"},
    {"request", .kind = NEAP_OPTION_VALUE, .types = TYPE(FUNCTION), .expected = "a function"},
    {"default", .kind = NEAP_OPTION_VALUE, .types = ~0u},
    {"when", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(TABLE),
     .expected = "a list of kinds of error", .read = read_kinds},
    {"cache", .kind = NEAP_OPTION_CUSTOM, .types = TYPE(BOOLEAN), .expected = "true",
     .read = read_cache},
    {"max_stale", .kind = NEAP_OPTION_SECONDS, .offset = offsetof(struct entry, max_stale_ns),
     .number = 3600},
    {"queue", .kind = NEAP_OPTION_VALUE, .types = TYPE(TABLE), .expected = "an outbox"},
};
static const struct neap_option_table entry_table = NEAP_OPTION_ROWS(entry_rows);

/* The value on top answers in exactly one way. */
static bool check_entry(struct neap_option_reader *reader, void *target)
{
    lua_State *L = reader->L;
    (void)target;
    if (lua_isfunction(L, -1))
        return true;
    bool is_service = neap_has_field(L, "service");
    bool is_default = neap_has_field(L, "default");
    bool is_queue = neap_has_field(L, "queue");
    lua_rawgeti(L, -1, 1);
    bool is_function = !lua_isnil(L, -1);
    lua_pop(L, 1);
    bool is_cache = neap_has_field(L, "cache");
    if (is_cache + is_service + is_default + is_queue + is_function != 1)
        return neap_option_fail(reader, "expected exactly one of cache, service, default, queue "
                                        "and a function at [1]");
    if (neap_has_field(L, "max_stale") && !is_cache)
        return neap_option_fail(reader, "expected max_stale only together with cache");
    if (neap_has_field(L, "request") && !is_service)
        return neap_option_fail(reader, "expected request only together with service");
    return true;
}

static const struct neap_option entry_function = {
    .kind = NEAP_OPTION_VALUE, .types = TYPE(FUNCTION), .expected = "a function"};
static const struct neap_option entry_row = {.kind = NEAP_OPTION_TABLE,
                                             .table = &entry_table,
                                             .other = &entry_function,
                                             .check = check_entry};

/* Pushes what the entry on top does, and answers its kind. */
static const char *push_action(lua_State *L)
{
    static const char *const names[] = {"cache", "service", "default", "queue"};
    if (lua_isfunction(L, -1)) {
        lua_pushvalue(L, -1);
        return "function";
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        lua_pushstring(L, names[i]);
        lua_rawget(L, -2);
        if (!lua_isnil(L, -1))
            return names[i];
        lua_pop(L, 1);
    }
    lua_rawgeti(L, -1, 1);
    return "function";
}

/* Pushes { kind =, value =, request = } made from the entry on top, which may change later. */
static void push_kept_entry(lua_State *L)
{
    int entry = lua_gettop(L);
    const char *kind = push_action(L);
    lua_createtable(L, 0, 3);
    lua_insert(L, -2);
    lua_setfield(L, -2, "value");
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    if (lua_istable(L, entry)) {
        lua_pushliteral(L, "request");
        lua_rawget(L, entry);
        lua_setfield(L, -2, "request");
    }
}

static void add_cache(struct neap_client_policy *policy, int64_t max_stale_ns)
{
    struct neap_pipeline *pipeline = &policy->pipeline;
    pipeline->fallback_caches |= UINT32_C(1) << pipeline->fallback_count;
    pipeline->fallback_max_stale_ns[pipeline->fallback_count] = max_stale_ns;
    if (max_stale_ns > policy->cache.fallback_max_stale_ns)
        policy->cache.fallback_max_stale_ns = max_stale_ns;
}

static bool read_entry(struct neap_option_reader *reader, void *target)
{
    lua_State *L = reader->L;
    struct neap_client_policy *policy = target;
    struct neap_pipeline *pipeline = &policy->pipeline;
    struct entry entry = {0};
    neap_options_defaults(L, &entry_table, &entry, reader->alloc);
    if (!neap_option_read_row(reader, &entry_row, &entry))
        return false;
    if (lua_istable(L, -1) && neap_has_field(L, "cache"))
        add_cache(policy, entry.max_stale_ns);
    lua_getfield(L, reader->functions, "fallback");
    lua_pushvalue(L, -2);
    push_kept_entry(L);
    lua_rawseti(L, -3, reader->path->position);
    lua_pop(L, 2);
    pipeline->fallback_kinds[pipeline->fallback_count++] = entry.kinds;
    return true;
}

bool neap_read_fallback(struct neap_option_reader *reader, void *target)
{
    size_t count = lua_rawlen(reader->L, -1);
    if (count > NEAP_FALLBACK_MAX)
        return neap_option_fail(reader, "expected a list of at most %d entries, got %d",
                                NEAP_FALLBACK_MAX, (int)count);
    lua_createtable(reader->L, (int)count, 0);
    lua_setfield(reader->L, reader->functions, "fallback");
    return neap_option_read_list(reader, read_entry, target);
}
