/* Each scenario of spec/allocation with each of its allocations failing in turn: neap's own,
 * libcurl's and Lua's, the n-th alone and the n-th with all that follow. With Lua 5.4 and LuaJIT.
 *
 * Promised: nothing crashes; the scenario ends as it should, or says that memory was short; then,
 * with memory, the same objects work again and nothing is out in anybody's name; and in the end
 * nothing is left behind. CONTRIBUTING.md tells how to add a scenario, and of the variables ONLY,
 * SOURCE, NTH, LOUD and EXHAUSTIVE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <lualib.h>

#include "binding/compat.h"
#include "platform/memory.h"
#include "support/misbehave.h"
#include "support/redis_server.h"

/* Beyond the first ones, short runs fail only every so many-th: these say how many there are. */
#define EACH_ONE 40u
#define ROUNDS_AFTER 40u
#define ROUNDS_MAX 20000u
#define SCENARIOS_MAX 64u

int luaopen_neap_core(lua_State *L);

static struct misbehave server;
static struct redis_server redis;
static char directory[64];
static lua_State *L;
static bool is_exhaustive, is_loud;

/* ---- who asks for memory */

enum { OURS, LIBCURL, LUA, SOURCES };

struct source {
    const char *name;
    _Atomic size_t asked, fail_at; /* 0: never */
    _Atomic bool goes_on;          /* all that follow fail too */
    _Atomic long outstanding;
};

static struct source sources[SOURCES] = {{.name = "neap"}, {.name = "libcurl"}, {.name = "Lua"}};

static bool is_refused(struct source *source)
{
    size_t nth = ++source->asked, fail_at = source->fail_at;
    return fail_at > 0 && (nth == fail_at || (nth > fail_at && source->goes_on));
}

static void *resize(struct source *source, void *block, size_t bytes)
{
    if (is_refused(source))
        return NULL;
    void *resized = realloc(block, bytes);
    source->outstanding += resized && !block;
    return resized;
}

static void release(struct source *source, void *block)
{
    source->outstanding -= block != NULL;
    free(block);
}

static void *resize_ours(void *context, void *block, size_t bytes)
{
    (void)context;
    if (bytes > 0)
        return resize(&sources[OURS], block, bytes);
    release(&sources[OURS], block);
    return NULL;
}

/* In the place of the one in src/platform/memory.c, which is then not linked. */
const struct neap_alloc *neap_platform_alloc(void)
{
    static const struct neap_alloc alloc = {.resize = resize_ours, .context = NULL};
    return &alloc;
}

/* What shrinks must not fail. Lua asks a second time after it has collected what it can. */
static void *resize_luas(void *context, void *block, size_t before, size_t wanted)
{
    static size_t refused;
    (void)context;
    if (wanted == 0) {
        release(&sources[LUA], block);
        return NULL;
    }
    if (block && wanted <= before)
        return realloc(block, wanted);
    if (refused == wanted) {
        refused = 0;
        return NULL;
    }
    void *resized = resize(&sources[LUA], block, wanted);
    refused = resized || sources[LUA].goes_on ? 0 : wanted;
    return resized;
}

/* libcurl 7.88 divides by zero where it has no room to note which transfers wait for a socket: it
 * drops the table (of 13 slots) to which it could not add an entry, and looks into it later. These
 * two never fail here. */
static bool must_not_fail(size_t bytes)
{
    return bytes == 13 * 4 * sizeof(void *) || bytes == 7 * sizeof(void *);
}

static void *curl_malloc(size_t bytes)
{
    struct source *source = &sources[LIBCURL];
    if (!must_not_fail(bytes))
        return resize(source, NULL, bytes > 0 ? bytes : 1);
    source->outstanding++;
    return malloc(bytes);
}

static void curl_release(void *block)
{
    release(&sources[LIBCURL], block);
}

static void *curl_resize(void *block, size_t bytes)
{
    return resize(&sources[LIBCURL], block, bytes > 0 ? bytes : 1);
}

static void *curl_zeroed(size_t count, size_t bytes)
{
    void *block = curl_malloc(count * bytes);
    if (block)
        memset(block, 0, count * bytes);
    return block;
}

static char *curl_copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = curl_malloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

/* ---- one scenario */

static const char scenario_list[] = "package.path = 'lua/?.lua;lua/?/init.lua;./?.lua'\n"
                                    "return (require 'spec.allocation.scenarios')\n";

static void open_state(void)
{
    L = lua_newstate(resize_luas, NULL);
    assert_non_null(L);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_neap_core);
    lua_setfield(L, -2, "neap.core");
    lua_pop(L, 2);
    if (luaL_dostring(L, scenario_list) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
}

/* The functions that lie on the stack from then on, see spec/allocation/scenarios.lua. */
enum { ROUND = 1, REST, FORGET, FUNCTIONS = FORGET };

static void push_servers(void)
{
    char ca_file[128];
    lua_newtable(L);
    lua_pushfstring(L, "http://127.0.0.1:%d", misbehave_port(&server, "plain"));
    lua_setfield(L, -2, "plain");
    lua_pushfstring(L, "https://localhost:%d", misbehave_port(&server, "h2"));
    lua_setfield(L, -2, "h2");
    lua_pushstring(L, misbehave_file(&server, "ca.pem", ca_file));
    lua_setfield(L, -2, "ca_file");
    lua_pushstring(L, redis.path);
    lua_setfield(L, -2, "redis");
}

static void set_up_scenario(const char *name)
{
    open_state();
    lua_getfield(L, -1, "set_up");
    lua_pushstring(L, name);
    push_servers();
    lua_pushstring(L, directory);
    if (lua_pcall(L, 3, FUNCTIONS, 0) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    lua_remove(L, 1);
    assert_int_equal(lua_gettop(L), FUNCTIONS);
}

/* True where a function of the scenario returned true; what it says otherwise is left in `text`. */
static bool call(int function, char text[512])
{
    lua_pushvalue(L, function);
    int status = lua_pcall(L, 0, 2, 0);
    bool well = status == LUA_OK && lua_toboolean(L, FUNCTIONS + 1);
    for (int i = 0; i < SOURCES; i++)
        sources[i].fail_at = 0;
    snprintf(text, 512, "%s", well ? "" : luaL_tolstring(L, -1, NULL));
    lua_settop(L, FUNCTIONS);
    return well;
}

/* With memory. What an error has left to the collector is given back by it. */
static void works_again(const char *where)
{
    char text[512];
    if (call(ROUND, text))
        return;
    lua_gc(L, LUA_GCCOLLECT, 0);
    if (!call(ROUND, text))
        fail_msg("%s: afterwards: %s", where, text);
}

static void is_at_rest(const char *where)
{
    char text[512];
    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCCOLLECT, 0);
    if (!call(REST, text))
        fail_msg("%s: is not at rest: %s", where, text);
}

/* luaL_checkstack calls it an overflow. libcurl may name what it could not do for want of memory.
 */
static bool is_clear(int source, const char *text)
{
    return source == LIBCURL ? text[0] != '\0'
                             : strstr(text, "emory") != NULL || strstr(text, "stack overflow");
}

/* True where there was no n-th allocation any more. */
static bool play(int id, bool goes_on, size_t nth)
{
    struct source *source = &sources[id];
    char text[512], where[128];
    snprintf(where, sizeof where, "allocation %zu of %s%s", nth, source->name,
             goes_on ? ", and all that follow" : "");
    if (is_loud)
        (void)fprintf(stderr, "%s (%ld)\n", where, sources[OURS].outstanding);
    source->asked = 0;
    source->goes_on = goes_on;
    source->fail_at = nth;
    bool well = call(ROUND, text);
    bool is_over = source->asked < nth;
    if (!well && (is_over || !is_clear(id, text)))
        fail_msg("%s: %s", where, text);
    if (is_loud && !well)
        (void)fprintf(stderr, "    %s\n", text);
    if (id == LIBCURL && lua_isfunction(L, FORGET))
        call(FORGET, text);
    works_again(where);
    if (is_exhaustive || is_loud || is_over)
        is_at_rest(where);
    return is_over;
}

static size_t step_of(size_t allocations)
{
    if (is_exhaustive || allocations < EACH_ONE)
        return 1;
    return 1 + (allocations - EACH_ONE) / ROUNDS_AFTER;
}

static void play_all(int id, bool goes_on)
{
    char text[512];
    works_again("before");
    sources[id].asked = 0;
    if (!call(ROUND, text))
        fail_msg("before: %s", text);
    size_t step = step_of(sources[id].asked), nth = 1;
    if (getenv("NTH")) {
        (void)play(id, goes_on, strtoul(getenv("NTH"), NULL, 10));
        return;
    }
    while (!play(id, goes_on, nth)) {
        nth += nth < EACH_ONE ? 1 : step;
        assert_in_range(nth, 1, ROUNDS_MAX);
    }
}

static bool is_left_out(int id)
{
    return id == LIBCURL && lua_isboolean(L, FORGET);
}

/* LuaJIT with its compiler does not survive it: a program of Lua alone, whose n-th allocation
 * fails, can go on for ever (2.1.0-beta3, as Debian 12 has it). */
static void stop_compiler(void)
{
    if (luaL_dostring(L, "if jit then jit.off() jit.flush() end"))
        fail_msg("%s", lua_tostring(L, -1));
}

static void survives(void **state)
{
    const char *only = getenv("SOURCE");
    set_up_scenario(*state);
    for (int id = 0; id < SOURCES; id++) {
        if ((only && strcmp(only, sources[id].name) != 0) || is_left_out(id))
            continue;
        if (id == LUA)
            stop_compiler();
        play_all(id, false);
        play_all(id, true);
    }
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < SOURCES; i++)
        sources[i].fail_at = 0;
    lua_close(L);
    return 0;
}

static int nothing_is_left(void **state)
{
    tear_down(state);
    if (sources[OURS].outstanding == 0 && sources[LUA].outstanding == 0)
        return 0;
    print_error("left behind: %ld blocks of neap, %ld of Lua\n", sources[OURS].outstanding,
                sources[LUA].outstanding);
    sources[OURS].outstanding = 0;
    return -1;
}

/* ---- all of them */

static int group_set_up(void **state)
{
    (void)state;
    misbehave_start(&server);
    if (redis_server_exists())
        redis_server_start(&redis, NULL);
    return 0;
}

static int group_tear_down(void **state)
{
    (void)state;
    misbehave_stop(&server);
    if (redis_server_exists())
        redis_server_remove(&redis);
    return 0;
}

static size_t list_scenarios(char *names[SCENARIOS_MAX])
{
    const char *only = getenv("ONLY");
    size_t count = 0;
    open_state();
    lua_getfield(L, -1, "names");
    size_t all = lua_rawlen(L, -1);
    for (int i = 1; (size_t)i <= all && count < SCENARIOS_MAX; i++) {
        lua_rawgeti(L, -1, i);
        if (!only || strstr(lua_tostring(L, -1), only))
            names[count++] = strdup(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_close(L);
    return count;
}

static int run_all(char *names[SCENARIOS_MAX], size_t count)
{
    struct CMUnitTest tests[SCENARIOS_MAX];
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){names[i], survives, NULL, nothing_is_left, names[i]};
    return _cmocka_run_group_tests("allocation", tests, count, group_set_up, group_tear_down);
}

static void remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command) != 0)
        perror(command);
}

int main(void)
{
    char *names[SCENARIOS_MAX];
    is_exhaustive = getenv("EXHAUSTIVE") != NULL;
    is_loud = getenv("LOUD") != NULL;
    snprintf(directory, sizeof directory, "/tmp/neap-allocation-XXXXXX");
    if (!mkdtemp(directory) || curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, curl_release,
                                                    curl_resize, curl_copy, curl_zeroed))
        return 1;
    size_t count = list_scenarios(names);
    int status = run_all(names, count);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    remove_directory();
    return status;
}
