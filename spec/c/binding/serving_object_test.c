/* What neap.idempotency does where Lua has no memory: from each allocation of Lua's on, in turn,
 * all of them fail until the request has ended. Nothing may crash, and under AddressSanitizer
 * nothing of C's may be left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>

int luaopen_neap_core(lua_State *L);

static lua_State *L;
static size_t allocations, fail_from; /* 0: never */

/* What shrinks must not fail, as Lua's manual says. */
static void *allocate(void *unused, void *block, size_t before, size_t wanted)
{
    (void)unused;
    if (wanted == 0) {
        free(block);
        return NULL;
    }
    bool grows = !block || wanted > before;
    if (grows && ++allocations >= fail_from && fail_from > 0)
        return NULL;
    return realloc(block, wanted);
}

static const char program[] =
    "package.path = 'lua/?.lua;lua/?/init.lua'\n"
    "local idempotency = require 'neap.idempotency'\n"
    "local memory = require 'neap.store.memory'\n"
    "local t = require('neap.testing').new{ seed = 1 }\n"
    "local st = memory.new()\n"
    "local guard = idempotency.new{ store = st, env = t.env, on_conflict = 'reject' }\n"
    "local function request(key, body)\n"
    "  return { method = 'POST', path = '/', headers = { ['Idempotency-Key'] = key }, body = body "
    "}\n"
    "end\n"
    "local function pay() return { status = 201, headers = { a = { '1', '2' } }, body = 'x' } end\n"
    "guard:handle(request 'done', pay)\n"
    "local scenes = {}\n"
    "function scenes.run(key) return guard:handle(request(key), pay).status == 201 end\n"
    "function scenes.replay() return guard:handle(request 'done', pay).replayed end\n"
    "function scenes.other() return guard:handle(request('done', 'b'), pay).status == 422 end\n"
    "function scenes.missing() return guard:handle(request(nil), pay).status == 400 end\n"
    "function scenes.raises(key) return guard:handle(request(key), error).status == 500 end\n"
    "function scenes.nested(key)\n"
    "  local inner\n"
    "  guard:handle(request(key), function()\n"
    "    inner = guard:handle(request(key), pay).status\n"
    "    return pay()\n"
    "  end)\n"
    "  return inner == 409\n"
    "end\n"
    "return scenes\n";

static int set_up(void **state)
{
    (void)state;
    fail_from = 0;
    L = lua_newstate(allocate, NULL);
    assert_non_null(L);
    luaL_openlibs(L);
    luaL_requiref(L, "neap.core", luaopen_neap_core, 0);
    lua_pop(L, 1);
    if (luaL_dostring(L, program) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lua_close(L);
    return 0;
}

/* The scene at the n-th allocation; true where it came to its end, since it needs no more. */
static bool play(const char *name, int round)
{
    lua_getfield(L, -1, name);
    lua_pushfstring(L, "%s-%d", name, round);
    allocations = 0;
    fail_from = (size_t)round;
    int status = lua_pcall(L, 1, 1, 0);
    bool is_over = allocations < fail_from;
    fail_from = 0;
    if (is_over && status != LUA_OK)
        fail_msg("%s: %s", name, lua_tostring(L, -1));
    if (is_over)
        assert_true(lua_toboolean(L, -1));
    lua_pop(L, 1);
    if (round % 16 == 0)
        lua_gc(L, LUA_GCCOLLECT);
    return is_over;
}

static void each_allocation_may_fail(void **state)
{
    static const char *const scenes[] = {"run", "replay", "other", "missing", "raises", "nested"};
    (void)state;
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        int round = 1;
        while (!play(scenes[i], round))
            round++;
        assert_in_range(round, 10, 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_allocation_may_fail, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
