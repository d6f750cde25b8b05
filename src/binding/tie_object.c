/* Ties for Lua: one for each request of nginx that makes calls, whose end gives them up. */
#include "binding/objects.h"
#include "platform/memory.h"
#include "platform/nginx.h"

#include <string.h>

#define TIES_NAME "neap.ties"

#define BUCKETS 256u

/* A request with its tie, until it ends. */
struct entry {
    void *request;
    struct neap_tie *tie;
    struct entry *next, **link; /* link: what points here; NULL once the Lua state is closed */
};

struct neap_ties {
    struct entry *bucket[BUCKETS];
};

/* Where the registry keeps them. */
static const char all_ties;

static struct entry **bucket_of(struct neap_ties *ties, const void *request)
{
    uint64_t mixed = (uint64_t)(uintptr_t)request * UINT64_C(0x9e3779b97f4a7c15);
    return &ties->bucket[mixed >> 56];
}

static void link_entry(struct entry **bucket, struct entry *entry)
{
    entry->next = *bucket;
    entry->link = bucket;
    if (entry->next)
        entry->next->link = &entry->next;
    *bucket = entry;
}

static void unlink_entry(struct entry *entry)
{
    if (!entry->link)
        return;
    *entry->link = entry->next;
    if (entry->next)
        entry->next->link = entry->link;
    entry->link = NULL;
}

static void free_entry(struct entry *entry)
{
    unlink_entry(entry);
    neap_tie_release(entry->tie);
    neap_free(neap_platform_alloc(), entry);
}

/* Its address may be another request's from now on. */
static void on_request_end(void *context)
{
    struct entry *entry = context;
    unlink_entry(entry);
    neap_tie_end(entry->tie);
    free_entry(entry);
}

static enum neap_status make_entry(struct neap_ties *ties, void *request, struct entry **made)
{
    struct entry *entry = neap_alloc_zeroed(neap_platform_alloc(), sizeof *entry);
    if (!entry || neap_tie_new(neap_platform_alloc(), &entry->tie) != NEAP_OK) {
        neap_free(neap_platform_alloc(), entry);
        return NEAP_NO_MEMORY;
    }
    entry->request = request;
    if (!neap_nginx_on_request_end(request, on_request_end, entry)) {
        free_entry(entry);
        return NEAP_NOT_FOUND;
    }
    link_entry(bucket_of(ties, request), entry);
    *made = entry;
    return NEAP_OK;
}

enum neap_status neap_ties_find(struct neap_ties *ties, void *request, struct neap_tie **tie)
{
    struct entry *entry;
    enum neap_status status = NEAP_OK;
    for (entry = *bucket_of(ties, request); entry; entry = entry->next)
        if (entry->request == request)
            break;
    if (!entry)
        status = make_entry(ties, request, &entry);
    if (status == NEAP_OK)
        *tie = entry->tie;
    return status;
}

struct neap_ties *neap_push_ties(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &all_ties);
    return lua_touserdata(L, -1);
}

struct neap_tie *neap_tie_of_request(lua_State *L, int index)
{
    struct neap_tie *tie = NULL;
    void *request = lua_islightuserdata(L, index) ? lua_touserdata(L, index)
                                                  : (void *)(uintptr_t)luaL_checknumber(L, index);
    struct neap_ties *ties = neap_push_ties(L);
    lua_pop(L, 1);
    if (neap_ties_find(ties, request, &tie) == NEAP_NO_MEMORY)
        neap_raise_memory(L);
    return tie;
}

/* Requests may outlive the Lua state. */
static int ties_collect(lua_State *L)
{
    struct neap_ties *ties = luaL_checkudata(L, 1, TIES_NAME);
    for (size_t i = 0; i < BUCKETS; i++)
        while (ties->bucket[i])
            unlink_entry(ties->bucket[i]);
    return 0;
}

void neap_binding_add_tie(lua_State *L)
{
    struct neap_ties *ties = neap_lua_new_userdata(L, sizeof *ties);
    memset(ties, 0, sizeof *ties);
    neap_add_collected(L, TIES_NAME, ties_collect);
    luaL_setmetatable(L, TIES_NAME);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &all_ties);
}
