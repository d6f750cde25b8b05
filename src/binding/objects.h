/* The userdata of the binding: each holds one C object and forgets it when it is closed or
 * collected.
 *
 * Made empty with its metatable set, then filled, so that an error in between leaks nothing. */
#ifndef NEAP_BINDING_OBJECTS_H
#define NEAP_BINDING_OBJECTS_H

#include "base/buffer.h"
#include "binding/compat.h"
#include "binding/fields.h"
#include "client/client.h"
#include "client/desk.h"
#include "client/engine.h"
#include "client/exchange.h"
#include "client/store_step.h"
#include "client/tie.h"

struct neap_engine_object {
    struct neap_engine *engine;
};

struct neap_client_object {
    struct neap_client *client;
};

/* `scratch` and `url` hold what a request is made of until the exchange takes it over. */
struct neap_exchange_object {
    struct neap_exchange *exchange;
    struct neap_buffer scratch;
    struct neap_url url;
    uint64_t waiter_id; /* of those that a caller makes with it; 0: none yet */
    int top;            /* of the stack where a task waits for it */
    bool keeps;         /* it was given a user table of its own by neap_keep_for_call */
};

/* Each raises where the value at `index` is of another kind, or was closed. */
struct neap_engine *neap_check_engine(lua_State *L, int index);
struct neap_client *neap_check_client(lua_State *L, int index);
struct neap_exchange *neap_check_exchange(lua_State *L, int index);
struct neap_desk *neap_check_store(lua_State *L, int index);

/* An engine that was made before a fork becomes this process's own; as neap_engine_adopt. */
NEAP_MUST_CHECK enum neap_status neap_binding_adopt(struct neap_engine *engine);

/* Why it could not be, for people. */
const char *neap_binding_adoption_failure(enum neap_status status);

/* Each adds its metatable, and its constructors to the table on top of the stack. */
void neap_binding_add_engine(lua_State *L);
void neap_binding_add_sleepers(lua_State *L);
void neap_binding_add_client(lua_State *L);
void neap_binding_add_exchange(lua_State *L);
void neap_binding_add_callers(lua_State *L);
void neap_binding_add_caller_methods(lua_State *L);
void neap_binding_add_tasks(lua_State *L);
void neap_binding_add_tie(lua_State *L);
void neap_binding_add_region(lua_State *L);
void neap_binding_add_stores(lua_State *L);
void neap_binding_add_store_steps(lua_State *L);
void neap_binding_add_guard(lua_State *L);
void neap_binding_add_serving(lua_State *L);
void neap_binding_add_stored_requests(lua_State *L);
void neap_binding_add_outbox(lua_State *L);
void neap_binding_add_stop_signal(lua_State *L);
void neap_binding_add_headers(lua_State *L);
void neap_binding_add_result(lua_State *L);
void neap_binding_add_simulation(lua_State *L);
void neap_binding_add_scrape(lua_State *L);
void neap_binding_add_roster(lua_State *L);
void neap_binding_add_policies(lua_State *L);
void neap_binding_add_check(lua_State *L);
void neap_binding_add_option_rows(lua_State *L);

/* The engine's method sleeper(seconds): pushes one that is ready once so much time has passed. */
int neap_binding_sleeper(lua_State *L);

/* Pushes a new metatable with these methods and this collector, which may be NULL. It is found by
 * its name, and faster by the name's address. */
void neap_new_metatable(lua_State *L, const char *name, const luaL_Reg *methods,
                        lua_CFunction collect);

/* luaL_checkudata and luaL_setmetatable in a third of their time, which find the name's text first:
 * `name` is the text, at the same address, that the metatable was made with. */
void *neap_check_object(lua_State *L, int index, const char *name);
void neap_set_class(lua_State *L, const char *name);

/* Makes the metatable of userdata without methods, which only hold what is to be freed. */
void neap_add_collected(lua_State *L, const char *name, lua_CFunction collect);

/* The object's memory, or NULL where the value is of another kind. */
struct neap_exchange_object *neap_exchange_object(lua_State *L, int index);

/* Pushes one without an exchange, for a request to be read into. */
struct neap_exchange_object *neap_push_exchange(lua_State *L);

/* What of a request is not copied, and who keeps it: nobody but the stack, the table at a positive
 * index, or the user table of the exchange's object at that index, which is made when it is needed.
 */
#define NEAP_NOT_KEPT 0
#define NEAP_KEPT_BY(object_index) (-(object_index))

/* Keeps the value at `index`, an absolute one, under that name. */
void neap_keep_for_call(lua_State *L, int keeper, const char *name, int index);

/* Seconds at `index` as ns; NEAP_NEVER where there is nil or nothing. */
int64_t neap_optional_seconds(lua_State *L, int index);

/* Pushes the seconds from now until that moment, never below 0; nothing for NEAP_NEVER. The number
 * of values pushed. */
int neap_push_wait(lua_State *L, struct neap_loop *loop, int64_t when_ns);

/* Pushes the moment at which a poll of the engine is due, 0 where it is due at once, or nil while
 * nothing is timed; and true where its helper is to be told of errands. The number of values. */
int neap_push_due(lua_State *L, const struct neap_engine *engine);

/* The tie of a request of nginx that is being handled now: its address, as a light userdata or a
 * number, is at `index`. NULL where the request's end cannot be known. Raises without memory. */
struct neap_tie *neap_tie_of_request(lua_State *L, int index);

/* The same for who has no Lua at hand, and has been given the ties before: NEAP_NO_MEMORY;
 * NEAP_NOT_FOUND where the request's end cannot be known. */
struct neap_ties;
struct neap_ties *neap_push_ties(lua_State *L);
NEAP_MUST_CHECK enum neap_status neap_ties_find(struct neap_ties *ties, void *request,
                                                struct neap_tie **tie);

/* Raises "not enough memory" as Lua does. */
int neap_raise_memory(lua_State *L);

#endif
