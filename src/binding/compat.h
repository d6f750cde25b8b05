/* The differences between Lua 5.1 (PUC's and LuaJIT), 5.2, 5.3 and 5.4: the binding includes this
 * header instead of Lua's own, writes Lua 5.4 as far as the names below go, and asks for no version
 * itself. A module made with the headers of PUC's 5.1 or of LuaJIT loads in both.
 *
 * What no name can mend: lua_getfield, lua_rawget and their like answer nothing in 5.1, so ask
 * lua_type afterwards; a userdata has one user value here, a table. */
#ifndef NEAP_BINDING_COMPAT_H
#define NEAP_BINDING_COMPAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

/* A full userdata of so many bytes that can hold a user table; pushed. Raises without memory. */
void *neap_lua_new_userdata(lua_State *L, size_t bytes);

/* The same without room for a user table. */
void *neap_lua_new_block(lua_State *L, size_t bytes);

/* Pops a table and makes it the user table of the userdata at `index`. */
void neap_lua_set_user_table(lua_State *L, int index);

/* Pushes the user table of the userdata at `index`; one must have been set. */
void neap_lua_get_user_table(lua_State *L, int index);

/* True, with *value set, if there is a number (no text that looks like one) at `index` which is
 * integral and fits: 3 and 3.0 alike, in each version. */
bool neap_lua_integer(lua_State *L, int index, int64_t *value);

/* True where the code that called the C function that runs can yield. Known is whether this Lua can
 * tell: PUC's 5.1 and 5.2 cannot. */
bool neap_lua_knows_yieldable(void);
bool neap_lua_is_yieldable(lua_State *L);

/* The same; true too where this Lua cannot tell. */
#if LUA_VERSION_NUM >= 503
static inline bool neap_lua_may_yield(lua_State *L)
{
    return lua_isyieldable(L);
}
#else
bool neap_lua_may_yield(lua_State *L);
#endif

/* C functions that are pushed where nothing may be raised for want of memory. Up to 5.1 each push
 * makes a closure: there they are kept, when the module is loaded, and pushed from where they are.
 */
#if LUA_VERSION_NUM < 502
void neap_lua_keep(lua_State *L, lua_CFunction function);
void neap_lua_push_kept(lua_State *L, lua_CFunction function);
#else
static inline void neap_lua_keep(lua_State *L, lua_CFunction function)
{
    (void)L;
    (void)function;
}
static inline void neap_lua_push_kept(lua_State *L, lua_CFunction function)
{
    lua_pushcfunction(L, function);
}
#endif

#if LUA_VERSION_NUM < 502

#ifndef LUA_OK
#define LUA_OK 0
#endif

/* Own names, because some builds of 5.1 export a part of the real ones. */
int neap_lua_absindex(lua_State *L, int index);
void neap_lua_rawgetp(lua_State *L, int index, const void *key);
void neap_lua_rawsetp(lua_State *L, int index, const void *key);
void neap_lua_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues);
void *neap_lua_testudata(lua_State *L, int index, const char *name);
void neap_lua_setmetatable(lua_State *L, const char *name);
const char *neap_lua_tolstring(lua_State *L, int index, size_t *bytes);

#undef lua_rawlen
#undef lua_absindex
#undef lua_rawgetp
#undef lua_rawsetp
#undef luaL_setfuncs
#undef luaL_testudata
#undef luaL_setmetatable
#undef luaL_tolstring
#undef luaL_newlibtable
#undef luaL_newlib
#define lua_rawlen lua_objlen
#define lua_absindex neap_lua_absindex
#define lua_rawgetp neap_lua_rawgetp
#define lua_rawsetp neap_lua_rawsetp
#define luaL_setfuncs neap_lua_setfuncs
#define luaL_testudata neap_lua_testudata
#define luaL_setmetatable neap_lua_setmetatable
#define luaL_tolstring neap_lua_tolstring
#define luaL_newlibtable(L, functions)                                                             \
    lua_createtable(L, 0, (int)(sizeof(functions) / sizeof((functions)[0]) - 1))
#define luaL_newlib(L, functions) (luaL_newlibtable(L, functions), luaL_setfuncs(L, functions, 0))

#endif

/* From 5.3 on C code can be yielded across, and goes on in a continuation. */
#if LUA_VERSION_NUM >= 503
#define NEAP_LUA_CONTINUES true

/* Starts or resumes a coroutine with the arguments on its stack. *results are what it yielded or
 * returned, on top of its stack; an error is one. What it yielded has to be taken off before it is
 * resumed again. */
static inline int neap_lua_resume(lua_State *co, lua_State *L, int arguments, int *results)
{
#if LUA_VERSION_NUM >= 504
    return lua_resume(co, L, arguments, results);
#else
    int status = lua_resume(co, L, arguments);
    *results = lua_gettop(co);
    return status;
#endif
}
#else
#define NEAP_LUA_CONTINUES false
typedef intptr_t neap_lua_context;
typedef int (*neap_lua_continuation)(lua_State *L, int status, neap_lua_context context);
static inline void neap_lua_call(lua_State *L, int arguments, int results)
{
    lua_call(L, arguments, results);
}
static inline int neap_lua_pcall(lua_State *L, int arguments, int results, int handler)
{
    return lua_pcall(L, arguments, results, handler);
}
/* Nobody calls it where nothing continues. */
static inline int neap_lua_resume(lua_State *co, lua_State *L, int arguments, int *results)
{
    (void)co, (void)arguments, (void)results;
    return luaL_error(L, "neap: this Lua cannot go on in C");
}
#undef lua_KContext
#undef lua_KFunction
#undef lua_callk
#undef lua_pcallk
#undef lua_yieldk
#define lua_KContext neap_lua_context
#define lua_KFunction neap_lua_continuation
#define lua_callk(L, arguments, results, context, continuation)                                    \
    ((void)(context), (void)(continuation), neap_lua_call(L, arguments, results))
#define lua_pcallk(L, arguments, results, handler, context, continuation)                          \
    ((void)(context), (void)(continuation), neap_lua_pcall(L, arguments, results, handler))
#define lua_yieldk(L, results, context, continuation)                                              \
    ((void)(context), (void)(continuation), lua_yield(L, results))
#endif

/* From 5.3 on two kinds of number; before that a number which is integral counts as an integer. */
#if LUA_VERSION_NUM < 503
bool neap_lua_isinteger(lua_State *L, int index);
#undef lua_isinteger
#define lua_isinteger neap_lua_isinteger
#endif

#endif
