/* Fields of Lua tables, written and read. */
#ifndef NEAP_BINDING_FIELDS_H
#define NEAP_BINDING_FIELDS_H

#include <stdint.h>

#include "binding/compat.h"
#include "policy/idempotency_key.h"

void neap_push_text(lua_State *L, struct neap_text text);

/* Of the table on top of the stack. A text that is NULL leaves the field out. */
void neap_set_text(lua_State *L, const char *name, const char *text);
void neap_set_bytes(lua_State *L, const char *name, struct neap_text text);
void neap_set_seconds(lua_State *L, const char *name, int64_t ns);
void neap_set_count(lua_State *L, const char *name, uint64_t count);

/* Pops a value into the field of `table`, an absolute index, unless something is there. */
void neap_set_missing(lua_State *L, int table, const char *name);

/* Has the table on top of the stack itself such a field? */
bool neap_has_field(lua_State *L, const char *name);

/* Of the table at `index`, an absolute one; what is of another type counts as absent. The text, ""
 * where it is absent, stays in the table. */
struct neap_text neap_get_text(lua_State *L, int index, const char *name);
double neap_get_number(lua_State *L, int index, const char *name, double absent);

#endif
