/* Fields of the Lua table on top of the stack. */
#ifndef NEAP_BINDING_FIELDS_H
#define NEAP_BINDING_FIELDS_H

#include <stdint.h>

#include "binding/compat.h"

/* A text that is NULL leaves the field out. */
void neap_set_text(lua_State *L, const char *name, const char *text);
void neap_set_seconds(lua_State *L, const char *name, int64_t ns);
void neap_set_count(lua_State *L, const char *name, uint64_t count);

#endif
